"""Exact durations to whole picoseconds, and quotients rounded up."""

from __future__ import annotations

from fractions import Fraction


class WholePicoseconds:
    """Rounds exact durations to picoseconds and carries what is left over, so that roundings of a sequence do not add
    up."""

    def __init__(self) -> None:
        self._left = Fraction(0)

    def __call__(self, exact_ps: Fraction | int) -> int:
        """The duration in whole picoseconds."""
        wanted = exact_ps + self._left
        rounded = round(wanted)
        self._left = wanted - rounded
        return rounded


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)
