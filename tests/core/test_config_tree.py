"""Configuration trees: includes, inheritance, overrides, and where each value came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulator.core.config import ConfigTree, load_config, load_part, tree_of
from simulator.core.errors import ConfigError, Position

WriteFiles = Callable[[dict[str, str]], None]

CONFIG = {
    "c.yaml": "system:\n  kind: cent\n  device:\n    use: parts/d.yaml\n    sub: {n_rows: 3}\nrun: {seed: 1}\n",
    "parts/d.yaml": (
        "kind: d\nt_read: {value: 18 ns, source: a sheet, kind: datasheet}\n"
        "sub: {n_banks: 16, n_rows: 1}\nlist: [1, 2]\n"
    ),
}


def refused(path: str, *sets: str, load: Callable[..., ConfigTree] = load_config) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path, sets)
    assert caught.value.remedy
    assert caught.value.exit_code == 2
    return caught.value


def test_a_used_part_is_overridden_by_the_keys_beside_it(write_files: WriteFiles) -> None:
    write_files(CONFIG)
    tree = load_config("c.yaml")
    assert tree.plain() == {
        "system": {
            "kind": "cent",
            "device": {"kind": "d", "t_read": "18 ns", "sub": {"n_banks": 16, "n_rows": 3}, "list": [1, 2]},
        },
        "run": {"seed": 1},
    }
    assert tree.position("system.device.sub.n_banks") == Position("parts/d.yaml", 3, 16)
    assert tree.position("system.device.sub.n_rows") == Position("c.yaml", 5, 19)
    assert tree.origins()["system.device.list.1"] == "parts/d.yaml:4:11"
    assert tree.at("system.device").origins()["system.device.kind"] == "parts/d.yaml:1:7"


def test_a_config_extends_another(write_files: WriteFiles) -> None:
    write_files({**CONFIG, "deep/e.yaml": "extends: ../c.yaml\nsystem: {device: {t_read_us: 2, list: [3]}}\n"})
    tree = load_config("deep/e.yaml")
    device = tree.at("system.device")
    assert device.plain() == {"kind": "d", "t_read_us": 2, "sub": {"n_banks": 16, "n_rows": 3}, "list": [3]}
    assert tree.position("system.device.kind") == Position("parts/d.yaml", 1, 7)


def test_parts_are_also_looked_up_in_hw_configs(write_files: WriteFiles) -> None:
    write_files({"mine/c.yaml": "system: {use: parts/p.yaml}\n", "hw_configs/parts/p.yaml": "kind: p\n"})
    assert load_config("mine/c.yaml").get("system.kind") == "p"


def test_trees_answer_for_paths(write_files: WriteFiles) -> None:
    write_files(CONFIG)
    tree = load_config("c.yaml")
    assert tree.get("system.device.t_read") == "18 ns"
    assert tree.get("system.device.none.such", 7) == 7
    assert "run.seed" in tree
    assert "run.speed" not in tree
    assert tree.keys() == ("system", "run")
    assert tree.at("system").at("device.sub").get("n_rows") == 3
    with pytest.raises(ConfigError) as caught:
        tree.at("system.devise")
    assert str(caught.value) == "c.yaml:1:1: `system` has no `devise`\n  remedy: did you mean `device`?"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("run.seed=2", 2),
        ("run.seed= 2 ", 2),
        ("run.seed=two words", "two words"),
        ("run.seed=yes", "yes"),
        ("run.seed=null", None),
        ("run.seed=''", ""),
        ("run.seed=a=b", "a=b"),
        ("run.seed=[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_set_values_are_yaml(write_files: WriteFiles, text: str, value: object) -> None:
    write_files(CONFIG)
    tree = load_config("c.yaml", [text])
    assert tree.get("run.seed") == value
    assert tree.position("run.seed") == "--set run.seed"


def test_sets_reach_lists_new_sections_and_dotted_keys(write_files: WriteFiles) -> None:
    write_files(CONFIG)
    tree = load_config(
        "c.yaml", ["system.device.list.1=9", "workload.a.b=1", 'workload."x.y"=2', "run.seed=3", "run.seed=4"]
    )
    assert tree.get("system.device.list") == [1, 9]
    assert tree.get("workload") == {"a": {"b": 1}, "x.y": 2}
    assert tree.get('workload."x.y"') == 2
    assert tree.origins()['workload."x.y"'] == '--set workload."x.y"'
    assert tree.get("run.seed") == 4


def test_sets_may_come_from_python(write_files: WriteFiles) -> None:
    write_files(CONFIG)
    values = {"run.seed": np.int64(5), "workload": {"rate": np.float32(0.5), "names": ("a", None)}}
    tree = load_config("c.yaml", values)
    assert tree.get("run.seed") == 5
    assert tree.get("workload") == {"rate": 0.5, "names": ["a", None]}
    for bad in (float("nan"), {1: 2}, object(), {"": 1}, "\ud800", {"\ud800": 1}):
        with pytest.raises(ConfigError, match=r"^--set run\.seed: "):
            load_config("c.yaml", {"run.seed": bad})


@pytest.mark.parametrize("key", ["t_read", "t_read.value", "t_read_ns"])
def test_a_bare_value_set_over_a_parameter_is_assumed(write_files: WriteFiles, key: str) -> None:
    write_files(CONFIG)
    value = "20" if key == "t_read_ns" else "20 ns"
    device = load_config("c.yaml", [f"system.device.{key}={value}"]).at("system.device")
    name = key.removesuffix(".value")
    assert [k for k in device.keys() if k.startswith("t_read")] == [name]  # noqa: SIM118 (a tree, not a dict)
    assert device.at(name).full() == {"value": device.get(name), "source": "--set", "kind": "assumed"}
    assert device.position(f"{name}.value") == f"--set system.device.{key}"


def test_a_parameter_may_be_set_whole(write_files: WriteFiles) -> None:
    write_files(CONFIG)
    tree = load_config("c.yaml", ["system.device.t_read={value: 1 ns, kind: measured, source: me}"])
    assert tree.at("system.device.t_read").full() == {"value": "1 ns", "kind": "measured", "source": "me"}


def test_another_part_may_be_set(write_files: WriteFiles) -> None:
    write_files({**CONFIG, "parts/e.yaml": "kind: e\n"})
    for text in ("system.device.use=parts/e.yaml", "system.device={use: parts/e.yaml}"):
        tree = load_config("c.yaml", [text])
        assert tree.get("system.device") == {"kind": "e"}
        assert tree.position("system.device.kind") == Position("parts/e.yaml", 1, 7)


def test_a_section_may_be_replaced(write_files: WriteFiles) -> None:
    write_files({**CONFIG, "w.yaml": "kind: llm\n"})
    tree = load_config("c.yaml").with_section("workload", load_part("w.yaml")).with_sets(["workload.batch=2"])
    assert tree.get("workload") == {"kind": "llm", "batch": 2}
    with pytest.raises(ConfigError, match="unknown section `workloads`"):
        load_config("c.yaml").with_section("workloads", load_part("w.yaml"))


def test_a_part_has_any_keys_and_sets_begin_at_its_root(write_files: WriteFiles) -> None:
    write_files(CONFIG)
    assert load_part("parts/d.yaml", ["sub.n_rows=8"]).get("sub") == {"n_banks": 16, "n_rows": 8}
    assert tree_of({"a": {"b": 1}}, where="test").position("a.b") == "test"


@pytest.mark.parametrize(
    ("sets", "cause", "remedy"),
    [
        (["run.seed"], "--set: 'run.seed' sets nothing", "write --set PATH=VALUE"),
        (["=1"], "--set: '=1' sets nothing", "write --set PATH=VALUE"),
        (["run.seed="], "--set run.seed: no value", "run.seed=null"),
        (["run..seed=1"], "--set run..seed: 'run..seed' is not a path", "keys joined by dots"),
        (['run."seed=1'], "--set run.\"seed: 'run.\"seed' is not a path", "keys joined by dots"),
        (['run."a"b=1'], "is not a path", "quote a whole key"),
        (["run.seed=010"], "--set run.seed: 010 is ambiguous", "write 10"),
        (["run.seed=.nan"], "--set run.seed: nan is not a finite number", "finite"),
        (["run.seed.x=1"], "--set run.seed.x: `run.seed` is a single value", "set `run.seed` itself"),
        (
            ["system.device.list.2=1"],
            "--set system.device.list.2: `system.device.list` is a list of 2 items",
            "number from 0",
        ),
        (["sytem.x=1"], "--set sytem.x: unknown section `sytem`", "did you mean `system`?"),
        (["run=3"], "--set run: section `run` is not a mapping", "write keys below `run:`"),
        (["run.seed=[1"], "--set run.seed: not YAML", "close the bracket"),
        ([".".join("a" * 65) + "=1"], "a path of 65 keys", "at most 64"),
        (["run." + "k" * 101 + "=1"], "a key of 101 characters", "1 to 100"),
        (["run." + ".".join("a" * 60) + "=" + "[" * 10 + "]" * 10], "nested deeper than 64", "flatten"),
        (
            ["system.device.use=parts/x.yaml"],
            "--set system.device.use: no file parts/x.yaml",
            "did you mean parts/d.yaml?",
        ),
        (["system.device.t_read={value: 1 ns}"], "--set system.device.t_read: this parameter lacks `source`", "add it"),
    ],
)
def test_sets_are_refused_by_name(write_files: WriteFiles, sets: list[str], cause: str, remedy: str) -> None:
    write_files(CONFIG)
    error = refused("c.yaml", *sets)
    assert cause in str(error)
    assert remedy in str(error.remedy)


@pytest.mark.parametrize(
    ("files", "where", "cause", "remedy"),
    [
        ({"c.yaml": "sistem: {}\n"}, "c.yaml:1:1", "unknown section `sistem`", "did you mean `system`?"),
        ({"c.yaml": "run: 3\n"}, "c.yaml:1:6", "section `run` is not a mapping", "below `run:`"),
        ({"c.yaml": "- 1\n"}, "c.yaml:1:1", "does not hold a mapping", "key: value"),
        ({"c.yaml": "# only words\n"}, "c.yaml", "the file is empty", "key: value"),
        ({"d.yaml": ""}, None, "no file c.yaml", "did you mean d.yaml?"),
        ({"c.yaml": "run:\n  use: 3\n"}, "c.yaml:2:8", "`use` does not name a file", "parts/part.yaml"),
        ({"c.yaml": "run:\n  use: p.yaml\n", "q.yaml": ""}, "c.yaml:2:8", "no file p.yaml", "did you mean q.yaml?"),
        ({"c.yaml": "run:\n  use: no/p.yaml\n"}, "c.yaml:2:8", "no file no/p.yaml", "there is no folder no"),
        ({"c.yaml": "run:\n  use: .\n"}, "c.yaml:2:8", ". is a folder", "name a YAML file"),
        ({"c.yaml": 'run:\n  use: "a\\0b"\n'}, "c.yaml:2:8", "cannot read 'a\\x00b'", "readable"),
        (
            {"c.yaml": "extends: c.yaml\n"},
            "c.yaml:1:10",
            "c.yaml includes itself: c.yaml -> c.yaml",
            "break the circle",
        ),
        (
            {"c.yaml": "run: {use: a.yaml}\n", "a.yaml": "x:\n  use: c.yaml\n"},
            "a.yaml:2:8",
            "c.yaml includes itself: c.yaml -> a.yaml -> c.yaml",
            "break the circle",
        ),
        ({"c.yaml": "run:\n  extends: a.yaml\n"}, "c.yaml:2:3", "`extends` below the top", "use `use:`"),
        ({"c.yaml": "run: {use: a.yaml}\n", "a.yaml": "a: 1\na: 2\n"}, "a.yaml:2:1", "duplicate key `a`", "keep one"),
        ({"c.yaml": "# " + "x" * (1 << 20)}, "c.yaml", "larger than 1 MiB", "not a trace"),
    ],
)
def test_files_are_refused_at_their_place(
    write_files: WriteFiles, files: dict[str, str], where: str | None, cause: str, remedy: str
) -> None:
    write_files(files)
    error = refused("c.yaml")
    assert (str(error.where) if error.where is not None else None) == where
    assert cause in error.message
    assert remedy in str(error.remedy)


def test_parts_of_parts_cannot_explode(write_files: WriteFiles) -> None:
    files = {f"p{i}.yaml": f"a: {{use: p{i + 1}.yaml}}\nb: {{use: p{i + 1}.yaml}}\n" for i in range(20)}
    write_files({**files, "p20.yaml": "x: 1\n"})
    assert "more than 500 files" in refused("p0.yaml", load=load_part).message


def test_parts_of_parts_cannot_exhaust_the_stack(write_files: WriteFiles) -> None:
    files = {f"p{i}.yaml": f"{{a: {{b: {{c: {{use: p{i + 1}.yaml}}}}}}}}\n" for i in range(100)}
    write_files({**files, "p100.yaml": "x: 1\n"})
    assert "nested deeper than 64" in refused("p0.yaml", load=load_part).message


def test_a_file_given_by_an_object_path_loads(write_files: WriteFiles) -> None:
    write_files(CONFIG)
    assert load_config(Path("c.yaml")).get("run.seed") == 1
