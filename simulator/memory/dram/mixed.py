"""One DRAM channel that host requests and a PIM program share: who is served when, and what it costs either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, ModelFault
from simulator.kernels import dram_mixed_state as mixed
from simulator.kernels import dram_table_state as state
from simulator.kernels.dram_mixed import run_mixed
from simulator.memory.dram.controller import CommandLog, ControllerConfig, DramTiming, Requests
from simulator.memory.dram.pim_program import REGISTER_COMMANDS, PimProgram, check_pim
from simulator.memory.dram.spec import DramSpec
from simulator.memory.dram.table_engine import (
    PATIENCE_TICKS,
    TICKS_PER_CALL,
    asked_rows,
    check_controller,
    fresh_channels,
    fresh_front,
    joined_log,
    kernel_table,
    taken_log,
    tally_of,
)

Ints = NDArray[np.int64]
Policy = Literal["pim_first", "host_first", "alternate"]
Preempt = Literal["operation", "command"]

_POLICIES = {"pim_first": mixed.PIM_FIRST, "host_first": mixed.HOST_FIRST, "alternate": mixed.ALTERNATE}


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the channel is shared, where both sides want it.

    `pim_first`: the host has it only while no PIM operation waits. `host_first`: PIM has it only while no request is
    queued. `alternate`: the host for `host_quantum` column commands, PIM for `pim_quantum` operations, and so on; a
    side with nothing to do gives way at once.
    The host is taken over from at any command, but for rows already activated for a request; PIM, with `preempt`
    operation, at the end of an operation (a row, or a run of register transfers), with `command` at any command. A side
    that has waited `max_wait_cyc` ticks for its turn has one quantum under any policy; 0 leaves waiting without bound.
    """

    policy: Policy = "alternate"
    preempt: Preempt = "operation"
    host_quantum: int = 32
    pim_quantum: int = 1
    max_wait_cyc: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PimTiming:
    """When a program was served: `first_cyc` and `last_cyc` int64[k] of every operation's column commands, and
    `end_cyc`, the tick of the last one (0: none)."""

    first_cyc: Ints
    last_cyc: Ints
    end_cyc: int

    def response_cyc(self, program: PimProgram) -> Ints:
        """Ticks from a launch's release to its last column command, int64[launches]."""
        launches = np.arange(program.n_launches)
        release = program.release_cyc[np.searchsorted(program.launch, launches, "left")]
        end = self.last_cyc[np.searchsorted(program.launch, launches, "right") - 1]
        return end - release + 1


@dataclass(frozen=True, slots=True)
class Interference:
    """What one side did to the other.

    `turns` given to PIM, `forced_turns` to either because of a long wait; `pim_ticks` in PIM's turns; longest waits for
    a turn, in ticks. Rows of the host's that PIM closed, and of these the ones that the host opened again without
    another row or a refresh between (hits lost); the same of PIM's rows (each of them in all banks); all-bank
    precharges on behalf of either.
    """

    turns: int
    forced_turns: int
    pim_ticks: int
    longest_host_wait_cyc: int
    longest_pim_wait_cyc: int
    host_rows_closed: int
    host_hits_lost: int
    pim_rows_closed: int
    pim_rows_reopened: int
    precharges_for_host: int
    precharges_for_pim: int


@dataclass(frozen=True, slots=True, eq=False)
class MixedTiming:
    """Both sides of a run. `host` is as of a run without PIM, but that its command counts, digest and log are of all
    commands; in the log a PIM command's request is -2 less its operation's place, and -2 less their number stands for
    what the host's turn clears away of PIM's. `n_visited` ticks were looked at."""

    host: DramTiming
    pim: PimTiming
    interference: Interference
    n_visited: int


def simulate_mixed(
    spec: DramSpec,
    config: ControllerConfig,
    sharing: Sharing,
    requests: Requests,
    program: PimProgram,
    *,
    log: bool = False,
    every_tick: bool = False,
) -> MixedTiming:
    """Serve requests and a PIM program in one channel, to the tick.

    The host's side is the standard's one-bus controller; without a program it is that of `simulate`, command by
    command. `every_tick` visits quiet ticks too, to the same result. Raises ConfigError for a controller with several
    buses or channels, ModelFault where nothing is ever served.
    Not modelled: PIM commands beside the host's within a turn; values.
    """
    _check(spec, config)
    table, n_words = kernel_table(spec, config, window=requests.window, log=log)
    states = fresh_channels(spec, config, table, n_words)
    asked = asked_rows(requests)
    front = fresh_front(spec, len(requests))
    front[state.F_STATUS] = state.RUNNING if len(requests) or len(program) else state.DRAINED
    pim = _pim_words(spec, sharing, table, len(requests), every_tick)
    operations = _operations(spec, program)
    pieces = [taken_log(states, table)]
    n_visited = 0
    while front[state.F_STATUS] == state.RUNNING:
        n_visited += run_mixed(table, states, asked, front, pim, operations, TICKS_PER_CALL)
        if log:
            pieces.append(taken_log(states, table))
    if front[state.F_STATUS] != state.DRAINED:
        raise ModelFault(
            f"{spec.standard}: the host or PIM waits and neither is served (tick {int(front[state.F_NOW])})",
            remedy="compare refresh intervals with refresh times",
        )
    timing = _host_timing(spec, table, states, asked, front, pim, joined_log(pieces) if log else None)
    served = PimTiming(
        operations[:, mixed.O_FIRST_CYC].copy(), operations[:, mixed.O_LAST_CYC].copy(), int(pim[mixed.P_PIM_END])
    )
    return MixedTiming(timing, served, _interference(pim), n_visited)


def _check(spec: DramSpec, config: ControllerConfig) -> None:
    check_pim(spec)
    check_controller(spec, config)
    if spec.controller != "one_bus" or spec.refresh_level != 0:
        raise ConfigError(
            f"{spec.standard} has several command buses, or ranks: PIM beside host traffic is told for one of each",
            where="controller",
            remedy="take a variant of GDDR6",
        )
    if config.n_channels != 1:
        raise ConfigError(
            f"{config.n_channels} channels: each would have a program of its own",
            where="n_channels",
            remedy="simulate one channel at a time",
        )


def _pim_words(spec: DramSpec, sharing: Sharing, table: Ints, n_requests: int, every_tick: bool) -> Ints:
    """The words of the PIM side before its first tick."""
    pim = np.zeros(mixed.N_PIM + spec.n_banks, np.int64)
    for word, value in (
        (mixed.P_POLICY, _POLICIES[sharing.policy]),
        (mixed.P_PREEMPT_ANY, sharing.preempt == "command"),
        (mixed.P_HOST_QUANTUM, sharing.host_quantum),
        (mixed.P_PIM_QUANTUM, sharing.pim_quantum),
        (mixed.P_MAX_WAIT, sharing.max_wait_cyc),
        (mixed.P_ACT_ALL, spec.command_index("ACTab")),
        (mixed.P_MODE_SWITCH, _mode_switch(spec)),
        (mixed.P_PATIENCE, max(PATIENCE_TICKS, int(table[state.T_PATIENCE]))),
        (mixed.P_SKIPS, not every_tick),
        (mixed.P_NEXT, 1),
        (mixed.P_ROW_LOST, mixed.NO_ROW_LOST),
        (mixed.P_WAITING_SINCE, -1),
        (mixed.P_IDLE, 1),
        (mixed.P_HOST_DRAIN, -1 if n_requests else 0),
    ):
        pim[word] = value
    pim[mixed.P_HOST_ROW_LOST :] = mixed.NO_ROW_LOST
    return pim


def _mode_switch(spec: DramSpec) -> int:
    return spec.command_index("TMOD") if "TMOD" in spec.commands else -1


def _operations(spec: DramSpec, program: PimProgram) -> Ints:
    """The program as the kernel reads it."""
    operations = np.zeros((len(program), mixed.N_OPERATION), np.int64)
    register = [spec.command_index(name) for name in REGISTER_COMMANDS if name in spec.commands]
    for word, column in (
        (mixed.O_COMMAND, program.command),
        (mixed.O_ROW, program.row),
        (mixed.O_COUNT, program.count),
        (mixed.O_REGISTER, np.isin(program.command, register) if _mode_switch(spec) >= 0 else 0),
        (mixed.O_RELEASE, program.release_cyc),
    ):
        operations[:, word] = column
    return operations


def _host_timing(
    spec: DramSpec, table: Ints, states: Ints, asked: Ints, front: Ints, pim: Ints, log: CommandLog | None
) -> DramTiming:
    depart_cyc, arrive_cyc = asked[:, state.DEPART_CYC], asked[:, state.ARRIVE_CYC]
    counts = int(table[state.T_COUNTS])
    drained = pim[mixed.P_DRAIN_TALLY : mixed.P_DRAIN_TALLY + mixed.N_TALLY]
    return DramTiming(
        cycles=int(front[state.F_STOP]),
        drain_cycles=int(pim[mixed.P_HOST_DRAIN]),
        at_stop=tally_of(states[:, state.STOP_TALLY : state.STOP_TALLY + state.N_TALLY]),
        at_drain=tally_of(drained[None, :]),
        commands=states[0, counts : counts + len(spec.commands)].copy(),
        digest=int(states[0, state.S_DIGEST].astype(np.uint64)),
        latency_cyc=np.where(depart_cyc >= 0, depart_cyc - arrive_cyc, -1).astype(np.int32),
        issue_cyc=asked[:, state.ISSUE_CYC].copy(),
        log=log,
    )


def _interference(pim: Ints) -> Interference:
    # A turn of PIM's that lasts to the end has not been added up.
    last = int(pim[mixed.P_NEXT] - pim[mixed.P_SINCE]) if pim[mixed.P_TURN] == mixed.PIM else 0
    return Interference(
        turns=int(pim[mixed.P_TURNS]),
        forced_turns=int(pim[mixed.P_FORCED_TURNS]),
        pim_ticks=int(pim[mixed.P_PIM_TICKS]) + last,
        longest_host_wait_cyc=int(pim[mixed.P_LONGEST_HOST_WAIT]),
        longest_pim_wait_cyc=int(pim[mixed.P_LONGEST_PIM_WAIT]),
        host_rows_closed=int(pim[mixed.P_HOST_ROWS_CLOSED]),
        host_hits_lost=int(pim[mixed.P_HOST_HITS_LOST]),
        pim_rows_closed=int(pim[mixed.P_PIM_ROWS_CLOSED]),
        pim_rows_reopened=int(pim[mixed.P_PIM_ROWS_REOPENED]),
        precharges_for_host=int(pim[mixed.P_PRECHARGES_FOR_HOST]),
        precharges_for_pim=int(pim[mixed.P_PRECHARGES_FOR_PIM]),
    )
