"""What bound a run: against the rules' own text in plain Python, sums to the tick, and runs whose bound is known."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.memory.dram.bounds import FAMILIES, BoundBy, binding_rules, bound_by, legal_times, scope_level
from simulator.memory.dram.controller import CommandLog, Requests
from simulator.memory.dram.spec import DramSpec
from tests.memory.dram.steady_streams import STANDARDS, placed, ran, random_requests, spec_of

REFRESHES = [(s, r) for s in STANDARDS for r in ("NoRefresh", "AllBank")] + [
    ("lpddr5", "PerBank"), ("hbm2", "PerBank"), ("hbm3", "PerBank"), ("hbm3", "HBM34PerBankRefresh"),
]  # fmt: skip


class ReadyTable:
    """The rules as a table: the earliest tick of every command at every node, raised by what issues."""

    def __init__(self, spec: DramSpec) -> None:
        self.spec = spec
        self.ready: dict[tuple[int, int, int], int] = {}
        self.history: dict[tuple[int, int, int], list[int]] = {}

    def nodes(self, level: int) -> int:
        return prod(self.spec.level_sizes[:level])

    def node(self, level: int, bank: int) -> int:
        return bank // (self.spec.n_banks // self.nodes(level))

    def matched(self, command: int, bank: int, level: int) -> list[int]:
        """Nodes of a level that a command addresses."""
        scope = scope_level(self.spec, self.spec.commands[command])
        if level <= scope:
            return [self.node(level, bank)]
        below = self.nodes(level) // self.nodes(scope)
        first = self.node(scope, bank) * below
        return list(range(first, first + below))

    def legal_from(self, command: int, bank: int) -> int:
        return max(
            self.ready.get((level, node, command), -1)
            for level in range(len(self.spec.levels) + 1)
            for node in self.matched(command, bank, level)
        )

    def issue(self, command: int, bank: int, tick: int) -> None:
        scope = scope_level(self.spec, self.spec.commands[command])
        for level in range(len(self.spec.levels) + 1):
            here = self.matched(command, bank, level)
            for node in here:
                self.history.setdefault((level, node, command), []).append(tick)
            for rule_level, first, following, latency, window, sibling in self.spec.rules.tolist():
                if rule_level != level or first != command:
                    continue
                if not sibling:
                    for node in here:
                        past = self.history[level, node, command]
                        if len(past) >= window:
                            self.raise_to(level, node, following, past[-window] + latency)
                elif level <= scope:
                    size = self.spec.level_sizes[level - 1]
                    parent = here[0] // size
                    for node in range(parent * size, (parent + 1) * size):
                        if node != here[0]:
                            self.raise_to(level, node, following, tick + latency)

    def raise_to(self, level: int, node: int, command: int, tick: int) -> None:
        key = (level, node, command)
        self.ready[key] = max(self.ready.get(key, -1), tick)


RANKS = [(s, r, 1) for s, r in REFRESHES] + [(s, r, 2) for s, r in REFRESHES if s in ("ddr4", "ddr5", "lpddr5")]


@pytest.mark.parametrize(("standard", "refresh", "rank"), RANKS)
def test_legal_times_equal_the_ready_table(standard: str, refresh: str, rank: int) -> None:
    spec = spec_of(standard, f"rank={rank}")
    # Few requests, spread over several refresh intervals.
    offers = np.arange(160) * 40 * spec.ticks_per_ck
    requests = random_requests(spec, 160, 7, write_frac=0.4, n_rows=4)
    requests = replace(requests, offer_cyc=offers // 20 * 20)
    log = ran(spec, requests, refresh=refresh).log
    assert log is not None
    legal = legal_times(spec, log)
    table = ReadyTable(spec)
    for place, (tick, command, bank) in enumerate(zip(log.cyc, log.command, log.bank, strict=True)):
        assert legal.earliest_cyc[place] == table.legal_from(int(command), int(bank))
        assert legal.earliest_cyc[place] <= tick
        table.issue(int(command), int(bank), int(tick))
    held = legal.rule >= 0
    rules = spec.rules[legal.rule[held]]
    assert np.array_equal(legal.earliest_cyc[held], log.cyc[legal.cause[held]] + rules[:, 3])
    assert np.array_equal(rules[:, 2], log.command[held])
    assert np.array_equal(rules[:, 1], log.command[legal.cause[held]])


@pytest.mark.parametrize("standard", STANDARDS)
def test_a_command_that_comes_too_early_is_seen(standard: str) -> None:
    spec = spec_of(standard)
    log = ran(spec, random_requests(spec, 400, 1)).log
    assert log is not None
    legal = legal_times(spec, log)
    tight = np.flatnonzero((legal.earliest_cyc == log.cyc) & (legal.rule >= 0))
    victim = int(tight[len(tight) // 2])
    cyc = log.cyc.copy()
    cyc[victim] -= 1
    broken = CommandLog(cyc, log.command, log.bank, log.channel, log.request)
    again = legal_times(spec, broken)
    assert again.earliest_cyc[victim] > cyc[victim]


@settings(max_examples=40, deadline=None)
@given(
    case=st.sampled_from(REFRESHES),
    seed=st.integers(0, 1000),
    n=st.integers(1, 800),
    write_frac=st.sampled_from((0.0, 0.3, 1.0)),
    n_rows=st.sampled_from((1, 4, 1024)),
    n_channels=st.sampled_from((1, 2)),
    window=st.sampled_from((0, 0, 1, 6)),
    queue=st.sampled_from((1, 4, 32)),
    gap=st.sampled_from((0, 3, 50)),
    row_policy=st.sampled_from(("open", "closed")),
    rank=st.sampled_from((1, 2)),
)
def test_every_tick_is_attributed_once(
    case, seed, n, write_frac, n_rows, n_channels, window, queue, gap, row_policy, rank
) -> None:
    standard, refresh = case
    spec = spec_of(standard, f"rank={rank if 'rank' in spec_of(standard).levels else 1}")
    requests = random_requests(
        spec, n, seed, write_frac=write_frac, n_rows=n_rows, n_channels=n_channels, window=window
    )
    if gap:
        requests = replace(requests, offer_cyc=np.arange(n, dtype=np.int64) * gap)
    timing = ran(
        spec,
        requests,
        refresh=refresh,
        n_channels=n_channels,
        read_queue=queue,
        write_queue=queue,
        row_policy=row_policy,
    )
    found = bound_by(spec, requests, timing, n_channels=n_channels)
    assert found.n_ticks == n_channels * timing.drain_cycles
    assert sum(found.ticks.values()) == found.n_ticks
    assert sum(found.families.values()) == found.n_ticks
    assert min(found.ticks.values()) > 0
    assert set(found.families) == set(FAMILIES)
    if refresh == "NoRefresh":
        assert found.families["refresh"] == 0
    if write_frac in (0.0, 1.0) and rank == 1 and standard != "hbm3":
        assert found.families["turnaround"] == 0


def bound(spec: DramSpec, requests: Requests, **config) -> BoundBy:
    config.setdefault("refresh", "NoRefresh")
    return bound_by(spec, requests, ran(spec, requests, **config))


def test_one_bank_is_bound_by_its_group() -> None:
    spec = spec_of("ddr4")
    n, per_row = 1280, 128
    found = bound(spec, placed(np.zeros(n, int), np.arange(n) // per_row))
    # 4 ticks of data, then 2 more until tCCD_L; at every change of row tRTP, tRP and tRCD instead.
    assert found.ticks["bank_group RD->RD n_ccdl"] == (n - 10) * 2
    assert found.ticks["bank RD->PREpb n_rtp"] == 9 * (9 - 4)
    assert found.ticks["bank PREpb->ACT n_rp"] == 9 * 16
    assert found.ticks["bank ACT->RD n_rcd"] == 10 * 16
    assert found.ticks["burst"] == (n - 1) * 4
    assert found.limiting == "bank_group RD->RD n_ccdl"


@pytest.mark.parametrize(
    ("standard", "name"),
    [
        ("ddr4", "rank ACT->ACT n_faw (window 4)"),
        ("ddr5", "rank ACT->ACT n_faw (window 4)"),
        ("lpddr5", "rank ACT1->ACT1 n_rrds"),
        ("gddr6", "channel ACT->ACT n_rrds"),
        ("hbm3", "pseudo_channel ACT->ACT n_faw (window 4)"),
    ],
)
def test_random_reads_are_bound_by_activations(standard: str, name: str) -> None:
    spec = spec_of(standard)
    found = bound(spec, random_requests(spec, 3000, 3, n_rows=1 << 12))
    assert found.limiting == name
    assert found.families["activation rate"] > found.families["row change"]


def test_random_reads_of_hbm2_fill_the_row_bus() -> None:
    spec = spec_of("hbm2")
    found = bound(spec, random_requests(spec, 3000, 3, n_rows=1 << 12))
    lost = found.n_ticks - found.families["data bus"]
    assert found.families["command bus"] + found.families["activation rate"] > 0.8 * lost
    assert found.families["command bus"] > 0.35 * lost


def test_one_bank_at_random_is_bound_by_its_row_cycle() -> None:
    spec = spec_of("ddr4")
    rows = np.random.default_rng(0).permutation(2000)
    found = bound(spec, placed(np.zeros(2000, int), rows))
    assert found.families["row change"] > 0.85 * found.n_ticks


def test_a_pointer_chase_waits_for_itself() -> None:
    spec = spec_of("ddr4")
    found = bound(spec, random_requests(spec, 500, 3, window=1))
    assert found.families["no request"] > 0.2 * found.n_ticks
    assert found.families["queue full"] == 0


def test_a_slow_front_end_leaves_the_memory_idle() -> None:
    spec = spec_of("ddr4")
    requests = placed(np.zeros(300, int), 0, offer_cyc=np.arange(300) * 100)
    found = bound(spec, requests)
    assert found.families["no request"] > 0.9 * found.n_ticks


def test_a_queue_of_one_is_what_limits() -> None:
    spec = spec_of("ddr4")
    found = bound(spec, random_requests(spec, 2000, 3, n_rows=1 << 12), read_queue=1)
    wide = bound(spec, random_requests(spec, 2000, 3, n_rows=1 << 12))
    assert found.families["queue full"] > 0.1 * found.n_ticks
    assert wide.families["queue full"] < 0.01 * wide.n_ticks


@pytest.mark.parametrize("standard", STANDARDS)
def test_turnarounds_and_refreshes_are_told_apart(standard: str) -> None:
    spec = spec_of(standard)
    requests = random_requests(spec, 6000, 3, write_frac=0.5, n_rows=1)
    found = bound(spec, requests, refresh="AllBank")
    assert found.families["turnaround"] > 0.03 * found.n_ticks
    timing = ran(spec, requests, refresh="AllBank")
    lasting = spec.timing.get("n_rfcab", spec.timing.get("n_rfc", 0)) * spec.ticks_per_ck
    n_scopes = prod(spec.level_sizes[: spec.refresh_level])
    stopped = timing.at_drain.refreshes_served / n_scopes * lasting
    assert 0.8 * stopped < found.families["refresh"] < 1.6 * stopped + 200


def test_two_channels_are_told_together() -> None:
    spec = spec_of("ddr4")
    requests = random_requests(spec, 1000, 3, n_channels=2)
    requests = replace(requests, channel=np.zeros(1000, np.int32))
    timing = ran(spec, requests, n_channels=2)
    ticks = binding_rules(spec, requests, timing, n_channels=2)
    assert ticks["after the last command"] == timing.drain_cycles
    assert sum(ticks.values()) == 2 * timing.drain_cycles


def test_a_run_without_a_log_is_refused() -> None:
    spec = spec_of("ddr4")
    requests = random_requests(spec, 10, 3)
    with pytest.raises(ConfigError, match="command log"):
        bound_by(spec, requests, ran(spec, requests, log=False))
