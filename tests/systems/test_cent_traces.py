"""CENT serving requests, and single steps, through the public commands."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]
SEVEN = {"workload.model": "llama2-7b", "system.n_devices": 8}


def azure(path: Path, requests: Sequence[tuple[float, int, int]]) -> Path:
    """A trace in the Azure form: (arrival in s, prompt tokens, output tokens)."""
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for arrival, prompt, output in requests:
        seconds = f"{int(arrival) % 60:02d}.{round(arrival % 1 * 1e7):07d}"
        lines.append(f"2024-01-01 00:{int(arrival) // 60:02d}:{seconds},{prompt},{output}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def serve(run_json: Call, tmp_path: Path) -> Call:
    """Serve requests on CENT with Llama2-7B."""

    def call(requests: Sequence[tuple[float, int, int]], config: str = "cent", **sets: object) -> dict[str, Any]:
        trace = azure(tmp_path / "trace.csv", requests)
        changes = {**SEVEN, **{path.replace("__", "."): value for path, value in sets.items()}}
        return run_json(config, changes, "--trace", trace)

    return call


@pytest.mark.parametrize("config", ["cent", "cent_corrected"])
@pytest.mark.parametrize(("prompt", "output"), [(512, 1536), (100, 1), (1, 1000), (129, 300)])
def test_a_request_alone_is_a_query(prompt: int, output: int, config: str, serve: Call, run_json: Call) -> None:
    """Alone in the machine, a request takes exactly what a query of its lengths takes."""
    served = serve([(0.0, prompt, output)], config, workload__context_step=128)["metrics"]
    lengths = {"workload.prompt_tokens": prompt, "workload.output_tokens": output, "workload.context_step": 128}
    query = run_json(config, {**SEVEN, **lengths})["metrics"]
    assert served["e2e_ms_mean"] == pytest.approx(query["query_latency_s"] * 1e3, rel=1e-12)
    assert served["makespan_s"] == pytest.approx(query["query_latency_s"], rel=1e-12)
    if output == 1:
        assert served["ttft_ms_mean"] == pytest.approx(served["e2e_ms_mean"], rel=1e-12)
        assert "tpot_ms_mean" not in served
    else:
        last = served["e2e_ms_mean"] - served["ttft_ms_mean"]
        assert served["tpot_ms_mean"] == pytest.approx(last / (output - 1), rel=1e-9)
    assert served["queueing_ms_mean"] == 0


def test_requests_that_do_not_meet_do_not_notice_each_other(serve: Call) -> None:
    alone = serve([(0.0, 300, 40)])["metrics"]
    both = serve([(0.0, 300, 40), (30.0, 300, 40)])["metrics"]
    assert both["e2e_ms_p99"] == pytest.approx(alone["e2e_ms_mean"], rel=1e-12)
    assert both["n_requests"] == 2
    assert both["makespan_s"] == pytest.approx(30 + alone["makespan_s"], rel=1e-9)


def test_published_slots_are_independent_and_corrected_ones_wait(serve: Call) -> None:
    """A short request beside a long one: at its own pace as published, at the slowest stage's when corrected."""
    long, short = (0.0, 3000, 500), (0.5, 20, 20)
    figures: dict[str, list[float]] = {}
    for config in ("cent", "cent_corrected"):
        alone = serve([short], config)["metrics"]["e2e_ms_mean"]
        both = serve([long, short], config)["metrics"]
        longest = serve([long], config)["metrics"]["e2e_ms_mean"]
        figures[config] = [2 * both["e2e_ms_mean"] - longest, alone]
    assert figures["cent"][0] == pytest.approx(figures["cent"][1], rel=1e-6)
    assert figures["cent_corrected"][0] > figures["cent_corrected"][1] * 1.001


def test_a_full_machine_queues(serve: Call) -> None:
    """33 requests at once in 32 slots: the last waits for the first to leave."""
    one = serve([(0.0, 64, 64)])["metrics"]["e2e_ms_mean"]
    full = serve([(0.0, 64, 64)] * 32)["metrics"]
    over = serve([(0.0, 64, 64)] * 33)["metrics"]
    assert full["e2e_ms_p99"] == pytest.approx(one, rel=1e-9)
    assert full["queue_length_max"] == 0
    assert over["makespan_s"] == pytest.approx(2 * one / 1e3, rel=1e-9)
    assert over["queue_length_max"] == 1


@pytest.mark.parametrize("config", ["cent", "cent_corrected"])
def test_requests_tokens_and_energy_are_conserved(config: str, serve: Call) -> None:
    requests = [(index * 0.05, 50 + 37 * index % 900, 1 + 11 * index % 60) for index in range(40)]
    result = serve(requests, config)
    metrics = result["metrics"]
    rows = list(csv.DictReader((Path(result["run_dir"]) / "requests.csv").open(encoding="utf-8")))
    assert [(int(row["prompt_tokens"]), int(row["output_tokens"])) for row in rows] == [r[1:] for r in requests]
    n_tokens = sum(prompt + output for _, prompt, output in requests)
    assert metrics["throughput_tokens_per_s"] * metrics["makespan_s"] == pytest.approx(n_tokens)
    assert metrics["energy_j"] == pytest.approx(metrics["power_w"] * metrics["makespan_s"])
    dynamic_j = sum(float(row["energy_mj"]) for row in rows) / 1e3
    parts = result["breakdown"]["energy_by_part_j"]
    assert parts["tokens"] == pytest.approx(dynamic_j)
    assert parts["tokens"] + parts["idle"] == pytest.approx(metrics["energy_j"])
    assert all(float(row["ttft_ms"]) <= float(row["e2e_ms"]) * (1 + 1e-12) for row in rows)
    assert 0 < metrics["slot_utilisation_frac"] <= 1
    assert metrics["served_load_frac"] <= metrics["slot_utilisation_frac"] * (1 + 1e-12)


def test_corrected_serves_no_faster(serve: Call) -> None:
    requests = [(index * 0.1, 400, 100) for index in range(60)]
    published, corrected = (serve(requests, config)["metrics"] for config in ("cent", "cent_corrected"))
    for name in ("e2e_ms_mean", "ttft_ms_mean", "tpot_ms_mean", "makespan_s", "energy_j"):
        assert corrected[name] >= published[name]


# --- capacity


def test_a_request_that_can_never_fit_is_refused_by_its_line(
    sim: Callable[..., Any], repo_root: Path, tmp_path: Path
) -> None:
    trace = azure(tmp_path / "trace.csv", [(0.0, 100, 10), (1.0, 400_000, 10)])
    config = repo_root / "hw_configs" / "cent_corrected.yaml"
    sets = ("--set", "workload.model=llama2-7b", "--set", "system.n_devices=8")
    outcome = sim("run", config, *sets, "--trace", trace, "--json", "--out", tmp_path / "run")
    assert outcome.code == 4, outcome
    assert f"{trace}:3" in outcome.err
    assert "bytes" in outcome.err
    assert outcome.out == ""
    assert not (tmp_path / "run").exists()


def test_published_reports_what_does_not_fit(serve: Call) -> None:
    metrics = serve([(0.0, 40_000, 10)] * 12, workload__context_step=4096)["metrics"]
    assert metrics["kv_overshoot_tokens"] == metrics["kv_peak_tokens"] - metrics["kv_capacity_tokens"] > 0
    assert metrics["kv_overshoot_bytes"] > 0


def test_a_query_beyond_the_room(sim: Callable[..., Any], repo_root: Path, tmp_path: Path) -> None:
    long = ("--set", "workload.output_tokens=60000", "--set", "workload.context_step=8192", "--out")
    refused = sim("run", repo_root / "hw_configs" / "cent_corrected.yaml", *long, tmp_path / "a", "--json")
    assert refused.code == 4
    assert "bytes" in refused.err
    assert "remedy" in refused.err
    assert not (tmp_path / "a").exists()
    told = sim("run", repo_root / "hw_configs" / "cent.yaml", *long, tmp_path / "b", "--no-report")
    assert told.code == 0
    assert "overfill" in told.out
    switched = ("--set", "system.capacity=report")
    assert sim("run", repo_root / "hw_configs" / "cent_corrected.yaml", *switched, *long, tmp_path / "c").code == 0
    switched = ("--set", "system.capacity=enforce")
    assert sim("run", repo_root / "hw_configs" / "cent.yaml", *switched, *long, tmp_path / "d").code == 4


@pytest.mark.parametrize("scope", ["block", "token"])
def test_a_token_needs_room_for_one_query_only(scope: str, run_json: Call) -> None:
    sets = {"workload.scope": scope, "workload.context": 30976}
    assert run_json("cent_corrected", sets)["metrics"]["token_latency_ms"] > 0


# --- a step


@pytest.mark.parametrize("config", ["cent", "cent_corrected"])
def test_decoding_one_sequence_is_a_token(config: str, run_json: Call) -> None:
    step = run_json(config, {**SEVEN, "workload.phase": "decode", "workload.context": 700})["metrics"]
    token = run_json(config, {**SEVEN, "workload.scope": "token", "workload.context": 700})["metrics"]
    assert step["step_time_ms"] == token["token_latency_ms"]


def test_steps_of_a_batch_are_pipelined(run_json: Call) -> None:
    sets = {**SEVEN, "workload.phase": "decode", "workload.context": 700}
    times = {n: run_json("cent", {**sets, "workload.batch": n})["metrics"]["step_time_ms"] for n in (1, 2, 32, 64)}
    block = run_json("cent", {**SEVEN, "workload.scope": "block", "workload.context": 700})["metrics"]
    interval = block["block_latency_us"] / 1e3
    for n, time in times.items():
        assert time == pytest.approx(times[1] + (n - 1) * interval, rel=1e-9)


def test_prefill_is_a_token_after_another(run_json: Call) -> None:
    sets = {**SEVEN, "workload.phase": "prefill", "workload.context": 30, "workload.context_step": 1}
    step = run_json("cent", sets)["metrics"]
    tokens = sum(
        run_json("cent", {**SEVEN, "workload.scope": "token", "workload.context": context})["metrics"][
            "token_latency_ms"
        ]
        for context in range(1, 31)
    )
    assert step["step_time_ms"] == pytest.approx(tokens, rel=1e-12)
    assert step["throughput_tokens_per_s"] == pytest.approx(30e3 / step["step_time_ms"])


@pytest.mark.parametrize("batch", [1, 2])
def test_a_machine_at_work_draws_more_than_an_idle_one(batch: int, run_json: Call, serve: Call) -> None:
    sets = {**SEVEN, "workload.phase": "decode", "workload.context": 512, "workload.batch": batch}
    power_w = run_json("cent_corrected", sets)["metrics"]["power_w"]
    result = serve([(0.0, 10, 10)], "cent_corrected")
    idle_w = result["breakdown"]["energy_by_part_j"]["idle"] / result["metrics"]["makespan_s"]
    assert power_w > idle_w


def test_a_pipeline_of_uneven_stages_is_as_fast_as_its_slowest(run_json: Call) -> None:
    """80 layers on 32 stages: some hold three blocks, some two."""
    uneven = {"system.parallelism": "32x1", "workload.context": 512}
    rate = run_json("cent_corrected", {**uneven, "workload.scope": "token"})["metrics"]["throughput_tokens_per_s"]
    times = [
        run_json("cent_corrected", {**uneven, "workload.phase": "decode", "workload.batch": n})["metrics"]
        for n in (100, 101)
    ]
    marginal_ms = times[1]["step_time_ms"] - times[0]["step_time_ms"]
    assert marginal_ms == pytest.approx(1e3 / rate, rel=1e-6)


@pytest.mark.parametrize(
    ("sets", "code"),
    [
        ({"workload.phase": "decode"}, 2),
        ({"workload.phase": "decode", "workload.context": 0}, 2),
        ({"workload.phase": "decode", "workload.context": -5}, 2),
        ({"workload.phase": "decode", "workload.context": "nan"}, 2),
        ({"workload.phase": "decode", "workload.context": 512, "workload.batch": 0}, 2),
        ({"workload.phase": "both", "workload.context": 512}, 2),
        ({"workload.phase": "decode", "workload.context": 512, "workload.scope": "block"}, 2),
        ({"workload.scope": "blok", "workload.context": 512}, 3),
        ({"workload.scope": "block"}, 2),
        ({"workload.model": "llama2-7bb"}, 3),
        ({"workload.kind": "accesses"}, 3),
        ({"system.n_devices": 0}, 2),
        ({"system.n_devices": 2.5}, 2),
        ({"system.accounting": "corect"}, 2),
        ({"system.detail": "slow"}, 2),
        ({"system.parallelism": "8y4"}, 2),
        ({"system.n_device": 3}, 2),
        ({"system.device.dram.clock_period": "-1 ns"}, 2),
        ({"system.device.dram.clock_period": "3 GB"}, 2),
        ({"system.device.dram.timing.n_rp": -1}, 2),
        ({"system.device.dram.organisation.n_channels": 0}, 2),
        ({"system.device.dram.organisation.n_channels": 63}, 2),
        ({"system.device.dram.queue_entries": 65}, 2),
        ({"system.device.dram.dispatcher_width": 0}, 2),
        ({"system.cxl.lane_gib_per_s": 0}, 2),
        ({"system.cxl.lane_gib_per_s": -4}, 2),
        ({"system.device.pnm.n_units": 0}, 2),
        ({"system.device.power.channels_per_controller": 0}, 2),
        ({"system.device.power.channels_per_controller": -2}, 2),
        ({"system.n_devices": 2}, 4),
    ],
    ids=str,
)
def test_bad_settings_are_refused(
    sets: dict[str, object], code: int, sim: Callable[..., Any], repo_root: Path, tmp_path: Path
) -> None:
    options = [text for path, value in sets.items() for text in ("--set", f"{path}={value}")]
    config = repo_root / "hw_configs" / "cent.yaml"
    outcome = sim("run", config, *options, "--json", "--no-report", "--out", tmp_path / "run")
    assert outcome.code == code, (outcome.code, outcome.out[:300], outcome.err)
    assert "remedy:" in outcome.err
    assert outcome.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["", "TIMESTAMP,ContextTokens,GeneratedTokens\n"])
def test_no_requests(text: str, sim: Callable[..., Any], repo_root: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(text, encoding="utf-8")
    outcome = sim("run", repo_root / "hw_configs" / "cent.yaml", "--trace", trace, "--json", "--out", tmp_path / "run")
    assert outcome.code == 3
    assert str(trace) in outcome.err
    assert not (tmp_path / "run").exists()
