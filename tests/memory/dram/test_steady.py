"""Closed forms of steady streams: equal to the engine where they claim to be, never beaten where they are bounds."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.memory.dram.controller import DramTiming, Requests
from simulator.memory.dram.spec import DramSpec
from simulator.memory.dram.steady import (
    bank_share,
    expected_cycles,
    hit_stream,
    miss_stream,
    refresh_share,
    refresh_stall_cyc,
    row_cycle_cyc,
    turnaround,
)
from tests.memory.dram.steady_streams import STANDARDS, placed, ran, random_requests, spec_of

# What a stream over all banks reaches of its peak. The rest is lost where all banks change their rows at once (RRD).
REACHED_FRAC = {"ddr4": 0.99, "ddr5": 0.99, "lpddr5": 0.97, "gddr6": 0.93, "hbm2": 0.96, "hbm3": 0.93}


def gb_per_s(spec: DramSpec, n: int, cycles: int) -> float:
    return float(n * spec.tx_bytes * 1000 / (cycles * spec.tick_period_ps))


def all_banks(spec: DramSpec, n: int) -> Requests:
    """Reads of whole rows, in turn to the banks, outermost level fastest."""
    i = np.arange(n)
    bank, stride, left = np.zeros(n, int), spec.n_banks, i % spec.n_banks
    for size in spec.level_sizes:
        stride //= size
        bank += left % size * stride
        left = left // size
    return placed(bank, i // (spec.n_banks * spec.n_columns // spec.prefetch))


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("is_write", [False, True])
def test_a_stream_in_one_bank_takes_what_is_expected(standard: str, is_write: bool) -> None:
    spec = spec_of(standard)
    per_row = spec.n_columns // spec.prefetch
    for n in (1, 2, per_row - 1, per_row, per_row + 1, 7 * per_row + 5):
        requests = placed(np.zeros(n, int), np.arange(n) // per_row, is_write)
        assert ran(spec, requests, refresh="NoRefresh").drain_cycles == expected_cycles(spec, n, is_write=is_write)


@settings(max_examples=40, deadline=None)
@given(standard=st.sampled_from(STANDARDS), seed=st.integers(0, 10_000), n=st.integers(1, 600), is_write=st.booleans())
def test_expected_cycles_hold_for_other_timings(standard: str, seed: int, n: int, is_write: bool) -> None:
    names = [
        name for name in ("n_rcd", "n_rcdrd", "n_rcdwr", "n_rp", "n_ras", "n_wr") if name in spec_of(standard).timing
    ]
    rng = np.random.default_rng(seed)
    timing = {name: max(2, int(spec_of(standard).timing[name] + rng.integers(-6, 7))) for name in names}
    timing["n_rc"] = timing["n_ras"] + timing["n_rp"]
    spec = spec_of(standard, *(f"overrides.{name}={value}" for name, value in timing.items()))
    per_row = spec.n_columns // spec.prefetch
    requests = placed(np.zeros(n, int), np.arange(n) // per_row, is_write)
    assert ran(spec, requests, refresh="NoRefresh").drain_cycles == expected_cycles(spec, n, is_write=is_write)


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("is_write", [False, True])
def test_the_pitch_of_interleaved_groups_is_the_engines(standard: str, groups: int, is_write: bool) -> None:
    spec = spec_of(standard)
    requests = placed(np.arange(1300) % groups * spec.level_sizes[-1], 0, is_write)
    issued = ran(spec, requests, refresh="NoRefresh").issue_cyc
    bound = hit_stream(spec, {"bank_group": groups}, is_write=is_write)
    assert issued[1200] - issued[1200 - 960] == 960 * bound.ticks_per_access


def test_ddr5_writes_wait_for_their_group() -> None:
    spec = spec_of("ddr5")
    assert hit_stream(spec, {"bank_group": 2}, is_write=True).limiting == "bank_group WR->WR n_ccdl_wr"
    assert hit_stream(spec, {"bank_group": 2}, is_write=True).ticks_per_access == Fraction(48, 2)
    assert hit_stream(spec).peak_gb_per_s == pytest.approx(spec.peak_gb_per_s)


@pytest.mark.parametrize("standard", STANDARDS)
def test_streaming_reaches_the_peak_that_the_standard_allows(standard: str) -> None:
    spec = spec_of(standard)
    n = 40_000
    requests = all_banks(spec, n)
    bound = hit_stream(spec)
    assert bound.peak_gb_per_s == pytest.approx(spec.peak_gb_per_s)
    free = gb_per_s(spec, n, ran(spec, requests, refresh="NoRefresh", log=False).drain_cycles)
    assert REACHED_FRAC[standard] * bound.peak_gb_per_s < free <= bound.peak_gb_per_s
    kept = 1 - refresh_stall_cyc(spec) / (spec.timing["n_refi"] * spec.ticks_per_ck)
    refreshed = gb_per_s(spec, n, ran(spec, requests, refresh="AllBank", log=False).drain_cycles)
    assert refreshed == pytest.approx(free * kept, rel=0.015)
    assert refreshed <= bound.peak_gb_per_s * float(refresh_share(spec, "AllBank")) * 1.01


@pytest.mark.parametrize("standard", STANDARDS)
def test_random_reads_come_near_their_bound(standard: str) -> None:
    spec = spec_of(standard)
    n = 5000
    timing = ran(spec, random_requests(spec, n, 3, n_rows=1 << 12), refresh="NoRefresh", read_queue=128, log=False)
    bound = miss_stream(spec)
    assert timing.drain_cycles / n == pytest.approx(float(bound.ticks_per_access), rel=0.05)


def test_what_bounds_random_reads_is_named() -> None:
    assert miss_stream(spec_of("ddr4")).limiting == "rank ACT->ACT n_faw (window 4)"
    assert miss_stream(spec_of("gddr6")).limiting == "channel ACT->ACT n_rrds"
    assert miss_stream(spec_of("hbm2")).limiting == "command bus 0"
    one_bank = miss_stream(spec_of("ddr4"), interleave={"bank_group": 1})
    assert one_bank.limiting == "bank ACT->ACT n_rc"
    assert one_bank.limits["bank row cycle"] == 55
    assert one_bank.ticks_per_access == row_cycle_cyc(spec_of("ddr4")) == 55


@settings(max_examples=40, deadline=None)
@given(
    standard=st.sampled_from(STANDARDS),
    seed=st.integers(0, 1000),
    n=st.integers(50, 1200),
    write_frac=st.sampled_from((0.0, 0.5, 1.0)),
    n_rows=st.sampled_from((1, 16, 4096)),
    refresh=st.sampled_from(("NoRefresh", "AllBank")),
    queue=st.sampled_from((4, 32, 128)),
    rank=st.sampled_from((1, 2)),
)
def test_no_run_beats_its_bounds(standard, seed, n, write_frac, n_rows, refresh, queue, rank) -> None:
    sets = (f"rank={rank}",) if "rank" in spec_of(standard).levels else ()
    spec = spec_of(standard, *sets)
    requests = random_requests(spec, n, seed, write_frac=write_frac, n_rows=n_rows)
    timing = ran(spec, requests, refresh=refresh, read_queue=queue, write_queue=queue)
    counts = dict(zip(spec.commands, timing.commands.tolist(), strict=True))
    reads, writes = hit_stream(spec), hit_stream(spec, is_write=True)
    burst = min(reads.ticks_per_access, Fraction(spec.burst_cyc * spec.ticks_per_ck, spec.n_data_buses))
    n_columns = counts["RD"] + counts["WR"]
    assert timing.drain_cycles >= (n_columns - spec.n_data_buses) * burst
    if write_frac == 0.0:
        n_act = counts.get("ACT", counts.get("ACT1", 0))
        rules = miss_stream(spec).limits
        for name, ticks in rules.items():
            if "ACT->ACT" in name or "ACT1->ACT1" in name:
                # Evenly spread they come so often; one node may see fewer, and windows let the first ones go.
                level = name.split()[0]
                nodes = prod(spec.level_sizes[: ("channel", *spec.levels).index(level)])
                most = -(-n_act // nodes)
                assert timing.drain_cycles >= (most - 4) * ticks * nodes
    if rank == 1 and spec.n_data_buses == 1 and write_frac == 0.5 and writes.ticks_per_access == burst:
        assert timing.log is not None
        names = np.array(spec.commands)[timing.log.command]
        is_write = names[np.isin(names, ("RD", "WR"))] == "WR"
        n_pairs = int(np.count_nonzero(~is_write[:-1] & is_write[1:]))
        back = int(np.count_nonzero(is_write[:-1] & ~is_write[1:]))
        if min(n_pairs, back):
            one = turnaround(spec, 1, 1)
            lost = one.ticks_per_access * 2 - 2 * burst
            assert timing.drain_cycles >= (n_columns - 1) * burst + min(n_pairs, back) * lost


@settings(max_examples=30, deadline=None)
@given(
    standard=st.sampled_from(STANDARDS),
    seed=st.integers(0, 1000),
    window=st.sampled_from((0, 1, 4, 16)),
    gap=st.sampled_from((0, 10)),
    queue=st.sampled_from((2, 32)),
)
def test_littles_law(standard, seed, window, gap, queue) -> None:
    """Mean reads outstanding = throughput x mean latency, counted tick by tick on a run that has drained."""
    spec = spec_of(standard)
    n = 400
    requests = random_requests(spec, n, seed, n_rows=16, window=window)
    if gap:
        requests = Requests(
            requests.address, requests.is_write, requests.channel, requests.bank, requests.row,
            np.arange(n, dtype=np.int64) * gap, window,
        )  # fmt: skip
    timing = ran(spec, requests, refresh="NoRefresh", read_queue=queue)
    departed = timing.issue_cyc + spec.read_latency
    arrived = departed - timing.latency_cyc
    end = int(departed.max())
    change = np.zeros(end + 2, np.int64)
    np.add.at(change, arrived, 1)
    np.add.at(change, departed, -1)
    outstanding = np.cumsum(change)
    assert outstanding.min() >= 0
    assert outstanding.max() <= queue + spec.n_banks + spec.read_latency
    if window:
        assert outstanding.max() <= window
    throughput = n / end
    assert outstanding.sum() / end == pytest.approx(throughput * timing.latency_cyc.mean())
    assert (arrived >= 0).all()
    assert np.array_equal(arrived, np.sort(arrived))
    assert timing.at_drain.reads_served == n


def chased(spec: DramSpec, window: int) -> DramTiming:
    return ran(spec, random_requests(spec, 600, 9, n_rows=1 << 12, window=window), refresh="NoRefresh")


@pytest.mark.parametrize("standard", STANDARDS)
def test_a_window_bounds_bandwidth_by_latency(standard: str) -> None:
    spec = spec_of(standard)
    for window in (1, 2, 8):
        timing = chased(spec, window)
        assert timing.drain_cycles * window >= 600 * spec.read_latency * 0.99
        assert timing.drain_cycles + spec.read_latency >= timing.latency_cyc.sum() / window


def test_refresh_shares() -> None:
    spec = spec_of("ddr4")
    assert refresh_share(spec, "AllBank") == 1 - Fraction(433, 9364)
    assert refresh_share(spec, "NoRefresh") == refresh_share(spec, "PerBank") == 1
    hbm2 = spec_of("hbm2")
    assert bank_share(hbm2, "PerBank") == 1 - Fraction(160, 122 * 32)
    assert bank_share(hbm2, "HBM34PerBankRefresh") == 1 - Fraction(160, 122 * 16)
    assert bank_share(hbm2, "AllBank") == 1
    assert miss_stream(hbm2, refresh="AllBank").peak_gb_per_s < miss_stream(hbm2).peak_gb_per_s


def test_longer_batches_lose_less_to_turnarounds() -> None:
    spec = spec_of("ddr4")
    peaks = [turnaround(spec, n, n).peak_gb_per_s for n in (1, 4, 16, 256)]
    assert peaks == sorted(peaks)
    assert peaks[-1] < hit_stream(spec).peak_gb_per_s
    # One read, one write: read to write 10 ticks, write to read 19.
    assert turnaround(spec, 1, 1).ticks_per_access == Fraction(29, 2)
    one = turnaround(spec, 16, 16)
    assert sum(one.limits.values()) == one.ticks_per_access


def test_nonsense_is_refused_in_words() -> None:
    spec = spec_of("ddr4")
    with pytest.raises(ConfigError, match="cannot go round 9"):
        hit_stream(spec, {"bank_group": 9})
    with pytest.raises(ConfigError, match="cannot go round"):
        hit_stream(spec, {"stack": 1})
    with pytest.raises(ConfigError, match="batch is empty"):
        turnaround(spec, 0, 4)
    with pytest.raises(ConfigError, match="accesses per row"):
        miss_stream(spec, accesses_per_row=0)
    with pytest.raises(ConfigError, match="stream of 0"):
        expected_cycles(spec, 0)
    with pytest.raises(ConfigError, match="may precharge"):
        expected_cycles(spec_of("ddr4", "overrides.n_rtp=5"), 10)
