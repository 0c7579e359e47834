"""The search for levels in plain words: definitions of datapaths, one group at a time, without a kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """What one group becomes in the table that fits best, and the squared error of every table."""

    values: Floats
    scale: float
    pick: int
    errors: list[float]


def nearest_level(scaled: Floats, levels: Floats) -> NDArray[np.int64]:
    """Places of the nearest levels: as many as there are midpoints below."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, scaled, side="left")


def best_table(group: Floats, tables: list[list[float]], bounds: tuple[float, float] = (1e-5, 1e4)) -> Choice:
    found: list[tuple[float, Floats, float]] = []
    for table in tables:
        levels = np.array(sorted(table))
        scale = float(np.clip(np.abs(group).max() / np.abs(levels).max(), *bounds))
        values = levels[nearest_level(group / scale, levels)] * scale
        found.append((float(((values - group) ** 2).sum()), values, scale))
    errors = [error for error, _, _ in found]
    pick = errors.index(min(errors))
    return Choice(found[pick][1], found[pick][2], pick, errors)
