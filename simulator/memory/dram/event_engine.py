"""The event-driven engine: builds the kernel's arrays from a spec, runs it, and reads the results back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ModelFault
from simulator.kernels import dram_event_state as state
from simulator.kernels.dram_event import reset, run_events
from simulator.kernels.vectors import LANES, aligned_zeros
from simulator.memory.dram.controller import CommandLog, ControllerConfig, DramTiming, Requests, Tally
from simulator.memory.dram.spec import DramSpec
from simulator.memory.dram.table_engine import PATIENCE_TICKS, check_controller, simulate_table

RULED = ("RD", "WR", "ACT", "PREpb", "PREab", "REFab", "REFpb")
OTHERS = ("ACT2", "CAS_RD", "CAS_WR")
WIDE = ("PREab", "REFab")
PER_BANK = ("PerBank", "HBM34PerBankRefresh")
CONTROLLERS = {
    "one_bus": state.ONE_BUS,
    "two_bus": state.TWO_BUS,
    "half_clock": state.TWO_BUS,
    "split_activate": state.SPLIT_ACTIVATE,
}
REFRESH = {
    "NoRefresh": state.NO_REFRESH,
    "AllBank": state.ALL_BANK,
    "PerBank": state.PER_BANK,
    "HBM34PerBankRefresh": state.STAGGERED_PER_BANK,
}
LEVEL, PRECEDING, FOLLOWING, LATENCY, WINDOW, SIBLING = range(6)
REQUESTS_PER_CALL = 1 << 18  # between calls an interruption is seen
LOG_ROWS = 1 << 18
LONGEST_LATENCY = 1 << 17


def simulate_event(spec: DramSpec, config: ControllerConfig, requests: Requests, *, log: bool = False) -> DramTiming:
    """Serve requests, from event to event; what the kernel does not know goes to the table-driven engine.

    Raises ConfigError for a refresh manager that this standard cannot have, ModelFault where requests are never served.
    """
    check_controller(spec, config)
    reason = why_not(spec, config)
    if reason is not None:
        return replace(simulate_table(spec, config, requests, log=log), slow_because=reason)
    table = _table(spec, config, requests.window)
    n = len(requests)
    channels = aligned_zeros(config.n_channels * state.WORDS)
    reset(channels, config.n_channels, table)
    columns = np.empty((n, 3), np.int64)
    columns[:, 0] = requests.address
    columns[:, 1] = requests.row
    columns[:, 2] = (requests.channel.astype(np.int64) * state.MAX_LANES + _lanes(spec)[requests.bank]) * 2
    columns[:, 2] += requests.is_write
    latency = np.full(n, -1, np.int64)
    issue = np.full(n, -1, np.int64)
    flight = np.zeros(requests.window + 1, np.int64)
    rows = np.zeros((LOG_ROWS if log else 0, 5), np.int64)
    front = np.zeros(state.N_FRONT, np.int64)
    front[[state.F_TICK, state.F_WAIT]] = 1, state.NO_WAIT
    tallies = np.zeros((2, config.n_channels, state.N_TALLY), np.int64)
    pieces: list[NDArray[np.int64]] = []
    offers = np.ascontiguousarray(requests.offer_cyc, np.int64)
    while n and front[state.F_STATUS] == state.RUNNING:
        until = front[state.F_NEXT] + REQUESTS_PER_CALL
        run_events(
            channels, config.n_channels, table, columns, offers, latency, issue, flight, rows, front, tallies, until
        )
        if log:
            pieces.append(rows[: front[state.F_LOGGED]].copy())
            front[state.F_LOGGED] = 0
    _check_end(spec, front)
    words = channels.reshape(config.n_channels, state.WORDS)
    return _timing(spec, words, front, tallies, latency, issue, _command_log(pieces) if log else None)


def why_not(spec: DramSpec, config: ControllerConfig) -> str | None:
    """Why the event-driven kernel cannot serve this set-up; None if it can."""
    ranks, per_rank = _ranks(spec)
    slots = config.read_queue + config.write_queue + ranks * per_rank
    in_flight = (spec.read_latency + 2) * (config.fe_ratio + 1)
    act = _command(spec, "ACT")
    issued = {_command(spec, name) for name in (*RULED, *OTHERS) if name != "REFpb" or config.refresh in PER_BANK}
    is_window = np.isin(spec.rules[:, [PRECEDING, FOLLOWING]], list(issued)).all(axis=1) & (spec.rules[:, WINDOW] > 1)
    windows = spec.rules[is_window]
    is_four_act = (
        (windows[:, PRECEDING] == act) & (windows[:, FOLLOWING] == act) & (windows[:, WINDOW] == 4)
        & (windows[:, LEVEL] == spec.refresh_level) & (windows[:, SIBLING] == 0)
    )  # fmt: skip
    unruled = [_command(spec, name) for name in OTHERS if _command(spec, name) >= 0]
    is_unruled = np.isin(spec.rules[:, PRECEDING], unruled) & np.isin(spec.rules[:, FOLLOWING], list(issued))
    is_unruled |= np.isin(spec.rules[:, FOLLOWING], unruled) & np.isin(spec.rules[:, PRECEDING], list(issued))
    if config.row_policy != "open":
        return "rows are closed by a policy"
    if ranks * _padded(per_rank) > state.MAX_LANES or ranks > 8:
        return f"{spec.n_banks} banks in a channel"
    if slots >= state.MAX_SLOTS or in_flight >= state.RING_SIZE:
        return "queues, or reads under way, are too many"
    if not is_four_act.all() or len(windows) > 1:
        return "windows other than that of four activations"
    if (is_unruled & (spec.rules[:, LATENCY] > 1)).any():
        return "rules for CAS or the second half of an activation"
    if len(spec.rules) and np.abs(spec.rules[:, LATENCY]).max() > LONGEST_LATENCY:
        return "very long latencies"
    return None


def _command(spec: DramSpec, name: str) -> int:
    """Place of a command in the standard, -1 if it has none; ACT1 of a split activation is ACT."""
    if name == "ACT" and "ACT1" in spec.commands:
        name = "ACT1"
    return spec.commands.index(name) if name in spec.commands else -1


def _padded(n: int) -> int:
    return -(-n // LANES) * LANES


def _ranks(spec: DramSpec) -> tuple[int, int]:
    """Number of ranks (what one all-bank refresh covers), and banks in each."""
    ranks = int(np.prod(spec.level_sizes[: spec.refresh_level], dtype=np.int64))
    return ranks, spec.n_banks // ranks


def _lanes(spec: DramSpec) -> NDArray[np.int64]:
    """Lane of every flat bank."""
    _, per_rank = _ranks(spec)
    bank = np.arange(spec.n_banks, dtype=np.int64)
    return bank // per_rank * _padded(per_rank) + bank % per_rank


def _nodes(spec: DramSpec) -> NDArray[np.int64]:
    """[levels + 1, banks]: the node of each level, the channel first, on a bank's path."""
    under = spec.n_banks // np.cumprod((1, *spec.level_sizes))
    return np.asarray(np.arange(spec.n_banks)[None, :] // under[:, None], np.int64)


def _latencies(spec: DramSpec, preceding: str, following: str) -> NDArray[np.int64]:
    """[bank of the preceding, bank of the following]: ticks between them, LONG_AGO for no rule.

    A command of a whole rank is at every bank of it: before, it matches all nodes below its rank and no siblings there;
    after, it must be legal at each.
    """
    nodes, level = _nodes(spec), spec.refresh_level
    latency = np.full((spec.n_banks, spec.n_banks), state.LONG_AGO, np.int64)
    rows = spec.rules
    chosen = (rows[:, PRECEDING] == _command(spec, preceding)) & (rows[:, FOLLOWING] == _command(spec, following))
    for row in rows[chosen & (rows[:, WINDOW] == 1)]:
        at = int(row[LEVEL])
        wide = (preceding in WIDE or following in WIDE) and at > level
        here = nodes[level if wide else at]
        applies = here[:, None] == here[None, :]
        if row[SIBLING]:
            parent = nodes[at - 1]
            applies = ~applies & (parent[:, None] == parent[None, :])
            if wide:
                continue
        latency[applies] = np.maximum(latency[applies], row[LATENCY])
    return latency


def _table(spec: DramSpec, config: ControllerConfig, window: int) -> NDArray[np.int64]:
    ranks, per_rank = _ranks(spec)
    lanes_per_rank = _padded(per_rank)
    n_lanes = ranks * lanes_per_rank
    lane = _lanes(spec)
    n_ruled, square = state.N_RULED, n_lanes * n_lanes
    table = aligned_zeros(state.T_LATENCY + (n_ruled * 4 + 3 * n_ruled) * square)
    for place, value in _words(spec, config, window).items():
        table[place] = value
    for k, name in enumerate((*RULED, *OTHERS)):
        table[state.T_COMMAND + k] = _command(spec, name)
    table[state.T_BANK + lane] = np.arange(spec.n_banks)
    table[state.T_WAIT_AT] = state.T_LATENCY + n_ruled * 4 * square
    rows = table[state.T_LATENCY : table[state.T_WAIT_AT]].reshape(n_ruled, 4, n_lanes, n_lanes)
    waits = table[table[state.T_WAIT_AT] :].reshape(3, n_ruled, n_lanes, n_lanes)
    rows[:], waits[:] = state.LONG_AGO, state.LONG_AGO
    cells = np.ix_(lane, lane)
    for before, preceding in enumerate(RULED):
        if _command(spec, preceding) < 0:
            continue
        for after, following in enumerate(RULED):
            if _command(spec, following) < 0:
                continue
            latency = _latencies(spec, preceding, following)
            if after >= 4:
                waits[after - 4, before][cells] = latency.T
                continue
            rows[before, after][cells] = latency
            # Commands of one bus follow each other by at least one tick anyway.
            apart = 1 if spec.controller in ("one_bus", "split_activate") else 0
            how = state.ALL_BANKS if (latency > apart).any() else state.NOT_AT_ALL
            table[state.T_HOW + before * 4 + after] = how
            table[state.T_OWN + before * 4 + after] = latency[0, 0]
    return table


def _words(spec: DramSpec, config: ControllerConfig, window: int) -> dict[int, int]:
    """Plain words of the table."""
    timing, per_ck = spec.timing, spec.ticks_per_ck
    ranks, per_rank = _ranks(spec)
    sets = 1
    if "stack_id" in spec.levels:
        sets = spec.level_sizes[spec.level_index("stack_id") - 1]
    act = _command(spec, "ACT")
    windows = spec.rules[(spec.rules[:, WINDOW] == 4) & (spec.rules[:, FOLLOWING] == act)]
    windows = windows[windows[:, PRECEDING] == act]
    burst = timing.get("n_bl_min", timing.get("n_bl", 0)) + timing.get("n_wckpst", 0)
    refi = timing.get("n_refi" if config.refresh == "AllBank" else "n_refipb", 0) * per_ck
    return {
        state.T_CONTROLLER: CONTROLLERS[spec.controller],
        state.T_LANES: ranks * _padded(per_rank),
        state.T_VECTORS: ranks * _padded(per_rank) // LANES,
        state.T_RANKS: ranks,
        state.T_LANES_PER_RANK: _padded(per_rank),
        state.T_BANKS_PER_RANK: per_rank,
        state.T_ODD: int(spec.controller == "half_clock"),
        state.T_READ_QUEUE: config.read_queue,
        state.T_WRITE_QUEUE: config.write_queue,
        state.T_WRITE_ON: config.write_on_at,
        state.T_WRITE_OFF: config.write_off_at,
        state.T_ROW_HIT_FIRST: config.scheduler == "FRFCFSRowHit",
        state.T_FE_RATIO: config.fe_ratio,
        state.T_WINDOW: window,
        state.T_READ_LATENCY: spec.read_latency,
        state.T_REFRESH: REFRESH[config.refresh],
        state.T_REFI: refi,
        state.T_RFC_BANK: timing.get("n_rfcpb", 0) * per_ck,
        state.T_SETS_PER_RANK: sets,
        state.T_BANKS_PER_SET: per_rank // sets,
        state.T_FOUR_ACT: int(windows[0, LATENCY]) if len(windows) else state.LONG_AGO // 2,
        state.T_SYNC_READ: (timing.get("n_cl", 0) + burst) * per_ck,
        state.T_SYNC_WRITE: (timing.get("n_cwl", 0) + burst) * per_ck,
        state.T_ACT2_WITHIN: timing.get("n_aad", 0) * per_ck,
        state.T_ALWAYS_IN_SYNC: config.wck_always_on,
        state.T_PATIENCE: PATIENCE_TICKS + 64 * int(np.abs(spec.rules[:, LATENCY]).max(initial=1)),
    }


def _check_end(spec: DramSpec, front: NDArray[np.int64]) -> None:
    if front[state.F_STATUS] == state.STARVED:
        raise ModelFault(
            f"{spec.standard}: requests wait and none is served", remedy="compare refresh intervals with refresh times"
        )
    if front[state.F_STATUS] == state.OVERFULL:
        raise ModelFault(
            f"{spec.standard}: refresh is asked for faster than it can be served",
            remedy="compare refresh intervals with refresh times",
        )


def _command_log(pieces: list[NDArray[np.int64]]) -> CommandLog:
    rows = np.concatenate([np.empty((0, 5), np.int64), *pieces])
    rows = rows[np.argsort(rows[:, 4], kind="stable")]
    return CommandLog(
        cyc=rows[:, 0].copy(),
        command=rows[:, 1].astype(np.int16),
        bank=rows[:, 2].astype(np.int32),
        channel=rows[:, 4].astype(np.int16),
        request=rows[:, 3].copy(),
    )


def _timing(
    spec: DramSpec,
    words: NDArray[np.int64],
    front: NDArray[np.int64],
    tallies: NDArray[np.int64],
    latency: NDArray[np.int64],
    issue: NDArray[np.int64],
    log: CommandLog | None,
) -> DramTiming:
    commands = np.zeros(len(spec.commands), np.int64)
    for k, name in enumerate((*RULED, *OTHERS)):
        if _command(spec, name) >= 0:
            commands[_command(spec, name)] = words[:, state.COUNTS + k].sum()
    at_stop, at_drain = (Tally(*(int(total) for total in tally.sum(axis=0))) for tally in tallies)
    return DramTiming(
        cycles=int(front[state.F_STOP]),
        drain_cycles=int(front[state.F_DRAINED]),
        at_stop=at_stop,
        at_drain=at_drain,
        commands=commands,
        digest=int(np.bitwise_xor.reduce(words[:, state.DIGEST].view(np.uint64))) if len(latency) else 0,
        latency_cyc=latency,
        issue_cyc=issue,
        log=log,
    )
