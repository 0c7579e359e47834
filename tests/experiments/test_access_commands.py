"""The commands on runs of memory accesses: side by side, refused in words where they make no sense, told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.experiments.run import plan_run
from simulator.workload import access_reading
from simulator.workload.access_file import AccessFile
from simulator.workload.access_reading import read_accesses
from simulator.workload.access_writing import write_npz

Sim = Callable[..., Any]
SETS = ("workload.repeat=1", "system.policy=no_migration")


def trace_of(path: Path, n: int = 500, instructions: int = 100) -> Path:
    line = np.arange(n, dtype=np.uint32) % np.uint32(640)
    write_npz(path, line, line % 5 == 0, None, np.array([0, 1024 * instructions]))
    return path


def run_of(sim: Sim, config: Path, trace: Path, out: Path, *sets: str) -> Path:
    options = [text for setting in (*SETS, *sets) for text in ("--set", setting)]
    outcome = sim("run", config, "--trace", trace, "--no-report", "--out", out, *options)
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture
def config(repo_root: Path) -> Path:
    return repo_root / "hw_configs" / "m5.yaml"


def test_runs_of_one_trace_stand_side_by_side(sim: Sim, config: Path, tmp_path: Path) -> None:
    trace = trace_of(tmp_path / "a.npz")
    runs = [
        run_of(sim, config, trace, tmp_path / name, f"system.processor.mlp={mlp}") for name, mlp in (("x", 1), ("y", 4))
    ]
    outcome = sim("compare", *runs, "--json", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["entries"][1]["ratios"]["time_s"] < 1


def test_other_accesses_and_configurations_are_not_compared(sim: Sim, config: Path, tmp_path: Path) -> None:
    first = run_of(sim, config, trace_of(tmp_path / "a.npz"), tmp_path / "x")
    other = run_of(sim, config, trace_of(tmp_path / "b.npz", 600), tmp_path / "y")
    outcome = sim("compare", first, other)
    assert outcome.code == 3
    assert "not the same workload: trace is" in outcome.err
    assert sim("compare", first, config).code == sim("compare", config, first).code == 2
    explained = sim("explain", first)
    assert explained.code == 2
    assert "no operators" in explained.err
    assert "sim compare" in explained.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--timeline",), 2, "--timeline: a run of memory accesses has no operators"),
        (("--set", "system.policy=nope"), 2, "--set system.policy: `system.policy`: there is no policy `nope`"),
        (("--set", "system.policies={}"), 2, "there are no policies"),
        (
            ("--workload", "accesses_kv_dense", "--set", "workload.llm.pool_blocks=1"),
            3,
            "--set workload.llm.pool_blocks:",
        ),
        (
            ("--workload", "accesses_kv_topk", "--set", "workload.llm.prompt_tokens=9"),
            3,
            "accesses_kv_topk.yaml:11:10: ",
        ),
        (("--set", "system.processor.ipc=1e-300"), 3, "time: the run takes longer than"),
    ],
)
def test_refusals(sim: Sim, config: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    outcome = sim("run", config, "--set", "workload.repeat=1", *arguments, "--out", tmp_path / "run")
    assert outcome.code == code
    assert said in outcome.err
    assert "Warning" not in outcome.err
    assert not (tmp_path / "run").exists()


def test_a_clock_past_all_picoseconds_is_refused(sim: Sim, repo_root: Path, tmp_path: Path) -> None:
    trace = trace_of(tmp_path / "a.npz", 2000, 2**50)
    part = repo_root / "hw_configs" / "parts" / "hpt.yaml"
    outcome = sim(
        "replay", part, trace, "--set", "arrivals=trace", "--set", "epoch_reads=100", "--out", tmp_path / "run"
    )
    assert outcome.code == 3
    assert "its clock runs for" in outcome.err


def test_what_there_is_is_listed(sim: Sim) -> None:
    assert "sql_store" in sim("list", "traces").out
    policies = sim("list", "policies").out
    assert all(f"\n{kind} " in policies for kind in ("anb", "damon", "m5", "no_migration", "on_touch", "oracle"))


def test_directories_differ_by_content_and_seed(config: Path, tmp_path: Path) -> None:
    trace = trace_of(tmp_path / "a.npz")
    first = plan_run(config, trace=trace).default_directory
    assert plan_run(config, trace=trace, seed=2).default_directory != first
    trace.unlink()
    assert plan_run(config, trace=trace_of(trace)).default_directory == first
    trace.unlink()
    assert plan_run(config, trace=trace_of(trace, 501)).default_directory != first


def test_a_trace_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = trace_of(tmp_path / "a.npz")

    class Changing(AccessFile):
        def checksum(self) -> str:
            self.path.write_bytes(self.path.read_bytes() + b"\0")
            return super().checksum()

    monkeypatch.setattr(access_reading, "AccessFile", Changing)
    with pytest.raises(WorkloadError, match="changed while it was read"):
        read_accesses(trace)
