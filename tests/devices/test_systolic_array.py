"""The systolic array as a part: commands, golden cycles, the memory's invariants, refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, WorkloadError
from simulator.devices.dram_stream import streamed
from simulator.devices.systolic_array import SystolicArray
from simulator.experiments.replay import load_device
from simulator.experiments.validate_records import REPORTED
from simulator.experiments.validate_systolic import load_systolic_targets, reference_runs, systolic_points
from simulator.experiments.validate_targets import FOLDER
from simulator.kernels import systolic as closed
from simulator.kernels import systolic_memory as memory
from simulator.workload.gemm_list import GemmList, read_gemms

PART = "hw_configs/parts/systolic.yaml"
RUNS = reference_runs(load_systolic_targets(FOLDER / "systolic.yaml"), FOLDER)


def array_of(root: Path, **sets: Any) -> SystolicArray:
    device = load_device(root / PART, sets)[1]
    assert isinstance(device, SystolicArray)
    return device


@pytest.fixture(scope="module")
def base(repo_root: Path) -> SystolicArray:
    return array_of(repo_root)


def listed(*shapes: tuple[int, int, int]) -> GemmList:
    m, n, k = np.array(shapes, np.int64).T
    ones = np.ones(len(shapes), np.int64)
    return GemmList("products", tuple(map(str, shapes)), m, n, k, ones, ones)


def totals(array: SystolicArray, gemms: GemmList) -> list[int]:
    column: list[int] = array.run(gemms).results[:, memory.TOTAL].tolist()
    return column


@pytest.mark.parametrize("run", RUNS[::6], ids=str)
def test_the_command_gives_golden_cycles(run, sim, repo_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("m,n,k\n{},{},{}\n".format(*run.shape))
    rows, cols = run.array
    sets = [f"dataflow={run.dataflow}", f"rows={rows}", f"cols={cols}"]
    words = [word for one in sets for word in ("--set", one)]
    outcome = sim("replay", str(repo_root / PART), str(path), *words, "--json", "--out", str(tmp_path / "run"))
    assert outcome.code == 0, outcome.err
    metrics = json.loads(outcome.out)["metrics"]
    assert metrics["cycles"] == run.cycles
    assert metrics["total_cycles"] >= metrics["cycles"]
    with (tmp_path / "run" / "gemms.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert int(row["cycles"]) == run.cycles
    assert int(row["total_cycles"]) == metrics["total_cycles"]


def test_a_list_is_the_sum_of_its_products(repo_root: Path) -> None:
    array = array_of(repo_root, dataflow="ws")
    record = array.replay(repo_root / "traces" / "llama2_7b_gemms.csv", 1)
    gemms = read_gemms(repo_root / "traces" / "llama2_7b_gemms.csv")
    table = record.tables["gemms"]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["name"] for row in rows] == list(gemms.names)
    for name in ("cycles", "total_cycles", "stall_cycles", "n_folds", "dram_read_bytes", "ofmap_sram_writes"):
        assert record.metrics[name] == sum(row[name] * row["count"] for row in rows)
    assert record.metrics["n_gemms"] == 35_266
    assert record.metrics["macs"] == int((gemms.m * gemms.n * gemms.k * gemms.count).sum())
    assert sum(record.breakdown["dram_energy_by_component_uj"].values()) == pytest.approx(
        record.metrics["dram_energy_uj"]
    )
    assert 0 < record.metrics["dram_busy_frac"] <= 1


def test_sums_beyond_64_bits_are_exact(base: SystolicArray, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text(f"M,N,K,count\n{1 << 20},{1 << 20},{1 << 16},{1 << 30}\n")
    record = base.changed(rows=1, cols=1).replay(path, 1)
    assert record.metrics["macs"] == 1 << 86
    assert record.metrics["cycles"] == ((1 << 56) - 1) << 30


def test_the_dram_streams_near_its_peak_and_costs_energy(base: SystolicArray) -> None:
    found = base.dram
    peak = 2 * 8 * 3.2
    assert 0.9 * peak < found.write.gb_per_s <= found.read.gb_per_s < peak
    assert found.latency_ps == 30_000  # 22 + 22 + 4 clocks of 625 ps
    one, two = found.ledger(1 << 20, 0, 1e6), found.ledger(2 << 20, 0, 1e6)
    assert one is not None
    assert two is not None
    assert two.total_pj > one.total_pj
    assert found.ledger(0, 0, 0.0).total_pj == 0
    slower = streamed(base.config.dram.model_copy(update={"n_channels": 1}))
    assert slower.read.gb_per_s == pytest.approx(found.read.gb_per_s / 2, rel=0.02)


def test_a_part_without_currents_has_no_energy(base: SystolicArray, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("M,N,K\n9,9,9\n")
    config = base.config
    silent = config.model_copy(update={"dram": config.dram.model_copy(update={"currents": None})})
    record = SystolicArray(silent).replay(path, 1)
    assert "dram_energy_uj" not in record.metrics
    assert any("no energy" in note for note in record.notes)


SHAPES = st.tuples(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 3000))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["os", "ws", "is"]), SHAPES, st.sampled_from([4, 16, 64]), st.sampled_from([1, 10, 100]))
def test_the_memory_costs_what_it_must_and_more_of_it_less(
    base: SystolicArray, dataflow: str, shape: tuple[int, int, int], size_kib: int, gb_per_s: int
) -> None:
    gemms = listed(shape)

    def replayed(kib: int, rate: int, **sets: Any) -> tuple[int, int]:
        sizes = dict.fromkeys(("ifmap_sram_bytes", "filter_sram_bytes", "ofmap_sram_bytes"), kib << 10)
        array = base.changed(dataflow=dataflow, bandwidth_gb_per_s=float(rate), **sizes, **sets)
        found = array.run(gemms)
        traffic = int(found.results[0, memory.READ_BYTES] + found.results[0, memory.WRITE_BYTES])
        total = int(found.results[0, memory.TOTAL])
        m, n, k = shape
        assert traffic >= m * k + n * k + m * n
        assert total >= max(int(found.counts[0, closed.CYCLES]), traffic / rate - 1)
        return total, traffic

    total, _ = replayed(size_kib, gb_per_s)
    assert replayed(2 * size_kib, gb_per_s)[0] <= total
    assert replayed(size_kib, 2 * gb_per_s)[0] <= total
    for order in ("rows_outer", "cols_outer"):
        assert replayed(size_kib, gb_per_s, fold_order=order)[0] >= total
    assert replayed(1 << 20, gb_per_s)[1] == sum((shape[0] * shape[2], shape[1] * shape[2], shape[0] * shape[1]))


def test_walking_counts_the_same_and_tells_the_most_of_a_cycle(base: SystolicArray, tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("M,N,K\n70,40,50\n70,40,50\n3,200,9\n")
    walked, plain = (base.changed(walk=walk).replay(path, 1) for walk in (True, False))
    assert walked.metrics["cycles"] == plain.metrics["cycles"]
    assert walked.metrics["peak_left_words_per_cyc"] == 32
    assert walked.metrics["peak_out_words_per_cyc"] <= 32
    path.write_text("M,N,K\n9,9,9\n100000,100000,1000\n")
    with pytest.raises(WorkloadError, match=r"products\.csv:3: .* too many to walk"):
        base.changed(walk=True).replay(path, 1)


def test_one_buffer_hides_nothing(base: SystolicArray) -> None:
    gemms = listed((64, 64, 64), (512, 512, 512))
    both, alone = (totals(base.changed(double_buffered=two), gemms) for two in (True, False))
    assert all(one > two for one, two in zip(alone, both, strict=True))


def test_a_product_that_waits_beyond_all_counts_is_refused(repo_root: Path) -> None:
    array = array_of(repo_root, rows=1, cols=1, bandwidth="0.001 MB/s", clock="1000 GHz", ifmap_sram="1 B")
    with pytest.raises(WorkloadError, match="2\\^60 cycles"):
        array.run(listed((4, 4, 4), (1 << 20, 1 << 18, 1 << 18)))


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"rows": 0}, "rows"),
        ({"cols": -3}, "cols"),
        ({"rows": 1 << 15}, "rows"),
        ({"rows": "many"}, "rows"),
        ({"dataflow": "oss"}, "dataflow"),
        ({"word": "0 B"}, "word"),
        ({"word": "8 B"}, "accumulator"),
        ({"ifmap_sram": "0 KiB"}, "ifmap_sram"),
        ({"ifmap_sram": "64 GHz"}, "ifmap_sram"),
        ({"clock": "0 Hz"}, "clock"),
        ({"bandwidth": "0 GB/s"}, "bandwidth"),
        ({"bandwith": "1 GB/s"}, "bandwidth"),
        ({"dram.window": 4}, "dram.window"),
        ({"dram.timing": "DDR4_9999"}, "DDR4_9999"),
    ],
)
def test_a_wrong_part_is_refused(repo_root: Path, sets: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        array_of(repo_root, **sets)
    assert refused.value.remedy


def test_a_missing_list_is_refused(sim, repo_root: Path) -> None:
    outcome = sim("replay", str(repo_root / PART), "nowhere.csv")
    assert outcome.code == 3
    outcome = sim("replay", str(repo_root / PART), "synthetic")
    assert outcome.code == 2


def test_validation_compares_every_run() -> None:
    points = list(systolic_points(FOLDER / "systolic.yaml"))
    cycles = [point for point in points if point.quantity.startswith("cycles of")]
    assert len(cycles) == len(RUNS) == 23
    assert {point.verdict for point in points if point.group.name == "systolic_cycles"} == {"pass"}
    assert {point.verdict for point in points if point.group.name != "systolic_cycles"} == {REPORTED}
