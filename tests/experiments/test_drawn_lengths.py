"""Length sets, static batches and speculation through the public commands, on the H200 of the shipped configuration."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

TINY = ("workload.model=llama2-7b", "workload.overrides.n_layers=2")
DRAWN = (*TINY, "workload.lengths=dolly_creative_writing", "workload.batch=8")


@pytest.fixture
def run(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim) -> Any:
    """Run a command on a configuration of ours; gives its JSON, or what it says on stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, sets: tuple[str, ...] = DRAWN, verb: str = "run", config: str = "gpu_h200", code: int = 0):
        options = [word for text in sets for word in ("--set", text)]
        target = [str(repo_root / "hw_configs" / f"{config}.yaml")] if config else []
        outcome = sim(verb, *target, *words, *options, "--json")
        assert outcome.code == code, outcome.err
        return json.loads(outcome.out) if code == 0 else outcome.err

    return call


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_drawn_batch_runs_to_its_end(run: Any) -> None:
    found = run("--out", "a")
    metrics, requests, iterations = found["metrics"], rows_of("a/requests.csv"), rows_of("a/iterations.csv")
    assert list(iterations[0]) == [
        "iteration", "start_ms", "time_ms", "rlp", "tlp", "rlp_x_tlp", "n_prompts", "prompt_tokens", "tokens",
        "finished", "placement", "energy_mj",
    ]  # fmt: skip
    outputs = [int(row["output_tokens"]) for row in requests]
    assert len(outputs) == metrics["n_requests"] == 8
    rlp = [int(row["rlp"]) for row in iterations[1:]]
    assert rlp == [sum(output - 1 >= n for output in outputs) for n in range(1, max(outputs))]
    assert metrics["n_iterations"] == len(iterations) == max(outputs)
    assert sum(int(row["tokens"]) for row in iterations) == sum(outputs)
    assert sum(int(row["finished"]) for row in iterations) == 8
    assert {row["tlp"] for row in iterations[1:]} == {"1"}
    assert metrics["prefill_time_s"] + metrics["decode_time_s"] == pytest.approx(metrics["makespan_s"])
    decode_ms = sum(float(row["time_ms"]) for row in iterations[1:])
    assert metrics["decode_time_s"] == pytest.approx(decode_ms / 1e3)
    assert metrics["time_per_token_ms"] == pytest.approx(decode_ms / (sum(outputs) - 8))
    assert run("--out", "b")["metrics"] == metrics
    assert run(sets=(*DRAWN, "run.seed=2"))["metrics"]["n_iterations"] != metrics["n_iterations"]


def test_several_batches_follow_each_other(run: Any) -> None:
    metrics = run("--out", "a", sets=(*DRAWN, "workload.requests=20"))["metrics"]
    prompts = [int(row["n_prompts"]) for row in rows_of("a/iterations.csv")]
    assert [n for n in prompts if n] == [8, 8, 4]
    outputs = [int(row["output_tokens"]) for row in rows_of("a/requests.csv")]
    assert metrics["n_iterations"] == sum(max(outputs[first : first + 8]) for first in (0, 8, 16))
    refilled = run(sets=(*DRAWN, "workload.requests=20", "serving.batching=continuous"))["metrics"]
    assert refilled["makespan_s"] < metrics["makespan_s"]
    assert refilled["batch_sequences_max"] == 8


def test_speculation_takes_fewer_passes(run: Any) -> None:
    one = run("--out", "one")["metrics"]
    outputs = [int(row["output_tokens"]) for row in rows_of("one/requests.csv")]
    four = run("--out", "four", sets=(*DRAWN, "serving.speculation_length=4"))["metrics"]
    assert four["n_iterations"] == 1 + max(math.ceil((output - 1) / 4) for output in outputs)
    assert 3 < one["decode_time_s"] / four["decode_time_s"] < 4.2
    iterations = rows_of("four/iterations.csv")
    assert iterations[1]["rlp_x_tlp"] == "32"
    assert sum(int(row["tokens"]) for row in iterations) == sum(outputs)
    assert "all are accepted" in Path("four/report.html").read_text(encoding="utf-8")
    for model in ("expected", "sampled"):
        sets = (*DRAWN, "serving.speculation_length=4", "serving.acceptance=0.7", f"serving.acceptance_model={model}")
        metrics = run(sets=sets)["metrics"]
        assert metrics["tokens_given_mean"] == pytest.approx((1 - 0.7**4) / 0.3, rel=0.08)
        assert four["decode_time_s"] < metrics["decode_time_s"] < one["decode_time_s"]
        slow = run(sets=(*sets, "serving.draft_time=1 ms", "serving.draft_energy=2 mJ"))
        assert slow["metrics"]["decode_time_s"] > metrics["decode_time_s"] + 2.5e-3 * metrics["n_passes"]
        assert "draft_model" in slow["breakdown"]["iteration_time_by_operator_ms"]


def test_runs_are_explained_compared_and_checked(run: Any, repo_root: Path) -> None:
    sets = (*DRAWN, "serving.speculation_length=2", "serving.draft_time=20 us")
    made = run("--out", "a", sets=sets)
    found = run("a", "--sensitivity", "10", verb="explain", config="", sets=())
    assert found["metrics"]["latency_ms"] == pytest.approx(made["metrics"]["makespan_s"] * 1e3)
    assert found["metrics"]["n_steps"] == made["metrics"]["n_iterations"]
    assert "draft_model" in [row["operator"] for row in found["operators"]]
    h100 = str(repo_root / "hw_configs" / "gpu_a100_80.yaml")
    first, second = run("a", h100, verb="compare", config="", sets=())["entries"]
    assert first["metrics"]["n_iterations"] == second["metrics"]["n_iterations"]
    assert first["metrics"]["decode_time_s"] < second["metrics"]["decode_time_s"]
    Path("mine.yaml").write_text(
        f"extends: {repo_root}/hw_configs/gpu_h200.yaml\nworkload: {{lengths: dolly_general_qa, batch: 4}}\n"
    )
    checked = run("mine.yaml", verb="check", config="", sets=())
    assert checked["breakdown"]["capacity"]["requests drawn"] == 4


def test_a_pipeline_serves_drawn_lengths_in_slots(run: Any) -> None:
    found = run("--out", "a", config="cent", sets=(*DRAWN, "serving.speculation_length=2"))
    assert found["metrics"]["n_requests"] == 8
    assert "serving.speculation_length" in Path("a/report.html").read_text(encoding="utf-8")


def test_a_uniform_query_verifies_too(run: Any) -> None:
    shape = (*TINY, "workload.batch=4", "workload.prompt_tokens=100", "workload.output_tokens=10")
    one = run(sets=(*shape, "workload.context_step=1"))["metrics"]
    assert one["prefill_ms"] == one["ttft_ms"]
    assert one["decode_ms_per_step"] == pytest.approx(one["tpot_ms"])
    assert one["decode_ms_per_step"] == pytest.approx(one["decode_latency_s"] * 1e3 / 9)
    assert one["energy_mj_per_step"] == pytest.approx(4 * one["decode_energy_mj_per_token"])
    sets = (*shape, "serving.speculation_length=4", "workload.context_step=1")
    four = run("--timeline", sets=sets)["metrics"]
    assert four["decode_ms_per_step"] == pytest.approx(four["decode_latency_s"] * 1e3 / 3)  # 4, 4 and 1 tokens
    assert four["tpot_ms"] == pytest.approx(four["decode_latency_s"] * 1e3 / 9)
    steps = [
        run(sets=(*TINY, "workload.batch=4", "workload.phase=decode", f"workload.context={context}", *more))
        for context, more in (
            (104, ("serving.speculation_length=4",)), (108, ("serving.speculation_length=4",)), (109, ())
        )
    ]  # fmt: skip
    total_ms = sum(step["metrics"]["step_time_ms"] for step in steps)
    assert four["decode_latency_s"] == pytest.approx(total_ms / 1e3)
    refused = run(sets=(*sets, "serving.acceptance=0.5", "serving.acceptance_model=sampled"), code=2)
    assert "do not stay equal" in refused
    assert run(sets=(*sets, "serving.acceptance=0.5"))["metrics"]["tpot_ms"] > four["tpot_ms"]


def test_a_verifying_step_reads_its_cache_once(run: Any) -> None:
    step = (*TINY, "workload.batch=64", "workload.phase=decode", "workload.context=8000")
    one = run(sets=step)["metrics"]["step_time_ms"]
    four = run(sets=(*step, "serving.speculation_length=4"))["metrics"]["step_time_ms"]
    assert one < four < 1.5 * one


def test_bytes_per_element(run: Any) -> None:
    shape = (*TINY, "workload.output_tokens=4")
    two, plain = run(sets=(*shape, "workload.bytes_per_element=2")), run(sets=shape)
    assert two["metrics"] == plain["metrics"]
    one = run(sets=(*shape, "workload.bytes_per_element=1"))["metrics"]
    assert one["decode_ms_per_step"] < plain["metrics"]["decode_ms_per_step"]
    bits = ("workload.overrides.weight_bits=8", "workload.overrides.act_bits=8", "workload.overrides.kv_bits=8")
    assert run(sets=(*shape, *bits))["metrics"] == one
    refused = run(sets=(*shape, "workload.bytes_per_element=2", bits[2]), code=2)
    assert "both say how wide an element is" in refused


@pytest.mark.parametrize(
    ("sets", "code", "message"),
    [
        (("serving.speculation_length=0",), 2, "above 0"),
        (("serving.speculation_length=17",), 2, "at most 16"),
        (("serving.acceptance=-0.1",), 2, "at least 0"),
        (("serving.acceptance=1.1",), 2, "at most 1"),
        (("serving.acceptance_model=expcted",), 2, "did you mean `expected`"),
        (("serving.batching=statik",), 2, "did you mean `static`"),
        (("serving.draft_time=-1 ms",), 2, "serving.draft_time"),
        (("workload.lengths=dolly_creative",), 3, "did you mean `dolly_creative_writing`"),
        (("workload.batch=300",), 2, "serving.max_num_seqs=300"),
        (("workload.requests=0",), 2, "workload.requests"),
        (("workload.lengths=null", "workload.requests=4"), 2, "drawn from a length set"),
        (("workload.phase=decode", "workload.context=9"), 2, "whole queries"),
        (("workload.lengths=null", "workload.phase=decode", "workload.context=3", "serving.speculation_length=4"), 3,
         "context beyond them"),
    ],
)  # fmt: skip
def test_what_cannot_be(sets: tuple[str, ...], code: int, message: str, run: Any) -> None:
    assert message in run(sets=(*DRAWN, *sets), code=code)


def test_a_trace_has_lengths_of_its_own(run: Any, repo_root: Path) -> None:
    trace = str(repo_root / "traces" / "conversation_2k.csv")
    assert "brings its own lengths" in run("--trace", trace, code=2)
    found = run("--trace", trace, "--requests", "30", "--out", "t", sets=(*TINY, "serving.batching=static"))
    assert found["metrics"]["n_requests"] == 30
    assert "prefill_time_s" in found["metrics"]


def test_a_long_log_is_left_out(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.experiments.trace_batches.MAX_LISTED", 10)
    run("--out", "a")
    assert not Path("a/iterations.csv").exists()
    assert "iterations.csv is written for up to 10 iterations" in Path("a/report.html").read_text(encoding="utf-8")


def test_lengths_of_a_set_go_over_those_of_the_file(sim, repo_root) -> None:
    folder = repo_root / "hw_configs"
    drawn = ("--set", "workload.lengths=dolly_general_qa", "--set", "workload.context_step=128")
    outcome = sim("run", str(folder / "attacc.yaml"), *drawn, "--set", "workload.batch=2", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    outcome = sim("run", str(folder / "attacc.yaml"), *drawn, "--set", "workload.prompt_tokens=9")
    assert outcome.code == 2
    assert "workload.lengths draws them" in outcome.err


def test_a_trace_goes_over_lengths_of_the_file(sim, repo_root) -> None:
    trace = ("--trace", str(repo_root / "traces" / "conversation_2k.csv"), "--requests", "2")
    sets = ("--set", "workload.context_step=512", "--set", "system.design=a100-attacc")
    outcome = sim("run", str(repo_root / "hw_configs" / "papi.yaml"), *trace, *sets, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    outcome = sim(
        "run", str(repo_root / "hw_configs" / "papi.yaml"), *trace, "--set", "workload.lengths=dolly_general_qa"
    )
    assert outcome.code == 2
    assert "a trace brings its own lengths" in outcome.err


def test_papi_says_its_threshold(sim, repo_root) -> None:
    sets = (
        "--set",
        "workload.lengths=dolly_general_qa",
        "--set",
        "workload.batch=2",
        "--set",
        "system.scheduler.alpha=3",
    )
    outcome = sim("run", str(repo_root / "hw_configs" / "papi.yaml"), *sets)
    assert outcome.code == 0
    assert "above alpha = 3 (given)" in " ".join(outcome.out.split())
