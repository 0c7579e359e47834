"""A tracker that replays traces: every golden row of M5, what it tells, and what it refuses."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.contracts.results import RunRecord
from simulator.core.errors import SimulatorError
from simulator.devices.hot_page_tracker import HotPageTracker
from simulator.experiments.replay import load_device, plan_replay
from simulator.workload.access_reading import read_accesses
from simulator.workload.accesses import AccessStream, Clock
from simulator.workload.synthetic_accesses import SyntheticAccesses

PARTS = Path(__file__).parents[2] / "hw_configs" / "parts"
HPT = PARTS / "hpt.yaml"
GOLDEN = Path(__file__).parents[1] / "golden" / "m5_golden.csv"
RESULTS = ("total_reads", "epochs", "ratio_epoch", "ratio_union", "topk_hit", "distinct_picked")
N_COMMANDS = 3
N_ROWS = 8

Row = dict[str, str]


@cache
def golden() -> tuple[Row, ...]:
    """The golden rows."""
    with GOLDEN.open(newline="") as stream:
        return tuple(csv.DictReader(stream))


TRACES = sorted({row["trace"] for row in golden()})


def settings_of(row: Row) -> dict[str, Any]:
    """What a row sets, as the part's keys."""
    sets = {"algorithm": row["algo"], "key": row["key"], "k": int(row["K"]), "epoch_reads": int(row["epoch_reads"])}
    return sets | ({"n_counters": int(row["N"])} if row["algo"] != "first_touch" else {})


def differing(row: Row, found: dict[str, Any]) -> list[str]:
    """Result columns in which a run is not what the row says."""
    return [name for name in RESULTS if abs(found[name] - float(row[name])) > 1e-6]


def replay(monkeypatch: pytest.MonkeyPatch, stream: AccessStream, part: Path = HPT, **sets: Any) -> RunRecord:
    """Replay a stream in the place of a trace file."""
    monkeypatch.setattr("simulator.devices.hot_page_tracker.read_accesses", lambda path, format_name: stream)
    device: HotPageTracker = load_device(part, sets)[1]
    return device.replay("a trace", 1)


def a_stream(n: int = 5000, *, clock: Clock | None = None, n_pages: int = 50, write_every: int = 5) -> AccessStream:
    """Skewed accesses, every fifth a write."""
    rng = np.random.default_rng(n)
    line = (rng.integers(0, n_pages, n) * rng.integers(0, 2, n) * 64 + rng.integers(0, 64, n)).astype(np.uint32)
    return AccessStream.of_arrays("drawn", line, np.arange(n) % write_every == 0, n_pages, clock=clock)


def compare(trace: str, rows: list[Row], shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay rows of a trace that is read once."""
    stream = read_accesses(shared_dir / "traces" / "memory" / f"{trace}.npz")
    line = np.concatenate([chunk.line[~chunk.is_write] for chunk in stream.chunks()])
    reads = AccessStream.of_arrays(trace, line, np.zeros(len(line), np.bool_), stream.n_pages)
    for row in rows:
        assert differing(row, replay(monkeypatch, reads, **settings_of(row)).metrics) == [], row


@pytest.mark.parametrize("trace", TRACES)
def test_golden_rows_are_met(trace: str, shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of a trace's rows."""
    rows = [row for row in golden() if row["trace"] == trace]
    compare(trace, random.Random(trace).sample(rows, N_ROWS), shared_dir, monkeypatch)


@pytest.mark.thorough
@pytest.mark.parametrize("trace", TRACES)
def test_every_golden_row_is_met(trace: str, shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row for row in golden() if row["trace"] == trace]
    assert len(rows) > 50
    compare(trace, rows, shared_dir, monkeypatch)


def test_the_command_that_others_script(
    sim: Callable[..., Any], shared_dir: Path, tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo_root)
    for number, row in enumerate(random.Random(1).sample(golden(), N_COMMANDS)):
        trace = shared_dir / "traces" / "memory" / f"{row['trace']}.npz"
        sets = [f"--set={name}={value}" for name, value in settings_of(row).items()]
        out = f"--out={tmp_path / str(number)}"
        outcome = sim("replay", "hw_configs/parts/hpt.yaml", str(trace), *sets, "--json", out)
        assert outcome.code == 0, outcome.err
        metrics = json.loads(outcome.out)["metrics"]
        assert differing(row, metrics) == [], row
        assert metrics["updates_per_cpu_s"] > 1e6


@pytest.mark.parametrize("chunk", [1, 97, 4096])
@pytest.mark.parametrize("sets", [{"key": "both"}, {"algorithm": "ss", "n_counters": 30}, {"arrivals": "even"}])
def test_results_do_not_depend_on_how_a_stream_is_cut(
    chunk: int, sets: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"epoch_reads": 700, "k": 5, **sets}
    stream = a_stream(2000)
    whole = replay(monkeypatch, stream, **sets)
    monkeypatch.setattr("simulator.workload.accesses.AccessStream.chunks", lambda self: self.make_chunks(chunk))
    cut = replay(monkeypatch, stream, **sets)
    speeds = {name for name in whole.metrics if name.startswith("updates_per_cpu_s")}
    assert speeds
    for name in whole.metrics.keys() - speeds:
        assert whole.metrics[name] == cut.metrics[name], name
    for name, series in whole.series.items():
        assert np.array_equal(series.y, cut.series[name].y)


def test_pages_and_words_are_tracked_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = a_stream()
    both = replay(monkeypatch, stream, key="both", epoch_reads=640, k=5, word_queries=64)
    page = replay(monkeypatch, stream, key="page", epoch_reads=640, k=5)
    word = replay(monkeypatch, stream, key="word", epoch_reads=10, k=5)
    for name in RESULTS[1:]:
        assert both.metrics[f"{name}_page"] == page.metrics[name]
        assert both.metrics[f"{name}_word"] == word.metrics[name]


def test_writes_are_seen_only_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = a_stream(5000)
    assert replay(monkeypatch, stream, epoch_reads=1000).metrics["total_reads"] == 4000
    assert replay(monkeypatch, stream, epoch_reads=1000, track_writes=True).metrics["total_reads"] == 5000


def test_reads_that_come_too_fast_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """12.8 GB/s are what one address every 2 clocks of 400 MHz takes."""
    stream = a_stream(100_000, write_every=200_000)
    dropped = {}
    for rate in (12.8, 25.6):
        metrics = replay(monkeypatch, stream, arrivals="even", read_gb_per_s=rate, epoch_reads=10_000).metrics
        dropped[rate] = metrics["n_dropped"]
        assert metrics["n_updates"] + metrics["n_dropped"] == metrics["total_reads"] == 99_999
    assert dropped[12.8] == 0
    assert dropped[25.6] == pytest.approx(50_000, rel=0.02)
    without = replay(monkeypatch, stream, arrivals="even", read_gb_per_s=25.6, epoch_reads=10_000, fifo_depth=None)
    assert without.metrics["n_dropped"] == 0


def test_epochs_of_time_follow_the_clock_of_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """5000 records of 2048 instructions each 1024 records, at 2 a cycle and 2.1 GHz: 10,000 instructions in 2381 ns."""
    clock = Clock(np.arange(6, dtype=np.int64) * 2048, 1024, "instructions")
    times = {"arrivals": "trace", "ipc": 2.0, "epoch_reads": None, "epoch": "500 ns"}
    record = replay(monkeypatch, a_stream(5000, clock=clock), **times)
    assert record.metrics["epochs"] == 4
    assert any("2.1 GHz" in note for note in record.notes)


def test_accuracy_over_size_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    record = replay(monkeypatch, a_stream(), epoch_reads=1000, k=5, n_counters=64, sweep_n_counters=[16, 1024])
    over_size = record.series["access_count_ratio_by_size"]
    assert over_size.x.tolist() == [4, 6, 10]
    assert over_size.y[-1] == 1.0
    assert over_size.y[1] == record.metrics["ratio_epoch"]
    assert len(record.series["access_count_ratio"].x) == record.metrics["epochs"] == 4
    assert len(record.tables["accuracy"].rows) == 3


@pytest.mark.parametrize(
    ("part", "columns", "bits", "algorithm"),
    [("hpt_cm32k", 8192, None, "cm"), ("hpt_rtl32k", 32_768, 14, "cm"), ("hpt_ss50", None, None, "ss")],
)
def test_parts_state_only_what_differs(part: str, columns: int | None, bits: int | None, algorithm: str) -> None:
    config = load_device(PARTS / f"{part}.yaml")[1].config
    assert (config.algorithm, config.counter_bits) == (algorithm, bits)
    assert columns is None or config.n_columns == columns
    assert config.n_counters == (50 if algorithm == "ss" else 4 * config.n_columns)
    assert config.fifo_depth == 256


@pytest.mark.parametrize(
    ("sets", "code", "words"),
    [
        ({"k": 40_000}, 2, r"`k`: 40,000 keys .*K > N.*set k lower"),
        ({"k": 0}, 2, "at least 1"),
        ({"n_hashes": 0}, 2, "at least 1"),
        ({"n_counters": -4}, 2, "at least 1"),
        ({"n_counters": 2050}, 2, "no 4 equal rows.*multiple of n_hashes = 4"),
        ({"n_counters": 2044}, 2, "W = 511 .*power of two.*1024 or 2048"),
        ({"algorithm": "spacesaving"}, 2, "`algorithm` cannot be"),
        ({"algorithm": "cmm"}, 2, "did you mean `cm`"),
        ({"epoch": "1 ms"}, 2, "epoch_reads says already"),
        ({"epoch_reads": None}, 2, "nothing says when to query"),
        ({"epoch_reads": None, "epoch": "1 ms"}, 2, "nothing says when reads come"),
        ({"epoch_reads": None, "epoch": "1 s", "arrivals": "even"}, 3, "end before an epoch of 1000 ms"),
        ({"sweep_n_counters": [512, 77]}, 2, "of 77: .*no 4 equal rows"),
        ({"algorithm": "exact", "sweep_n_counters": [512]}, 2, "no number of counters"),
        ({"arrivals": "trace"}, 2, "the trace has none"),
        ({"synthetic.n_accesses": 1000}, 3, "end before an epoch of 131,072 reads"),
        ({"synthetic.n_accesses": 1000, "synthetic.read_frac": 0}, 3, "there are no reads"),
    ],
)
def test_what_cannot_be_is_refused(sets: dict[str, Any], code: int, words: str) -> None:
    with pytest.raises(SimulatorError, match=f"(?s){words}") as refusal:
        plan_replay(HPT, "synthetic", sets={"synthetic.n_accesses": 2000, "synthetic.n_pages": 9, **sets}).perform()
    assert refusal.value.exit_code == code
    assert refusal.value.remedy


def test_synthetic_accesses_follow_their_law() -> None:
    drawn = SyntheticAccesses(n_accesses=1 << 19, n_pages=100, zipf=1.0, n_words=3, read_frac=0.25)
    chunks = list(drawn.stream(5).chunks(100_000))
    line = np.concatenate([chunk.line for chunk in chunks])
    counts = np.sort(np.bincount(line >> 6, minlength=100))[::-1]
    weight = 1 / np.arange(1, 101)
    assert counts == pytest.approx(len(line) * weight / weight.sum(), rel=0.1)
    assert np.bincount(line & 63).tolist() == pytest.approx([len(line) / 3] * 3, rel=0.02)
    reads = np.concatenate([~chunk.is_write for chunk in chunks])
    assert reads.mean() == pytest.approx(0.25, abs=0.01)
    again = np.concatenate([chunk.line for chunk in drawn.stream(5).chunks(1 << 17)])
    assert np.array_equal(line, again)
    assert not np.array_equal(line, np.concatenate([chunk.line for chunk in drawn.stream(6).chunks(1 << 19)]))
    assert [chunk.first for chunk in chunks] == list(range(0, 1 << 19, 100_000))


def test_uniform_pages() -> None:
    drawn = SyntheticAccesses(n_accesses=1 << 18, n_pages=3, zipf=0)
    (chunk,) = drawn.stream(1).chunks(1 << 18)
    assert np.bincount(chunk.line >> 6).tolist() == pytest.approx([(1 << 18) / 3] * 3, rel=0.02)
