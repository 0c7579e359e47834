"""Synthetic traffic: every formula beside its plain twin, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, WorkloadError
from simulator.memory.dram.synthetic import Traffic, offer_cycles

MASK = (1 << 64) - 1


def word(seed: int, k: int) -> int:
    """Number k of splitmix64 as a counter."""
    z = (seed + (k + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def twin(traffic: Traffic, seed: int) -> list[int]:
    """Lines as the formulas say, one after the other."""
    size, p = 1 << traffic.lg_lines, traffic.trace_param
    seen: dict[int, int] = {}
    lines = []
    for i in range(traffic.n_requests):
        if traffic.trace == "stream":
            line = i % size
        elif traffic.trace == "stride":
            line = i * p % size
        elif traffic.trace == "random":
            line = word(seed, 2 * i) % size
        elif traffic.trace == "burst":
            line = word(seed, 2 * (i // p)) % (size // p) * p + i % p
        else:
            k = word(seed, 2 * i) % p
            line = k * (size // p) + seen.get(k, 0) % (size // p)
            seen[k] = seen.get(k, 0) + 1
        lines.append(line)
    return lines


@given(
    st.sampled_from(["stream", "stride", "random", "burst", "mix"]),
    st.integers(1, 40),
    st.integers(6, 40),
    st.integers(0, 2**63),
    st.integers(1, 300),
)
def test_lines_are_those_of_the_formulas(trace: str, param: int, lg_lines: int, seed: int, n: int) -> None:
    traffic = Traffic(trace, param, lg_lines, 1.0, n)
    assert traffic.lines(seed).tolist() == twin(traffic, seed)


@given(st.sampled_from([0.0, 0.01, 0.29, 0.5, 0.67, 0.75, 0.99, 1.0]), st.integers(0, 2**64 - 1))
def test_reads_are_those_of_the_formula(read_frac: float, seed: int) -> None:
    writes = Traffic("stream", read_frac=read_frac, n_requests=200).writes(seed)
    reads = [read_frac == 1 or word(seed, 2 * i + 1) % 100 < 100 * read_frac for i in range(200)]
    assert writes.tolist() == [not read for read in reads]


@pytest.mark.parametrize("lg_lines", [0, 1, 2, 3, 5, 10, 11])
def test_a_pointer_chase_visits_every_line_once(lg_lines: int) -> None:
    size = 1 << lg_lines
    lines = Traffic("pointer_chase", lg_lines=lg_lines, n_requests=2 * size).lines(3)
    assert sorted(lines[:size].tolist()) == list(range(size))
    np.testing.assert_array_equal(lines[:size], lines[size:])


def test_a_pointer_chase_jumps() -> None:
    lines = Traffic("pointer_chase", lg_lines=20, n_requests=10_000).lines(1)
    assert len(np.unique(np.diff(lines))) > 9_000
    assert (np.bincount(lines >> 16, minlength=16) > 500).all()
    assert (np.bincount(lines & 15, minlength=16) > 500).all()
    assert (lines != Traffic("pointer_chase", lg_lines=20, n_requests=10_000).lines(2)).any()


def test_even_offers_keep_their_pace() -> None:
    offers = offer_cycles(1000, 2.5, "even", 1)
    assert offers[:5].tolist() == [1, 3, 6, 8, 11]
    assert offers[-1] == 1 + int(999 * 2.5)


def test_offers_of_a_poisson_process() -> None:
    offers = offer_cycles(200_000, 7.5, "poisson", 1)
    gaps = np.diff(offers)
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(7.5, rel=0.02)
    assert gaps.std() == pytest.approx(7.5, rel=0.03)
    np.testing.assert_array_equal(offers, offer_cycles(200_000, 7.5, "poisson", 1))
    assert (offers != offer_cycles(200_000, 7.5, "poisson", 2)).any()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"trace": "zigzag"}, "zigzag"),
        ({"lg_lines": 49}, "lg_lines"),
        ({"lg_lines": -1}, "lg_lines"),
        ({"trace_param": 0}, "trace_param"),
        ({"trace": "mix", "trace_param": 17, "lg_lines": 4}, "trace_param"),
        ({"trace": "burst", "trace_param": 17, "lg_lines": 4}, "trace_param"),
        ({"n_requests": 0}, "n_requests"),
        ({"read_frac": 1.5}, "read_frac"),
        ({"trace": "pointer_chase", "read_frac": 0.5}, "read_frac"),
    ],
)
def test_traffic_that_is_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        Traffic(**wrong)
    assert caught.value.remedy


def test_traffic_beyond_the_memory_is_refused() -> None:
    traffic = Traffic("random", lg_lines=30)
    with pytest.raises(WorkloadError, match="do not fit") as caught:
        traffic.addresses(1, 64, 1 << 33)
    assert "29" not in str(caught.value)
    assert "at most 27" in str(caught.value)
    assert Traffic("random", lg_lines=27).addresses(1, 64, 1 << 33).max() < 1 << 33
    # A stream reaches only as far as it has requests.
    assert len(Traffic("stream", lg_lines=40, n_requests=10).addresses(1, 64, 1 << 20)) == 10


@pytest.mark.parametrize("interval", [0.0, -1.0, 1e18])
def test_paces_that_are_refused(interval: float) -> None:
    with pytest.raises(ConfigError):
        offer_cycles(100, interval, "even", 1)
