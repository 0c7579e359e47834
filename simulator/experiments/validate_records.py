"""What validation compares and what it says: single numbers with their tolerance, and rows of a table over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Number = int | float | str  # text keeps the zeros at the end of a printed number

PASS, FAIL, REPORTED = "pass", "fail", "reported"
MISSED, NOT_CHECKED = "missed", "not checked"
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

    `contradicts` says why no faithful model can meet the number; such a point is shown and not counted. Where it is
    missed for a reason that is `known`, `known_tolerance` is how far: beyond it the point fails.
    """

    group: Group
    case: str
    quantity: str
    target: float
    ours: float
    tolerance: float = 0.0
    n_decimals: int = 0
    contradicts: str = ""
    known: str = ""
    known_tolerance: float = 0.0

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
        if abs(self.error) <= self.tolerance + abs(self.target) * _ROUNDING * bool(self.tolerance):
            return PASS
        return MISSED if self.known and abs(self.error) <= self.known_tolerance else FAIL

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

    @property
    def note(self) -> str:
        """Why no faithful model can meet the number, or why ours does not, if so."""
        return self.contradicts or (self.known if self.verdict == MISSED else "")

    def as_row_object(self) -> dict[str, Any]:
        """The point as a row that it is the worst of has it in JSON."""
        return {
            "target": self.target,
            "ours": self.ours,
            "error": self.error,
            "error_frac": self.error / abs(self.target) if self.target else None,
            "tolerance": self.tolerance,
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """A statistic of our errors over measured rows that is claimed to be at most `limit` (None: it is only reported).

    `rows` says how many there are and whether the model was fitted on them. `ours` is None where there was nothing to
    compare with; `note` then says why, and else what a reader should know, such as the rows that are furthest off.
    Where the limit is missed for a reason that the note gives, `known` is how far: beyond it the claim fails.
    """

    group: Group
    case: str
    quantity: str
    limit: float | None
    ours: float | None
    rows: str = ""
    unit: str = "%"
    note: str = ""
    known: float | None = None

    @property
    def verdict(self) -> str:
        """Whether ours is at most the limit, is missed as far as is known, or that there is nothing to check (with)."""
        if self.ours is None:
            return NOT_CHECKED
        if self.limit is None:
            return REPORTED
        if self.ours <= self.limit * (1 + _ROUNDING):
            return PASS
        return MISSED if self.known is not None and self.ours <= self.known else FAIL

    @property
    def severity(self) -> tuple[bool, float, float]:
        """What orders claims from best to worst: failure, then the share of the limit that is used."""
        share = (self.ours or 0.0) / self.limit if self.limit else 0.0
        return self.verdict == FAIL, share, self.ours or 0.0

    def as_object(self) -> dict[str, Any]:
        """The claim as JSON has it."""
        return {"case": self.case, "quantity": self.quantity, **self.as_row_object(), "verdict": self.verdict}

    def as_row_object(self) -> dict[str, Any]:
        """The claim as a row that it is the worst of has it in JSON."""
        error = None if self.ours is None or self.limit is None else self.ours - self.limit
        return {
            "target": self.limit,
            "at_most": True,
            "ours": self.ours,
            "error": error,
            "error_frac": error / self.limit if error is not None and self.limit else None,
            "tolerance": 0.0,
            "unit": self.unit,
            "rows": self.rows,
        }


@dataclass(frozen=True, slots=True)
class Band:
    """A published number beside ours, and between what ours becomes with parameters that the source leaves open.

    `singly` are the least and the most with one of them changed at a time, `together` with all of them changed so that
    ours falls, or rises. The number is met where `together` covers it. `most` says which parameter changes ours most;
    `why` is the reason for a number that is not covered, which is then missed and does not fail.
    """

    group: Group
    case: str
    quantity: str
    target: float
    ours: float
    singly: tuple[float, float]
    together: tuple[float, float]
    n_decimals: int = 0
    most: str = ""
    why: str = ""

    @property
    def verdict(self) -> str:
        """Whether the band covers the number."""
        ends = (*self.singly, *self.together)
        covered = round(min(ends), self.n_decimals) <= self.target <= round(max(ends), self.n_decimals)
        return PASS if covered else MISSED if self.why else FAIL

    @property
    def severity(self) -> tuple[bool, float, float]:
        """What orders bands from best to worst: failure, then the error relative to the number."""
        return self.verdict == FAIL, 0.0, abs(self.ours / self.target - 1)

    @property
    def note(self) -> str:
        """Why the number is not covered, if so."""
        return self.why if self.verdict != PASS else ""

    def as_object(self) -> dict[str, Any]:
        """The band as JSON has it."""
        return {"case": self.case, "quantity": self.quantity, **self.as_row_object(), "verdict": self.verdict}

    def as_row_object(self) -> dict[str, Any]:
        """The band as a row that it is the worst of has it in JSON."""
        return {
            "target": self.target,
            "ours": self.ours,
            "error": self.ours - self.target,
            "error_frac": self.ours / self.target - 1,
            "one_at_a_time": list(self.singly),
            "all_at_once": list(self.together),
            "most_by": self.most,
        }


AnyPoint = Point | Claim | Band


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: one point, claim or band, or all of a case, told by the worst of them."""

    name: str
    points: tuple[AnyPoint, ...]

    @property
    def worst(self) -> AnyPoint:
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
        """pass, fail, reported where nothing is asked of the number, or not checked where nothing was measured."""
        return self.worst.verdict

    def as_object(self) -> dict[str, Any]:
        """The row as JSON has it: its worst point, and every point where there are several."""
        worst = self.worst
        row = {
            "name": self.name,
            "group": self.group.name,
            "source": self.group.source,
            **worst.as_row_object(),
            "verdict": self.verdict,
            "n_points": len(self.points),
            "n_met": self.n_met,
            "note": worst.note,
        }
        return row if len(self.points) == 1 else {**row, "points": [point.as_object() for point in self.points]}


def rows_of(points: Iterable[AnyPoint]) -> list[Row]:
    """Points as rows, in their order: a row per case of a folded group, per point of another."""
    rows: dict[tuple[str, str], list[AnyPoint]] = {}
    for point in points:
        name = point.case if point.group.folded else f"{point.case}: {point.quantity}"
        rows.setdefault((point.group.name, name), []).append(point)
    return [Row(name, tuple(members)) for (_, name), members in rows.items()]
