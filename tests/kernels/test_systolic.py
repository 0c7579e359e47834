"""Systolic kernels: closed forms against the walk, against cells that move data, and against golden runs."""

from __future__ import annotations

import csv
import math
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.kernels import systolic as closed
from simulator.kernels import systolic_memory as memory_kernel
from simulator.kernels import systolic_walk as walked
from tests.twins import systolic as twin

DATAFLOWS = {"os": closed.OS, "ws": closed.WS, "is": closed.IS}
GOLDEN = Path(__file__).resolve().parents[2] / "simulator" / "experiments" / "targets" / "datapath_golden.csv"
KINDS = st.sampled_from(sorted(DATAFLOWS))


def counts_of(dataflow: str, m: int, n: int, k: int, rows: int, cols: int) -> list[int]:
    counts = np.zeros((1, closed.N_COUNTS), np.int64)
    shape = (np.array([one], np.int64) for one in (m, n, k))
    closed.count_products(DATAFLOWS[dataflow], *shape, rows, cols, counts)
    return counts[0].tolist()


def golden_rows() -> list[dict[str, str]]:
    with GOLDEN.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["suite"] == "scalesim_v2"]


def golden_shape(row: dict[str, str]) -> tuple[str, int, int, int, int, int]:
    m, n, k = (int(text) for text in re.findall(r"=(\d+)", row["workload"]))
    dataflow, rows, cols = re.match(r"(\w\w) (\d+)x(\d+)", row["array_or_dataflow"]).groups()
    return dataflow.lower(), m, n, k, int(rows), int(cols)


@pytest.mark.parametrize("row", golden_rows(), ids=lambda row: row["case_id"])
def test_cycles_and_accesses_are_those_of_the_golden_runs(row: dict[str, str]) -> None:
    dataflow, m, n, k, rows, cols = golden_shape(row)
    counts = counts_of(dataflow, m, n, k, rows, cols)
    assert counts[closed.CYCLES] == int(row["cycles_total"]) - int(row["stall_cycles"])
    aux = dict(entry.split("=") for entry in row["aux"].split(";"))
    assert counts[closed.IFMAP_READS] == int(aux["if_sram_rd"])
    assert counts[closed.FILTER_READS] == int(aux["fl_sram_rd"])
    n_cells = rows * cols * counts[closed.N_FOLDS]
    assert 100 * counts[closed.CELLS_USED] / n_cells == pytest.approx(float(aux["mapeff_pct"]))
    if dataflow == "os":  # its report adds rows and columns of every fold to what is written
        assert counts[closed.OFMAP_WRITES] == m * n <= int(aux["of_sram_wr"])
    else:
        assert counts[closed.OFMAP_WRITES] == int(aux["of_sram_wr"])


SMALL = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(KINDS, SMALL, SMALL, SMALL, st.integers(1, 12), st.integers(1, 12))
def test_the_walk_counts_what_the_closed_form_says(dataflow: str, m: int, n: int, k: int, rows: int, cols: int) -> None:
    counts = counts_of(dataflow, m, n, k, rows, cols)
    grid_rows, grid_cols, stream = closed.grid(DATAFLOWS[dataflow], m, n, k)
    by_fold = np.zeros((counts[closed.N_FOLDS], walked.N_WALKED), np.int64)
    most = np.zeros(walked.N_WALKED, np.int64)
    last = walked.walk(DATAFLOWS[dataflow], grid_rows, grid_cols, stream, rows, cols, by_fold, most)
    assert last == counts[closed.CYCLES]
    left, top, out, products, ticks = by_fold.sum(axis=0).tolist()
    assert (products, ticks) == (m * n * k, counts[closed.CYCLES] + 1)
    assert out == counts[closed.OFMAP_WRITES]
    crossing = {
        "os": (closed.IFMAP_READS, closed.FILTER_READS),
        "ws": (closed.IFMAP_READS, closed.FILTER_READS),
        "is": (closed.FILTER_READS, closed.IFMAP_READS),
    }
    assert (left, top) == tuple(counts[name] for name in crossing[dataflow])
    assert most[walked.LEFT] <= min(rows, grid_rows)
    assert most[walked.OUT] <= min(cols, grid_cols)
    assert most[walked.PRODUCTS] <= min(rows, grid_rows) * min(cols, grid_cols)


TINY = st.integers(1, 7)


@settings(max_examples=60, deadline=None)
@given(KINDS, TINY, TINY, TINY, st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_cells_that_move_data_compute_the_product_in_as_many_cycles(
    dataflow: str, m: int, n: int, k: int, rows: int, cols: int, rng: random.Random
) -> None:
    a = [[rng.randint(-9, 9) for _ in range(k)] for _ in range(m)]
    b = [[rng.randint(-9, 9) for _ in range(n)] for _ in range(k)]
    ran = twin.multiply(dataflow, a, b, rows, cols)
    assert ran.product == (np.array(a) @ np.array(b)).tolist()
    counts = counts_of(dataflow, m, n, k, rows, cols)
    # The reference counts cycles from 0 and reports the last one's number: one less than the cycles that passed.
    assert ran.ticks - 1 == counts[closed.CYCLES]
    assert len(ran.by_fold) == counts[closed.N_FOLDS]
    assert set(ran.by_fold) == {ran.ticks // len(ran.by_fold)}
    found = (ran.a_reads, ran.b_reads, ran.writes)
    assert found == tuple(counts[one] for one in (closed.IFMAP_READS, closed.FILTER_READS, closed.OFMAP_WRITES))


# --- the memory


def timed(
    dataflow: str, shape: tuple[int, int, int], array: tuple[int, int], memory: twin.Memory, order: int
) -> list[int]:
    sizes = np.array([memory.keep_x, memory.keep_y, memory.word_bytes, memory.sum_bytes, memory.overlaps], np.int64)
    speed = np.array([memory.read_cyc, memory.write_cyc, memory.latency_cyc])
    results = np.zeros((1, memory_kernel.N_RESULTS), np.int64)
    products = (np.array([one], np.int64) for one in shape)
    memory_kernel.time_products(DATAFLOWS[dataflow], *products, *array, order, sizes, speed, results)
    return results[0].tolist()


MEMORIES = st.builds(
    twin.Memory,
    keep_x=st.integers(0, 900),
    keep_y=st.integers(0, 900),
    word_bytes=st.sampled_from([1, 2]),
    sum_bytes=st.sampled_from([1, 4]),
    read_cyc=st.sampled_from([0.01, 0.1, 0.5, 2.0]),
    write_cyc=st.sampled_from([0.01, 0.1, 0.7]),
    latency_cyc=st.sampled_from([0.0, 3.0, 40.0]),
    overlaps=st.booleans(),
)
SHAPES = st.tuples(SMALL, SMALL, SMALL)
ARRAYS = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(max_examples=150, deadline=None)
@given(KINDS, SHAPES, ARRAYS, MEMORIES, st.sampled_from([0, 1]))
def test_the_memory_is_that_of_the_folds_one_by_one(
    dataflow: str, shape: tuple[int, int, int], array: tuple[int, int], memory: twin.Memory, order: int
) -> None:
    grid = closed.grid(DATAFLOWS[dataflow], *shape)
    traffic = twin.fold_traffic(dataflow, grid, array, order == memory_kernel.ROWS_OUTER, memory)
    compute_cyc = closed.fold_cycles(DATAFLOWS[dataflow], grid[2], *array)
    found = timed(dataflow, shape, array, memory, order)
    spent = twin.elapsed_cyc(traffic, compute_cyc, memory)
    assert abs(found[memory_kernel.TOTAL] + 1 - math.ceil(spent)) <= (abs(spent - round(spent)) < 1e-6)
    assert found[memory_kernel.READ_BYTES] == pytest.approx(sum(one.read for one in traffic))
    assert found[memory_kernel.WRITE_BYTES] == pytest.approx(sum(one.written for one in traffic))


@settings(max_examples=100, deadline=None)
@given(KINDS, SHAPES, ARRAYS, MEMORIES, st.sampled_from([0, 1, 2]), st.integers(0, 300), st.sampled_from([0.3, 0.9]))
def test_more_memory_never_takes_longer_and_nothing_is_faster_than_it_can_be(
    dataflow: str,
    shape: tuple[int, int, int],
    array: tuple[int, int],
    memory: twin.Memory,
    order: int,
    more: int,
    faster: float,
) -> None:
    found = timed(dataflow, shape, array, memory, order)
    total, read, written = (
        found[one] for one in (memory_kernel.TOTAL, memory_kernel.READ_BYTES, memory_kernel.WRITE_BYTES)
    )
    m, n, k = shape
    assert read >= (m * k + n * k) * memory.word_bytes
    assert written >= m * n * memory.word_bytes
    assert total >= counts_of(dataflow, *shape, *array)[closed.CYCLES]
    assert total + 1 >= (read * memory.read_cyc + written * memory.write_cyc) * (1 - 1e-9)

    roomier = replace(memory, keep_x=memory.keep_x + more, keep_y=memory.keep_y + more)
    quicker = replace(memory, read_cyc=memory.read_cyc * faster, write_cyc=memory.write_cyc * faster)
    for better in (roomier, quicker):
        assert timed(dataflow, shape, array, better, order)[memory_kernel.TOTAL] <= total
    if order != memory_kernel.EITHER:
        moved = timed(dataflow, shape, array, roomier, order)
        assert moved[memory_kernel.READ_BYTES] <= read
        assert moved[memory_kernel.WRITE_BYTES] <= written


@pytest.mark.parametrize("dataflow", sorted(DATAFLOWS))
def test_where_all_fits_and_comes_at_once_only_the_fill_is_added(dataflow: str) -> None:
    memory = twin.Memory(1 << 30, 1 << 30, 1, 4, 1e-9, 1e-9, 7.0)
    found = timed(dataflow, (50, 60, 70), (8, 8), memory, memory_kernel.EITHER)
    assert found[memory_kernel.TOTAL] == counts_of(dataflow, 50, 60, 70, 8, 8)[closed.CYCLES] + 8
    assert found[memory_kernel.READ_BYTES] == 50 * 70 + 60 * 70
    assert found[memory_kernel.WRITE_BYTES] == 50 * 60
