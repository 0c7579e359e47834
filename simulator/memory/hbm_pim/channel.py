"""One channel of an HBM stack with processing units: which banks a product reads, by which rules, and for how long.

Units sit beside every bank, in every bank group, or on the buffer die: a product then reads one column of all banks, of
one bank in each bank group, or of one bank in each pseudo channel. The rules are those of a DRAM standard with such
commands, read from its rows.

Source: AttAcc (ASPLOS 2024) and its simulator. Not modelled: host reads and writes in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.core.errors import ConfigError
from simulator.kernels import hbm_pim_queue as kernel
from simulator.kernels.hbm_pim import run_channel
from simulator.memory.dram.standard import DramSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.memory.hbm_pim.program import PimProgram

Placement = Literal["bank", "bg", "buffer"]
"""Where the units are: beside each bank, in each bank group, or on the buffer die for each pseudo channel."""

NO_RULE = -(1 << 30)


@dataclass(frozen=True, slots=True)
class PlacementRules:
    """The commands of a placement, and how columns fall on banks.

    A unit stands in each node of `parallel_levels`; side by side they work on different columns of a matrix. The
    elements of a vector are spread over `spread_levels` of a unit, which a product reads together. Consecutive columns
    of a unit go in turn to the nodes of `turn_levels`: a bank takes one column at a time where `bank_turns_first`,
    else a whole row.
    """

    act: str
    mac: str
    pre: str
    parallel_levels: tuple[str, ...]
    spread_levels: tuple[str, ...]
    turn_levels: tuple[str, ...]
    bank_turns_first: bool


PLACEMENTS: dict[Placement, PlacementRules] = {
    "bank": PlacementRules(
        "ACTAB", "MACAB", "PREA", ("pseudo_channel", "stack_id", "bank_group"), ("bank",), (), False
    ),
    "bg": PlacementRules("ACTSB", "MACSB", "PRESB", ("pseudo_channel", "stack_id", "bank_group"), (), ("bank",), False),
    "buffer": PlacementRules(
        "ACTPB", "MACPB", "PREPB", ("pseudo_channel",), (), ("stack_id", "bank_group", "bank"), True
    ),
}


@dataclass(frozen=True, slots=True)
class PimRun:
    """What a channel's program came to: ticks, commands by name, and the ticks between products by what they waited
    for (`rows`, `refresh`, `moves`)."""

    ticks: int
    commands: dict[str, int]
    waits: dict[str, int]


class PimChannel:
    """A channel with units at `placement`, and a controller with `queue` entries.

    Raises ConfigError for a standard without the commands.
    """

    def __init__(self, spec: DramSpec, placement: Placement, queue: int = 32) -> None:
        self.spec, self.placement = spec, placement
        self.rules = PLACEMENTS[placement]
        missing = [name for name in (self.rules.act, self.rules.mac, "WRGB", "SFM") if name not in spec.commands]
        if missing:
            raise ConfigError(
                f"{spec.standard} has no command {', '.join(missing)}",
                remedy="use a standard with processing units, such as parts/dram/hbm3_pim.yaml",
            )
        self.n_pseudo_channels = self._size("pseudo_channel")
        self.n_ranks, self.n_groups, self.n_banks = (self._size(name) for name in ("stack_id", "bank_group", "bank"))
        self.n_units = int(np.prod([self._size(name) for name in self.rules.parallel_levels]))
        """Units that work side by side on different columns of a matrix."""
        self.n_spread = int(np.prod([self._size(name) for name in self.rules.spread_levels]))
        """Banks of a unit over which the elements of one vector are spread."""
        self.turns = self.n_banks if "bank" in self.rules.turn_levels else 1
        for name in self.rules.turn_levels:
            self.turns *= self._size(name) if name != "bank" else 1
        """Banks over which consecutive columns of a unit turn."""
        self.columns_per_row = spec.n_columns // spec.prefetch
        self.mac_ticks = self._rule("channel", self.rules.mac, self.rules.mac)
        """Ticks between two products, as far as the memory goes."""
        self.row_ticks = self._row_ticks()
        """Ticks from the last product of a row to the first of the next, in the same banks."""
        self.refresh_ticks = self._refresh_ticks()
        """Ticks from the last product before a refresh to the first after it, in the same row."""
        self.refresh_interval = spec.timing["n_refi"] * spec.ticks_per_ck
        """Ticks between refreshes."""
        self.move_ticks = self._rule("pseudo_channel", "MVSB", "MVSB")
        """Ticks between two moves to or from different ranks."""
        self.input_ticks = max(self._rule(level, "WRGB", "WRGB") for level in ("pseudo_channel", "bank_group"))
        """Ticks between two moves of inputs, which go to all units."""
        self.kernel_rules = self._kernel_rules(queue)
        """The rules in the kernel's form, int64[30]."""

    def _size(self, level: str) -> int:
        return self.spec.level_sizes[self.spec.levels.index(level)]

    def _rule(self, level: str | None, before: str, after: str) -> int:
        """The longest latency between two commands at a level (None: at any); NO_RULE where there is none."""
        spec, found = self.spec, NO_RULE
        first, second = spec.command_index(before), spec.command_index(after)
        for row_level, preceding, following, latency, window, sibling in spec.rules.tolist():
            is_pair = (preceding, following, window, sibling) == (first, second, 1, 0)
            if is_pair and (level is None or row_level == spec.level_index(level)):
                found = max(found, latency)
        return found

    def _row_ticks(self) -> int:
        rules = self.rules
        switch = ((rules.mac, rules.pre), (rules.pre, rules.act), (rules.act, rules.mac))
        return sum(self._rule(None, before, after) for before, after in switch)

    def _refresh_ticks(self) -> int:
        rules = self.rules
        refresh = ((rules.mac, "PREA"), ("PREA", "REFab"), ("REFab", rules.act), (rules.act, rules.mac))
        return sum(max(0, self._rule(None, before, after)) for before, after in refresh)

    def _kernel_rules(self, queue: int) -> NDArray[np.int64]:
        rules = self.rules
        rows = np.full(kernel.N_RULES, NO_RULE, np.int64)
        by_place = {
            kernel.ACT_MAC: (None, rules.act, rules.mac), kernel.ACT_PRE: (None, rules.act, rules.pre),
            kernel.PRE_ACT: (None, rules.pre, rules.act), kernel.MAC_PRE: (None, rules.mac, rules.pre),
            kernel.ACT_ACT: (None, rules.act, rules.act),
            kernel.MAC_MAC_RANK: ("stack_id", rules.mac, rules.mac),
            kernel.MAC_MAC_GROUP: ("bank_group", rules.mac, rules.mac),
            kernel.PREA_ACT: (None, "PREA", rules.act), kernel.ACT_PREA: (None, rules.act, "PREA"),
            kernel.MAC_PREA: (None, rules.mac, "PREA"), kernel.ACT_REF: (None, rules.act, "REFab"),
            kernel.PRE_REF: (None, rules.pre, "REFab"), kernel.PREA_REF: (None, "PREA", "REFab"),
            kernel.REF_ACT: (None, "REFab", rules.act), kernel.MOVE_BUS: ("pseudo_channel", "MVSB", "MVSB"),
            kernel.MOVE_RANK: ("stack_id", "MVSB", "MVSB"), kernel.MOVE_GROUP: ("bank_group", "MVSB", "MVSB"),
        }  # fmt: skip
        for place, (level, before, after) in by_place.items():
            rows[place] = self._rule(level, before, after)
        rows[kernel.MAC_MAC] = self.mac_ticks
        rows[kernel.ACT_ANY] = self._rule("channel", rules.act, "REFab")
        rows[kernel.REFI] = self.refresh_interval
        rows[kernel.N_REF] = self.n_pseudo_channels
        rows[kernel.REF_REF] = self._rule("pseudo_channel", "REFab", "REFab")
        if self.spec.accounting == "corrected":
            # Counted from the first pseudo channel's refresh; rows open in the last one, too.
            rows[kernel.REF_ACT] += self.n_pseudo_channels - 1
        n_groups = int(np.prod([self._size(name) for name in rules.turn_levels if name != "bank"]))
        n_banks = self.n_banks if "bank" in rules.turn_levels else 1
        rows[kernel.N_GROUPS_IN_TURN], rows[kernel.N_BANKS_IN_TURN] = n_groups, n_banks
        rows[kernel.BANK_TURNS_FIRST], rows[kernel.COLUMNS_PER_ROW] = rules.bank_turns_first, self.columns_per_row
        rows[kernel.GROUPS_PER_RANK], rows[kernel.QUEUE] = self.n_groups, queue
        rows[kernel.N_BANKS], rows[kernel.N_GROUPS] = n_groups * n_banks, self.n_groups * self.n_ranks
        return rows

    def run(self, program: PimProgram) -> PimRun:
        """Time the program from an idle channel with closed rows to its last command. Ticks are memory clocks."""
        counts = np.zeros(kernel.N_COUNTS, np.int64)
        ticks = run_channel(program.runs, program.patterns, self.kernel_rules, counts)
        rules = self.rules
        mac, wrgb, mvsb, mvgb, sfm, barriers, n_act, n_pre, n_refresh, rows, refresh, moves = counts.tolist()
        commands = {
            rules.mac: mac, "WRGB": wrgb, "MVSB": mvsb, "MVGB": mvgb, "SFM": sfm, "BARRIER": barriers,
            rules.act: n_act, rules.pre: n_pre, "REFab": n_refresh * self.n_pseudo_channels,
        }  # fmt: skip
        return PimRun(int(ticks), commands, {"rows": rows, "refresh": refresh, "moves": moves})
