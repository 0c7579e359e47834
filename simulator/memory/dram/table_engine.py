"""The table-driven engine: builds the kernel's arrays from a spec, walks every tick, and reads the results back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, ModelFault
from simulator.kernels import dram_table_state as state
from simulator.kernels.dram_table import run_ticks
from simulator.kernels.dram_table_device import FNV_START
from simulator.memory.dram.controller import CommandLog, ControllerConfig, DramTiming, Requests, Tally
from simulator.memory.dram.spec import DramSpec

ROLES = ("ACT", "ACT2", "PREpb", "PREab", "RD", "WR", "RDA", "WRA", "REFab", "REFpb", "CAS_RD", "CAS_WR")
CONTROLLERS = {
    "one_bus": state.ONE_BUS,
    "two_bus": state.TWO_BUS,
    "half_clock": state.HALF_CLOCK,
    "split_activate": state.SPLIT_ACTIVATE,
}
REFRESH = {
    "NoRefresh": state.NO_REFRESH,
    "AllBank": state.ALL_BANK,
    "PerBank": state.PER_BANK,
    "HBM34PerBankRefresh": state.STAGGERED_PER_BANK,
}
Ints = NDArray[np.int64]
WIDE = "ab"  # ending of commands that address all banks of a rank, pseudo channel or channel
TICKS_PER_CALL = 1 << 16  # between calls an interruption is seen, and the log is taken
PATIENCE_TICKS = 1 << 20


def simulate_table(spec: DramSpec, config: ControllerConfig, requests: Requests, *, log: bool = False) -> DramTiming:
    """Serve requests by the rule rows alone, tick by tick: slow (about a million ticks a second), for any standard.

    Raises ConfigError for a refresh manager that this standard cannot have, ModelFault where requests are never served.
    Source: the semantics of Ramulator 2.1, see `simulator.kernels.dram_table`.
    """
    check_controller(spec, config)
    table, n_words = kernel_table(spec, config, window=requests.window, log=log)
    states = fresh_channels(spec, config, table, n_words)
    asked = asked_rows(requests)
    front = fresh_front(spec, len(requests))
    pieces = [taken_log(states, table)]
    while front[state.F_STATUS] == state.RUNNING:
        run_ticks(table, states, asked, front, TICKS_PER_CALL)
        if log:
            pieces.append(taken_log(states, table))
    if front[state.F_STATUS] != state.DRAINED:
        raise ModelFault(_why_stuck(spec, states, front), remedy="compare refresh intervals with refresh times")
    return _timing(spec, table, states, asked, front, joined_log(pieces) if log else None)


def check_controller(spec: DramSpec, config: ControllerConfig) -> None:
    """Refuse, naming the key, a controller that a standard cannot have."""
    needs = {
        "NoRefresh": ((), ()),
        "AllBank": (("REFab",), ("n_refi",)),
        "PerBank": (("REFpb",), ("n_refipb",)),
        "HBM34PerBankRefresh": (("REFpb",), ("n_refipb", "n_rfcpb")),
    }
    if config.refresh not in needs:
        raise ConfigError(f"unknown refresh {config.refresh!r}", where="refresh", remedy=f"one of {', '.join(needs)}")
    commands, timings = needs[config.refresh]
    missing = [name for name in commands if name not in spec.commands]
    missing += [name for name in timings if spec.timing.get(name, 0) < 1]
    if missing:
        raise ConfigError(
            f"{spec.standard} has no {' and no '.join(missing)}, which refresh {config.refresh} needs",
            where="refresh",
            remedy="refresh: AllBank or NoRefresh",
        )
    if config.write_off_at < 0 or config.write_low_frac > config.write_high_frac:
        raise ConfigError(
            f"writes from {config.write_high_frac:g} of the queue down to {config.write_low_frac:g}: never left again",
            where="write_low_frac",
            remedy="give more than 0 and at most write_high_frac",
        )
    if config.refresh == "HBM34PerBankRefresh" and spec.controller not in ("two_bus", "half_clock"):
        raise ConfigError(
            f"refresh HBM34PerBankRefresh goes round pseudo channels, which {spec.standard} has not",
            where="refresh",
            remedy="refresh: AllBank or PerBank",
        )


def _banks_under(spec: DramSpec) -> Ints:
    """Banks in a node of each level, the channel first."""
    return np.asarray(spec.n_banks // np.cumprod((1, *spec.level_sizes)), np.int64)


def _tree(spec: DramSpec) -> dict[int, Ints]:
    """Regions of the table that hold the device: its levels, nodes and rules."""
    under = _banks_under(spec)
    n_levels, n_commands = len(under), len(spec.commands)
    n_nodes = spec.n_banks // under
    first_node = np.cumsum(n_nodes) - n_nodes
    node = first_node[:, None] + np.arange(spec.n_banks)[None, :] // under[:, None]
    scope = [spec.refresh_level if name.endswith(WIDE) else n_levels - 1 for name in spec.commands]
    rules = spec.rules[np.lexsort((spec.rules[:, state.PRECEDING], spec.rules[:, state.LEVEL]))]
    key = rules[:, state.LEVEL] * n_commands + rules[:, state.PRECEDING]
    keys = np.arange(n_levels * n_commands)
    span = np.stack([np.searchsorted(key, keys, "left"), np.searchsorted(key, keys, "right")], axis=1)
    return {
        state.T_SCOPE: np.array(scope),
        state.T_BANKS_UNDER: under,
        state.T_NODE: node.ravel(),
        state.T_SPAN: span.ravel(),
        state.T_RULES: rules.ravel(),
    }


def _roles(spec: DramSpec) -> list[int]:
    """Index of the command that plays each role, -1 where the standard has none; ACT1 plays ACT."""
    index = {name: k for k, name in enumerate(spec.commands)}
    index.setdefault("ACT", index.get("ACT1", -1))
    return [index.get(name, -1) for name in ROLES]


def _setup(spec: DramSpec, config: ControllerConfig) -> dict[int, int]:
    """Words of the table that say how the controller is set up."""
    timing, per_ck = spec.timing, spec.ticks_per_ck
    burst = timing.get("n_bl_min", timing.get("n_bl", 0)) + timing.get("n_wckpst", 0)
    return {
        state.T_CONTROLLER: CONTROLLERS[spec.controller],
        state.T_REFRESH: REFRESH[config.refresh],
        state.T_ROW_HIT_FIRST: config.scheduler == "FRFCFSRowHit",
        state.T_CLOSED_ROWS: config.row_policy == "closed",
        state.T_ROW_CAP: config.row_cap,
        state.T_READ_QUEUE: config.read_queue,
        state.T_WRITE_QUEUE: config.write_queue,
        state.T_WRITE_ON_AT: config.write_on_at,
        state.T_WRITE_OFF_AT: config.write_off_at,
        state.T_FE_RATIO: config.fe_ratio,
        state.T_READ_LATENCY: spec.read_latency,
        state.T_REFI: timing.get("n_refi" if config.refresh == "AllBank" else "n_refipb", 0) * per_ck,
        state.T_RFC_BANK: timing.get("n_rfcpb", 0) * per_ck,
        state.T_RANK_LEVEL: spec.refresh_level,
        state.T_SET_LEVEL: spec.level_index("stack_id") if "stack_id" in spec.levels else spec.refresh_level,
        state.T_WCK_ALWAYS_ON: config.wck_always_on,
        state.T_SYNC_READ: (timing.get("n_cl", 0) + burst) * per_ck,
        state.T_SYNC_WRITE: (timing.get("n_cwl", 0) + burst) * per_ck,
        state.T_ACT2_WITHIN: timing.get("n_aad", 0) * per_ck,
        state.T_PATIENCE: PATIENCE_TICKS + 64 * int(np.abs(spec.rules[:, state.LATENCY]).max(initial=1)),
        state.T_N_LEVELS: 1 + len(spec.levels),
        state.T_N_BANKS: spec.n_banks,
        state.T_N_COMMANDS: len(spec.commands),
        state.T_N_RECENT: int(spec.rules[:, state.WINDOW].max(initial=1)),
        # A read under way was issued, or forwarded behind one issued, within the last `read_latency` ticks.
        state.T_N_UNDER_WAY: (spec.read_latency + 2) * (config.fe_ratio + 1),
        state.T_QUEUE_SIZE: max(config.read_queue, config.write_queue, spec.n_banks),
    }


def kernel_table(spec: DramSpec, config: ControllerConfig, *, window: int, log: bool) -> tuple[Ints, int]:
    """The kernel's table, and how many words a channel's state has."""
    table = np.zeros(state.N_TABLE, np.int64)
    table[: state.N_ROLES] = _roles(spec)
    for word, value in _setup(spec, config).items():
        table[word] = value
    table[state.T_WINDOW] = window
    table[state.T_LOGS] = log
    end = state.N_TABLE
    regions = _tree(spec)
    for word, region in regions.items():
        table[word] = end
        end += len(region)
    n_nodes = int((spec.n_banks // _banks_under(spec)).sum())
    sizes = {
        state.T_HISTORY: n_nodes * len(spec.commands) * (2 + int(table[state.T_N_RECENT])),
        state.T_BANKS: spec.n_banks * state.N_BANK,
        state.T_QUEUES: state.N_QUEUES * int(table[state.T_QUEUE_SIZE]),
        state.T_DUE: 2 * state.DUE_SIZE,
        state.T_UNDER_WAY: int(table[state.T_N_UNDER_WAY]),
        state.T_ROUNDS: 2 * spec.n_banks,
        state.T_COUNTS: len(spec.commands),
        state.T_LOG: 2 * TICKS_PER_CALL * state.N_LOG if log else 0,
    }
    n_words = state.N_STATE
    for word, size in sizes.items():
        table[word] = n_words
        n_words += size
    return np.concatenate([table, *regions.values()]).astype(np.int64), n_words


def fresh_channels(spec: DramSpec, config: ControllerConfig, table: Ints, n_words: int) -> Ints:
    """Every channel before its first tick: all banks closed, nothing restricted, nothing queued."""
    states = np.zeros((config.n_channels, n_words), np.int64)
    states[:, [state.S_SYNCED, state.S_ACTIVATING, state.S_PAIR_EDGE]] = -1
    states[:, state.S_BACKLOG_RANK] = spec.n_banks  # no backlog
    states[:, state.S_REFRESH_NEXT] = table[state.T_REFI]
    states[:, state.S_DIGEST] = FNV_START.astype(np.int64)
    first = table[state.T_BANKS]
    for word, value in ((state.OPEN_ROW, state.CLOSED), (state.WAITING, -1)):
        states[:, first + word : first + spec.n_banks * state.N_BANK : state.N_BANK] = value
    return states


def asked_rows(requests: Requests) -> Ints:
    """What is asked, and that nothing has come of it yet."""
    asked = np.zeros((len(requests), state.N_REQUEST), np.int64)
    for word, column in (
        (state.ADDRESS, requests.address),
        (state.IS_WRITE, requests.is_write),
        (state.CHANNEL, requests.channel),
        (state.BANK, requests.bank),
        (state.ROW, requests.row),
        (state.OFFER_CYC, requests.offer_cyc if len(requests.offer_cyc) else 0),
        (state.DEPART_CYC, -1),
        (state.ISSUE_CYC, -1),
    ):
        asked[:, word] = column
    return asked


def fresh_front(spec: DramSpec, n_requests: int) -> Ints:
    """The front end before its first tick."""
    front = np.zeros(state.F_ARRIVING + spec.read_latency + 2, np.int64)
    front[state.F_STOP] = -1 if n_requests else 0
    front[state.F_STATUS] = state.RUNNING if n_requests else state.DRAINED
    return front


def _why_stuck(spec: DramSpec, states: Ints, front: Ints) -> str:
    tick = int(front[state.F_NOW])
    due = states[:, state.S_DUE_LENGTH].tolist()
    if front[state.F_STATUS] == state.OVERFULL:
        return f"{spec.standard}: refresh is asked for faster than it can be served (tick {tick}, waiting {due})"
    queues = states[:, state.S_LENGTH : state.S_LENGTH + state.N_QUEUES].tolist()
    return (
        f"{spec.standard}: requests wait and none is served (tick {tick}; per channel reads, writes, activated: "
        f"{queues}; refreshes waiting: {due})"
    )


def tally_of(words: Ints) -> Tally:
    """Statistics of all channels, from int64[channels, N_TALLY]."""
    return Tally(*(int(total) for total in words.sum(axis=0)))


def taken_log(states: Ints, table: Ints) -> list[Ints]:
    """Take what each channel has logged since the last call."""
    start = int(table[state.T_LOG])
    lengths = states[:, state.S_LOGGED].tolist()
    states[:, state.S_LOGGED] = 0
    return [
        channel[start : start + length * state.N_LOG].reshape(length, state.N_LOG).copy()
        for channel, length in zip(states, lengths, strict=True)
    ]


def joined_log(pieces: list[list[Ints]]) -> CommandLog:
    """The command log from the pieces that were taken."""
    channels = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    rows = np.concatenate(channels)
    return CommandLog(
        cyc=rows[:, 0].copy(),
        command=rows[:, 1].astype(np.int16),
        bank=rows[:, 2].astype(np.int32),
        channel=np.repeat(np.arange(len(channels), dtype=np.int16), [len(part) for part in channels]),
        request=rows[:, 3].copy(),
    )


def _timing(spec: DramSpec, table: Ints, states: Ints, asked: Ints, front: Ints, log: CommandLog | None) -> DramTiming:
    depart_cyc, arrive_cyc = asked[:, state.DEPART_CYC], asked[:, state.ARRIVE_CYC]
    counts = int(table[state.T_COUNTS])
    digests = states[:, state.S_DIGEST].astype(np.uint64)
    return DramTiming(
        cycles=int(front[state.F_STOP]),
        drain_cycles=int(front[state.F_NOW]),
        at_stop=tally_of(states[:, state.STOP_TALLY : state.STOP_TALLY + state.N_TALLY]),
        at_drain=tally_of(states[:, : state.N_TALLY]),
        commands=states[:, counts : counts + len(spec.commands)].sum(axis=0),
        digest=int(np.bitwise_xor.reduce(digests)),
        latency_cyc=np.where(depart_cyc >= 0, depart_cyc - arrive_cyc, -1).astype(np.int32),
        issue_cyc=asked[:, state.ISSUE_CYC].copy(),
        log=log,
    )
