"""YAML as it is read here: the 1.2 way, strictly, every node and error at its place."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.core.errors import ConfigError, Position
from simulator.core.nodes import Plain
from simulator.core.paths import MAX_DEPTH
from simulator.core.yaml_source import decode_utf8, parse_yaml


def plain(text: str) -> Plain:
    node = parse_yaml(text, file="f.yaml")
    return node.plain() if node is not None else None


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, file="f.yaml")
    assert caught.value.exit_code == 2
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("0x1F", 31),
        ("0o17", 15),
        ("0", 0),
        ("-7", -7),
        ("1e9", 1e9),
        ("1.5", 1.5),
        (".5", 0.5),
        ("3.", 3.0),
        ("'010'", "010"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("40 us", "40 us"),
    ],
)
def test_scalars_are_read_the_1_2_way(text: str, value: Any) -> None:
    read = plain(f"a: {text}")
    assert read == {"a": value}
    assert isinstance(read, dict)
    assert type(read["a"]) is type(value)


def test_keys_are_text_whatever_they_look_like() -> None:
    assert plain("{1: a, on: b, null: c, 1.5: d}") == {"1": "a", "on": "b", "null": "c", "1.5": "d"}


def test_every_node_knows_its_place() -> None:
    root = parse_yaml("a:\n  b: [1, x]\n", file="f.yaml")
    assert root is not None
    places = {path: (str(node.where), str(node.key_where)) for path, node in root.walk()}
    assert places == {
        (): ("f.yaml:1:1", "None"),
        ("a",): ("f.yaml:2:3", "f.yaml:1:1"),
        ("a", "b"): ("f.yaml:2:6", "f.yaml:2:3"),
        ("a", "b", "0"): ("f.yaml:2:7", "None"),
        ("a", "b", "1"): ("f.yaml:2:10", "None"),
    }


def test_anchors_share_values() -> None:
    assert plain("a: &x {b: [1]}\nc: *x\n") == {"a": {"b": [1]}, "c": {"b": [1]}}


@pytest.mark.parametrize(
    ("text", "line", "column", "cause"),
    [
        ("a: 1\na: 2\n", 2, 1, "duplicate key `a`, first at f.yaml:1:1"),
        ("a: 010\n", 1, 4, "010 is ambiguous"),
        ("a: .nan\n", 1, 4, "nan is not a finite number"),
        ("a: [1, -.inf]\n", 1, 8, "-inf is not a finite number"),
        ("a: 1e999\n", 1, 4, "inf is not a finite number"),
        ("a: !!python/name:os.system x\n", 1, 4, "tag `tag:yaml.org,2002:python/name:os.system` is not read"),
        ("a: !!int '3'\n", 1, 4, "tag"),
        ("a: !!set {b}\n", 1, 4, "tag"),
        ("b: &b {c: 1}\na: {<<: *b}\n", 2, 5, "merge keys"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: &x [*x]\n", 1, 8, "`*x` contains itself"),
        ("a: *x\n", 1, 4, "no anchor `&x`"),
        ("? [a]\n: 1\n", 1, 3, "where a key is due"),
        ("a: &x y\n*x : 1\n", 2, 1, "where a key is due"),
        ("&k a: 1\n", 1, 1, "an anchor on a key"),
        ("'': 1\n", 1, 1, "a key of 0 characters"),
        (f"{'k' * 101}: 1\n", 1, 1, "a key of 101 characters"),
        ("a:\n\tb: 1\n", 2, 1, "a tab is used as indentation"),
        ("a:\n  b: 1\n \tc: 2\n", 3, 2, "a tab is used as indentation"),
        ("a:\n  b: 1\n c: 2\n", 3, 2, "did not find expected key"),
        ("a: [1, 2\n", 2, 1, "did not find expected"),
        ("a: 'open\n", 2, 1, "end of stream"),
        ("a: b: c\n", 1, 5, "mapping values are not allowed"),
        ("a: x\x07\n", 1, 5, "control character U+0007"),
        (f"a: {'1' * 500}\n", 1, 4, "a number of 500 characters"),
        ("a: 1\nb: " + "[" * 100 + "\n", 2, 3 + MAX_DEPTH, "nested deeper than"),
        ("%YAML 9.9\n---\na: 1\n", 1, 1, "incompatible YAML document"),
    ],
)
def test_refusals_have_a_place(text: str, line: int, column: int, cause: str) -> None:
    error = refused(text)
    assert error.where == Position("f.yaml", line, column)
    assert cause in error.message


def test_alias_bombs_are_refused() -> None:
    lines = ["a0: &a0 " + "x" * 50]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    error = refused("\n".join(lines))
    assert "aliases expand this document" in error.message


def test_aliases_may_not_nest_deeper_than_text_may() -> None:
    lines = ["a0: &a0 {}"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, MAX_DEPTH + 2)]
    assert "through aliases" in refused("\n".join(lines)).message


def test_a_set_value_is_placed_at_its_set() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml("[1, 010]", where="--set run.seed")
    assert str(caught.value).startswith("--set run.seed: 010 is ambiguous")


def test_comments_alone_are_no_document() -> None:
    assert parse_yaml("# nothing\n", file="f.yaml") is None
    assert parse_yaml("", file="f.yaml") is None


def test_bytes_that_are_not_utf8_have_a_place() -> None:
    with pytest.raises(ConfigError) as caught:
        decode_utf8("\ufeffa: 1\nb: é".encode() + b"\xff\n", file="f.yaml")
    assert caught.value.where == Position("f.yaml", 2, 5)
    assert "byte 0xff is not UTF-8" in caught.value.message
    assert decode_utf8(b"\xef\xbb\xbfa: 1", file="f.yaml") == "a: 1"
