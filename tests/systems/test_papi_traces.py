"""Traces and drawn lengths on machines with attention stacks, through the command: what ran where, and what it cost."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import simulator

RunJson = Callable[..., dict[str, Any]]
TINY = {"workload.overrides.n_layers": 2}
REQUESTS = [(0, 100, 20), (50, 300, 5), (60, 10, 30), (100, 1500, 3), (4000, 64, 64), (4001, 64, 1)]
N_OUTPUT = sum(request[2] for request in REQUESTS)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Six requests: a burst, then two."""
    path = tmp_path / "mini.csv"
    lines = [f"2024-01-01 00:00:{ms / 1000:010.7f},{prompt},{output}" for ms, prompt, output in REQUESTS]
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def iterations(tmp_path: Path, run: int = 0) -> list[dict[str, str]]:
    """The table of iterations of the run with this number."""
    with (tmp_path / f"run{run}" / "iterations.csv").open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


@pytest.mark.parametrize(
    ("config", "sets"),
    [
        ("attacc", {}),
        ("attacc", {"system.variant": "dgx"}),
        ("attacc", {"system.variant": "dgx-cpu"}),
        ("attacc", {"system.accounting": "corrected", "system.detail": "full"}),
        ("papi", {}),
        ("papi", {"serving.batching": "continuous"}),
        ("papi", {"serving.batching": "continuous", "serving.speculation_length": 4, "serving.acceptance": 0.7}),
        ("papi", {"system.design": "attacc-only"}),
        ("papi", {"system.design": "a100-hbm-pim", "serving.batching": "continuous"}),
    ],
)
def test_a_trace_is_served(trace: Path, run_json: RunJson, config: str, sets: dict[str, object]) -> None:
    model = {"workload.model": "llama-65b", **TINY}
    metrics = run_json(config, {**model, **sets}, "--trace", trace)["metrics"]
    assert metrics["n_requests"] == len(REQUESTS)
    given = metrics["output_tokens_per_s"] * metrics["makespan_s"]
    assert given == pytest.approx(N_OUTPUT, rel=1e-6)
    assert metrics["energy_j"] > 0


def test_a_trace_sets_the_lengths_of_the_configuration_aside(trace: Path, repo_root: Path) -> None:
    sets = {"workload.overrides.n_layers": 2}
    run = simulator.run(repo_root / "hw_configs" / "papi.yaml", sets, trace=trace)
    assert any("not the configuration's (dolly_creative_writing)" in note for note in run.notes)


def test_lengths_asked_for_beside_a_trace(trace: Path, sim: Callable[..., Any], repo_root: Path) -> None:
    config = repo_root / "hw_configs" / "papi.yaml"
    said = sim("run", config, "--trace", trace, "--set", "workload.lengths=dolly_creative_writing", "--json")
    assert said.code == 2
    assert "a trace brings its own lengths" in said.err


DRAWN = {**TINY, "workload.batch": 8, "workload.requests": 8}


def test_the_scheduler_logs_what_it_saw(tmp_path: Path, run_json: RunJson) -> None:
    """RLP falls as sequences end, TLP stays; the unit is the threshold's choice at every iteration of decodes."""
    result = run_json("papi", {**DRAWN, "system.scheduler.alpha": 8, "serving.speculation_length": 2})
    rows = iterations(tmp_path)
    assert rows[0]["placement"] == "gpu"  # prompts
    passes = rows[1:]
    rlp = [int(row["rlp"]) for row in passes]
    assert rlp[0] == 8
    assert rlp == sorted(rlp, reverse=True)
    assert rlp[-1] == 1
    for row in passes:
        # A sequence that lacks one token brings no guess.
        assert int(row["tlp"]) <= 2
        assert int(row["rlp_x_tlp"]) == int(row["rlp"]) * int(row["tlp"])
        assert row["placement"] == ("gpu" if int(row["rlp_x_tlp"]) > 8 else "pim")
    units = [row["placement"] for row in rows]
    assert {"gpu", "pim"} == set(units)
    assert result["metrics"]["n_switches"] == sum(one != other for one, other in pairwise(units))


def test_the_estimate_falls_by_the_sequences_that_finished(tmp_path: Path, run_json: RunJson) -> None:
    """Stage two: RLP of an iteration is that of the one before, less the ends counted in it; nothing is refilled."""
    run_json("papi", {**DRAWN, "workload.requests": 16})
    rows = iterations(tmp_path)
    for before, after in pairwise(rows):
        if int(before["n_prompts"]):
            assert int(after["rlp"]) == int(before["n_prompts"]) - int(before["finished"])
        elif int(before["rlp"]) > int(before["finished"]):
            assert int(after["rlp"]) == int(before["rlp"]) - int(before["finished"])
        else:
            assert int(after["n_prompts"]) == 8
    assert sum(int(row["finished"]) for row in rows) == 16


def test_a_switch_costs_what_it_is_said_to_once_each(run_json: RunJson) -> None:
    free, dear = (
        run_json("papi", {**DRAWN, "system.scheduler.alpha": 4, "system.scheduler.switch": cost})["metrics"]
        for cost in ("0 ps", "3 ms")
    )
    assert free["n_switches"] == dear["n_switches"] >= 1
    assert dear["makespan_s"] - free["makespan_s"] == pytest.approx(dear["n_switches"] * 3e-3, rel=1e-9)


@pytest.mark.parametrize(("alpha", "unit"), [(0, "gpu"), (1e9, "pim")])
def test_a_threshold_that_never_moves(alpha: float, unit: str, tmp_path: Path, run_json: RunJson) -> None:
    run_json("papi", {**DRAWN, "system.scheduler.alpha": alpha})
    rows = iterations(tmp_path)
    assert rows[0]["placement"] == "gpu"
    assert {row["placement"] for row in rows[1:]} == {unit}
    run_json("papi", {**DRAWN, "system.fc_unit": unit})
    assert [row["time_ms"] for row in iterations(tmp_path, 1)] == [row["time_ms"] for row in rows]


def test_the_sweep_behind_alpha_is_written(tmp_path: Path, run_json: RunJson) -> None:
    run_json("papi", DRAWN)
    with (tmp_path / "run0" / "alpha_sweep.csv").open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    chosen = [row["chosen"] for row in rows]
    assert chosen == sorted(chosen, reverse=True)  # pim, then gpu
    for row in rows:
        assert row["chosen"] == ("pim" if float(row["fc_pim_us"]) <= float(row["fc_gpu_us"]) else "gpu")
    last = max(int(row["rlp_x_tlp"]) for row in rows if row["chosen"] == "pim")
    assert any(int(row["rlp_x_tlp"]) == last + 1 for row in rows)


def test_the_same_seed_gives_the_same_run(run_json: RunJson) -> None:
    first, second, other = (run_json("papi", {**DRAWN, "run.seed": seed})["metrics"] for seed in (3, 3, 4))
    assert first == second
    assert first["makespan_s"] != other["makespan_s"]
