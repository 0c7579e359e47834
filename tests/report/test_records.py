"""Files and JSON of a run: nothing lost, nothing invented, no NaN."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.contracts.results import RunRecord, Table
from simulator.core.errors import ModelFault
from simulator.report.provenance import file_checksum, provenance, source_hash
from simulator.report.records import csv_text, json_text, summary_object, table_objects
from simulator.report.run_directory import RunTarget
from simulator.report.run_files import RunInputs, write_run

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)))
CELLS = st.one_of(st.integers(), st.floats(allow_infinity=False), WORDS, st.none())


@dataclass(frozen=True)
class Stated:
    path: str
    value: object
    kind: str | None
    source: str | None


def read_json(text: str) -> dict:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


@given(st.dictionaries(st.text(min_size=1), st.one_of(st.integers(), st.floats(allow_infinity=False))))
def test_numbers_survive_json(metrics: dict[str, float]) -> None:
    read = read_json(json_text(summary_object(RunRecord("cent", "query", metrics), "results/x")))
    assert set(read) == {"system", "workload", "metrics", "breakdown", "run_dir"}
    for name, value in metrics.items():
        if isinstance(value, float) and math.isnan(value):
            assert read["metrics"][name] is None
        else:
            assert read["metrics"][name] == value
            assert type(read["metrics"][name]) is type(value)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=20))
def test_cells_survive_csv(rows: list[tuple[object, object]]) -> None:
    text = csv_text(Table(("a_ms", "b, or c"), rows))
    assert "nan" not in text.lower() or any("nan" in str(cell).lower() for row in rows for cell in row)
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["a_ms", "b, or c"]
    assert len(read) == len(rows) + 1
    for row, cells in zip(rows, read[1:], strict=True):
        for value, cell in zip(row, cells, strict=True):
            if value is None or (isinstance(value, float) and math.isnan(value)):
                assert cell == ""
            elif isinstance(value, float):
                assert float(cell) == value
            else:
                assert cell == str(value)


def test_numbers_of_numpy_are_plain() -> None:
    table = Table(("a", "b", "c"), [(np.int64(3), np.float64(0.1), np.float32("nan"))])
    assert csv_text(table) == "a,b,c\n3,0.1,\n"
    assert table_objects(table) == [{"a": 3, "b": 0.1, "c": None}]
    assert read_json(json_text({"x": np.int64(7), "y": Path("results")})) == {"x": 7, "y": "results"}


def test_an_infinite_number_is_a_fault() -> None:
    with pytest.raises(ModelFault, match="power_w is infinite"):
        summary_object(RunRecord("cent", "query", {"power_w": math.inf}), None)
    with pytest.raises(ModelFault, match=r"time_by_operator_ms\.norm"):
        summary_object(RunRecord("cent", "query", {}, {"time_by_operator_ms": {"norm": -math.inf}}), None)
    with pytest.raises(ModelFault, match="a is infinite"):
        csv_text(Table(("a",), [(math.inf,)]))


def test_a_short_row_is_a_fault() -> None:
    with pytest.raises(ModelFault, match="row 2"):
        csv_text(Table(("a", "b"), [(1, 2), (3,)]))


def inputs() -> RunInputs:
    return RunInputs(
        command=("sim", "run", "hw_configs/cent.yaml"),
        config_yaml="system:\n  kind: cent  # hw_configs/cent.yaml:2\n",
        config_hash="c0ffee",
        seed=1,
        trace_checksums={"traces/x.csv": "beef"},
        parameters=[
            Stated("system.t_rcd", "18 ns", "datasheet", "T7"),
            Stated("system.power", "3 W", "assumed", "no source"),
            Stated("system.n", 4, None, None),
        ],
    )


def test_a_run_directory_holds_all_of_a_run(tmp_path: Path) -> None:
    record = RunRecord(
        "cent", "query", {"p50_ms": math.nan, "n": 3}, operators=Table(("name", "time_ms"), [("norm", 0.1)])
    )
    target = RunTarget(tmp_path / "run", "results/run", replaces=True)
    assert write_run(target, record, inputs()) == Path("results/run")
    assert {one.name for one in target.path.iterdir()} == {
        "manifest.json",
        "config.yaml",
        "summary.json",
        "operators.csv",
    }
    assert (target.path / "config.yaml").read_text() == inputs().config_yaml
    assert read_json((target.path / "summary.json").read_text()) == summary_object(record, "results/run")
    manifest = read_json((target.path / "manifest.json").read_text())
    assert manifest["command"] == ["sim", "run", "hw_configs/cent.yaml"]
    assert manifest["trace_checksums"] == {"traces/x.csv": "beef"}
    assert (manifest["config_hash"], manifest["seed"]) == ("c0ffee", 1)
    assert manifest["parameter_kinds"] == {"assumed": 1, "bare": 1, "datasheet": 1}
    assert manifest["parameters"]["assumed"] == [{"path": "system.power", "value": "3 W", "source": "no source"}]
    assert manifest["parameters"]["fitted"] == []
    assert manifest["source_hash"] == source_hash()
    assert {"git_commit", "git_dirty", "versions", "host", "written_utc"} <= set(manifest)


def test_an_infinite_number_leaves_no_directory(tmp_path: Path) -> None:
    record = RunRecord("cent", "query", {"n": 1}, requests=Table(("a",), [(math.inf,)]))
    with pytest.raises(ModelFault):
        write_run(RunTarget(tmp_path / "run", "run", replaces=True), record, inputs())
    assert list(tmp_path.iterdir()) == []


def test_the_source_hash_sees_every_file_and_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.py").write_text("y = 2")
    hashes = {source_hash(tmp_path)}
    (tmp_path / "notes.txt").write_text("no source")
    assert source_hash(tmp_path) in hashes
    (tmp_path / "b" / "c.py").write_text("y = 3")
    hashes.add(source_hash(tmp_path))
    (tmp_path / "b" / "c.py").rename(tmp_path / "c.py")
    hashes.add(source_hash(tmp_path))
    (tmp_path / "a.py").unlink()
    hashes.add(source_hash(tmp_path))
    assert len(hashes) == 4


def test_provenance_names_libraries_and_host() -> None:
    origin = provenance()
    assert {"simulator", "python", "numpy", "numba"} <= set(origin.versions)
    assert origin.host["n_cpus"] >= 1
    assert origin.git_commit is None or len(origin.git_commit) >= 40


def test_a_checksum_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_checksum(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
