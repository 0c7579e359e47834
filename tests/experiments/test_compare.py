"""`sim compare`: ratios, equal workloads, differences by operator, the directory and its picture."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.compare import compare, ratio
from simulator.experiments.compare_files import comparison_target, write_comparison
from simulator.experiments.run import run_command
from simulator.report.waterfall import Waterfall, waterfall_steps, write_waterfalls

CONFIG, CORRECTED = "hw_configs/cent.yaml", "hw_configs/cent_corrected.yaml"
SMALL = ("workload.model=llama2-7b", "system.n_devices=8")
TOKEN = (*SMALL, "workload.scope=token", "workload.context=300")
TRACE = "traces/conversation_2k.csv"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one token, two on the same workload, and of a trace at two rates."""
    folder = tmp_path_factory.mktemp("runs")
    for name, config, sets in (
        ("token", CONFIG, TOKEN),
        ("tensor", CONFIG, (*TOKEN, "system.parallelism=tp")),
        ("longer", CONFIG, (*TOKEN, "workload.context=301")),
    ):
        run_command(config, sets=sets, out=folder / name, report=False)
    for name, qps in (("slow", 0.5), ("fast", 5.0)):
        run_command(
            CONFIG, sets=SMALL, trace=TRACE, requests=25, qps=qps, out=folder / name, report=False,
            command=("sim", "run", CONFIG, "--trace", TRACE, "--requests=25", "--qps", str(qps)),
        )  # fmt: skip
    return folder


def test_a_configuration_beside_itself_has_ratios_of_one() -> None:
    found = compare([CONFIG, CONFIG], TOKEN)
    first, second = found.entries
    assert first.metrics == second.metrics
    assert first.operators_ms == second.operators_ms
    assert all(ratio(second.metrics[name], first.metrics[name]) == 1.0 for name in found.metric_names)
    assert not found.notes


def test_a_run_beside_its_configuration_has_ratios_of_one(runs: Path) -> None:
    found = compare([str(runs / "token"), CONFIG], ("system.n_devices=8",))
    first, second = found.entries
    assert (first.origin, second.origin) == ("run", "simulated now")
    assert first.metrics == second.metrics
    assert first.operators_ms == second.operators_ms
    assert first.energy == second.energy
    assert first.bounds == second.bounds


def test_runs_are_compared_as_they_are(runs: Path) -> None:
    found = compare([str(runs / "token"), str(runs / "tensor")])
    first, second = found.entries
    expected = second.metrics["token_latency_ms"] / first.metrics["token_latency_ms"]  # type: ignore[operator]
    assert ratio(second.metrics["token_latency_ms"], first.metrics["token_latency_ms"]) == expected < 1
    assert found.operator_names[0] == "ffn_up"
    assert sum(first.operators_ms.values()) == pytest.approx(first.latency_ms, rel=1e-9)


def test_a_configuration_runs_on_the_workload_of_the_first(runs: Path) -> None:
    found = compare([str(runs / "longer"), CORRECTED], ("system.n_devices=8",))
    assert {entry.workload for entry in found.entries} == {"llama2-7b-token"}
    record, _ = plan(CORRECTED, (*TOKEN, "workload.context=301"))
    assert found.entries[1].metrics == record.metrics


def plan(config: str, sets: tuple[str, ...]) -> Any:
    from simulator.experiments.run import plan_run

    return plan_run(config, sets=sets).perform()


def test_runs_of_different_workloads_are_refused(runs: Path, sim: Callable[..., Any]) -> None:
    with pytest.raises(WorkloadError, match="context is 300 against 301"):
        compare([str(runs / "token"), str(runs / "longer")])
    with pytest.raises(WorkloadError, match="arrival_span_s"):
        compare([str(runs / "slow"), str(runs / "fast")])
    with pytest.raises(WorkloadError):
        compare([str(runs / "token"), str(runs / "slow")])
    outcome = sim("compare", runs / "token", runs / "longer")
    assert outcome.code == 3
    assert "not the same workload" in outcome.err
    assert not outcome.out


def test_options_that_would_act_on_nothing_are_refused(runs: Path) -> None:
    token = str(runs / "token")
    with pytest.raises(ConfigError, match="as they are"):
        compare([token, token], ("system.n_devices=8",))
    with pytest.raises(ConfigError, match="as they are"):
        compare([token, token], workload="llm")
    with pytest.raises(WorkloadError, match="is a run"):
        compare([token, CONFIG], ("workload.context=5",))
    with pytest.raises(WorkloadError, match="is a run"):
        compare([token, CONFIG], workload="llm")
    for targets in ([], [CONFIG], [CONFIG] * 27):
        with pytest.raises(ConfigError, match="to compare"):
            compare(targets)


def test_a_configuration_serves_the_trace_of_the_first(runs: Path, tmp_path: Path) -> None:
    found = compare([str(runs / "slow"), CONFIG, str(runs / "slow")], ("system.n_devices=8",))
    first, second, _ = found.entries
    assert first.metrics == second.metrics
    assert "ttft_ms_p99" in first.metrics
    assert found.notes == (), "runs of traces state times by operator too"
    assert first.operators_ms == second.operators_ms
    assert "dram_activate" in first.energy
    moved = Path(shutil.copytree(runs / "slow", tmp_path / "moved"))
    manifest = json.loads((moved / "manifest.json").read_text())
    for command, cause in (
        ([], "does not say"),
        (["sim", "run", "--qps", "many"], "does not say"),
        (["sim", "run", "--trace", "nowhere.csv"], "cannot be read"),
        (["sim", "run", "--trace", "README.md" if Path("README.md").exists() else "setup.cfg"], "has changed"),
        ("text", "does not say"),
    ):
        (moved / "manifest.json").write_text(json.dumps({**manifest, "command": command}))
        with pytest.raises(WorkloadError, match=cause):
            compare([str(moved), CONFIG], ("system.n_devices=8",))


def test_runs_of_different_sources_are_named(runs: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(runs / "token", tmp_path / "older"))
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "source_hash": "0" * 64}))
    assert "A | B" in compare([str(runs / "token"), str(other)]).notes[0]


def test_hostile_directories_are_refused(runs: Path, tmp_path: Path, sim: Callable[..., Any]) -> None:
    (tmp_path / "empty").mkdir()
    other = Path(shutil.copytree(runs / "token", tmp_path / "other"))
    (other / "summary.json").write_text("{}")
    for target in (tmp_path / "empty", other, tmp_path / "nothing"):
        outcome = sim("compare", runs / "token", target, "--out", tmp_path / "out")
        assert outcome.code == 2
        assert "remedy" in outcome.err
        assert not (tmp_path / "out").exists()


def test_a_breakdown_of_another_form_is_left_out(runs: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(runs / "token", tmp_path / "other"))
    summary = json.loads((other / "summary.json").read_text())
    summary["breakdown"]["token_time_by_operator_ms"] = {"ffn_up": "long", "softmax": None, "rope": True}
    summary["breakdown"]["bound_by_operator"] = "bank"
    summary["breakdown"]["token_energy_by_component_mj"] = 3
    (other / "summary.json").write_text(json.dumps(summary))
    entry = compare([str(runs / "token"), str(other)]).entries[1]
    assert entry.operators_ms == {}
    assert entry.bounds == {}
    assert entry.energy == {}


def test_json_contract_and_directory(runs: Path, tmp_path: Path, sim: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    outcome = sim("compare", runs / "token", runs / "tensor", "--json", "--out", out)
    assert outcome.code == 0
    assert outcome.err == ""
    content = json.loads(outcome.out)
    assert {"system", "workload", "metrics", "breakdown", "run_dir", "entries", "notes"} == set(content)
    assert content["run_dir"] == str(out)
    assert content["entries"][0]["ratios"]["power_w"] == 1.0
    assert json.loads((out / "summary.json").read_text()) == content
    names = {"summary.json", "metrics.csv", "operators.csv", "waterfall.png", "waterfall.pdf"}
    assert {path.name for path in out.iterdir()} == names
    assert (out / "waterfall.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "waterfall.png").stat().st_size > 10_000
    assert sim("compare", runs / "token", runs / "tensor", "--out", out).code == 2  # not empty any more


def test_text_fits_80_columns(runs: Path, tmp_path: Path, sim: Callable[..., Any]) -> None:
    for number, names in enumerate((("token", "tensor", "token", "tensor"), ("slow", "slow"))):
        outcome = sim("compare", *(runs / name for name in names), "--out", tmp_path / str(number))
        assert outcome.code == 0
        tables = [line for line in outcome.out.splitlines() if str(tmp_path) not in line and str(runs) not in line]
        assert max(map(len, tables)) <= 80


def test_the_default_directory_has_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = (comparison_target(["a.yaml", "results/b-1"], options, None) for options in ((), ("x=1",)))
    assert one.name.startswith("results/compare-a-b-1-")
    assert one.name != two.name


def test_a_comparison_is_written_twice_alike(runs: Path, tmp_path: Path) -> None:
    found = compare([str(runs / "token"), str(runs / "tensor")])
    for name in ("one", "two"):
        write_comparison(found, comparison_target(["a", "b"], (), str(tmp_path / name)))
    for file in ("metrics.csv", "operators.csv", "waterfall.png", "waterfall.pdf"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_ratios() -> None:
    assert ratio(0.0, 0.0) == ratio(3, 3) == 1.0
    assert ratio(1.0, 0.0) is ratio(None, 1.0) is ratio(1.0, None) is None
    assert ratio(1e300, 1e-300) is None


PARTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.floats(0, 1e6), max_size=20)


@given(PARTS, PARTS, st.floats(0, 1e7), st.floats(0, 1e7))
def test_steps_lead_from_one_total_to_the_other(
    before: dict[str, float], after: dict[str, float], start: float, end: float
) -> None:
    steps = waterfall_steps(start, before, end, after, "rest")
    scale = max(start, end, sum(before.values()), sum(after.values()), 1e-30)
    assert start + sum(step.change for step in steps) == pytest.approx(end, abs=1e-6 * scale)
    assert len(steps) <= 13


@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, 1.0), (0.0, 5.0), (68.5, 69.0), (1e-9, 3e9)])
def test_any_waterfall_can_be_drawn(ends: tuple[float, float], tmp_path: Path) -> None:
    start, end = ends
    steps = waterfall_steps(start, {"a": start}, end, {"a": end}, "rest")
    paths = write_waterfalls([Waterfall("t", "ms", "A", start, steps, "B", end)], tmp_path / "w")
    assert all(path.stat().st_size > 1000 for path in paths)
