"""Relative errors as they are reported: mean, 95th percentile and largest of |predicted / measured - 1|, by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import Scalar

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ErrorStats:
    """Absolute relative errors of `n` rows, as fractions."""

    n: int
    mean: float
    p95: float
    max: float

    @classmethod
    def of(cls, errors: NDArray[np.float64]) -> ErrorStats:
        """Of errors float64[n], n >= 1."""
        sizes = np.abs(errors)
        return cls(len(sizes), float(sizes.mean()), float(np.percentile(sizes, 95)), float(sizes.max()))

    @property
    def by_name(self) -> dict[str, float]:
        """The fractions by the names that limits and reports give them."""
        return {"mean": self.mean, "p95": self.p95, "max": self.max}


def errors_by_kind(kinds: Sequence[str], errors: NDArray[np.float64]) -> dict[str, ErrorStats]:
    """The statistics of each kind, in order of appearance, over errors float64[n] (NaN: nothing to compare)."""
    names, known = np.array(kinds, dtype=object), ~np.isnan(errors)
    return {
        kind: ErrorStats.of(errors[known & (names == kind)])
        for kind in dict.fromkeys(kinds)
        if bool(np.any(known & (names == kind)))
    }


def as_breakdown(errors: Mapping[str, ErrorStats]) -> dict[str, Scalar]:
    """Statistics under the keys that scripts read: `<kind>_mean_frac`, `_p95_frac`, `_max_frac` and `<kind>_n`."""
    found: dict[str, Scalar] = {}
    for kind, stats in errors.items():
        found |= {f"{kind}_{name}_frac": size for name, size in stats.by_name.items()}
        found[f"{kind}_n"] = stats.n
    return found
