"""The points of a sweep: forms of axes, methods, constraints, derived values, and what a bad file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.core.config import tree_of
from simulator.core.errors import ConfigError, SimulatorError
from simulator.experiments.sweeps.addresses import PointAddresses
from simulator.experiments.sweeps.definition import load_sweep
from simulator.experiments.sweeps.points import check_paths, plan_sweep
from simulator.experiments.sweeps.space import Space

TREE = tree_of({"system": {"n": 5, "kind": "cent"}, "run": {"seed": 3}}, where="base")


def space_of(**said: Any) -> Space:
    sweep = load_sweep({"config": "x.yaml", **said})
    return Space(sweep, [TREE] * len(sweep.configs))


def rows(**said: Any) -> list[tuple[Any, ...]]:
    return [one.values for one in space_of(**said)]


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ([3, "a", True, None], [3, "a", True, None]),
        (7, [7]),
        ({"range": [1, 7, 2]}, [1, 3, 5, 7]),
        ({"range": [1, 8, 2]}, [1, 3, 5, 7]),
        ({"range": [5, 1, -2]}, [5, 3, 1]),
        ({"range": [0.1, 0.3, 0.1]}, [0.1, 0.2, pytest.approx(0.3)]),
        ({"linspace": [0, 1, 5]}, [0, 0.25, 0.5, 0.75, 1]),
        ({"linspace": [2, 9, 1]}, [2]),
        ({"geomspace": [1, 100, 3]}, [1, pytest.approx(10), 100]),
        ({"geomspace": [1, 8, 7], "integer": True}, [1, 2, 3, 4, 6, 8]),
    ],
)
def test_forms_of_an_axis(form: Any, values: list[Any]) -> None:
    assert [row[0] for row in rows(axes={"system.a": form})] == values


def test_a_grid_is_the_product_last_axis_first() -> None:
    assert rows(axes={"s.a": [1, 2], "s.b": ["x", "y"]}) == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_several_configurations_are_an_outer_axis() -> None:
    found = [(one.config, one.values) for one in space_of(config=["a.yaml", "b.yaml"], axes={"s.a": [1, 2]})]
    assert found == [(0, (1,)), (0, (2,)), (1, (1,)), (1, (2,))]


def test_zipped_axes_advance_together() -> None:
    found = rows(axes={"s.a": [1, 2], "s.b": [7, 8], "s.c": ["x", "y"]}, zip=[["s.a", "s.c"]])
    assert found == [(1, "x", 7), (1, "x", 8), (2, "y", 7), (2, "y", 8)]


def test_constraints_and_derived_values_see_axes_paths_and_the_configuration() -> None:
    found = rows(
        axes={"s.a": [1, 2, 3], "width": [1, 2]},
        derived={"s.c": "a * system.n", "s.d": "c + width"},
        constraints=["a % width == 0", "s.d <= 12", "config == 'x.yaml'"],
    )
    assert found == [(1, 1, 5, 6), (2, 1, 10, 11), (2, 2, 10, 12)]


def test_a_list_of_points() -> None:
    assert rows(points=[{"s.a": 1, "s.b": "x"}, {"s.b": "y", "s.a": 2}]) == [(1, "x"), (2, "y")]


def test_repeats_vary_the_seed() -> None:
    assert rows(axes={"s.a": [1, 2]}, repeats=2) == [(1, 3), (1, 4), (2, 3), (2, 4)]


def test_random_points_satisfy_the_constraints_and_repeat_themselves() -> None:
    said: dict[str, Any] = {
        "axes": {
            "s.a": {"uniform": [1, 6], "integer": True}, "s.b": {"log_uniform": [1e-3, 1e3]}, "s.c": ["x", "y"],
            "s.d": {"uniform": [-1, 1]},
        },
        "method": "random", "n": 500, "constraints": ["a > 2"],
    }  # fmt: skip
    found = rows(**said)
    assert len(found) == 500
    assert found == rows(**said)
    assert found != rows(**said, seed=2)
    assert {row[0] for row in found} == {3, 4, 5, 6}
    assert all(1e-3 <= row[1] <= 1e3 and -1 <= row[3] < 1 for row in found)
    assert 0.3 < sum(row[1] < 1 for row in found) / 500 < 0.7
    assert {row[2] for row in found} == {"x", "y"}


def test_a_latin_hypercube_has_one_point_in_every_slice() -> None:
    found = rows(axes={"s.a": {"uniform": [0, 100]}, "s.b": list(range(50))}, method="lhs", n=100)
    assert sorted(int(row[0]) for row in found) == list(range(100))
    assert sorted(row[1] for row in found) == [value for value in range(50) for _ in range(2)]


def test_an_empty_space_says_which_constraint_removes_how_many() -> None:
    with pytest.raises(ConfigError, match="of 6 candidates `a > 2` removes 4; `a < 3` removes 2"):
        space_of(axes={"s.a": [1, 2, 3], "s.b": [1, 2]}, constraints=["a > 2", "a < 3"]).census()
    census = space_of(axes={"s.a": [1, 2, 3]}, constraints=["a > 1"], repeats=2).census()
    assert (census.n_candidates, census.n_points, census.removals[0].n_removed) == (3, 4, 1)


def test_a_grid_beyond_counting_is_refused() -> None:
    with pytest.raises(ConfigError, match="100,000,000 points"):
        space_of(axes={f"s.a{n}": {"range": [1, 100, 1]} for n in range(4)}).census()


BAD = [
    ("", "empty", ""),
    ("config: c.yaml\n", "varies nothing", "1:1"),
    ("axes: {a.b: [1]}\n", "lacks `config`", "1:1"),
    ("config: c.yaml\naxis: {a.b: [1]}\n", "did you mean `axes`", "2:1"),
    ("config: c.yaml\naxes:\n  a.b: []\n", "has no values", "3:8"),
    ("config: c.yaml\naxes:\n  a.b: [[1]]\n", "not a list or a mapping", "3:9"),
    ("config: c.yaml\naxes:\n  a.b: {rnage: [1, 2, 1]}\n", "did you mean `range`", "3:9"),
    ("config: c.yaml\naxes:\n  a.b: {range: [1, 2]}\n", "needs 3 numbers", "3:16"),
    ("config: c.yaml\naxes:\n  a.b: {range: [1, 2, 0]}\n", "never leads", "3:8"),
    ("config: c.yaml\naxes:\n  a.b: {range: [1, 1e12, 1]}\n", "at most 1,000,000", "3:8"),
    ("config: c.yaml\naxes:\n  a.b: {linspace: [1, 2, 2.5]}\n", "no count", "3:8"),
    ("config: c.yaml\naxes:\n  a.b: {linspace: [1, 2 ns, 3]}\n", "is not a number", "3:23"),
    ("config: c.yaml\naxes:\n  a.b: {geomspace: [0, 2, 3]}\n", "no zero", "3:8"),
    ("config: c.yaml\naxes:\n  a.b: {uniform: [0, 2]}\n", "grid cannot hold", "3:3"),
    ("config: c.yaml\naxes:\n  a.b: {uniform: [3, 2]}\nmethod: lhs\nn: 3\n", "no interval", "3:8"),
    ("config: c.yaml\naxes:\n  a.b: [1]\nmethod: random\n", "write `n:`", "4:9"),
    ("config: c.yaml\naxes:\n  a.b: [1]\nn: 3\n", "leave `n` out", "4:4"),
    ("config: c.yaml\naxes:\n  a.b: [1]\nmethod: gird\n", "did you mean `grid`", "4:9"),
    ("config: c.yaml\naxes:\n  a.b: [1]\npoints: [{a.b: 1}]\n", "not both", "4:9"),
    ("config: c.yaml\npoints: [{a.b: 1}, {a.c: 1}]\n", "do not set the same paths", "2:20"),
    ("config: c.yaml\naxes:\n  a.b: [1, 2]\n  a.c: [1]\nzip: [[a.b, a.c]]\n", "differ in length", "5:6"),
    ("config: c.yaml\naxes:\n  a.b: [1, 2]\nzip: [[a.b, a.d]]\n", "`a.d` in `zip` is no axis", "4:6"),
    ("config: c.yaml\naxes:\n  a.b: [1, 2]\nderived: {a.b: 1 + 1}\n", "set twice", "4:11"),
    ("config: c.yaml\naxes:\n  a.b: [1, 2]\nconstraints: ['b >']\n", "is no expression", "4:15"),
    ("config: c.yaml\naxes:\n  a.b: [1, 2]\nconstraints: b > 1\n", "is not a list", "4:14"),
    ("config: c.yaml\naxes:\n  width: [1, 2]\n", "neither a path", "3:3"),
    ("config: c.yaml\naxes:\n  trace.qps: [1, 2]\n", "the sweep has none", "3:3"),
    ("config: c.yaml\ntrace: {file: t}\naxes:\n  trace.qpz: [1, 2]\n", "did you mean `trace.qps`", "4:3"),
    ("config: c.yaml\ntrace: {file: t}\naxes:\n  trace.qps: [1, -2]\n", "greater than 0", "4:18"),
    ("config: c.yaml\nrepeats: 2\naxes:\n  run.seed: [1, 2]\n", "leave one of the two out", "4:3"),
    ("config: c.yaml\naxes:\n  config: [a, b]\n", "list the files", "3:3"),
    ("config: c.yaml\naxes:\n  a..b: [1]\n", "is not a path", "3:3"),
    ("config: c.yaml\naxes:\n  a.b: [1]\nplots: [{kind: line, x: a.b, y: t}]\n", "did you mean `lines`", "4:16"),
    ("config: 3\naxes:\n  a.b: [1]\n", "name a YAML file", "1:9"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "cause", "place"), BAD, ids=[cause for _, cause, _ in BAD])
def test_a_bad_file_is_refused_at_its_place(tmp_path: Path, text: str, cause: str, place: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(SimulatorError) as caught:
        load_sweep(file)
    assert cause in str(caught.value)
    assert str(caught.value).startswith(f"{file}:{place}" if place else str(file))
    assert caught.value.exit_code == 2


UNKNOWN = [
    ("axes:\n  system.n_devces: [8, 16]\n", "did you mean `n_devices`", "3:3", 2),
    ("axes:\n  sytem.n_devices: [8, 16]\n", "did you mean `system`", "3:21", 2),
    ("axes:\n  system.cxl.switch.x: [8]\n", "", "3:", 2),
    ("axes:\n  system.n_devices: [8]\nconstraints: ['n_devcs > 2']\n", "did you mean `n_devices`", "4:15", 2),
    ("axes:\n  system.n_devices: [8]\nconstraints: ['system > 2']\n", "group of values", "4:15", 2),
    ("axes:\n  system.n_devices: [8]\nset: {system.n_device: 3}\n", "", "", 2),
    ("axes:\n  system.n_devices: [8]\ntrace: {file: nowhere.csv}\n", "no file nowhere.csv", "4:15", 3),
    ("axes:\n  system.host.top_k_hz: [8]\n", "wrong unit", "3:", 2),
]


@pytest.mark.parametrize(("text", "cause", "place", "code"), UNKNOWN)
def test_an_unknown_path_is_refused_before_anything_runs(
    tmp_path: Path, repo_root: Path, text: str, cause: str, place: str, code: int
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"config: {repo_root}/hw_configs/cent.yaml\n" + text)
    with pytest.raises(SimulatorError) as caught:
        check_paths(*plan_sweep(load_sweep(file)))
    assert cause in str(caught.value)
    assert not place or str(caught.value).startswith(f"{file}:{place}")
    assert caught.value.exit_code == code


def test_a_path_that_takes_some_of_its_values_is_left_to_the_points(repo_root: Path) -> None:
    plan, space = plan_sweep(
        load_sweep({"config": str(repo_root / "hw_configs/cent.yaml"), "axes": {"system.n_devices": [0, "x", 8]}})
    )
    check_paths(plan, space)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("config: hw_configs/cant.yaml\naxes: {system.n_devices: [8]}\n")
    with pytest.raises(ConfigError, match=r"s\.yaml:1:9: no file hw_configs/cant\.yaml"):
        plan_sweep(load_sweep(file))


def keys(repo_root: Path, **said: Any) -> list[str]:
    plan, space = plan_sweep(load_sweep({"config": str(repo_root / "hw_configs/cent.yaml"), **said}))
    return [point.key for point in PointAddresses(plan).points(space)]


def test_addresses_depend_on_what_a_result_depends_on(repo_root: Path, tmp_path: Path) -> None:
    axes = {"system.n_devices": [8, 16], "workload.context": [512]}
    first = keys(repo_root, axes=axes)
    assert len(set(first)) == 2
    # The same configurations, said otherwise.
    assert keys(repo_root, axes={"workload.context": [512]}, set={"system.n_devices": 8}) == first[:1]
    assert keys(repo_root, points=[{"system.n_devices": 16, "workload.context": 512}]) == first[1:]
    # Another seed, metric of a breakdown, or trace is another result.
    trace = tmp_path / "t.csv"
    trace.write_text("a\n")
    others = [
        keys(repo_root, axes=axes, set={"run.seed": 2}),
        keys(repo_root, axes=axes, metrics=["channel0_commands.ACT"]),
        keys(repo_root, axes=axes, trace={"file": str(trace)}),
        keys(repo_root, axes=axes, trace={"file": str(trace), "qps": 2}),
    ]
    trace.write_text("b\n")
    others.append(keys(repo_root, axes=axes, trace={"file": str(trace)}))
    assert len({key for one in (first, *others) for key in one}) == 12


def test_the_source_of_the_simulator_is_part_of_the_address(repo_root: Path, monkeypatch) -> None:
    axes = {"system.n_devices": [8]}
    first = keys(repo_root, axes=axes)
    monkeypatch.setattr("simulator.experiments.sweeps.addresses.source_hash", lambda: "another")
    assert keys(repo_root, axes=axes) != first
