"""The table-driven engine: builds the kernel's arrays from a spec, walks every tick, and reads the results back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, ModelFault
from simulator.kernels import dram_table_state as state
from simulator.kernels.dram_table import run_ticks
from simulator.kernels.dram_table_device import FNV_START
from simulator.kernels.dram_table_state import Control, Device, Traffic
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
TICKS_PER_CALL = 1 << 16  # between calls an interruption is seen, and the log is taken
PATIENCE_TICKS = 1 << 20


def simulate_table(
    spec: DramSpec, config: ControllerConfig, requests: Requests, *, log: bool = False
) -> DramTiming:
    """Serve requests by the rule rows alone, tick by tick: slow (about a million ticks a second), for any standard.

    Raises ConfigError for a refresh manager that this standard cannot have, ModelFault where requests are never served.
    Source: the semantics of Ramulator 2.1, see `simulator.kernels.dram_table`.
    """
    check_controller(spec, config)
    device = _device(spec, config)
    control = _control(spec, config, window=requests.window, log_rows=2 * TICKS_PER_CALL if log else 0)
    traffic = _traffic(requests)
    pieces: list[list[NDArray[np.int64]]] = [[] for _ in range(config.n_channels)]
    status = state.RUNNING if len(requests) else state.DRAINED
    while status == state.RUNNING:
        status = int(run_ticks(device, control, traffic, TICKS_PER_CALL))
        for channel in range(config.n_channels if log else 0):
            pieces[channel].append(control.log[channel, : control.word[channel, state.W_LOGGED]].copy())
        control.word[:, state.W_LOGGED] = 0
    if status != state.DRAINED:
        raise ModelFault(_why_stuck(spec, control, status), remedy="compare refresh intervals with refresh times")
    return _timing(control, traffic, _command_log(pieces) if log else None)


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
    if config.refresh == "HBM34PerBankRefresh" and spec.controller not in ("two_bus", "half_clock"):
        raise ConfigError(
            f"refresh HBM34PerBankRefresh goes round pseudo channels, which {spec.standard} has not",
            where="refresh",
            remedy="refresh: AllBank or PerBank",
        )


def _banks_under(spec: DramSpec) -> NDArray[np.int64]:
    """Banks in a node of each level, the channel first."""
    sizes = np.array((1, *spec.level_sizes), np.int64)
    return np.asarray(spec.n_banks // np.cumprod(sizes), np.int64)


def _roles(spec: DramSpec) -> NDArray[np.int64]:
    """Index of the command that plays each role, -1 where the standard has none; ACT1 plays ACT."""
    index = {name: k for k, name in enumerate(spec.commands)}
    if "ACT1" in index:
        index["ACT"] = index["ACT1"]
    return np.array([index.get(name, -1) for name in ROLES], np.int64)


def _device(spec: DramSpec, config: ControllerConfig) -> Device:
    under = _banks_under(spec)
    n_levels, n_commands = len(under), len(spec.commands)
    nodes = spec.n_banks // under
    first_node = np.cumsum(nodes) - nodes
    node_of = first_node[:, None] + np.arange(spec.n_banks, dtype=np.int64)[None, :] // under[:, None]
    rules = np.ascontiguousarray(spec.rules, np.int64)
    rules = rules[np.lexsort((rules[:, state.PRECEDING], rules[:, state.LEVEL]))]
    key = rules[:, state.LEVEL] * n_commands + rules[:, state.PRECEDING]
    keys = np.arange(n_levels * n_commands, dtype=np.int64).reshape(n_levels, n_commands)
    wide = {"PREab", "REFab", "RFMab"}
    scope = np.array([spec.refresh_level if name in wide else n_levels - 1 for name in spec.commands], np.int64)
    window = int(rules[:, state.WINDOW].max(initial=1))
    shape = (config.n_channels, int(nodes.sum()), n_commands)
    return Device(
        rules=rules,
        rules_from=np.searchsorted(key, keys, "left").astype(np.int64),
        rules_to=np.searchsorted(key, keys, "right").astype(np.int64),
        node_of=np.ascontiguousarray(node_of),
        banks_under=under,
        scope=scope,
        role=_roles(spec),
        ready=np.zeros(shape, np.int64),
        recent=np.zeros((*shape, window), np.int64),
        n_recent=np.zeros(shape, np.int64),
        open_row=np.full((config.n_channels, spec.n_banks), state.CLOSED, np.int64),
    )


def _setup(spec: DramSpec, config: ControllerConfig) -> NDArray[np.int64]:
    timing, per_ck = spec.timing, spec.ticks_per_ck
    refi = timing.get("n_refi" if config.refresh == "AllBank" else "n_refipb", 0) * per_ck
    burst = timing.get("n_bl_min", timing.get("n_bl", 0)) + timing.get("n_wckpst", 0)
    words = {
        state.S_CONTROLLER: CONTROLLERS[spec.controller],
        state.S_REFRESH: REFRESH[config.refresh],
        state.S_ROW_HIT_FIRST: config.scheduler == "FRFCFSRowHit",
        state.S_CLOSED_ROWS: config.row_policy == "closed",
        state.S_ROW_CAP: config.row_cap,
        state.S_READ_QUEUE: config.read_queue,
        state.S_WRITE_QUEUE: config.write_queue,
        state.S_WRITE_ON_AT: config.write_on_at,
        state.S_WRITE_OFF_AT: config.write_off_at,
        state.S_FE_RATIO: config.fe_ratio,
        state.S_READ_LATENCY: spec.read_latency,
        state.S_REFI: refi,
        state.S_RFC_BANK: timing.get("n_rfcpb", 0) * per_ck,
        state.S_RANK_LEVEL: spec.refresh_level,
        state.S_SET_LEVEL: spec.level_index("stack_id") if "stack_id" in spec.levels else spec.refresh_level,
        state.S_WCK_ALWAYS_ON: config.wck_always_on,
        state.S_SYNC_READ: (timing.get("n_cl", 0) + burst) * per_ck,
        state.S_SYNC_WRITE: (timing.get("n_cwl", 0) + burst) * per_ck,
        state.S_ACT2_WITHIN: timing.get("n_aad", 0) * per_ck,
        state.S_PATIENCE: PATIENCE_TICKS + 64 * int(np.abs(spec.rules[:, state.LATENCY]).max(initial=1)),
    }
    setup = np.zeros(state.N_SETUP, np.int64)
    setup[list(words)] = list(words.values())
    return setup


def _control(spec: DramSpec, config: ControllerConfig, *, window: int, log_rows: int) -> Control:
    n_channels, n_banks = config.n_channels, spec.n_banks
    setup = _setup(spec, config)
    setup[state.S_WINDOW] = window
    word = np.zeros((n_channels, state.N_WORDS), np.int64)
    word[:, [state.W_SYNCED, state.W_ACTIVATING, state.W_PAIR_EDGE]] = -1
    word[:, state.W_BACKLOG_NEXT] = n_banks  # no backlog
    word[:, state.W_REFRESH_NEXT] = setup[state.S_REFI]
    front = np.zeros(state.N_FRONT, np.int64)
    front[state.F_STOP] = -1
    n_sets = n_banks // int(_banks_under(spec)[setup[state.S_SET_LEVEL]])
    queue_size = max(config.read_queue, config.write_queue, n_banks)
    # A read under way was issued, or forwarded behind one issued, within the last `read_latency` ticks.
    n_under_way = (spec.read_latency + 2) * (config.fe_ratio + 1)
    return Control(
        setup=setup,
        entries=np.zeros((n_channels, 3, queue_size), np.int64),
        length=np.zeros((n_channels, 3), np.int64),
        active=np.full((n_channels, n_banks), -1, np.int64),
        columns=np.zeros((n_channels, n_banks), np.int64),
        closing=np.zeros((n_channels, n_banks), np.int64),
        due=np.zeros((n_channels, state.DUE_SIZE, 2), np.int64),
        finished=np.zeros((n_channels, n_under_way), np.int64),
        pushed=np.zeros((n_channels, n_sets, 2), np.int64),
        word=word,
        front=front,
        arriving=np.zeros(spec.read_latency + 2, np.int64),
        tally=np.zeros((n_channels, state.N_TALLY), np.int64),
        stop_tally=np.zeros((n_channels, state.N_TALLY), np.int64),
        n_commands=np.zeros((n_channels, len(spec.commands)), np.int64),
        digest=np.full(n_channels, FNV_START, np.uint64),
        log=np.zeros((n_channels, log_rows, 4), np.int64),
    )


def _traffic(requests: Requests) -> Traffic:
    n = len(requests)

    def whole(column: NDArray[np.generic]) -> NDArray[np.int64]:
        return np.ascontiguousarray(column, np.int64)

    return Traffic(
        address=whole(requests.address),
        is_write=np.ascontiguousarray(requests.is_write, np.uint8),
        channel=whole(requests.channel),
        bank=whole(requests.bank),
        row=whole(requests.row),
        offer_cyc=whole(requests.offer_cyc),
        arrive_cyc=np.zeros(n, np.int64),
        depart_cyc=np.full(n, -1, np.int64),
        issue_cyc=np.full(n, -1, np.int64),
        counted=np.zeros(n, np.uint8),
    )


def _why_stuck(spec: DramSpec, control: Control, status: int) -> str:
    tick = int(control.front[state.F_NOW])
    due = control.word[:, state.W_DUE_LENGTH].tolist()
    if status == state.OVERFULL:
        return f"{spec.standard}: refresh is asked for faster than it can be served (tick {tick}, waiting {due})"
    queues = control.length.tolist()
    return (
        f"{spec.standard}: requests wait and none is served (tick {tick}; per channel reads, writes, activated: {queues}; "
        f"refreshes waiting: {due})"
    )


def _tally(words: NDArray[np.int64]) -> Tally:
    return Tally(*(int(total) for total in words.sum(axis=0)))


def _command_log(pieces: list[list[NDArray[np.int64]]]) -> CommandLog:
    none = np.empty((0, 4), np.int64)
    channels = [np.concatenate([none, *parts]) for parts in pieces]
    rows = np.concatenate([none, *channels])
    return CommandLog(
        cyc=rows[:, 0].copy(),
        command=rows[:, 1].astype(np.int16),
        bank=rows[:, 2].astype(np.int32),
        channel=np.repeat(np.arange(len(channels), dtype=np.int16), [len(part) for part in channels]),
        request=rows[:, 3].copy(),
    )


def _timing(control: Control, traffic: Traffic, log: CommandLog | None) -> DramTiming:
    has_data = traffic.depart_cyc >= 0
    digest = np.bitwise_xor.reduce(control.digest)
    return DramTiming(
        cycles=max(int(control.front[state.F_STOP]), 0),
        drain_cycles=int(control.front[state.F_NOW]),
        at_stop=_tally(control.stop_tally),
        at_drain=_tally(control.tally),
        commands=control.n_commands.sum(axis=0),
        digest=int(digest),
        latency_cyc=np.where(has_data, traffic.depart_cyc - traffic.arrive_cyc, -1).astype(np.int32),
        issue_cyc=traffic.issue_cyc,
        log=log,
    )
