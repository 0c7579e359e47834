"""`sim trace info` and `convert` on memory accesses: counts by a plain count, published tables, round trips."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from simulator.experiments.access_traces import AccessSummary
from simulator.workload.access_reading import read_accesses
from simulator.workload.accesses import AccessStream, Clock

N = 5000


def small() -> AccessStream:
    """A stream of 5,000 accesses to 60 pages, of which few are hot."""
    rng = np.random.default_rng(5)
    page = np.minimum(rng.geometric(0.08, N) - 1, 59)
    _, first, number = np.unique(page, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    line = (rank[number] * 64 + rng.integers(0, 64, N)).astype(np.uint32)
    clock = Clock(np.arange(0, 40_000, 4096, dtype=np.int64), 1024, "instructions")
    address = np.arange(len(first), dtype=np.uint64) + np.uint64(7)
    return AccessStream.of_arrays("a", line, rng.random(N) < 0.3, len(first), clock=clock, page_address=address)


def records(stream: AccessStream) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(stream.chunks())
    return np.concatenate([c.line for c in chunks]), np.concatenate([c.is_write for c in chunks])


@pytest.mark.parametrize("window", [1, 100, 777])
def test_counts_are_those_of_a_plain_count(window: int) -> None:
    stream = small()
    summary = AccessSummary.of(stream, (window,))
    line, is_write = records(stream)
    reads = line[~is_write].tolist()
    pages = Counter(one >> 6 for one in reads)
    assert summary.reads.tolist() == [pages[page] for page in range(stream.n_pages)]
    assert int(summary.writes.sum()) == int(is_write.sum())
    touched: Counter[int] = Counter()
    for first in range(0, len(reads) - window + 1, window):
        words = Counter(one >> 6 for one in set(reads[first : first + window]))
        touched.update(words.values())
    assert summary.sparsity[0].pages.tolist() == [touched[n] for n in range(65)]
    whole = Counter(one >> 6 for one in set(reads))
    assert summary.sparsity[1].mean_words == pytest.approx(sum(whole.values()) / len(whole))


def test_counts_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = small()
    whole = AccessSummary.of(stream, (100,))
    monkeypatch.setattr(AccessStream, "chunks", lambda self, n=0: self.make_chunks(37))
    parts = AccessSummary.of(stream, (100,))
    assert [one.pages.tolist() for one in parts.sparsity] == [one.pages.tolist() for one in whole.sparsity]
    assert parts.reads.tolist() == whole.reads.tolist()


# Reads, pages, MiB, million instructions, reads per 1,000, shares of the hottest 1 and 10 %, most and median reads.
PUBLISHED = {
    "redis_ycsba": (2_982_112, 27_379, 106.9, 2126, 1.4, 0.136, 0.448, 4957, 64),
    "sqlite_kv": (3_566_990, 17_044, 66.6, 2930, 1.2, 0.135, 0.454, 5817, 125),
    "gap_pr": (5_765_970, 9_249, 36.1, 244, 23.6, 0.191, 0.548, 13_566, 320),
    "gap_bfs": (4_123_391, 15_973, 62.4, 226, 18.2, 0.100, 0.692, 2693, 86),
    "gnu_sort": (2_881_272, 27_829, 108.7, 302, 9.5, 0.063, 0.387, 1079, 64),
    "liblinear_l1r_lr": (3_065_242, 27_017, 105.5, 2521, 1.2, 0.084, 0.354, 2286, 128),
    "python_bfs": (1_966_831, 8_881, 34.7, 299, 6.6, 0.103, 0.351, 2912, 214),
    "cc1plus": (2_371_842, 21_162, 82.7, 1460, 1.6, 0.125, 0.449, 4419, 66),
}
# Mean words per touched page and P(words <= 4, 8, 16, 32, 48), in 262,144 and 1,048,576 reads and the whole.
SPARSITY = {
    "cc1plus": (
        (24.1, 0.368, 0.502, 0.608, 0.676, 0.711),
        (40.6, 0.174, 0.260, 0.344, 0.403, 0.431),
        (50.6, 0.074, 0.121, 0.177, 0.231, 0.261),
    ),
    "gap_bfs": (
        (19.0, 0.277, 0.448, 0.680, 0.816, 0.821),
        (21.0, 0.121, 0.289, 0.583, 0.828, 0.843),
        (26.7, 0.072, 0.190, 0.422, 0.740, 0.777),
    ),
    "gap_pr": (
        (62.9, 0.001, 0.002, 0.003, 0.005, 0.007),
        (63.6, 0.001, 0.002, 0.003, 0.004, 0.006),
        (63.0, 0.005, 0.008, 0.011, 0.015, 0.021),
    ),
    "gnu_sort": (
        (63.1, 0.003, 0.004, 0.005, 0.006, 0.018),
        (63.8, 0.002, 0.003, 0.004, 0.004, 0.005),
        (63.8, 0.001, 0.002, 0.002, 0.003, 0.003),
    ),
    "liblinear_l1r_lr": (
        (47.7, 0.002, 0.005, 0.034, 0.285, 0.439),
        (55.4, 0.003, 0.005, 0.038, 0.190, 0.210),
        (46.6, 0.183, 0.267, 0.287, 0.291, 0.294),
    ),
    "python_bfs": (
        (18.0, 0.104, 0.232, 0.467, 0.935, 0.968),
        (34.9, 0.005, 0.009, 0.038, 0.432, 0.895),
        (49.9, 0.009, 0.013, 0.019, 0.050, 0.390),
    ),
    "redis_ycsba": (
        (10.0, 0.301, 0.541, 0.776, 0.977, 0.998),
        (18.8, 0.121, 0.196, 0.394, 0.892, 0.981),
        (30.6, 0.039, 0.082, 0.145, 0.530, 0.916),
    ),
    "sqlite_kv": (
        (12.2, 0.167, 0.417, 0.815, 0.945, 0.969),
        (21.9, 0.031, 0.108, 0.411, 0.842, 0.918),
        (38.8, 0.001, 0.012, 0.041, 0.400, 0.732),
    ),
}


ALWAYS = ("cc1plus", "gap_pr", "sqlite_kv")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.thorough) for name in PUBLISHED]
)
def test_recorded_traces_are_as_published(sim, name: str, shared_dir: Path) -> None:
    result = json.loads(sim("trace", "info", str(shared_dir / "traces" / "memory" / f"{name}.npz"), "--json").out)
    metrics, breakdown = result["metrics"], result["breakdown"]
    found = (
        metrics["n_reads"],
        metrics["n_pages"],
        round(metrics["footprint_mib"], 1),
        round(metrics["n_instructions"] / 1e6),
        round(metrics["reads_per_1000_instructions"], 1),
        metrics["reads_of_hottest_1pct_pages_frac"],
        metrics["reads_of_hottest_10pct_pages_frac"],
        metrics["reads_of_hottest_page"],
        int(metrics["reads_of_median_page"]),
    )
    # 1 % of 15,973 pages is no whole number of them: the table may have one page more.
    assert found == pytest.approx(PUBLISHED[name], abs=6e-4)
    windows = ("in 262144 reads", "in 1048576 reads", "in the whole trace")
    for window, expected in zip(windows, SPARSITY[name], strict=True):
        shares = breakdown["sparsity_" + window.replace(" ", "_")].values()
        mean = breakdown["mean_words_per_touched_page"][window]
        assert (round(mean, 1), *(round(share, 3) for share in shares)) == expected


def test_info_tells_the_hottest_pages_by_address(sim, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0x5000 R\n0x5040 R\n0x9000 R\n0x9000 W\n0xa000 W\n")
    outcome = sim("trace", "info", str(path), "--window", "2", "--window", "1000", "--json")
    result = json.loads(outcome.out)
    assert (result["system"], result["workload"]) == ("text", "a")
    assert result["breakdown"]["reads_of_hottest_pages"] == {"0x5000": 2, "0x9000": 1}
    assert result["breakdown"]["mean_words_per_touched_page"] == {"in 2 reads": 2.0, "in the whole trace": 1.5}
    assert "n_instructions" not in result["metrics"]
    assert "too short for a window of 1,000 reads" in sim("trace", "info", str(path), "--window", "1000").out


def test_info_of_writes_alone(sim, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0x5000 W\n")
    result = json.loads(sim("trace", "info", str(path), "--json").out)
    assert (result["metrics"]["n_reads"], result["breakdown"]) == (0, {})


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--window", "0"), 2, "a window of 0 reads"),
        (("--format", "npz"), 3, "archive"),
        (("--format", "npy"), 2, "npy"),
    ],
)
def test_what_info_refuses(sim, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0x5000 W\n")
    outcome = sim("trace", "info", str(path), *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_windows_are_of_accesses_only(sim, repo_root: Path) -> None:
    outcome = sim("trace", "info", str(repo_root / "traces" / "conversation_2k.csv"), "--window", "5")
    assert outcome.code == 2
    assert "--window" in outcome.err


def test_every_form_holds_the_same(sim, tmp_path: Path) -> None:
    from simulator.workload.access_writing import write_accesses

    stream = small()
    write_accesses(tmp_path / "a.npz", stream)
    whole = records(stream)
    for source, target in (("a.npz", "b.csv"), ("b.csv", "c.npz"), ("c.npz", "d.txt"), ("d.txt", "e.npz")):
        outcome = sim("trace", "convert", str(tmp_path / source), str(tmp_path / target))
        assert (outcome.code, outcome.err) == (0, "")
        assert "5,000 accesses" in outcome.out
        again = read_accesses(tmp_path / target)
        assert records(again)[0].tolist() == whole[0].tolist()
        assert records(again)[1].tolist() == whole[1].tolist()
        assert again.page_address is not None
        assert again.page_address.tolist() == list(range(7, 7 + stream.n_pages))
        assert (again.clock is None) == (target in ("d.txt", "e.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()


def test_the_first_accesses_alone(sim, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("address,write,time_ns\n0x5000,0,10\n0x6000,1,20\n0x7000,0,30\n")
    assert sim("trace", "convert", str(path), str(tmp_path / "b.csv"), "--accesses", "2").code == 0
    assert (tmp_path / "b.csv").read_text() == "address,write,time_ns\n0x5000,0,0\n0x6000,1,10\n"
    outcome = sim("trace", "convert", str(path), str(tmp_path / "c.csv"), "--accesses", "4")
    assert (outcome.code, "4 accesses of a trace of 3" in outcome.err) == (3, True)


@pytest.mark.parametrize(
    ("target", "said"), [("a.txt", "exists already"), ("b.dat", "'.dat'"), ("b", "without ending")]
)
def test_what_is_not_written(sim, tmp_path: Path, target: str, said: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0x5000 W\n")
    outcome = sim("trace", "convert", str(path), str(tmp_path / target))
    assert (outcome.code, outcome.out) == (3, "")
    assert said in outcome.err
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "0x5000 W\n"
