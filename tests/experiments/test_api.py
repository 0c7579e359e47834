"""The Python API, run directories, and the keys that scripts rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import simulator
from simulator.core.errors import ConfigError, MappingError, WorkloadError

BLOCK = {"workload.model": "llama2-7b", "system.n_devices": 8, "workload.scope": "block", "workload.context": 512}
BLOCK_METRICS = {"block_cycles", "token_latency_ms", "throughput_tokens_per_s", "energy_mj_per_token", "power_w"}
QUERY_METRICS = {
    "throughput_tokens_per_s", "energy_mj_per_token", "power_w", "prefill_throughput_tokens_per_s",
    "decode_throughput_tokens_per_s", "query_latency_s",
}  # fmt: skip
TRACE_METRICS = {
    f"{name}_{part}" for name in ("ttft_ms", "tpot_ms", "e2e_ms") for part in ("mean", "p50", "p90", "p99")
}
COMMANDS = {
    "ACT", "PRE", "PREA", "ACT16", "MAC16", "AF16", "EWMUL16", "RD", "WR", "RDCP", "WRCP", "WRGB", "WRMAC16", "RDMAC16",
    "RDAF16", "WRA16", "TMOD",
}  # fmt: skip


@pytest.fixture
def cent(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configuration, from a folder in which nothing may be left."""
    monkeypatch.chdir(tmp_path)
    return str(repo_root / "hw_configs" / "cent.yaml")


def sets_of(values: dict[str, object]) -> list[str]:
    return [text for path, value in values.items() for text in ("--set", f"{path}={value}")]


def test_a_call_gives_what_the_command_prints(cent: str, sim) -> None:
    run = simulator.run(cent, BLOCK)
    assert list(Path.cwd().iterdir()) == []
    printed = json.loads(sim("run", cent, *sets_of(BLOCK), "--json").out)
    assert run.metrics == printed["metrics"]
    assert run.summary == {**printed, "run_dir": None}
    assert run.directory is None
    assert (run.metrics["block_cycles"], round(run.metrics["energy_mj_per_token"], 4)) == (456689, 63.07)
    assert run.headlines


def test_tables_are_data_frames(cent: str, repo_root: Path) -> None:
    run = simulator.run(cent, BLOCK)
    assert run.operators["time_ms"].sum() == pytest.approx(run.metrics["token_latency_ms"])
    assert run.requests.empty
    trace = simulator.run(cent, trace=repo_root / "traces" / "conversation_2k.csv", requests=20, qps=0.5)
    assert len(trace.requests) == 20


def test_out_writes_the_run_directory(cent: str, tmp_path: Path) -> None:
    run = simulator.run(cent, BLOCK, out="there", seed=5)
    folder = tmp_path / "there"
    assert run.directory == Path("there")
    assert {path.name for path in folder.iterdir()} >= {"manifest.json", "config.yaml", "summary.json", "operators.csv"}
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(run.summary))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seed"] == 5
    assert manifest["command"][0] == "simulator.run"
    assert [parameter["path"] for parameter in manifest["parameters"]["assumed"]][-1].endswith("n_rfc")
    with pytest.raises(ConfigError):
        simulator.run(cent, BLOCK, out="there")


def test_the_resolved_configuration_runs_again(cent: str, tmp_path: Path) -> None:
    first = simulator.run(cent, BLOCK, out="first")
    again = simulator.run(tmp_path / "first" / "config.yaml")
    assert again.metrics == first.metrics
    assert yaml.safe_load((tmp_path / "first" / "config.yaml").read_text())["workload"]["context"] == 512


def test_equal_runs_have_equal_directories(cent: str, sim) -> None:
    names = [json.loads(sim("run", cent, *sets_of(BLOCK), "--json").out)["run_dir"] for _ in range(2)]
    other = json.loads(sim("run", cent, *sets_of({**BLOCK, "workload.context": 640}), "--json").out)["run_dir"]
    assert names[0] == names[1] != other
    assert names[0].startswith("results/cent-llama2-7b-block-")


def test_replay(cent: str, repo_root: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.aim"
    trace.write_text("AiM MAC_ABK 64 0xffffffff 0\nAiM EOC\n", encoding="utf-8")
    part = repo_root / "hw_configs" / "parts" / "gddr6_aim.yaml"
    run = simulator.replay(part, trace)
    assert (run.metrics["device_cycles"], run.directory) == (185, None)
    assert run.breakdown["channel0_commands"]["MAC16"] == 64
    slower = simulator.replay(part, trace, {"timing.n_rcd_mac": 57}, out="replayed")
    assert slower.metrics["device_cycles"] == 186
    checksums = json.loads((tmp_path / "replayed" / "manifest.json").read_text())["trace_checksums"]
    assert list(checksums) == [str(trace)]


def test_errors_have_types(cent: str, repo_root: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        simulator.run(cent, {"system.n_device": 8})
    with pytest.raises(WorkloadError):
        simulator.run(cent, {"workload.model": "llama9"})
    with pytest.raises(MappingError) as caught:
        simulator.run(cent, {"system.n_devices": 2})
    assert caught.value.exit_code == 4
    with pytest.raises(WorkloadError):
        simulator.replay(repo_root / "hw_configs/parts/gddr6_aim.yaml", "none.aim")
    assert list(Path.cwd().iterdir()) == []


def test_keys_of_a_block(cent: str, sim) -> None:
    sets = {**BLOCK, "workload.context": 4096, "system.parallelism": "pp"}
    result = json.loads(sim("run", cent, *sets_of(sets), "--json").out)
    assert set(result) == {"system", "workload", "metrics", "breakdown", "run_dir"}
    assert set(result["metrics"]) >= BLOCK_METRICS
    assert set(result["breakdown"]["channel0_commands"]) == COMMANDS


def test_keys_of_a_query(cent: str, sim) -> None:
    result = json.loads(sim("run", cent, "--set", "workload.context_step=512", "--json").out)
    assert set(result["metrics"]) >= QUERY_METRICS


def test_keys_of_a_trace(cent: str, sim, repo_root: Path) -> None:
    trace = str(repo_root / "traces" / "conversation_2k.csv")
    result = json.loads(sim("run", cent, "--trace", trace, "--requests", "50", "--qps", "0.6", "--json").out)
    assert set(result["metrics"]) >= TRACE_METRICS | {"makespan_s", "offered_load_frac"}
    folder = Path(result["run_dir"])
    assert {"manifest.json", "config.yaml", "summary.json", "requests.csv"} <= {path.name for path in folder.iterdir()}
    assert len((folder / "requests.csv").read_text().splitlines()) == 51


def test_keys_of_a_step(cent: str, sim) -> None:
    sets = {**BLOCK, "workload.scope": "query", "workload.phase": "decode", "workload.batch": 2}
    assert json.loads(sim("run", cent, *sets_of(sets), "--json").out)["metrics"]["step_time_ms"] > 0


def test_names_of_the_package() -> None:
    assert {"run", "replay", "Run"} <= set(dir(simulator))
    with pytest.raises(AttributeError, match="nothing_such"):
        simulator.nothing_such  # noqa: B018 - the access is what is tested


def test_importing_the_package_imports_nothing_else(repo_root: Path) -> None:
    code = (
        "import sys, simulator; print(sorted(name for name in sys.modules if name.startswith(('simulator.', 'numpy'))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(repo_root)}
    done = subprocess.run((sys.executable, "-c", code), env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
