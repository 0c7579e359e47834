"""The command line: what reaches the simulator, what is printed, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.contracts.results import RunRecord, Table
from simulator.core.errors import ConfigError, MappingError, ModelFault, Position, SimulatorError, WorkloadError

RECORD = RunRecord("cent", "llama2-70b", {"throughput_tokens_per_s": 1185.125, "ttft_ms_p50": float("nan")})
ERRORS = [
    (ConfigError("unknown key 'kindd'", where=Position("a.yaml", 3, 5), remedy="did you mean 'kind'?"), 2),
    (WorkloadError("empty trace", where=Position("t.csv", 1)), 3),
    (MappingError("4 GiB short", missing_bytes=4 << 30), 4),
    (ModelFault("time ran backwards"), 5),
    (SimulatorError("plain"), 1),
    (ValueError("a defect"), 5),
    (MemoryError("Unable to allocate 7 TiB"), 2),
    (KeyboardInterrupt(), 130),
    (BrokenPipeError(32, "Broken pipe"), 141),
]


@dataclass(frozen=True)
class Row:
    name: str
    verdict: str

    def as_object(self) -> dict[str, str]:
        return {"name": self.name, "verdict": self.verdict}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[tuple, dict]]]:
    """Put a function in the place of an experiment's, and give the list of its calls."""

    def place(module: str, name: str, function: Callable[..., Any]) -> list[tuple[tuple, dict]]:
        calls: list[tuple[tuple, dict]] = []

        def record(*positional: Any, **named: Any) -> Any:
            calls.append((positional, named))
            return function()

        monkeypatch.setitem(sys.modules, f"simulator.experiments.{module}", SimpleNamespace(**{name: record}))
        return calls

    return place


def raiser(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_run_hands_over_every_option(sim, stand_in) -> None:
    calls = stand_in("run", "run_command", lambda: (RECORD, Path("results/x")))
    line = (
        "run hw_configs/cent.yaml --workload w --trace t.csv --format azure --requests 10 --qps 0.6 --jitter 2.5"
        " --seed 7 --set workload.model=llama2-7b --set system.n_devices=8 --out o --no-report --json"
    )
    outcome = sim(*line.split())
    assert (outcome.code, outcome.err) == (0, "")
    ((positional, named),) = calls
    assert positional == ("hw_configs/cent.yaml",)
    assert named == {
        "workload": "w", "trace": "t.csv", "format": "azure", "requests": 10, "qps": 0.6, "time_scale": None,
        "jitter": 2.5, "sets": ("workload.model=llama2-7b", "system.n_devices=8"), "seed": 7, "out": "o",
        "report": False, "timeline": False, "command": ("sim", *line.split()),
    }  # fmt: skip


def test_run_leaves_defaults_to_the_configuration(sim, stand_in) -> None:
    calls = stand_in("run", "run_command", lambda: (RECORD, Path("results/x")))
    assert sim("run", "c.yaml").code == 0
    named = calls[0][1]
    assert {name for name, value in named.items() if value is None} == {
        "workload", "trace", "requests", "qps", "time_scale", "jitter", "seed", "out",
    }  # fmt: skip
    assert (named["format"], named["sets"], named["report"]) == ("auto", (), True)


def test_json_is_one_object_and_nothing_else(sim, stand_in) -> None:
    stand_in("run", "run_command", lambda: (RECORD, Path("results/x")))
    outcome = sim("run", "c.yaml", "--json")
    assert json.loads(outcome.out) == {
        "system": "cent",
        "workload": "llama2-70b",
        "metrics": {"throughput_tokens_per_s": 1185.125, "ttft_ms_p50": None},
        "breakdown": {},
        "run_dir": "results/x",
    }


def test_tables_are_printed_without_json(sim, stand_in) -> None:
    stand_in("run", "run_command", lambda: (RECORD, Path("results/x")))
    outcome = sim("run", "c.yaml")
    assert "1,185.1 tokens/s" in outcome.out
    assert "Run directory: results/x" in outcome.out


def test_replay(sim, stand_in) -> None:
    calls = stand_in("replay", "replay_command", lambda: (RunRecord("gddr6", "t", {"device_cycles": 2}), Path("r")))
    outcome = sim("replay", "p.yaml", "t.txt", "--set", "a=1", "--json")
    assert json.loads(outcome.out)["metrics"] == {"device_cycles": 2}
    command = ("sim", "replay", "p.yaml", "t.txt", "--set", "a=1", "--json")
    assert calls == [(("p.yaml", "t.txt"), {"sets": ("a=1",), "seed": None, "out": None, "command": command})]


@pytest.mark.parametrize(
    ("verdicts", "code", "n_met"), [(["pass", "fail", "reported"], 1, 1), (["pass"], 0, 1), (["pass", "missed"], 0, 1)]
)
def test_validate_fails_with_1(
    sim, monkeypatch: pytest.MonkeyPatch, verdicts: list[str], code: int, n_met: int
) -> None:
    calls: list[tuple[tuple[str, ...], Path | None]] = []
    rows = [Row(f"row {index}", verdict) for index, verdict in enumerate(verdicts)]
    table = Table(("target", "verdict"), [(row.name, row.verdict) for row in rows])
    stand_in = SimpleNamespace(
        validate=lambda names, profiles: calls.append((names, profiles)) or rows,
        tables=lambda _: [("All targets", table)],
        remarks=lambda _: ["a remark"],
    )
    monkeypatch.setitem(sys.modules, "simulator.experiments.validate", stand_in)
    outcome = sim("validate", "cent", "--profiles", "there")
    assert (outcome.code, calls) == (code, [(("cent",), Path("there"))])
    n_failed, n_missed = verdicts.count("fail"), verdicts.count("missed")
    assert f"{n_met} of {n_met + n_failed + n_missed} targets met" in outcome.out  # a known miss is a miss
    assert "All targets" in outcome.out
    assert "* a remark" in outcome.out
    outcome = sim("validate", "--json")
    counted = {"n_targets": len(rows), "n_met": n_met, "n_failed": n_failed}
    counted |= {f"n_{word}": 1 for word in ("reported", "missed") if word in verdicts}
    assert (outcome.code, json.loads(outcome.out)["metrics"]) == (code, counted)


def test_check_list_and_warmup(sim, stand_in) -> None:
    stand_in("check", "check", lambda: RunRecord("cent", "parameters", {"n_parameters": 3}))
    assert json.loads(sim("check", "c.yaml", "--json").out)["run_dir"] is None
    stand_in("catalog", "list_kind", lambda: Table(("name", "n_layers"), [("opt-13b", 40)]))
    assert json.loads(sim("list", "models", "--json").out) == {"models": [{"name": "opt-13b", "n_layers": 40}]}
    assert "opt-13b" in sim("list", "models").out
    calls = stand_in("warmup", "warmup", lambda: None)
    assert sim("warmup").code == 0
    assert calls == [((), {})]


def test_trace_export_and_info(sim, stand_in) -> None:
    calls = stand_in("export", "export_trace", lambda: iter(["AiM SYNC", "AiM EOC"]))
    assert sim("trace", "export", "c.yaml", "--set", "a=1").out == "AiM SYNC\nAiM EOC\n"
    assert calls == [(("c.yaml", ("a=1",)), {})]
    stand_in("traces", "describe_trace", lambda: RunRecord("azure", "t.csv", {"n_requests": 5}))
    assert json.loads(sim("trace", "info", "t.csv", "--json").out)["metrics"] == {"n_requests": 5}


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_exit_codes(sim, stand_in, error: BaseException, code: int) -> None:
    stand_in("run", "run_command", raiser(error))
    outcome = sim("run", "c.yaml")
    assert (outcome.code, outcome.out) == (code, "")
    assert "Traceback" not in outcome.err
    if isinstance(error, SimulatorError):
        assert outcome.err == f"error: {error}\n"


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_debug_anywhere_prints_a_traceback(sim, stand_in, place: int) -> None:
    stand_in("run", "run_command", raiser(ConfigError("wrong")))
    arguments = ["run", "c.yaml", "--set", "a=1"]
    arguments.insert(place, "--debug")
    if place == 4:
        assert arguments[-1] == "--debug"
    outcome = sim(*arguments)
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("error: wrong\n")


@pytest.mark.parametrize(
    "line",
    [
        "", "unheard-of", "run", "run a b", "run a --unheard-of", "run a --seed x", "run a --qps x",
        "run a --requests 1.5", "replay a", "list", "trace", "trace unheard-of", "check",
    ],
)  # fmt: skip
def test_usage_errors_end_with_2(sim, line: str) -> None:
    outcome = sim(*line.split())
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert "Usage" in outcome.out + outcome.err


@pytest.mark.parametrize(
    "options",
    [
        "--qps 0", "--qps -1", "--qps nan", "--qps inf", "--time-scale 0", "--time-scale nan", "--jitter -1",
        "--jitter nan", "--requests 0", "--requests -3", "--qps 1 --time-scale 2",
    ],
)  # fmt: skip
def test_impossible_numbers_end_with_2(sim, stand_in, options: str) -> None:
    calls = stand_in("run", "run_command", lambda: (RECORD, Path("results/x")))
    outcome = sim("run", "c.yaml", *options.split())
    assert (outcome.code, outcome.out, calls) == (2, "", [])
    assert outcome.err.startswith("error: --")
    assert "remedy" in outcome.err


@pytest.mark.parametrize("command", ["", "run", "replay", "validate", "trace", "list"])
def test_help(sim, command: str) -> None:
    outcome = sim(*command.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Usage: sim" in outcome.out
    assert re.search(r"[a-z]\.\.\.", outcome.out) is None  # no sentence is cut off


def test_help_names_every_option_of_run(sim) -> None:
    text = sim("run", "--help").out
    for option in (
        "workload",
        "trace",
        "format",
        "requests",
        "qps",
        "time-scale",
        "jitter",
        "set",
        "seed",
        "out",
        "json",
    ):
        assert f"--{option}" in text


def test_version(sim) -> None:
    assert sim("--version").out.startswith("sim ")


HEAD = """
import sys, time
from types import SimpleNamespace
from simulator.cli.main import main
"""


@pytest.fixture
def program(repo_root: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `sim` as a process of its own with a stand-in for an experiment."""
    started = []

    def start(body: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(repo_root)}
        process = subprocess.Popen(
            (sys.executable, "-c", HEAD + body),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("n_lines", [1, 1_000_000])
def test_a_reader_that_leaves_is_no_error(program, n_lines: int) -> None:
    process = program(
        f"lines = ('AiM EOC' for _ in range({n_lines}))\n"
        "def export(*a):\n    time.sleep(0.3)\n    return lines\n"
        "sys.modules['simulator.experiments.export'] = SimpleNamespace(export_trace=export)\n"
        "sys.exit(main(['trace', 'export', 'c.yaml']))\n"
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141


def test_ctrl_c_ends_with_130(program) -> None:
    process = program(
        "def slow(*a, **k):\n    print('THERE', flush=True)\n    time.sleep(60)\n"
        "sys.modules['simulator.experiments.run'] = SimpleNamespace(run_command=slow)\n"
        "sys.exit(main(['run', 'c.yaml', '--json']))\n"
    )
    assert process.stdout.readline() == "THERE\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
