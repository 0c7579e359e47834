"""Parameters that state their origin."""

from __future__ import annotations

import pytest

from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError, Position
from simulator.core.parameters import KINDS, Parameter, check_parameters, count_kinds, parameters
from simulator.core.yaml_source import parse_yaml


def tree(text: str) -> ConfigTree:
    root = parse_yaml(text, file="f.yaml")
    assert root is not None
    check_parameters(root)
    return ConfigTree(root)


def test_parameters_are_found_with_their_paths() -> None:
    text = """\
device:
  kind: cent
  t_rcd: {value: 18 ns, source: table 3, kind: paper, range: [16 ns, 0.02 us]}
  list: [{value: 2, source: me, kind: assumed}]
"""
    found = parameters(tree(text).at("device"))
    assert found == [
        Parameter("device.t_rcd", "18 ns", "paper", "table 3", ("16 ns", "0.02 us"), Position("f.yaml", 3, 18)),
        Parameter("device.list.0", 2, "assumed", "me", None, Position("f.yaml", 4, 18)),
    ]
    assert count_kinds(found) == {"paper": 1, "assumed": 1}
    assert tree(text).get("device") == {"kind": "cent", "t_rcd": "18 ns", "list": [2]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known(kind: str) -> None:
    assert parameters(tree(f"a: {{value: 1, source: s, kind: {kind}}}"))[0].kind == kind


@pytest.mark.parametrize(
    ("text", "column", "cause"),
    [
        ("a: {value: 1, kind: paper}", 1, "this parameter lacks `source`"),
        ("a: {value: 1, source: s}", 1, "this parameter lacks `kind`"),
        ("a: {value: 1, source: s, kind: papers}", 32, "unknown kind of parameter 'papers'"),
        ("a: {value: 1, source: 3, kind: paper}", 23, "a source is text"),
        ("a: {value: 1, source: ' ', kind: paper}", 23, "a source is text"),
        ("a: {value: 1, source: s, kind: paper, rnge: [0, 1]}", 39, "a parameter has no `rnge`"),
        ("a: {value: {b: 1}, source: s, kind: paper}", 12, "a parameter's value is a mapping"),
        ("a: {value: 1, source: s, kind: paper, range: 3}", 46, "a range is a list of two"),
        ("a: {value: 1, source: s, kind: paper, range: [1]}", 46, "a range is a list of two"),
        ("a: {value: 1, source: s, kind: paper, range: [2, 3]}", 46, "the value is outside its range"),
        ("a: {value: 1, source: s, kind: paper, range: [1, 0]}", 46, "the value is outside its range"),
        ("a: {value: 1 ns, source: s, kind: paper, range: [0, 1]}", 49, "not in the same kind of unit"),
        ("a: {value: 1 ns, source: s, kind: paper, range: [0 pJ, 1 pJ]}", 49, "not in the same kind of unit"),
        ("a: {value: 1, source: s, kind: paper, range: [true, 3]}", 47, "this is no quantity"),
        ("a: {value: pp, source: s, kind: paper, range: [0, 3]}", 12, "'pp' is no quantity"),
    ],
)
def test_wrong_parameters_are_refused_at_their_place(text: str, column: int, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tree(text)
    assert caught.value.where == Position("f.yaml", 1, column)
    assert cause in caught.value.message
    assert caught.value.remedy
