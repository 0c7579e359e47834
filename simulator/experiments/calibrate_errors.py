"""Relative errors as they are reported: mean, 95th percentile and largest of |predicted / measured - 1|, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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


def errors_by_kind(
    kinds: Sequence[str], predicted: NDArray[np.float64], measured: NDArray[np.float64]
) -> dict[str, ErrorStats]:
    """The errors of each kind, in order of appearance, of the rows where both are numbers."""
    names, errors = np.array(kinds, dtype=object), predicted / measured - 1
    known = ~np.isnan(errors)
    return {
        kind: ErrorStats.of(errors[known & (names == kind)])
        for kind in dict.fromkeys(kinds)
        if bool(np.any(known & (names == kind)))
    }
