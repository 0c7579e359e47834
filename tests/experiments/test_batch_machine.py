"""A machine that takes batches, through the public commands: a step, a query, requests over time, and what explains
them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.workload.catalog import load_model
from tests.roofline_page import install

TINY = ("workload.model=llama3-8b", "workload.overrides.n_layers=2")
QUERY = (*TINY, "workload.phase=null", "workload.context=null")
REQUESTS = [(0.0, 100, 20), (0.001, 300, 1), (0.0011, 50, 40), (0.2, 700, 5), (0.2, 10, 30)]


@pytest.fixture
def run(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim) -> Any:
    """Run a command on the machine of the page; gives its JSON."""
    install(repo_root, tmp_path, monkeypatch)
    lines = [f"2023-11-16 00:00:{second:010.7f},{prompt},{output}" for second, prompt, output in REQUESTS]
    Path("trace.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(lines) + "\n")

    def call(verb: str, *words: str, sets: tuple[str, ...] = QUERY, code: int = 0) -> Any:
        options = [word for text in sets for word in ("--set", text)]
        outcome = sim(verb, *words, *options, "--json")
        assert outcome.code == code, outcome.err
        return json.loads(outcome.out) if code == 0 else outcome.err

    return call


def test_a_query_is_a_prefill_and_decodes(run: Any) -> None:
    shape = ("workload.batch=4", "workload.prompt_tokens=64", "workload.output_tokens=5")
    found = run("run", "roofline.yaml", sets=(*QUERY, *shape, "workload.context_step=1"))["metrics"]
    steps = [
        run(
            "run", "roofline.yaml", sets=(*TINY, "workload.batch=4", f"workload.phase={phase}", f"workload.context={n}")
        )
        for phase, n in [("prefill", 64), ("decode", 65), ("decode", 66), ("decode", 67), ("decode", 68)]
    ]
    times_ms = [step["metrics"]["step_time_ms"] for step in steps]
    assert found["ttft_ms"] == pytest.approx(times_ms[0])
    assert found["prefill_latency_s"] == pytest.approx(times_ms[0] / 1e3)
    assert found["decode_latency_s"] == pytest.approx(sum(times_ms[1:]) / 1e3)
    assert found["query_latency_s"] == pytest.approx(sum(times_ms) / 1e3)
    assert found["tpot_ms"] == pytest.approx(sum(times_ms[1:]) / 4)
    assert found["queries_in_flight"] == 4
    assert found["prefill_throughput_tokens_per_s"] == pytest.approx(4 * 64 / times_ms[0] * 1e3)
    assert found["decode_throughput_tokens_per_s"] == pytest.approx(4 * 4 / sum(times_ms[1:]) * 1e3)
    assert found["throughput_tokens_per_s"] == pytest.approx(4 * 69 / sum(times_ms) * 1e3)
    energy_mj = [
        step["metrics"]["energy_mj_per_token"] * n for step, n in zip(steps, [4 * 64, 4, 4, 4, 4], strict=True)
    ]
    assert found["energy_mj_per_token"] == pytest.approx(sum(energy_mj) / (4 * 69))
    assert found["power_w"] == pytest.approx(sum(energy_mj) / sum(times_ms))


def test_sampling_never_charges_less(run: Any) -> None:
    shape = (*QUERY, "workload.prompt_tokens=200", "workload.output_tokens=300")
    exact, sampled = (
        run("run", "roofline.yaml", sets=(*shape, f"workload.context_step={step}"))["metrics"] for step in (1, 128)
    )
    assert exact["decode_latency_s"] < sampled["decode_latency_s"] < 1.05 * exact["decode_latency_s"]
    assert exact["ttft_ms"] == sampled["ttft_ms"]
    refused = run(
        "run", "roofline.yaml", sets=(*QUERY, "workload.output_tokens=20000", "workload.context_step=1"), code=3
    )
    assert "workload.context_step=2" in refused


def test_one_output_token_has_no_decode(run: Any) -> None:
    found = run("run", "roofline.yaml", "--timeline", sets=(*QUERY, "workload.output_tokens=1"))["metrics"]
    assert found["decode_latency_s"] == 0
    assert "decode_power_w" not in found
    assert "tpot_ms" not in found
    run("explain", "roofline.yaml", "--sensitivity", "10", sets=(*QUERY, "workload.output_tokens=1"))


def test_a_trace_is_served_in_batches(run: Any) -> None:
    found = run("run", "roofline.yaml", "--trace", "trace.csv", "--timeline", "--out", "t")
    metrics = found["metrics"]
    assert metrics["n_requests"] == len(REQUESTS)
    assert metrics["n_iterations"] >= 40
    assert metrics["batch_sequences_max"] >= 2
    assert 0 < metrics["busy_frac"] < 1
    assert Path("t/timeline.pftrace").stat().st_size > 1000
    energy = found["breakdown"]["energy_by_part_j"]
    assert metrics["energy_j"] == pytest.approx(sum(energy.values()))
    times = found["breakdown"]["time_by_kind_s"]
    assert sum(times.values()) == pytest.approx(metrics["makespan_s"])
    assert energy["idle"] == pytest.approx(90 * times["idle"])
    with Path("t/requests.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(int(row["prompt_tokens"]), int(row["output_tokens"])) for row in rows] == [row[1:] for row in REQUESTS]
    assert sum(float(row["energy_mj"]) for row in rows) == pytest.approx(energy["iterations"] * 1e3)


@pytest.mark.parametrize("prefill", ["mixed", "separate"])
def test_the_serving_section_says_how(prefill: str, run: Any) -> None:
    sets = (*QUERY, f"serving.prefill={prefill}", "serving.max_num_seqs=2", "serving.max_num_batched_tokens=64")
    found = run("run", "roofline.yaml", "--trace", "trace.csv", sets=sets)
    assert found["metrics"]["batch_sequences_max"] <= 2
    assert (found["breakdown"]["time_by_kind_s"]["prompts and decodes"] > 0) == (prefill == "mixed")


def test_what_does_not_fit_is_refused(run: Any) -> None:
    model = load_model("llama3-8b").replace(n_layers=2)
    small = (*QUERY, f"system.capacity={model.weight_bytes + 500 * model.kv_bytes_per_token} B")
    refused = run("run", "roofline.yaml", "--trace", "trace.csv", sets=small, code=4)
    assert "trace.csv:5: request 3 is too long even for an empty machine" in refused
    assert "bytes missing" in refused
    refused = run("run", "roofline.yaml", sets=small, code=4)
    assert "bytes too many" in refused
    assert run("check", "roofline.yaml", sets=())["breakdown"]["capacity"]["queries in flight"] == 16


def test_runs_are_explained(run: Any) -> None:
    made = run("run", "roofline.yaml", "--trace", "trace.csv", "--out", "t")
    found = run("explain", "t", "--sensitivity", "10", sets=())
    busy_ms = made["metrics"]["busy_frac"] * made["metrics"]["makespan_s"] * 1e3
    assert found["metrics"]["latency_ms"] == pytest.approx(busy_ms)
    assert found["metrics"]["n_steps"] == made["metrics"]["n_iterations"]
    assert found["metrics"]["n_in_flight"] == round(made["metrics"]["batch_sequences_mean"])
    assert any(limit.startswith("busy for") for limit in found["limits"])
    assert found["sensitivity"]["scope"].startswith("one decode step of")
    query = run("run", "roofline.yaml", "--out", "q")
    found = run("explain", "q", sets=())
    assert found["metrics"]["latency_ms"] == pytest.approx(query["metrics"]["query_latency_s"] * 1e3)
    assert found["metrics"]["n_in_flight"] == 16
    assert any("16 queries of 4,096 positions fit" in limit for limit in found["limits"])
    assert {row["bound"] for row in found["operators"]} == {"memory", "compute"}
    step = run("explain", "roofline.yaml", sets=TINY)
    assert step["metrics"]["n_in_flight"] == 16


def test_runs_are_compared(run: Any, repo_root: Path) -> None:
    run("run", "roofline.yaml", "--trace", "trace.csv", "--out", "t")
    found = run("compare", "t", "roofline.yaml", sets=("system.memory=6700 GB/s",))
    first, second = found["entries"]
    assert second["metrics"]["ttft_ms_p50"] <= first["metrics"]["ttft_ms_p50"]
    assert second["operators_ms"]["lm_head"] < first["operators_ms"]["lm_head"]
    cent = str(repo_root / "hw_configs" / "cent.yaml")
    sets = ("workload.model=llama2-7b", "workload.overrides.n_layers=2", "workload.output_tokens=64")
    found = run("compare", cent, "roofline.yaml", sets=sets)
    ours, theirs = (set(entry["metrics"]) for entry in found["entries"])
    shared = {f"{phase}{name}" for phase in ("", "prefill_", "decode_") for name in ("power_w", "energy_mj_per_token")}
    assert shared | {"query_latency_s", "token_latency_ms", "queries_in_flight"} <= ours & theirs


def test_error_bars(run: Any) -> None:
    for folder, words in (("query", ()), ("trace", ("--trace", "trace.csv"))):
        sets = (*QUERY, "run.error_bars=true", "workload.output_tokens=16")
        run("run", "roofline.yaml", *words, "--out", folder, sets=sets)
        assert "Each parameter that states a range" in Path(folder, "report.html").read_text(encoding="utf-8")


def test_slots_say_what_they_do_not_use(run: Any, repo_root: Path) -> None:
    sets = ("workload.model=llama2-7b", "workload.overrides.n_layers=2", "serving.max_num_seqs=4")
    run("run", str(repo_root / "hw_configs" / "cent.yaml"), "--trace", "trace.csv", "--out", "slots", sets=sets)
    assert "serving.max_num_seqs: for machines that take batches" in Path("slots/report.html").read_text()
