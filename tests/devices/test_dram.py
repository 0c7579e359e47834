"""The DRAM device: what a replay says, by both accountings, and that bad input is refused in words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, SimulatorError, WorkloadError
from simulator.devices.dram_counting import Latencies, account, bandwidth_over_time
from tests.devices.dram_parts import STANDARDS, dram, golden, golden_sets, part, synthetic

NAMED = (
    "cycles", "drain_cycles", "row_hits", "row_misses", "row_conflicts", "reads_forwarded", "writes_coalesced",
)  # fmt: skip


# --- the command that others script


@pytest.mark.parametrize(
    "case",
    ["ddr4_random_mixed50", "ddr5_random_mixed67", "lpddr5_fe4_burst8_mixed75", "gddr6_stream_w", "hbm2_random_w"],
)
def test_a_golden_row_is_one_command(case: str, sim, tmp_path: Path) -> None:
    row = golden()[case]
    outcome = sim(
        "replay",
        str(part(row["standard"].lower())),
        "synthetic",
        *golden_sets(row),
        "--json",
        "--out",
        str(tmp_path / "o"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    answer = json.loads(outcome.out)
    metrics = answer["metrics"]
    assert {name: metrics[name] for name in NAMED} == {name: int(row[name]) for name in NAMED}
    assert f"{metrics['bandwidth_gb_per_s']:.4f}" == row["bandwidth_gb_per_s"]
    if row["avg_read_latency_cyc"]:
        assert f"{metrics['avg_read_latency_cyc']:.4f}" == row["avg_read_latency_cyc"]
    else:
        assert "avg_read_latency_cyc" not in metrics
    assert answer["breakdown"]["cmd_digest"]["cmd_digest"] == row["cmd_digest"]
    assert metrics["peak_bandwidth_gb_per_s"] > metrics["bandwidth_gb_per_s"]
    assert json.loads((tmp_path / "o" / "summary.json").read_text()) == answer
    assert (tmp_path / "o" / "report.html").stat().st_size > 5000


def test_a_replay_is_decided_by_its_seed() -> None:
    sets = {"trace": "random", "n_requests": 2000, "read_frac": 0.6}
    assert synthetic(seed=3, **sets).metrics == synthetic(seed=3, **sets).metrics
    assert synthetic(seed=3, **sets).metrics != synthetic(seed=4, **sets).metrics


def test_both_engines_give_one_record() -> None:
    sets = {"trace": "random", "n_requests": 3000, "read_frac": 0.6, "offered_gb_per_s": 5}
    event, table = (synthetic(engine=engine, **sets) for engine in ("event", "table"))
    assert event.metrics == table.metrics
    assert event.breakdown == table.breakdown


# --- what the numbers mean


@pytest.mark.parametrize("standard", STANDARDS)
def test_every_standard_says_what_it_reached(standard: str) -> None:
    record = synthetic(standard, trace="random", n_requests=3000, read_frac=0.67)
    metrics = record.metrics
    assert 0 < metrics["bandwidth_gb_per_s"] <= metrics["peak_bandwidth_gb_per_s"]
    assert metrics["row_hit_frac"] + metrics["row_miss_frac"] + metrics["row_conflict_frac"] == pytest.approx(1)
    order = [metrics[f"read_latency_ns_{name}"] for name in ("p50", "p90", "p99", "p999", "max")]
    assert order == sorted(order)
    assert metrics["energy_uj"] > 0
    assert "bound by" in record.headlines[0]
    bounds = record.breakdown["cycles_by_rule"]
    assert sum(bounds.values()) == metrics["drain_cycles"]
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("standard", STANDARDS)
def test_a_stream_reaches_what_the_standard_allows(standard: str) -> None:
    """Refresh and row changes deducted: a stream through one bank group is held by n_ccdl."""
    record = synthetic(standard, trace="stream", n_requests=20_000, refresh="NoRefresh", accounting="corrected")
    device = dram(standard)
    timing = device.spec.timing
    pitch = timing.get("n_ccdl", timing.get("n_ccds", device.spec.burst_cyc))
    allowed = min(1.0, device.spec.burst_cyc / pitch)
    assert 0.75 * allowed / device.spec.n_data_buses <= record.metrics["bandwidth_frac"] <= 1


def test_littles_law() -> None:
    """Reads in flight, counted at every tick, are what latency times rate says."""
    device = dram(trace="random", n_requests=5000, read_frac=0.5)
    requests = device.synthetic_requests(1)
    timing = device.time(requests)
    served = (timing.latency_cyc >= 0) & (timing.issue_cyc >= 0)
    depart = timing.issue_cyc[served] + device.spec.read_latency
    arrive = depart - timing.latency_cyc[served]
    end = int(depart.max())
    level = np.cumsum(np.bincount(arrive, minlength=end + 1) - np.bincount(depart, minlength=end + 1))
    mean = level[:end].sum() / end
    latency = Latencies.of_reads(timing).cyc.mean()
    assert mean == pytest.approx(latency * served.sum() / end, rel=1e-9)
    in_flight = device.replay("synthetic", 1).metrics["reads_in_flight_avg"]
    assert in_flight == pytest.approx(mean, rel=0.01)
    assert level.max() <= 32 + device.spec.n_banks + device.spec.read_latency


def test_random_reads_are_limited_by_their_banks() -> None:
    """No bank opens rows more often than once in n_rc."""
    metrics = synthetic(trace="random", n_requests=20_000, refresh="NoRefresh").metrics
    device = dram()
    rows = metrics["row_misses"] + metrics["row_conflicts"]
    assert metrics["cycles"] >= rows * device.spec.timing["n_rc"] / device.spec.n_banks * 0.9
    assert metrics["cycles"] >= rows * device.spec.timing["n_faw"] / 4 * 0.99


def test_a_pointer_chase_waits_for_every_read() -> None:
    device = dram(trace="pointer_chase", n_requests=500, refresh="NoRefresh", lg_lines=20)
    timing = device.spec.timing
    reads = Latencies.of_reads(device.time(device.synthetic_requests(1))).cyc
    conflict = timing["n_rp"] + timing["n_rcd"] + timing["n_cl"] + timing["n_bl"]
    assert conflict <= reads[len(reads) // 2] <= conflict + 3
    metrics = device.replay("synthetic", 1).metrics
    assert metrics["reads_in_flight_avg"] <= 1
    windows = [synthetic(trace="random", n_requests=2000, window=w).metrics["drain_cycles"] for w in (1, 2, 4, 8)]
    assert windows == sorted(windows, reverse=True)


def test_an_open_loop_keeps_its_pace() -> None:
    metrics = synthetic(trace="random", n_requests=20_000, offered_gb_per_s=4).metrics
    assert metrics["offered_gb_per_s"] == pytest.approx(4, rel=1e-3)
    assert metrics["bandwidth_gb_per_s"] == pytest.approx(4, rel=0.01)
    assert metrics["offer_to_data_ns_p50"] == metrics["read_latency_ns_p50"]
    swamped = synthetic(trace="random", n_requests=20_000, offered_gb_per_s=19).metrics
    assert swamped["bandwidth_gb_per_s"] < 12
    assert swamped["offer_to_data_ns_p50"] > 10 * swamped["read_latency_ns_p50"]
    by_interval = synthetic(trace="random", n_requests=2000, offer_interval_cyc=20).metrics
    assert by_interval["drain_cycles"] == pytest.approx(40_000, rel=0.01)


def test_bandwidth_over_time_holds_every_byte() -> None:
    device = dram(trace="random", n_requests=5000, read_frac=0.5)
    timing = device.time(device.synthetic_requests(1))
    edges, rate = bandwidth_over_time(device.spec, timing)
    n_bytes = int((timing.issue_cyc >= 0).sum()) * 64
    assert (np.diff(edges) * rate[:-1]).sum() * 1e3 == pytest.approx(n_bytes)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
@settings(max_examples=50)
def test_a_percentile_covers_its_share(values: list[int], share: float) -> None:
    latencies = Latencies(np.sort(np.array(values)))
    found = latencies.at(share)
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9
    distinct, counts = latencies.counted()
    assert dict(zip(distinct.tolist(), counts.tolist(), strict=True)) == {v: values.count(v) for v in set(values)}


# --- accounting


def test_published_and_corrected_side_by_side() -> None:
    sets = {"trace": "random", "lg_lines": 8, "read_frac": 0.5, "n_requests": 20_000}
    published = synthetic("hbm3", **sets)
    corrected = synthetic("hbm3", accounting="corrected", **sets)
    assert corrected.metrics["cycles"] == corrected.metrics["drain_cycles"]
    assert published.metrics["cycles"] < published.metrics["drain_cycles"]
    # The reference's average divides by fewer reads than it sums, and its tick is 312 instead of 312.5 ps.
    assert published.metrics["avg_read_latency_cyc"] != corrected.metrics["avg_read_latency_cyc"]
    for record, other in ((published, corrected), (corrected, published)):
        said = record.breakdown["other_accounting"]
        for name in ("cycles", "avg_read_latency_cyc", "bandwidth_gb_per_s", "time_us", "row_hits"):
            assert said[name] == other.metrics[name]
            change = record.breakdown["other_accounting_change_frac"][name]
            assert change == pytest.approx(other.metrics[name] / record.metrics[name] - 1)
    assert "other_accounting" not in synthetic(n_requests=100, compare=False).breakdown


def test_what_only_one_accounting_can_run_says_so() -> None:
    record = synthetic("gddr6", refresh="PerBank", accounting="corrected", n_requests=300)
    assert "other_accounting" not in record.breakdown
    assert any("cannot be compared" in note for note in record.notes)


def test_the_corrected_mean_is_over_all_reads() -> None:
    device = dram(trace="random", lg_lines=8, read_frac=0.5, n_requests=5000)
    timing = device.time(device.synthetic_requests(1))
    reads = timing.latency_cyc[timing.latency_cyc >= 0]
    corrected = account("corrected", device.spec, 1, timing)
    assert corrected.avg_read_latency_cyc == reads.mean()
    tally = timing.at_drain
    assert len(reads) == tally.reads_served + tally.reads_forwarded
    assert int(reads.sum()) == tally.read_latency_sum


def test_no_reads_no_latency(sim, tmp_path: Path) -> None:
    for sets in ({"read_frac": 0.0}, {"n_requests": 1}, {"n_requests": 1, "read_frac": 0.0}):
        words = [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
        outcome = sim("replay", str(part("ddr4")), "synthetic", "--set", "n_requests=50", *words, "--json", "--out",
                      str(tmp_path / str(sorted(sets))))  # fmt: skip
        assert outcome.code == 0
        assert "NaN" not in outcome.out
        assert "null" not in outcome.out
        assert "avg_read_latency_cyc" not in json.loads(outcome.out)["metrics"]
    assert any("no reads" in note for note in synthetic(read_frac=0.0, n_requests=50).notes)


# --- traces


def written(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_a_trace_is_what_it_says(tmp_path: Path) -> None:
    """The same requests as synthetic traffic, as loads and stores, and as CSV give the same run."""
    device = dram(trace="random", n_requests=3000, read_frac=0.67)
    requests = device.synthetic_requests(5)
    pairs = list(zip(requests.address.tolist(), requests.is_write.tolist(), strict=True))
    load_store = written(tmp_path / "a.trace", [f"{'ST' if w else 'LD'} {a:#x}" for a, w in pairs])
    table = written(tmp_path / "a.csv", ["op,address", *(f"{'W' if w else 'R'},{a}" for a, w in pairs)])
    expected = device.replay("synthetic", 5)
    for trace in (load_store, table):
        record = device.replay(trace, 1)
        assert record.metrics == expected.metrics
        assert record.breakdown == expected.breakdown


def test_coordinates_are_where_addresses_are_put(tmp_path: Path) -> None:
    device = dram("hbm2", trace="random", n_requests=3000, n_channels=2)
    requests = device.synthetic_requests(5)
    sizes = device.spec.level_sizes
    rows = []
    for channel, bank, row in zip(requests.channel, requests.bank, requests.row, strict=True):
        levels, rest = [], int(bank)
        for size in reversed(sizes):
            levels.append(rest % size)
            rest //= size
        rows.append("R " + ",".join(map(str, [channel, *reversed(levels), row, 0])))
    vectors = device.replay(written(tmp_path / "v.trace", rows), 1)
    assert vectors.metrics == device.replay("synthetic", 5).metrics


def test_the_reference_s_vector_front_end_breaks_writes() -> None:
    """Every request of a trace of vectors looks equal to it: sizes as measured with the reference."""
    device = dram(trace="random", read_frac=0.67, n_requests=30_000)
    requests = device.synthetic_requests(2)
    own = device.time(requests)
    shared = dram(vector_address="shared").time(replace(requests, address=np.zeros(len(requests), np.int64)))
    assert own.cycles == 211_388
    assert (shared.cycles, shared.at_stop.reads_forwarded, shared.at_stop.writes_coalesced) == (29_999, 19_006, 9_269)


def test_vectors_with_one_address_for_all(tmp_path: Path) -> None:
    rows = [f"{'W' if i % 3 else 'R'} 0,0,{i % 4},{i % 4},{i},0" for i in range(300)]
    path = written(tmp_path / "v.trace", rows)
    own, shared = (dram(vector_address=one).replay(path, 1).metrics for one in ("own", "shared"))
    assert own["writes_coalesced"] == 0
    assert shared["writes_coalesced"] > 100


def test_times_of_a_trace_are_kept(tmp_path: Path) -> None:
    rows = ["time_ns,op,address", *(f"{1000 * i},R,{64 * i}" for i in range(100))]
    metrics = dram(refresh="NoRefresh").replay(written(tmp_path / "t.csv", rows), 1).metrics
    assert metrics["drain_cycles"] * 0.833 == pytest.approx(99_000, rel=0.001)
    assert metrics["read_latency_cyc_p50"] == 16 + 4 + 1
    with pytest.raises(ConfigError, match="how fast"):
        dram(offered_gb_per_s=1).replay(str(tmp_path / "t.csv"), 1)


# --- what is refused


@pytest.mark.parametrize(
    ("sets", "code", "said"),
    [
        (["trace=zigzag"], 2, "trace"),
        (["trace=pointer_chase", "read_frac=0.5"], 2, "pointer chase"),
        (["trace=mix", "trace_param=100", "lg_lines=3"], 2, "trace_param"),
        (["lg_lines=40", "trace=random"], 3, "lg_lines"),
        (["n_requests=0"], 2, "n_requests"),
        (["read_frac=1.5"], 2, "read_frac"),
        (["n_channels=3"], 2, "n_channels"),
        (["offered_gb_per_s=0"], 2, "offered"),
        (["offered_gb_per_s=1", "offer_interval_cyc=4"], 2, "offer_interval"),
        (["offer_interval_cyc=1e18"], 2, "cycles apart"),
        (["offer_interval_cyc=1e9"], 3, "refreshes between"),
        (["n_channels=1048576"], 2, "n_channels"),
        (["write_low_frac=0.9"], 2, "write_low_frac"),
        (["window=-1"], 2, "window"),
        (["refresh=PerBank"], 2, "refresh"),
        (["accounting=guessed"], 2, "accounting"),
        (["engine=fast"], 2, "engine"),
        (["qeue=3"], 2, "queue"),
        (["queue=0"], 2, "queue"),
        (["overrides.n_ras=3"], 2, "n_ras"),
        (["format=vcd"], 2, "format"),
    ],
)
def test_parts_that_are_refused(sets: list[str], code: int, said: str, sim, tmp_path: Path) -> None:
    words = [word for one in sets for word in ("--set", one)]
    outcome = sim("replay", str(part("ddr4")), "synthetic", *words, "--out", str(tmp_path / "o"))
    assert outcome.code == code, outcome.err
    assert said in outcome.err
    assert "remedy" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "o").exists()


def test_a_negative_seed_is_refused(sim) -> None:
    outcome = sim("replay", str(part("ddr4")), "synthetic", "--seed", "-1")
    assert (outcome.code, "seed" in outcome.err) == (2, True)


def test_a_trace_beyond_the_memory_is_refused_by_every_accounting(tmp_path: Path) -> None:
    path = written(tmp_path / "t", ["LD 0x0", f"LD {8 << 30:#x}"])
    for accounting in ("published", "corrected"):
        with pytest.raises(WorkloadError, match=r"t:2:1: address 0x200000000 is beyond the 8,589,934,592 bytes"):
            dram(accounting=accounting).replay(path, 1)


def test_a_missing_trace_is_refused(sim) -> None:
    outcome = sim("replay", str(part("ddr4")), "no_such_trace")
    assert (outcome.code, "no such trace" in outcome.err) == (3, True)


def test_a_part_without_synthetic_traffic_says_so(sim, repo_root: Path) -> None:
    outcome = sim("replay", str(repo_root / "hw_configs" / "parts" / "gddr6_aim.yaml"), "synthetic")
    assert (outcome.code, "no synthetic traffic" in outcome.err) == (2, True)


def test_energy_is_told_where_there_are_currents() -> None:
    record = synthetic(n_requests=500)
    assert record.metrics["energy_uj"] == pytest.approx(sum(record.breakdown["energy_by_component_uj"].values()))
    assert issubclass(ConfigError, SimulatorError)


def test_headline_of_a_busy_bus_and_of_a_short_run() -> None:
    spread = {"address_maps.spread": "row column bank bank_group rank channel", "mapper": "spread"}
    assert "bound by the data bus" in synthetic(n_requests=2000, **spread).headlines[0]
    assert any("too short for a bandwidth" in line for line in synthetic(n_requests=60).headlines)
    assert not any("too short" in line for line in synthetic(n_requests=60, accounting="corrected").headlines)


def test_a_note_says_what_corrected_mends() -> None:
    one, two = (" ".join(synthetic(n_requests=200, rank=rank).notes) for rank in (1, 2))
    assert "REFab->PREpb" in one
    assert "sibling" not in one
    assert "sibling" in two
