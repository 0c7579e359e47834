"""The language of constraints and derived values: what it computes, and what it refuses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.experiments.sweeps.expressions import parse_expression

GIVEN = {"a": 6, "b": 4.0, "name": "tp", "workload.context": 4096, "on": True}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * 2", 14.0), ("(a + b) * 2", 20.0), ("a // 4", 1), ("a % 4", 2), ("a / 4", 1.5), ("-a", -6), ("+a", 6),
        ("a > b", True), ("1 < a <= 6", True), ("1 < a < 6", False), ("a == 6 and not b > 5", True),
        ("a < b or name == 'tp'", True), ("name != 'pp'", True), ("name in ['pp', 'tp']", True),
        ("a not in [1, 2]", True),
        ("min(a, b, 9)", 4.0), ("max(a, b)", 6), ("abs(0 - a)", 6), ("floor(a / 4)", 1), ("ceil(a / 4)", 2),
        ("round(b / 3)", 1), ("sqrt(b)", 2.0), ("log2(b)", 2.0), ("text(a, 'x', name)", "6xtp"),
        ("'pp' if a == 1 else text(a // 2, 'x', 2)", "3x2"), ("workload.context // 2", 2048), ("on", True),
        ("not on", False),
        ("true", True), ("name < 'zz'", True), ("null == null", True),
    ],
)  # fmt: skip
def test_values(text: str, value: object) -> None:
    found = parse_expression(text, "x.yaml:1:1").value(GIVEN)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "a +", "a b", "__import__('os')", "a.__class__()", "a[0]", "lambda: 1", "[1, 2]", "{1: 2}", "a ** 9",
        "a << 3",
        "f'{a}'", "(x := 1)", "a is b", "a in b", "min()", "abs(1, 2)", "min(a, key=b)", "evil(1)", "...", "b'x'", "1j",
        "[x for x in a]", "await a", "(" * 500, "-" * 999 + "1", "a" * 2000, "\0", "a; b", "'x'.upper()",
    ],
)  # fmt: skip
def test_whatever_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_expression(text, "x.yaml:3:5")
    assert str(caught.value).startswith("x.yaml:3:5: ")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text", ["a / 0", "a % 0", "name + 1", "name * 2", "name < 3", "sqrt(0 - 1)", "log2(0)", "on + 1"]
)
def test_what_has_no_value_names_the_point(text: str) -> None:
    with pytest.raises(ConfigError, match="has no value"):
        parse_expression(text, "x.yaml:3:5").value(GIVEN)


def test_numbers_stay_within_bounds() -> None:
    squares = parse_expression("*".join(["a"] * 400), "x.yaml:1:1")
    with pytest.raises(ConfigError, match="beyond any use"):
        squares.value({"a": 10**300})


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        expression = parse_expression(text, "x.yaml:1:1")
        expression.value(dict.fromkeys(expression.names, 1))
