"""What validation compares and what it says: single numbers with their tolerance, and rows of a table over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Number = int | float | str  # text keeps the zeros at the end of a printed number

PASS, FAIL, REPORTED = "pass", "fail", "reported"
_ROUNDING = 1e-12  # of a target: what binary fractions lose of a decimal tolerance


@dataclass(frozen=True, slots=True)
class Group:
    """A table of targets from one source; with `folded` a case is one row, else each of its numbers is."""

    name: str
    title: str
    source: str
    folded: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """One number of a source beside ours: `tolerance` is absolute, 0 where equality is asked; `n_decimals` are shown.

    `contradicts` says why no faithful model can meet the number; such a point is shown and not counted.
    """

    group: Group
    case: str
    quantity: str
    target: float
    ours: float
    tolerance: float = 0.0
    n_decimals: int = 0
    contradicts: str = ""

    @classmethod
    def printed(
        cls, group: Group, case: str, quantity: str, target: Number, ours: float, contradicts: str = ""
    ) -> Point:
        """A number that was rounded to its printed digits."""
        exact = Decimal(str(target))
        exponent = exact.as_tuple().exponent
        n_decimals = max(0, -exponent) if isinstance(exponent, int) else 0
        return cls(group, case, quantity, float(exact), ours, 0.5 * 10.0**-n_decimals, n_decimals, contradicts)

    @property
    def error(self) -> float:
        """Ours less the target."""
        return self.ours - self.target

    @property
    def verdict(self) -> str:
        """Whether ours is within the tolerance of the target."""
        if self.contradicts:
            return REPORTED
        return PASS if abs(self.error) <= self.tolerance + abs(self.target) * _ROUNDING * bool(self.tolerance) else FAIL

    @property
    def severity(self) -> tuple[bool, float, float]:
        """What orders points from best to worst: failure, then the error in tolerances, then relative to the target."""
        relative = abs(self.error) / (abs(self.target) or 1.0)
        return self.verdict == FAIL, abs(self.error) / self.tolerance if self.tolerance else 0.0, relative

    def as_object(self) -> dict[str, Any]:
        """The point as JSON has it."""
        return {
            "case": self.case,
            "quantity": self.quantity,
            "target": self.target,
            "ours": self.ours,
            "error": self.error,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: one point, or all of a case, told by the worst of them."""

    name: str
    points: tuple[Point, ...]

    @property
    def worst(self) -> Point:
        """The point that is furthest off, in tolerances."""
        return max(self.points, key=lambda point: point.severity)

    @property
    def group(self) -> Group:
        """The table that the row belongs to."""
        return self.points[0].group

    @property
    def n_met(self) -> int:
        """Points within their tolerance."""
        return sum(point.verdict == PASS for point in self.points)

    @property
    def verdict(self) -> str:
        """pass, fail, or reported where the number contradicts another one of its source."""
        return self.worst.verdict

    def as_object(self) -> dict[str, Any]:
        """The row as JSON has it: its worst point, and every point where there are several."""
        worst = self.worst
        row = {
            "name": self.name,
            "group": self.group.name,
            "source": self.group.source,
            "target": worst.target,
            "ours": worst.ours,
            "error": worst.error,
            "error_frac": worst.error / abs(worst.target) if worst.target else None,
            "tolerance": worst.tolerance,
            "verdict": self.verdict,
            "n_points": len(self.points),
            "n_met": self.n_met,
            "note": worst.contradicts,
        }
        return row if len(self.points) == 1 else {**row, "points": [point.as_object() for point in self.points]}


def rows_of(points: Iterable[Point]) -> list[Row]:
    """Points as rows, in their order: a row per case of a folded group, per point of another."""
    rows: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        name = point.case if point.group.folded else f"{point.case}: {point.quantity}"
        rows.setdefault((point.group.name, name), []).append(point)
    return [Row(name, tuple(members)) for (_, name), members in rows.items()]
