"""`sim validate`: what it compares, what it says, and that a wrong target fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from simulator.core.errors import ConfigError
from simulator.experiments import validate_runs, validate_targets
from simulator.experiments.validate import remarks, tables, validate
from simulator.experiments.validate_records import FAIL, PASS, REPORTED, Group, Point, Row, rows_of
from simulator.experiments.validate_targets import golden_rows, list_targets, load_targets
from simulator.report.layout import plain_table

GROUP = Group("g", "Title", "source")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return validate(("cent",))


@pytest.fixture
def few_targets(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a few cheap targets of every sort, for tests that change one."""
    source = repo_root / "simulator" / "experiments" / "targets"
    folder = tmp_path / "targets"
    folder.mkdir()
    content = yaml.safe_load((source / "cent.yaml").read_text(encoding="utf-8"))
    content["groups"] = [group for group in content["groups"] if group["name"] == "long_context"]
    content["groups"][0]["cases"] = content["groups"][0]["cases"][:1]
    for section in ("sections", "capacity"):
        content[section]["cases"] = content[section]["cases"][:1]
    (folder / "cent.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    table = (source / "cent_golden.csv").read_text(encoding="utf-8").splitlines()
    few = [line for line in table if line.startswith(("case_id,", "mac64,", "pub_7B_dev8_pp8_tp1_S512,"))]
    (folder / "cent_golden.csv").write_text("\n".join(few) + "\n", encoding="utf-8")
    for name in ("list_targets", "load_targets", "golden_rows", "path_of", "check_name"):
        default = getattr(validate_targets, name).__defaults__
        monkeypatch.setattr(getattr(validate_targets, name), "__defaults__", (folder,) * len(default))
    return folder


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_target_is_met(rows: list[Row]) -> None:
    assert [row.name for row in rows if row.verdict == FAIL] == []
    assert remarks(rows) == list(
        dict.fromkeys(f"{row.name}: {row.worst.contradicts}" for row in rows if row.worst.contradicts)
    )


def test_every_golden_number_is_compared(rows: list[Row]) -> None:
    targets = load_targets("cent")
    table = golden_rows(targets)
    counts = sum(name.startswith("ch0_") and bool(text) for row in table for name, text in row.items())
    published = sum(row["category"] == "published_block" for row in table)
    golden = [point for row in rows for point in row.points if row.group.name in targets.golden.titles]
    # Cycles of every row, counts where there are some, seven figures of a published row, cycles known by themselves.
    extra = len(targets.micro_cycles)
    assert len(golden) == len(table) + counts + 7 * published + extra


def test_both_accounts_of_a_contradiction_are_shown(rows: list[Row]) -> None:
    reported = [row for row in rows if row.verdict == REPORTED]
    assert {row.group.name for row in reported} == {"split", "shares", "scaling"}
    assert all(row.worst.contradicts and row.n_met == 0 for row in reported)


def test_tables_fit_80_columns(rows: list[Row]) -> None:
    for title, table in tables(rows):
        text = plain_table(title, table)
        widths = [
            max(len(header), *(len(row[index]) for row in text.rows)) for index, header in enumerate(text.headers)
        ]
        assert sum(widths) + 2 * (len(widths) - 1) <= 80, title


def test_json_tells_every_number(rows: list[Row]) -> None:
    objects = [row.as_object() for row in rows]
    keys = {
        "name",
        "group",
        "source",
        "target",
        "ours",
        "error",
        "error_frac",
        "tolerance",
        "verdict",
        "n_points",
        "note",
    }
    assert all(keys <= set(one) for one in objects)
    assert all(len(one["points"]) == one["n_points"] for one in objects if one["n_points"] > 1)
    json.dumps(objects, allow_nan=False)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("throughput_tokens_per_s: 1142.5", "throughput_tokens_per_s: 1142.7", "70B at 2304"),
        ("block_cycles: 1624850", "block_cycles: 1624851", "70B at 2304"),
        ("softmax: 49539", "softmax: 49540", "7B at 1024"),
        ("rows_per_bank: 1826", "rows_per_bank: 1827", "7B"),
        ("mac64_r16: 3575", "mac64_r16: 3574", "micro"),
    ],
)
def test_a_wrong_target_fails(few_targets: Path, sim, old: str, new: str, name: str) -> None:
    changed(few_targets / "cent.yaml", old, new)
    outcome = sim("validate", "cent", "--json")
    result = json.loads(outcome.out)
    assert outcome.code == 1
    assert [row["name"] for row in result["rows"] if row["verdict"] == FAIL] == [name]
    assert result["metrics"]["n_failed"] == 1


@pytest.mark.parametrize(
    ("case", "old", "new", "said"),
    [
        ("mac64", ",185,", ",186,", "micro: mac64: device_cycles is 185, published 186"),
        ("pub_7B", ",67.487,", ",67.489,", "7B 8x1: S=512: mJ_per_token is 67.487, published 67.489"),
    ],
)
def test_a_wrong_golden_row_fails(few_targets: Path, sim, case: str, old: str, new: str, said: str) -> None:
    path = few_targets / "cent_golden.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    index = next(index for index, line in enumerate(lines) if line.startswith(case))
    assert old in lines[index]
    lines[index] = lines[index].replace(old, new, 1)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    outcome = sim("validate", "cent")
    assert outcome.code == 1
    assert said in outcome.out


def test_a_few_targets_are_met(few_targets: Path, sim) -> None:
    outcome = sim("validate")
    assert outcome.code == 0
    assert "targets met" in outcome.out


def test_targets_are_data_and_checked(few_targets: Path, sim) -> None:
    changed(few_targets / "cent.yaml", "scope: block", "scpoe: block")
    outcome = sim("validate", "cent")
    assert outcome.code == 2
    assert "cent.yaml:" in outcome.err


def test_an_unknown_name_is_refused(sim) -> None:
    outcome = sim("validate", "cnet")
    assert (outcome.code, "cent" in outcome.err) == (2, True)
    with pytest.raises(ConfigError):
        validate(("nothing",))
    assert list_targets() == [
        "anda", "anda_figures", "attacc", "bitmod", "bitmod_figures", "cent", "cent_figures", "dram", "formats", "gpu",
        "m5", "papi", "systolic", "tiers",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "ours", "verdict"),
    [
        (1185.1, 1185.1499, PASS),
        (1185.1, 1185.16, FAIL),
        ("3005.0", 3005.04, PASS),
        ("3005.0", 3005.2, FAIL),
        (693, 692.5, PASS),
        (693, 693.6, FAIL),
        (0.479, 0.4795, PASS),
        ("0.0080", 0.00806, FAIL),
    ],
)
def test_printed_digits(target: float | str, ours: float, verdict: str) -> None:
    assert Point.printed(GROUP, "case", "quantity", target, ours).verdict == verdict


def test_counts_must_be_equal() -> None:
    assert Point(GROUP, "case", "cycles", 10**9, 10**9).verdict == PASS
    assert Point(GROUP, "case", "cycles", 10**9, 10**9 + 1).verdict == FAIL


def test_a_row_is_told_by_its_worst_point() -> None:
    near = Point.printed(GROUP, "case", "near", 10.0, 10.01)
    far = Point.printed(GROUP, "case", "far", 10.0, 10.2)
    (row,) = rows_of([near, far, near])
    assert (row.worst, row.verdict, row.n_met) == (far, FAIL, 2)
    assert remarks([row]) == ["case: far is 10.2, published 10.0"]
    single = Group("s", "Title", "source", folded=False)
    assert [row.name for row in rows_of([Point(single, "a", "x", 1, 1), Point(single, "a", "y", 1, 1)])] == [
        "a: x",
        "a: y",
    ]


def test_runs_are_made_once() -> None:
    runs = validate_runs.Runs(load_targets("cent"))
    first = runs.record("7B", "norm", {"workload.context": 64})
    assert runs.record("7B", "norm", {"workload.context": 64}) is first
    assert runs.record("7B", "norm", {"workload.context": 65}) is not first


def test_figures_of_a_machine_without_runs_of_its_own_are_compared() -> None:
    rows = validate(("anda_figures",))
    assert {row.verdict for row in rows} <= {PASS, REPORTED}
    assert any(row.verdict == PASS for row in rows)
