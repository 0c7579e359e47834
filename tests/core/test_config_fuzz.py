"""Whatever bytes a file or a `--set` holds, the answer is a tree or an error that a user can act on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import SimulatorError
from simulator.core.parameters import parameters
from simulator.core.quantities import Bytes, Cycles, Frac, Name, NonNegativeFloat, Period, PositiveInt, Ps
from simulator.core.resolved import config_hash, resolved_yaml

VALID = b"""\
# a device
kind: d
clock_period: 1/285 MHz
t_read: {value: 18 ns, source: "a sheet, p. 3", kind: datasheet, range: [16 ns, 20 ns]}
t_write_us: 3
power: {idle: 3 W, busy: 20 mW}
ways: 2
banks: &b
- {n_rows: 3, name: a}
- {n_rows: 4, name: "b"}
spare: *b
capacity: 16 GiB
share: 50 %
"""
PIECES = [
    b"use: ",
    b"extends: ",
    b"value: ",
    b"&b ",
    b"*b",
    b"<<: ",
    b"\t",
    b"[",
    b"]",
    b"{",
    b"}",
    b"- ",
    b": ",
    b"\n",
    b"'",
    b'"',
]
PIECES += [
    b"!!",
    b"010",
    b".nan",
    b"1e999999999",
    b"-",
    b"#",
    b"|",
    b">",
    b"? ",
    b"---\n",
    b"\x00",
    b"\xff",
    "\u2028".encode(),
    b"%",
]
PIECES += [
    b"ns",
    b"kind: ",
    b"source: ",
    b"range: [",
    b"self.yaml",
    b"1/0 ns",
    b"~",
    b"yes",
    b"9" * 30,
    b"\r",
    b"\xef\xbb\xbf",
]


class Bank(BaseModel):
    n_rows: PositiveInt
    name: Name = "x"


class Device(BaseModel):
    clock_period_ps: Period
    t_read_ps: Ps
    t_write_ps: Ps = 0
    power_mw: dict[str, NonNegativeFloat] = {}
    ways: Cycles | None = None
    banks: list[Bank] = []
    spare: list[Bank] = []
    capacity_bytes: Bytes = 0
    share_frac: Frac = 1.0


def mutated(cuts: list[tuple[float, int, bytes]]) -> bytes:
    """VALID with, at each relative place, some bytes taken out and others put in."""
    text = VALID
    for place, n_removed, inserted in cuts:
        at = int(place * len(text))
        text = text[:at] + inserted + text[at + n_removed :]
    return text


MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 12), st.sampled_from(PIECES) | st.binary(max_size=3)),
    max_size=5,
).map(mutated)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def answer(path: Path, sets: list[str]) -> SimulatorError | None:
    """What the user is told of a file; None where it loads and binds. A tree that loads must survive its own text."""
    try:
        tree = load_part(path, sets)
    except SimulatorError as error:
        return error
    parameters(tree)
    tree.origins()
    again = path.with_name("again.yaml")
    again.write_text(resolved_yaml(tree), encoding="utf-8")
    assert config_hash(load_part(again)) == config_hash(tree)
    try:
        bind(tree, Device)
    except SimulatorError as error:
        return error
    return None


def fuzzed(folder: Path, content: bytes, sets: list[str]) -> None:
    path = folder / "self.yaml"
    path.write_bytes(content)
    here = Path.cwd()
    os.chdir(folder)
    try:
        error = answer(Path("self.yaml"), sets)
    finally:
        os.chdir(here)
    if error is not None:
        assert (error.exit_code, bool(error.remedy), bool(error.message)) == (2, True, True)


ANY = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_unmutated_file_binds(folder: Path) -> None:
    path = folder / "whole.yaml"
    path.write_bytes(VALID)
    assert answer(path, ["t_read=3 ns", "banks.0.n_rows=9"]) is None


@ANY
@given(st.binary(max_size=200))
def test_any_bytes(folder: Path, content: bytes) -> None:
    fuzzed(folder, content, [])


@ANY
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=4).map(lambda text: text.encode(errors="replace"))).map(
        b"".join
    )
)
def test_any_assembly_of_yaml_pieces(folder: Path, content: bytes) -> None:
    fuzzed(folder, content, [])


@ANY
@given(MUTATIONS)
def test_any_damage_to_a_valid_file(folder: Path, content: bytes) -> None:
    fuzzed(folder, content, [])


@ANY
@given(
    st.lists(
        st.text(max_size=30)
        | st.builds("{}={}".format, st.sampled_from(["t_read", "banks.0", "a.b", "use"]), st.text()),
        max_size=3,
    )
)
def test_any_sets(folder: Path, sets: list[str]) -> None:
    fuzzed(folder, VALID, sets)


OPENINGS = ("[", "{a: ", "- ", "? ", "a:\n", "'", '"', "&a ", "!", "*", "[{", "|\n", "{a: [", "%")


@pytest.mark.parametrize("n", [1000, 100_000])
@pytest.mark.parametrize("opening", OPENINGS)
def test_bombs_are_refused(folder: Path, opening: str, n: int) -> None:
    fuzzed(folder, (opening * n).encode(), [])
    fuzzed(folder, VALID, ["banks=" + opening * min(n, 1000)])
    nested = "".join(" " * i + "a:\n" for i in range(min(n, 1000)))
    fuzzed(folder, nested.encode(), [])
