"""Speed of the trackers beside a C++ twin with the same tie rules, alternately in one process on real traces."""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.kernels import h3
from simulator.kernels.exact_counts import count_keys
from simulator.memory.trackers.algorithms import hash_tables, slot_bits
from simulator.memory.trackers.config import TrackerConfig
from simulator.memory.trackers.tracker import Tracker
from simulator.workload.access_reading import read_accesses

TWIN = Path(__file__).with_name("tracker_twin.cpp")
PERIOD = 131_072
ROUNDS = 7
TRACES = ("redis_ycsba", "gap_bfs", "cc1plus")

pytestmark = pytest.mark.benchmark

Keys = NDArray[np.uint32]


def line(name: str, measured: float, unit: str, target: str) -> None:
    """Print one figure."""
    print(f"{name}: {measured:,.2f} {unit} (target: {target})")


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of one call in this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, cxx: str) -> ctypes.CDLL:
    """The C++ twin, compiled; skipped where there is no compiler."""
    library = tmp_path_factory.mktemp("twin") / "tracker_twin.so"
    options = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([cxx, *options, str(TWIN), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module", params=TRACES)
def reads(request: pytest.FixtureRequest, shared_dir: Path) -> tuple[str, Keys]:
    """A trace's name, and the line ids of its reads."""
    stream = read_accesses(shared_dir / "traces" / "memory" / f"{request.param}.npz")
    return request.param, np.concatenate([chunk.line[~chunk.is_write] for chunk in stream.chunks()])


def pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    """Where an array lies."""
    return ctypes.c_void_p(array.ctypes.data)


def compare(name: str, n: int, ours: Callable[[], object], theirs: Callable[[], object], target: str) -> float:
    """Run both alternately, so that they meet the same machine; returns our speed in M/s."""
    ours()
    theirs()
    ours_s, theirs_s = [], []
    for _ in range(ROUNDS):
        ours_s.append(cpu_s(ours))
        theirs_s.append(cpu_s(theirs))
    rate, twin_rate = (n / statistics.median(times) / 1e6 for times in (ours_s, theirs_s))
    line(name, rate, "M updates/CPU-s", target)
    line("  C++ -O3 -march=native, same rules, same picks", twin_rate, "M updates/CPU-s", "none")
    line("  kernel against C++", rate / twin_rate, "x", ">= 0.8")
    return max(rate, 1000.0 * (rate >= 0.5 * twin_rate))


def picks_of(tracker: Tracker, keys: Keys) -> tuple[Keys, NDArray[np.int64]]:
    """Keys and estimates of every query, and the time is the tracker's."""
    picks = tracker.observe_queries(keys).picks
    return picks.key, picks.estimate


@pytest.mark.parametrize("n_counters", [2048, 32_768, 131_072])
@pytest.mark.parametrize("key", ["page", "word"])
def test_count_min(key: Any, n_counters: int, reads: tuple[str, Keys], twin: ctypes.CDLL) -> None:
    trace, lines = reads
    config = TrackerConfig(algorithm="cm", key="word", n_counters=n_counters, k=25, epoch_reads=PERIOD)
    keys = lines >> np.uint32(6) if key == "page" else lines
    _, packed = hash_tables(config.hash_seed, h3.PACKED_ROWS, config.n_columns - 1)
    shape = (len(keys) // PERIOD, config.k)
    picked, counts = np.zeros(shape, np.uint32), np.zeros(shape, np.int64)

    def theirs() -> None:
        sizes = ctypes.c_int64(len(keys)), ctypes.c_int64(PERIOD)
        more = pointer(packed), ctypes.c_int64(config.n_columns), ctypes.c_int64(config.k)
        twin.count_min(pointer(keys), *sizes, *more, pointer(picked), pointer(counts))

    print()
    name = f"count-min + CAM, {trace}, {key}s, N = {n_counters:,}, K = 25"
    rate = compare(name, len(keys), lambda: picks_of(Tracker(config), keys), theirs, ">= 75 or >= 0.8 x C++")
    ours = picks_of(Tracker(config), keys)
    assert np.array_equal(ours[0], picked)
    assert np.array_equal(ours[1], counts)
    assert rate >= 50


@pytest.mark.parametrize("n_counters", [50, 2048])
@pytest.mark.parametrize("key", ["page", "word"])
def test_space_saving(key: Any, n_counters: int, reads: tuple[str, Keys], twin: ctypes.CDLL) -> None:
    trace, lines = reads
    config = TrackerConfig(algorithm="ss", key="word", n_counters=n_counters, k=25, epoch_reads=PERIOD)
    keys = lines >> np.uint32(6) if key == "page" else lines
    shape = (len(keys) // PERIOD, config.k)
    picked, counts = np.zeros(shape, np.uint32), np.zeros(shape, np.int64)

    def theirs() -> None:
        sizes = ctypes.c_int64(len(keys)), ctypes.c_int64(PERIOD)
        more = ctypes.c_int(slot_bits(n_counters)), ctypes.c_int64(n_counters), ctypes.c_int64(config.k)
        twin.space_saving(pointer(keys), *sizes, *more, pointer(picked), pointer(counts))

    print()
    name = f"Space-Saving, {trace}, {key}s, N = {n_counters:,}"
    rate = compare(name, len(keys), lambda: picks_of(Tracker(config), keys), theirs, ">= 0.8 x C++")
    ours = picks_of(Tracker(config), keys)
    assert np.array_equal(ours[0], picked)
    assert np.array_equal(ours[1], counts)
    assert rate >= 10


@pytest.mark.parametrize("key", ["page", "word"])
def test_exact_counters(key: Any, reads: tuple[str, Keys], twin: ctypes.CDLL) -> None:
    trace, lines = reads
    keys = lines >> np.uint32(6) if key == "page" else lines
    counts = np.zeros((2, int(keys.max()) + 1), np.uint32)
    print()
    compare(
        f"exact counters, {trace}, {key}s",
        len(keys),
        lambda: count_keys(keys, counts[0]),
        lambda: twin.exact(pointer(keys), ctypes.c_int64(len(keys)), pointer(counts[1])),
        ">= 500",
    )
    assert np.array_equal(counts[0], counts[1])
    config = TrackerConfig(algorithm="exact", key="word", k=25, epoch_reads=PERIOD)
    Tracker(config).observe(keys[:1])
    tracker = Tracker(config)
    tracker.observe(keys)
    line("  with queries, as the tracker `exact`", tracker.n_updates / tracker.kernel_cpu_s / 1e6, "M/CPU-s", "none")


def test_many_accesses_are_streamed(tmp_path: Path, repo_root: Path) -> None:
    """A tenth of a milliard generated accesses in a process of its own, by its greatest resident memory."""
    n_accesses = int(os.environ.get("BENCH_ACCESSES", "100_000_000"))
    command = [sys.executable, "-m", "simulator.cli.main", "replay", "hw_configs/parts/hpt.yaml", "synthetic", "--json"]
    sets = ["--set", f"synthetic.n_accesses={n_accesses}", "--out", str(tmp_path / "run")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([*command, *sets], check=True, cwd=repo_root, capture_output=True)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print()
    line(f"{n_accesses:,} generated accesses", (usage.ru_utime - before), "CPU-s", "none")
    line("  greatest resident memory of a child", usage.ru_maxrss / 1024, "MiB", "< 1,000")
    assert usage.ru_maxrss < 1_000_000  # KiB; it does not grow with the accesses
