"""`sim explain`: parts that sum to the latency, runs that agree with configurations, directories that are no runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from simulator.contracts.bounds import RankedBound
from simulator.contracts.results import Bound, StepResult
from simulator.contracts.tasks import TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, MappingError, SimulatorError
from simulator.devices.scheduling import schedule
from simulator.experiments.explain import explain, explain_subject
from simulator.experiments.explain_advice import ADVICE, Advice, knob_paths
from simulator.experiments.explain_path import critical_parts, path_in_words
from simulator.experiments.explain_steps import WeightedStep
from simulator.experiments.explain_subject import Subject, open_subject
from simulator.experiments.run import run_command
from simulator.experiments.settings import load_settings
from simulator.workload.batch import Batch

CONFIG = "hw_configs/cent.yaml"
SMALL = ("workload.model=llama2-7b", "system.n_devices=8")
TOKEN = (*SMALL, "workload.scope=token", "workload.context=300")
WORKLOADS = {
    "token": TOKEN,
    "block": (*SMALL, "workload.scope=block", "workload.context=1024"),
    "part": (*SMALL, "workload.scope=softmax", "workload.context=300"),
    "query": (*SMALL, "workload.prompt_tokens=100", "workload.output_tokens=333"),
    "decode step": (*SMALL, "workload.phase=decode", "workload.context=200", "workload.batch=3"),
    "prefill step": (*SMALL, "workload.phase=prefill", "workload.context=150"),
    "tensor parallel": (*TOKEN, "system.parallelism=tp"),
    "overlap": (*TOKEN, "system.pnm_overlap=true", "system.cxl_overlap=true"),
    "corrected": (*TOKEN, "system.accounting=corrected"),
}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one token."""
    folder = tmp_path_factory.mktemp("runs") / "token"
    run_command(CONFIG, sets=TOKEN, out=folder, report=False, command=("sim", "run"))
    return folder


@pytest.fixture
def damaged(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(run_dir, tmp_path / "copy"))


@pytest.mark.parametrize("name", WORKLOADS)
def test_critical_parts_sum_to_the_latency_exactly(name: str) -> None:
    found = explain(CONFIG, WORKLOADS[name])
    assert sum(part.time_ps for part in found.critical) == found.latency_ps > 0
    assert sum(share.latency_frac for share in found.operators) == pytest.approx(1.0, abs=1e-12)
    for share in found.operators:
        assert 0 <= share.critical_ps <= share.busy_ps
        assert share.sentence
        assert share.operator


def test_the_latency_is_that_of_the_run() -> None:
    query = explain(CONFIG, WORKLOADS["query"])
    record, _ = load_and_run(WORKLOADS["query"])
    assert query.latency_ps / 1e12 == pytest.approx(record.metrics["query_latency_s"], rel=1e-12)
    token = explain(CONFIG, TOKEN)
    record, _ = load_and_run(TOKEN)
    assert token.latency_ps / 1e9 == record.metrics["token_latency_ms"]
    assert {share.operator: share.constraint for share in token.operators} == {
        name: str(text).partition(" (")[0] for name, text in record.breakdown["bound_by_operator"].items()
    }


def load_and_run(sets: tuple[str, ...]) -> Any:
    from simulator.experiments.run import plan_run

    return plan_run(CONFIG, sets=sets).perform()


def test_a_run_explains_as_its_configuration(run_dir: Path) -> None:
    of_run, of_config = explain(run_dir), explain(CONFIG, TOKEN)
    assert of_run.run_dir == str(run_dir)
    assert of_run.notes == ("simulated again, config.yaml gives the metrics of summary.json",)
    assert replace(of_run, run_dir=None, notes=()) == replace(of_config, notes=())


def test_overlapped_work_takes_nothing_of_the_latency() -> None:
    found = {share.operator: share for share in explain(CONFIG, WORKLOADS["overlap"]).operators}
    hidden = found["pnm_softmax"]
    assert hidden.critical_ps == 0 < hidden.busy_ps
    assert "nothing" in hidden.sentence


def test_a_served_trace_is_explained_by_its_tokens(tmp_path: Path) -> None:
    sets = (*SMALL, "workload.context_step=128")
    run_command(CONFIG, sets=sets, trace="traces/conversation_2k.csv", requests=20, out=tmp_path / "run", report=False)
    found = explain(tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    dynamic_j = summary["breakdown"]["energy_by_part_j"]["tokens"]
    subject = open_subject(tmp_path / "run")
    assert subject.has_trace
    assert sum(part.time_ps for part in found.critical) == found.latency_ps
    from simulator.experiments.explain_steps import requests_steps

    steps = requests_steps(subject.settings, tmp_path / "run" / "requests.csv").steps
    assert sum(entry.n for entry in steps) == found.n_steps
    energy_pj = sum(entry.n * sum(entry.step.energy.dynamic_pj.values()) for entry in steps)
    assert energy_pj / 1e12 == pytest.approx(dynamic_j, rel=1e-9)
    assert any("offered load" in limit for limit in found.limits)
    busy_ms = {share.operator: share.busy_ps / found.n_steps / 1e9 for share in found.operators}
    assert busy_ms == pytest.approx(summary["breakdown"]["token_time_by_operator_ms"], rel=1e-9)


TABLE = "prompt_tokens,output_tokens\n"


@pytest.mark.parametrize("content", ["", "id\n1\n", TABLE, TABLE + "1,x\n", TABLE + "-5,2\n", "\0"])
def test_a_damaged_table_of_requests_is_refused(damaged: Path, content: str) -> None:
    manifest = json.loads((damaged / "manifest.json").read_text())
    manifest["trace_checksums"] = {"t.csv": "0"}
    (damaged / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError):  # no table at all
        explain(damaged)
    (damaged / "requests.csv").write_text(content)
    with pytest.raises(ConfigError):
        explain(damaged)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda run: (run / "manifest.json").unlink(),
    "no config": lambda run: (run / "config.yaml").unlink(),
    "no summary": lambda run: (run / "summary.json").unlink(),
    "empty manifest": lambda run: (run / "manifest.json").write_text(""),
    "binary": lambda run: (run / "summary.json").write_bytes(b"\xff\xfe\0\1"),
    "a list": lambda run: (run / "summary.json").write_text("[]"),
    "deep": lambda run: (run / "summary.json").write_text("[" * 100_000),
    "NaN": lambda run: (run / "summary.json").write_text('{"metrics": {"a": NaN}}'),
    "text for a metric": lambda run: (run / "summary.json").write_text(
        '{"system": "cent", "workload": "w", "metrics": {"a": "1"}, "breakdown": {}}'
    ),
    "metrics no object": lambda run: (run / "summary.json").write_text(
        '{"system": "cent", "workload": "w", "metrics": 3, "breakdown": {}}'
    ),
    "older manifest": lambda run: (run / "manifest.json").write_text('{"command": []}'),
    "checksums no object": lambda run: _edit(run / "manifest.json", trace_checksums=[]),
    "directory for a file": lambda run: ((run / "summary.json").unlink(), (run / "summary.json").mkdir()),
    "config not YAML": lambda run: (run / "config.yaml").write_text("system: ["),
}


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_no_run_is_refused(damaged: Path, name: str, sim: Callable[..., Any]) -> None:
    DAMAGE[name](damaged)
    with pytest.raises(ConfigError) as caught:
        explain(damaged)
    assert caught.value.where is not None
    assert caught.value.remedy
    outcome = sim("explain", damaged)
    assert outcome.code == 2
    assert "remedy" in outcome.err
    assert "Traceback" not in outcome.err
    assert not outcome.out


def test_a_missing_target_is_refused(sim: Callable[..., Any], tmp_path: Path) -> None:
    for target in (tmp_path / "nothing", tmp_path, "x" * 5000):
        assert sim("explain", target).code == 2


def test_a_run_of_another_version_says_so(damaged: Path) -> None:
    _edit(
        damaged / "manifest.json", source_hash="0" * 64, git_commit="abcdef0123456789", versions={"simulator": "0.0.1"}
    )
    notes = explain(damaged).notes
    assert any("source has changed" in note and "0.0.1" in note for note in notes)
    config = damaged / "config.yaml"
    config.write_text(config.read_text().replace("top_k:", "top_of_old:"))
    with pytest.raises(ConfigError) as caught:
        explain(damaged)
    assert "0.0.1" in str(caught.value)


def test_a_summary_that_its_configuration_does_not_give_is_refused(damaged: Path) -> None:
    summary = json.loads((damaged / "summary.json").read_text())
    summary["metrics"]["power_w"] *= 1.01
    (damaged / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(ConfigError, match="power_w"):
        explain(damaged)
    _edit(damaged / "manifest.json", source_hash="0" * 64)
    assert any("power_w" in note for note in explain(damaged).notes)


def test_an_edited_configuration_is_named(damaged: Path) -> None:
    config = damaged / "config.yaml"
    config.write_text(config.read_text().replace("n_devices: 8", "n_devices: 16"))
    notes = " ".join(explain(damaged).notes)
    assert "edited" in notes
    assert "summary.json" in notes


def test_sets_change_a_run(run_dir: Path) -> None:
    found = explain(run_dir, ("system.host.top_k=10 ms",))
    assert found.operators[0].operator == "top_k"
    assert found.operators[0].constraint == "host"
    assert any("--set" in note for note in found.notes)


def test_every_command_of_the_page_runs(
    repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim: Callable[..., Any]
) -> None:
    (tmp_path / "hw_configs").symlink_to(repo_root / "hw_configs")
    monkeypatch.chdir(tmp_path)
    page = (repo_root / "docs" / "explain_and_compare.md").read_text(encoding="utf-8")
    commands = [line.split() for line in page.splitlines() if line.startswith("    sim ")]
    assert len(commands) == 3
    for words in commands:
        assert sim(*words[1:]).code == 0, words


def test_an_unknown_operator_is_refused(run_dir: Path, sim: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="no operator `sofmax`") as caught:
        explain(run_dir, operator="sofmax")
    assert "softmax" in str(caught.value.remedy)
    outcome = sim("explain", run_dir, "--operator", "softmax")
    assert outcome.code == 0
    assert "Would help" in outcome.out
    assert "ffn_up" not in outcome.out


def test_capacity_that_is_enforced_refuses() -> None:
    sets = (*TOKEN, "system.accounting=corrected", "workload.context=1000000")
    with pytest.raises(MappingError):
        explain(CONFIG, sets)
    found = explain(
        CONFIG, (*TOKEN, "workload.scope=query", "workload.output_tokens=100000", "workload.context_step=50000")
    )
    assert any("overfill" in limit for limit in found.limits)


def test_json_contract(run_dir: Path, sim: Callable[..., Any]) -> None:
    outcome = sim("explain", run_dir, "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    content = json.loads(outcome.out)
    assert {"system", "workload", "metrics", "breakdown", "run_dir", "operators", "critical_path", "notes"} <= set(
        content
    )
    assert sum(part["time_ps"] for part in content["critical_path"]) == content["metrics"]["latency_ps"]
    for row in content["operators"]:
        assert {"operator", "bound", "achieved", "peak", "unit", "second_bound", "latency_frac", "sentence"} <= set(row)
    assert "sensitivity" not in content


def test_text_fits_80_columns(run_dir: Path, sim: Callable[..., Any]) -> None:
    outcome = sim("explain", run_dir, "--sensitivity", "5")
    assert outcome.code == 0
    assert [line for line in outcome.out.splitlines() if len(line) > 80] == []
    assert "What bound each operator" in outcome.out
    assert "32 x (" in outcome.out


# --- any system


class Toy:
    """A machine of its own words: loads beside work, and a bound that nobody has heard of."""

    workload_kinds = frozenset({"llm"})
    advice = {"gears": Advice("the gears turn", "more teeth")}  # noqa: RUF012 - a constant table

    class Config(BaseModel):
        """Nothing."""

    def __init__(self, config: Config, model: object, context_step: int = 1) -> None:
        self.context_step = context_step

    def step_key(self, batch: Batch) -> int:
        """Every context is its own."""
        return batch.sequences[0].context

    def step(self, batch: Batch) -> StepResult:
        """Three turns of work with a load beside each."""
        context = batch.sequences[0].context
        graph = TaskGraph()
        after: tuple[int, ...] = ()
        for _ in range(3):
            turn = graph.add("turn", "wheel", 10 * context, after)
            load = graph.add("load", "", 7 * context, after)
            after = (turn, load)
        graph.add("rest", "", 5, after)
        planned = schedule(graph)
        bounds: dict[str, Bound] = {"turn": RankedBound("gears", 3.0, 4.0, "turns", {"oil": 0.2})}
        return StepResult(
            planned.makespan_ps, planned.makespan_ps, 1, planned, EnergyLedger({"wheel": 2.0}), 1.0, bounds=bounds
        )


def toy_subject(*sets: str) -> Subject:
    """CENT's configuration with the toy in its place."""
    bound = load_settings(CONFIG, (*SMALL, *sets))
    return Subject("toy", replace(bound, system_class=Toy), None, changed=False)


def test_any_system_is_explained() -> None:
    found = explain_subject(toy_subject("workload.prompt_tokens=2", "workload.output_tokens=2"))
    assert found.latency_ps == 30 * (1 + 2 + 3 + 4) + 4 * 5
    by_name = {share.operator: share for share in found.operators}
    assert by_name["turn"].constraint == "gears"
    assert by_name["turn"].shares == {"gears": 0.75, "oil": 0.2}
    assert by_name["turn"].second == ("oil", 0.2)
    assert "more teeth" in by_name["turn"].sentence
    assert by_name["load"].critical_ps == 0
    assert by_name["rest"].constraint is None
    assert found.path == "3 x turn > rest"


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 30), st.lists(st.integers(0, 3), max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_repeated_block_is_said_once(block: list[int], n: int, tail: list[int]) -> None:
    graph = TaskGraph()
    names = [f"o{number}" for number in block * n + tail]
    for index, name in enumerate(names):
        graph.add(name, "r", 1 + index, (index - 1,) if index else ())
    text = path_in_words(schedule(graph))
    assert _unfolded(text) == names


def _unfolded(text: str) -> list[str]:
    """The operators that a path in words stands for."""
    names: list[str] = []
    rest = text
    while rest:
        head, _, after = rest.partition(" x ")
        repeats = 1
        if head.replace(",", "").isdigit():
            repeats, rest = int(head.replace(",", "")), after
        if rest.startswith("("):
            body, _, rest = rest[1:].partition(")")
            rest = rest.removeprefix(" > ")
        else:
            body, _, rest = rest.partition(" > ")
        names += body.split(" > ") * repeats
    return names


def test_a_path_that_is_not_the_latency_is_a_fault() -> None:
    graph = TaskGraph()
    graph.add("a", "r", 5)
    planned = schedule(graph)
    step = StepResult(6, 6, 1, planned, EnergyLedger(), 0.0)
    with pytest.raises(SimulatorError, match="critical path"):
        critical_parts([WeightedStep(1, 1, step)])


def test_knobs_exist_in_a_shipped_configuration() -> None:
    configs = (CONFIG, "hw_configs/gpu_h200.yaml", "hw_configs/papi.yaml")
    trees = [load_settings(config).tree.at("system") for config in configs]
    for constraint, advice in ADVICE.items():
        if advice.knobs:
            assert any(knob_paths(tree, advice.knobs) for tree in trees), constraint
