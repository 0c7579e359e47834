"""The six standards resolve to the published tables: timings of every grade that is given, every rule row, sizes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.memory.dram.standard import DramPart, DramSpec, resolve
from tests.memory.dram.published_tables import ROWS, TIMINGS

PARTS = Path(__file__).parents[3] / "hw_configs" / "parts" / "dram"
GROUPS = {"R*": ["RD", "RDA"], "W*": ["WR", "WRA"]}


def spec_of(standard: str, *sets: str) -> DramSpec:
    return resolve(bind(load_part(PARTS / f"{standard}.yaml", sets), DramPart))


@pytest.mark.parametrize(("standard", "grade", "org"), [(s, *case) for s, cases in TIMINGS.items() for case in cases])
def test_timings_are_the_published_ones(standard: str, grade: str, org: str) -> None:
    spec = spec_of(standard, f"timing={grade}", f"org={org}")
    assert spec.timing == TIMINGS[standard][grade, org]


@pytest.mark.parametrize("standard", list(ROWS))
def test_rules_are_the_published_ones(standard: str) -> None:
    spec = first_case(standard)
    levels = ("channel", *spec.levels)
    ours = Counter(
        (levels[level], spec.commands[before], spec.commands[after], ticks, window, sibling)
        for level, before, after, ticks, window, sibling in spec.rules.tolist()
    )
    assert ours == Counter(published_rows(ROWS[standard]))
    assert len(spec.rule_names) == len(spec.rules)


def first_case(standard: str) -> DramSpec:
    grade, org = next(iter(TIMINGS[standard]))
    return spec_of(standard, f"timing={grade}", f"org={org}")


def published_rows(text: str) -> Iterator[tuple[str, str, str, int, int, int]]:
    for line in text.strip().splitlines():
        level, before, after, ticks, window, sibling = (cell.strip() for cell in line.split("|"))
        by_command = {
            name: int(value) for value, names in re.findall(r"(\d+) \(([^)]*)\)", ticks) for name in names.split()
        }
        for first in expanded(before):
            for second in expanded(after):
                value = by_command[second] if by_command else int(ticks)
                yield level, first, second, value, int(window), int(sibling)


def expanded(names: str) -> list[str]:
    return [command for name in names.split() for command in GROUPS.get(name, [name])]


@pytest.mark.parametrize(
    ("standard", "tx_bytes", "n_banks", "gib", "peak", "latency"),
    [
        ("ddr4", 64, 16, 8, 19.2, 20),
        ("ddr5", 64, 32, 8, 19.2, 42),
        ("lpddr5", 32, 16, 1, 12.8, 19),
        ("gddr6", 32, 16, 0.5, 28, 26),
        ("hbm2", 32, 32, 2, 32, 16),
        ("hbm3", 32, 64, 1, 51.2, 44),
    ],
)
def test_sizes_and_peaks(standard: str, tx_bytes: int, n_banks: int, gib: float, peak: float, latency: int) -> None:
    spec = first_case(standard)
    assert (spec.tx_bytes, spec.n_banks, spec.capacity_bytes, spec.read_latency) == (
        tx_bytes, n_banks, int(gib * 2**30), latency,
    )  # fmt: skip
    assert spec.peak_gb_per_s == pytest.approx(peak, rel=0.003)


def test_half_clocks_keep_their_exact_period() -> None:
    spec = spec_of("hbm3")
    assert (spec.ticks_per_ck, spec.tick_ps, spec.tick_period_ps) == (2, 312, Fraction(625, 2))
