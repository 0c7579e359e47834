"""Reports and timelines of real runs, through the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.pages import read_page
from tests.report.perfetto_reading import ReadTrace, read_perfetto

SMALL = ("--set", "workload.model=llama2-7b", "--set", "system.n_devices=8")
QUERY = ("--set", "workload.prompt_tokens=100", "--set", "workload.output_tokens=300")
RUNS: dict[str, tuple[str, ...]] = {
    "query": QUERY,
    "token": ("--set", "workload.scope=token", "--set", "workload.context=512"),
    "part": ("--set", "workload.scope=attention", "--set", "workload.context=512"),
    "step": ("--set", "workload.phase=decode", "--set", "workload.batch=4", "--set", "workload.context=512"),
    "prefill": ("--set", "workload.phase=prefill", "--set", "workload.batch=1", "--set", "workload.context=40"),
    "trace": ("--trace", "traces/conversation_2k.csv", "--requests", "200", "--qps", "6"),
}


@pytest.fixture(scope="module")
def run_directories() -> dict[str, Path]:
    return {}


@pytest.fixture
def run_of(
    sim: Callable[..., Any], run_directories: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, repo_root: Path
) -> Callable[[str], Path]:
    """The run directory of one of RUNS, with report and timeline; each is run once."""

    def directory(name: str) -> Path:
        if name not in run_directories:
            out = tmp_path_factory.mktemp(name) / "run"
            options = [str(repo_root / one) if one.startswith("traces/") else one for one in RUNS[name]]
            config = str(repo_root / "hw_configs/cent.yaml")
            outcome = sim("run", config, *SMALL, *options, "--out", str(out), "--timeline", "--json")
            assert outcome.code == 0, outcome.err
            run_directories[name] = out
        return run_directories[name]

    return directory


def metrics_of(directory: Path) -> dict[str, float]:
    return json.loads((directory / "summary.json").read_text())["metrics"]


def timeline_of(directory: Path) -> ReadTrace:
    return read_perfetto((directory / "timeline.pftrace").read_bytes())


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_has_a_report(run_of: Callable[[str], Path], name: str) -> None:
    text = (run_of(name) / "report.html").read_text(encoding="utf-8")
    page = read_page(text)
    assert "Operators and what bounds them" in page.text or name in ("step", "prefill")
    assert "by resource" in page.text
    assert "n_rfc" in page.text, "the assumed parameter"
    assert bool(page.named("svg")) is (name in ("query", "trace"))
    assert len(text) < 200_000


def test_a_trace_shows_latencies_and_load(run_of: Callable[[str], Path]) -> None:
    text = read_page((run_of("trace") / "report.html").read_text(encoding="utf-8")).text
    for words in ("TTFT (ms)", "TPOT (ms)", "TBT (ms)", "End to end (ms)", "Queue length", "Slots in use", "p99"):
        assert words in text, words
    assert "conversation_2k.csv  SHA-256 " in text


def test_a_trace_breaks_its_tokens_down(run_of: Callable[[str], Path]) -> None:
    summary = json.loads((run_of("trace") / "summary.json").read_text())
    breakdown, metrics = summary["breakdown"], summary["metrics"]
    by_operator = sum(breakdown["token_time_by_operator_ms"].values())
    assert by_operator == pytest.approx(sum(breakdown["token_time_by_resource_ms"].values()))
    joules = sum(breakdown["energy_by_part_j"].values())
    assert joules == pytest.approx(metrics["energy_j"])
    tokens = metrics["throughput_tokens_per_s"] * metrics["makespan_s"]
    per_token = sum(breakdown["token_energy_by_component_mj"].values())
    assert per_token * tokens == pytest.approx(breakdown["energy_by_part_j"]["tokens"] * 1e3)


def test_no_report_leaves_the_page_out(sim: Callable[..., Any], tmp_path: Path, repo_root: Path) -> None:
    config = str(repo_root / "hw_configs/cent.yaml")
    assert sim("run", config, *SMALL, *RUNS["part"], "--out", str(tmp_path / "x"), "--no-report").code == 0
    assert {one.name for one in (tmp_path / "x").iterdir()} == {
        "manifest.json", "config.yaml", "summary.json", "operators.csv",
    }  # fmt: skip


def test_a_report_draws_without_matplotlib(tmp_path: Path, repo_root: Path) -> None:
    arguments = ["run", str(repo_root / "hw_configs/cent.yaml"), *SMALL, *QUERY, "--out", str(tmp_path / "x"), "--json"]
    program = (
        "import sys; from simulator.cli.main import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 'matplotlib' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program, *arguments], cwd=repo_root, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()


def test_error_bars_come_on_request(sim: Callable[..., Any], tmp_path: Path, repo_root: Path) -> None:
    top_k = "system.host.top_k={value: 0.15 ms, kind: assumed, source: a guess, range: [0.1 ms, 0.3 ms]}"
    config = str(repo_root / "hw_configs/cent.yaml")
    line = ("run", config, *SMALL, *RUNS["token"], "--set", top_k, "--json", "--out")
    assert sim(*line, str(tmp_path / "plain")).code == 0
    assert sim(*line, str(tmp_path / "bars"), "--error-bars").code == 0
    metrics = metrics_of(tmp_path / "plain")
    assert metrics_of(tmp_path / "bars") == metrics
    text = read_page((tmp_path / "bars" / "report.html").read_text(encoding="utf-8")).text
    low, high = metrics["token_latency_ms"] - 0.05, metrics["token_latency_ms"] + 0.15
    assert f"{low:.3f} to {high:.3f}" in text
    assert "system.host.top_k: 0.1 ms to 0.3 ms" in text
    assert "Error bars" not in (tmp_path / "plain" / "report.html").read_text(encoding="utf-8")


# --- timelines


def test_a_token_fills_its_critical_path(run_of: Callable[[str], Path]) -> None:
    directory = run_of("token")
    read = timeline_of(directory)
    latency_ps = round(metrics_of(directory)["token_latency_ms"] * 1e9)
    assert read.tracks[0][1] == "critical path"
    path = read.on("critical path")
    assert (path[0].depth, path[0].arguments["duration_ps"]) == (0, latency_ps)
    leaves = [one for one in path if not any(one.name in other.parents for other in path)]
    assert sum(one.arguments["duration_ps"] for one in leaves) == latency_ps
    at_ps = 0
    for leaf in leaves:
        assert leaf.arguments["start_ps"] == at_ps, "the critical path has no gap"
        at_ps += leaf.arguments["duration_ps"]
    layers = {one.name for one in path if one.name.startswith("layer ")}
    assert layers == {f"layer {index}" for index in range(32)}
    operators = [one for one in path if one.name == "ffn_up"]
    assert len(operators) == 32
    assert all(one.parents == (path[0].name, f"layer {index}") for index, one in enumerate(operators))
    assert all("bank" in str(one.arguments["bound"]) for one in operators)


def test_resources_are_as_busy_as_the_breakdown_says(run_of: Callable[[str], Path]) -> None:
    directory = run_of("token")
    read = timeline_of(directory)
    breakdown = json.loads((directory / "summary.json").read_text())["breakdown"]["token_time_by_resource_ms"]
    for resource in ("pim", "pnm", "cxl", "host"):
        leaves = [one for one in read.on(resource) if not one.name.startswith(("layer ", "token "))]
        busy_ms = sum(one.arguments["duration_ps"] for one in leaves) / 1e9
        assert busy_ms == pytest.approx(breakdown[resource if resource == "host" else resource.upper()], rel=1e-12)


def test_a_query_takes_its_latency(run_of: Callable[[str], Path]) -> None:
    directory = run_of("query")
    read = timeline_of(directory)
    metrics = metrics_of(directory)
    query, prefill, *_ = read.on("query")
    (decode,) = [one for one in read.on("query") if one.name == "decode"]
    for one, name in ((query, "query"), (prefill, "prefill"), (decode, "decode")):
        assert one.end_ns - one.start_ns == pytest.approx(metrics[f"{name}_latency_s"] * 1e9, abs=1)
    runs = [one for one in read.on("query") if one.depth == 2]
    assert [(one.name, one.arguments["tokens"]) for one in runs] == [
        ("contexts 1 to 100", 100),
        ("contexts 101 to 128", 28),
        ("contexts 129 to 256", 128),
        ("contexts 257 to 384", 128),
        ("contexts 385 to 400", 16),
    ]
    tokens = [one for one in read.on("pim") if one.depth == 0]
    assert [one.start_ns for one in tokens] == [one.start_ns for one in runs]


def test_a_batch_shows_its_stages(run_of: Callable[[str], Path]) -> None:
    directory = run_of("step")
    read = timeline_of(directory)
    stages = [track for _, track in read.tracks if track.startswith("stage ")]
    assert len(stages) == 32
    assert all(len([one for one in read.on(stage) if one.depth == 1]) == 4 for stage in stages)
    step = read.on("critical path")[0]
    assert step.arguments["duration_ps"] == round(metrics_of(directory)["step_time_ms"] * 1e9)


def test_requests_stand_in_their_slots(run_of: Callable[[str], Path]) -> None:
    directory = run_of("trace")
    read = timeline_of(directory)
    rows = [line.split(",") for line in (directory / "requests.csv").read_text().splitlines()]
    column = {name: index for index, name in enumerate(rows[0])}
    requests = {one.arguments["id"]: one for one in read.slices if one.track[0] == "slots" and one.depth == 0}
    waiting = {one.name: one for one in read.slices if one.track[0] == "queue"}
    assert len(requests) == len(rows) - 1 == 200
    for row in rows[1:]:
        request = requests[int(row[column["id"]])]
        assert request.track[1] == f"slot {row[column['slot']]}"
        assert request.end_ns == pytest.approx(float(row[column["finish_ms"]]) * 1e6, abs=1)
        queueing_ms = float(row[column["queueing_ms"]])
        assert request.arguments["queueing_ps"] == pytest.approx(queueing_ms * 1e9, abs=1)
        assert (request.name in waiting) is (queueing_ms > 0)
    inner = [one for one in read.slices if one.depth == 1]
    assert {one.name for one in inner} == {"prefill", "decode"}
    assert all(one.parents[0].startswith("request ") for one in inner)
    queue = read.counters[("requests", "waiting")]
    assert max(length for _, length in queue) == metrics_of(directory)["queue_length_max"]
    assert queue[-1][1] == read.counters[("requests", "slots in use")][-1][1] == 0
