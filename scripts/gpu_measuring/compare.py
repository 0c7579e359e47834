"""How far two files of measurements are apart, kind by kind."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean

from .rows import Mode, Row


def deviations(measured: Iterable[Row], given: Iterable[Row], mode: Mode) -> dict[str, dict[str, list[float]]]:
    """measured / given - 1 of the time and of the power, per kind, over the shapes that both have."""
    by_key = {mode.key(row): row for row in given}
    found: dict[str, dict[str, list[float]]] = {}
    for row in measured:
        other = by_key.get(mode.key(row))
        if other is None:
            continue
        for column in ("t_us", "t_ms", "power_w"):
            ours, theirs = _number(row.get(column)), _number(other.get(column))
            if ours > 0 and theirs > 0:
                found.setdefault(str(row[mode.named_by]), {}).setdefault(column, []).append(ours / theirs - 1)
    return found


def deviation_lines(found: dict[str, dict[str, list[float]]]) -> list[str]:
    """The deviations as a table for people, in percent."""
    lines = [f"{'kind':28} {'of':8} {'rows':>4} {'mean |d|':>9} {'mean d':>8} {'worst':>8}"]
    for kind, columns in found.items():
        for column, parts in columns.items():
            mean, signed = fmean(map(abs, parts)), fmean(parts)
            worst = max(parts, key=abs)
            lines.append(f"{kind:28} {column:8} {len(parts):4} {mean:9.1%} {signed:+8.1%} {worst:+8.1%}")
    return lines


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0
