"""`sim trace record`: what a program's accesses become, and every way in which a recording ends."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from simulator.experiments.lackey_process import LackeyProcess
from simulator.workload.access_reading import read_accesses

# Stores to every line of 1 MiB, twice over.
SWEEP = """
#include <vector>
int main() {
    static volatile char bytes[1 << 20];
    for (int round = 0; round < 2; ++round)
        for (int at = 0; at < (1 << 20); at += 64) bytes[at] = 1;
    return 3;
}
"""
N_LINES = 1 << 14


@pytest.fixture
def sweep(cxx: str, tmp_path: Path) -> str:
    (tmp_path / "sweep.cpp").write_text(SWEEP)
    subprocess.run([cxx, "-O1", "-static", "-o", str(tmp_path / "sweep"), str(tmp_path / "sweep.cpp")], check=True)
    return str(tmp_path / "sweep")


def test_a_sweep_is_read_and_written_once_a_round(valgrind: str, sweep: str, tmp_path: Path, sim) -> None:
    out = tmp_path / "sweep.npz"
    outcome = sim("trace", "record", "--out", str(out), "--llc", "64KiB/16", "--json", "--", sweep)
    assert (outcome.code, outcome.err) == (0, "")
    metrics = json.loads(outcome.out)["metrics"]
    stream = read_accesses(out)
    chunk = next(stream.chunks())
    page, times = np.unique(chunk.line[~chunk.is_write] // 64, return_counts=True)
    swept = page[times == 2 * 64]
    assert 250 <= len(swept) <= 256  # but for pages whose lines other data brought in
    held = (64 + 32) * 16
    assert 2 * N_LINES - held <= chunk.is_write.sum() <= 2 * N_LINES + 200
    assert metrics["n_records"] == stream.n_records == metrics["n_reads"] + metrics["n_writes"]
    assert metrics["n_writes"] == chunk.is_write.sum()
    assert (metrics["n_pages"], metrics["file_bytes"]) == (stream.n_pages, out.stat().st_size)
    assert stream.clock is not None
    assert 2 * 3 * N_LINES < stream.clock.samples[-1] <= metrics["n_instructions"]

    again = sim("trace", "record", "--out", str(out), "--", sweep)
    assert again.code == 3
    assert "exists already" in again.err


def test_without_caches_from_some_instruction_up_to_some_records(
    valgrind: str, sweep: str, tmp_path: Path, sim
) -> None:
    out = tmp_path / "some.npz"
    options = ("--no-filter", "--skip-instructions", "60000", "--max-records", "2000")
    outcome = sim("trace", "record", *options, "--out", str(out), "--", sweep)
    assert outcome.code == 0
    assert "stopped after 2,000 records" in outcome.out
    assert read_accesses(out).n_records == 2000
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".cpp", ".npz"]


@pytest.mark.parametrize(
    ("script", "said"), [("exit 3", "it exited with status 3"), ("kill -9 $$", "signal SIGKILL killed it")]
)
def test_a_program_that_fails_is_told_and_its_trace_kept(
    valgrind: str, tmp_path: Path, sim, script: str, said: str
) -> None:
    outcome = sim("trace", "record", "--out", str(tmp_path / "a.npz"), "--", "sh", "-c", script)
    assert outcome.code == 0
    assert said in " ".join(outcome.out.split())
    assert read_accesses(tmp_path / "a.npz").n_records > 100


def test_ctrl_c_keeps_what_was_recorded(valgrind: str, tmp_path: Path, sim, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = LackeyProcess.blocks

    def interrupted(self: LackeyProcess) -> Iterator[bytes]:
        n_bytes = 0
        for block in blocks(self):
            n_bytes += len(block)
            if not block and n_bytes > 1_000_000:  # it sleeps by now
                signal.raise_signal(signal.SIGINT)
            yield block

    monkeypatch.setattr(LackeyProcess, "blocks", interrupted)
    sleep = ("--", "sleep", "1000")
    outcome = sim("trace", "record", "--out", str(tmp_path / "a.npz"), *sleep)
    assert outcome.code == 130
    assert "stopped by Ctrl-C" in outcome.out
    assert read_accesses(tmp_path / "a.npz").n_records > 100
    outcome = sim("trace", "record", "--out", str(tmp_path / "b.npz"), "--skip-instructions", "1000000000", *sleep)
    assert outcome.code == 130
    assert "nothing was recorded" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_programs_that_it_starts_are_recorded_when_asked(valgrind: str, tmp_path: Path, sim) -> None:
    counts = []
    for options in ((), ("--trace-children",)):
        out = str(tmp_path / f"{len(options)}.npz")
        outcome = sim("trace", "record", *options, "--json", "--out", out, "--", "sh", "-c", "/bin/true; exit 0")
        counts.append(json.loads(outcome.out)["metrics"]["n_instructions"])
    assert counts[1] > counts[0] + 50_000


def test_skipping_all_of_a_program_is_an_error(valgrind: str, tmp_path: Path, sim) -> None:
    outcome = sim("trace", "record", "--out", str(tmp_path / "a.npz"), "--skip-instructions", "100000000", "--", "true")
    assert outcome.code == 3
    assert "--skip-instructions leaves out 100,000,000" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--", "no-such-program-here"), 2, "there is no program of this name"),
        (("--", "./a-folder"), 2, "this is no program that may be run"),
        (("--out", "a.csv", "--", "true"), 2, "let the name end in .npz"),
        (("--llc", "1MiB", "--", "true"), 2, "--llc: '1MiB' is no cache level"),
        (("--l1", "1000B/8", "--", "true"), 2, "1,000 bytes are not whole sets of 8 lines"),
        (("--max-records", "0", "--", "true"), 2, "--max-records"),
        (("--out", "nowhere/a.npz", "--", "true"), 3, "No such file or directory"),
        ((), 2, "CMD ARGS"),
    ],
)
def test_what_cannot_be_recorded(
    valgrind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sim,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-folder").mkdir()
    outcome = sim("trace", "record", *arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["a-folder"]


def test_without_valgrind_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = sim("trace", "record", "--out", str(tmp_path / "a.npz"), "--", "/bin/true")
    assert outcome.code == 2
    assert "remedy: apt install valgrind" in outcome.err
