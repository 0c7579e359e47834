"""Measured rows beside ours, statistics of the errors, and what is claimed of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.contracts.error_stats import ErrorStats
from simulator.core.errors import ModelFault
from simulator.experiments.validate_records import Claim, Group

Limits = dict[str, float | None]
"""The most that a statistic may be, in per cent; None where it is only reported."""

_N_WORST = 3
_QUANTITIES, _UNITS = {"above": "rows below ours"}, {"above": "rows"}


@dataclass(frozen=True, slots=True)
class Compared:
    """A measured quantity and ours: `series` is what it is drawn and counted with, `label` the row in words."""

    series: str
    label: str
    measured: float
    ours: float

    @property
    def error(self) -> float:
        """Ours over the measured, less 1, in per cent."""
        return (self.ours / self.measured - 1) * 100


def statistic(name: str, rows: Sequence[Compared]) -> float:
    """`mean`, `p95`, `max` of the absolute errors, or `above`: how many of ours take longer than measured."""
    errors = np.array([row.error for row in rows])
    if name == "above":
        return float((errors > 0).sum())
    known = ErrorStats.of(errors).by_name
    if name not in known:
        raise ModelFault(f"{name!r} is no statistic of errors: use {', '.join(known)} or above")
    return known[name]


def claims_of(
    group: Group,
    case: str,
    rows: Sequence[Compared],
    limits: Mapping[str, float | None],
    basis: str,
    *,
    known: Mapping[str, float] | None = None,
    why: str = "",
) -> Iterator[Claim]:
    """What is claimed of the errors of some rows, a claim per statistic.

    `basis` says whether they were fitted; `known` how far a limit is missed for the reason `why`.
    """
    for name, limit in limits.items():
        ours, n_rows = statistic(name, rows), f"{len(rows):,} {basis}"
        note, most = why or worst(rows), (known or {}).get(name)
        yield Claim(group, case, _QUANTITIES.get(name, name), limit, ours, n_rows, _UNITS.get(name, "%"), note, most)


def unchecked(group: Group, case: str, limits: Mapping[str, float | None], basis: str, reason: str) -> Iterator[Claim]:
    """The claims of rows that are not there, and why."""
    for name, limit in limits.items():
        yield Claim(group, case, _QUANTITIES.get(name, name), limit, None, basis, _UNITS.get(name, "%"), reason)


def worst(rows: Sequence[Compared]) -> str:
    """The rows that are furthest off, in words."""
    chosen = sorted(rows, key=lambda row: -abs(row.error))[:_N_WORST]
    return "furthest off: " + "; ".join(f"{row.label} {row.error:+.1f} %" for row in chosen)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a measurement file, a mapping each."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
