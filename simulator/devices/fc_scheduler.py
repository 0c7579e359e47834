"""PAPI's scheduler: which unit runs the fully-connected layers of the next iteration.

(1) The tokens of the whole batch are gathered after an iteration, and ends of sequences counted. (2) RLP falls by as
many; TLP is what software asked for, so that RLP x TLP is known before the iteration begins: the first time from the
batch and the configured length. (3) It estimates the arithmetic intensity of a large layer, which tends to it. (4)
Above the threshold alpha the GPUs take the layers, else the stacks; all four move together. (5) The weights lie in the
same memory either way, so a move costs what the configuration says, and nothing by default.

Alpha comes from an offline sweep of both units, done once, unless it is given.

Source: PAPI (ASPLOS 2025), which does not publish its alpha.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from simulator.contracts.results import Table
from simulator.core.quantities import NonNegativeFloat, NonNegativeInt
from simulator.devices.attention_offload import is_decode
from simulator.devices.fc_units import FcUnit
from simulator.workload.batch import Batch

MOST_PARALLELISM = 1 << 14
"""Where the sweep ends: beyond it, stacks that still win always do."""


class SchedulerConfig(BaseModel):
    """The threshold `alpha` on RLP x TLP (none: found by a sweep), and what a move costs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: NonNegativeFloat | None = None
    switch_ps: NonNegativeInt = 0


def parallelism(batch: Batch) -> int:
    """RLP x TLP: sequences that decode, times the most tokens that one of them brings."""
    several = [(sequence.new_tokens, n) for sequence, n in batch.runs if is_decode(sequence)]
    return sum(n for _, n in several) * max((tokens for tokens, _ in several), default=0)


def estimated_intensity(n: int, hidden: int) -> float:
    """FLOP per byte of a fully-connected layer with h x h weights for n tokens: n h^2 2 / ((2 n h + h^2) 2)."""
    return n * hidden * hidden * 2 / ((2 * n * hidden + hidden * hidden) * 2)


class FcScheduler:
    """Chooses between the units `gpu` and `pim`."""

    def __init__(self, config: SchedulerConfig, units: Mapping[str, FcUnit]) -> None:
        self.config, self.units = config, units

    @cached_property
    def alpha(self) -> float:
        """The threshold: as given, or the most RLP x TLP at which the stacks are no slower than the GPUs."""
        given = self.config.alpha
        return given if given is not None else float(self._swept())

    def unit(self, batch: Batch) -> str:
        """Where the fully-connected layers of a step run. Prompts go to the GPUs."""
        if any(not is_decode(sequence) for sequence, _ in batch.runs):
            return "gpu"
        return "gpu" if parallelism(batch) > self.alpha else "pim"

    def fc_ps(self, n_tokens: int, unit: str) -> float:
        """Time of a layer's fully-connected work on one unit, with the exchanges that belong to it."""
        pieces, _ = self.units[unit].pieces(n_tokens)
        return sum(piece.time_ps for own in pieces.values() for piece in own)

    def _swept(self) -> int:
        """Both units at rising parallelism until the GPUs win, then the exact place between."""
        low, high = 0, 1
        while high <= MOST_PARALLELISM and self._pim_wins(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._pim_wins(middle) else (low, middle)
        return low

    def _pim_wins(self, n: int) -> bool:
        return self.fc_ps(n, "pim") <= self.fc_ps(n, "gpu")

    def table(self) -> Table:
        """The sweep: time of a layer's fully-connected work on both units, around alpha too."""
        rows = []
        for n in sorted({2**k for k in range(11)} | {max(1, int(self.alpha)), int(self.alpha) + 1}):
            pim, gpu = self.fc_ps(n, "pim") / 1e6, self.fc_ps(n, "gpu") / 1e6
            rows.append((n, pim, gpu, "pim" if n <= self.alpha else "gpu"))
        return Table(("rlp_x_tlp", "fc_pim_us", "fc_gpu_us", "chosen"), rows)

    def in_words(self, unit: str, n: int, *, has_prompts: bool = False) -> str:
        """Why the layers run where they do."""
        if has_prompts:
            return f"fully-connected layers on {unit}: the step has prompts"
        relation = "above" if unit == "gpu" else "not above"
        return f"fully-connected layers on {unit}: RLP x TLP is {n}, {relation} alpha = {self.alpha:g} ({self._how})"

    @property
    def threshold_in_words(self) -> str:
        """Alpha, and how it was had."""
        return f"fully-connected layers go to the GPUs where RLP x TLP is above alpha = {self.alpha:g} ({self._how})"

    @property
    def _how(self) -> str:
        return "given" if self.config.alpha is not None else "found by a sweep of both: alpha_sweep.csv"
