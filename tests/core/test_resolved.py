"""A resolved configuration says where each value came from, and loads again as the same configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.config import ConfigTree, load_config, load_part, tree_of
from simulator.core.errors import ConfigError
from simulator.core.paths import MAX_KEY, format_path, parse_path
from simulator.core.resolved import config_hash, resolved_yaml
from simulator.core.yaml_source import parse_yaml

WriteFiles = Callable[[dict[str, str]], None]

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=MAX_KEY).filter(lambda key: key != "value")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(
        ["yes", "010", "1e3", "0x1", "null", "~", "", " a", "a ", "a: b", "a #b", "- a", "...", "---", "40 us", "%a"]
    ),
)
PARAMETERS = st.builds(
    lambda value, source: {"value": value, "source": source, "kind": "assumed"},
    SCALARS,
    st.text(st.characters(codec="utf-8")).filter(str.strip),
)
VALUES = st.recursive(
    SCALARS | PARAMETERS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(KEYS, VALUES, max_size=5)


def reloaded(tree: ConfigTree) -> ConfigTree:
    root = parse_yaml(resolved_yaml(tree), file="config.yaml")
    assert root is not None
    return ConfigTree(root)


@settings(deadline=None)
@given(MAPPINGS)
def test_resolved_yaml_round_trips(values: dict[str, Any]) -> None:
    tree = tree_of(values, where="test")
    again = reloaded(tree)
    assert again.full() == tree.full() == values
    assert config_hash(again) == config_hash(tree)


def permuted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: permuted(entry) for key, entry in reversed(value.items())}
    return [permuted(entry) for entry in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(MAPPINGS)
def test_the_hash_ignores_the_order_of_keys_and_nothing_else(values: dict[str, Any]) -> None:
    original = config_hash(tree_of(values, where="a"))
    assert config_hash(tree_of(permuted(values), where="b")) == original
    assert config_hash(tree_of({**values, "one more " * 11: 1}, where="a")) != original


def test_the_hash_tells_a_source_and_a_type() -> None:
    hashes = {
        config_hash(tree_of({"a": value}, where=""))
        for value in (
            1,
            1.0,
            "1",
            True,
            {"value": 1, "source": "s", "kind": "paper"},
            {"value": 1, "source": "t", "kind": "paper"},
        )
    }
    assert len(hashes) == 6


def test_every_value_has_its_origin_and_the_file_runs_by_itself(write_files: WriteFiles) -> None:
    write_files(
        {
            "c.yaml": "extends: b.yaml\nrun:\n  names: [a, yes]\n  empty: {}\n",
            "b.yaml": (
                "system:\n  t: {value: 18 ns, source: 'a: b', kind: paper, range: [1 ns, 1 us]}\nrun: {seed: 1}\n"
            ),
        }
    )
    tree = load_config("c.yaml", ["run.seed=2", "serving.stages=[{n: 1}, 2]"])
    text = resolved_yaml(tree)
    assert text == (
        "system:\n"
        '  t: {value: 18 ns, source: "a: b", kind: paper, range: [1 ns, 1 us]}  # b.yaml:2:14\n'
        "run:\n"
        "  seed: 2  # --set run.seed\n"
        "  names: [a, yes]  # c.yaml:3:10\n"
        "  empty: {}  # c.yaml:4:10\n"
        "serving:\n"
        "  stages:\n"
        "    -\n"
        "      n: 1  # --set serving.stages\n"
        "    - 2  # --set serving.stages\n"
    )
    write_files({"run/config.yaml": text})
    assert config_hash(load_config("run/config.yaml")) == config_hash(tree)


def test_an_empty_tree_and_odd_file_names_still_give_yaml(write_files: WriteFiles) -> None:
    write_files({"a\nb: c.yaml": "x: 1\n"})
    tree = load_part("a\nb: c.yaml")
    assert reloaded(tree).plain() == {"x": 1}
    assert resolved_yaml(tree_of({}, where="")) == "{}\n"


@given(st.lists(KEYS, min_size=1, max_size=10).map(tuple))
def test_paths_round_trip(path: tuple[str, ...]) -> None:
    assert parse_path(format_path(path)) == path


@given(st.text())
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        path = parse_path(text)
    except ConfigError:
        return
    assert parse_path(format_path(path)) == path
