"""What a figure is: a title and panels as data, the runs that it needs, and how its values come from their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from simulator.experiments.drawn_batches import Drawn
from simulator.experiments.validate_records import FAIL, REPORTED, Group, Number, Point

if TYPE_CHECKING:
    from simulator.experiments.figure_study import Study

PanelKind = Literal[
    "bars", "stacked", "lines", "scatter", "curves", "parity", "achieved", "rows", "dots", "orderings", "points",
    "map", "table", "hidden",
]  # fmt: skip

_ROUNDING = 1e-9  # of a number's last printed digit: what binary fractions lose of it


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes, or a table.

    `bars` group series by position and `stacked` pile them up, `rows` do so from left to right; `lines` join positions;
    `scatter` takes each value's x from the panel `x_from`, which may be `hidden`, and `curves` do so without naming
    their points; `parity` draws ours over what was measured, `achieved` both over x; `dots` has a row per position and
    a point per series, `orderings` too, of ratios, and says where ours are on the other side of 1 than a paper's
    (`is_baseline`); `points` names each over x, a `map` those of machines (`figure_map_drawing`); a `table`
    has a row per series and a column per position.
    `reference` is a line to compare with, such as 1 for ratios. Many bars, and lines
    that touch, are better not `labelled` with their values. `breadth` is the panel's beside others, where given.
    """

    name: str
    kind: PanelKind
    y: str = ""
    x: str = ""
    log_y: bool = False
    log_x: bool = False
    reference: float | None = None
    x_from: str = ""
    labelled: bool = True
    breadth: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the simulator: the model's label in cent.yaml, and overrides of its configuration."""

    model: str
    scope: str = "query"
    sets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfiguredRun:
    """A run of a configuration of `hw_configs`, with overrides."""

    config: str
    sets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replay:
    """Synthetic traffic, or a trace that comes with the simulator (by its path from the repository's root), on a part
    of `hw_configs`, with overrides."""

    part: str
    sets: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1
    trace: str = "synthetic"


@dataclass(frozen=True, slots=True)
class DrawnRun:
    """A batch of drawn requests, run to its end on a design of PAPI's comparison."""

    design: str
    drawn: Drawn
    config: str = "papi.yaml"

    @property
    def sets(self) -> dict[str, Any]:
        """The overrides that make the run."""
        drawn = self.drawn
        return {
            "system.design": self.design,
            "workload.model": drawn.model,
            "workload.lengths": drawn.lengths,
            "workload.batch": drawn.batch,
            "serving.speculation_length": drawn.speculation,
        }


AnyRun = Run | ConfiguredRun | DrawnRun | Replay


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a figure: its panel, series and position, ours, and what a source published for it.

    `tolerance` is absolute. `is_baseline` marks a number that is measured on another machine and not ours to compute.
    `is_judged` is false where the published number is one measurement among many: `sim validate` says what is claimed
    of all of them, and this one has an error but no verdict. `others` are further published values, by who printed
    them; `contradicts` why the published one cannot be met.
    """

    panel: str
    series: str
    at: str
    ours: float
    published: float | None = None
    tolerance: float = 0.0
    n_decimals: int = 0
    is_baseline: bool = False
    is_judged: bool = True
    others: tuple[tuple[str, float], ...] = ()
    contradicts: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Where the value stands in its figure."""
        return self.panel, self.series, self.at

    @property
    def error_frac(self) -> float | None:
        """Ours less the published value, relative to that; None where nothing is published."""
        return None if not self.published else self.ours / self.published - 1

    @property
    def verdict(self) -> str:
        """`pass`, `fail`, `reported`, or nothing where there is no published value."""
        point = self.point(Group("", "", ""))
        return "" if point is None else point.verdict if self.is_judged else REPORTED

    def point(self, group: Group) -> Point | None:
        """The value as validation has it; None where nothing is published."""
        if self.published is None:
            return None
        return Point(
            group, self.series, self.at, self.published, self.ours, self.tolerance, self.n_decimals, self.contradicts
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a paper: `measure` gives its values from the records of `runs`, by the runs' names.

    `inches` is its size in print; `cautions` are what a reader must know before quoting it.
    """

    name: str
    title: str
    caption: str
    source: str
    panels: tuple[Panel, ...]
    runs: Mapping[str, AnyRun]
    measure: Callable[[Study], Sequence[Value]]
    cautions: tuple[str, ...] = ()
    inches: tuple[float, float] = (3.5, 2.5)


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its values."""

    figure: Figure
    values: tuple[Value, ...]

    def of_panel(self, name: str) -> list[Value]:
        """The values of a panel, in their order."""
        return [value for value in self.values if value.panel == name]

    @property
    def n_published(self) -> int:
        """Values with a published number that counts."""
        return sum(value.verdict in ("pass", FAIL) for value in self.values)

    @property
    def n_met(self) -> int:
        """Values within the tolerance of the published number."""
        return sum(value.verdict == "pass" for value in self.values)


def printed(text: Number, tolerance_frac: float = 0.0) -> tuple[float, float, int]:
    """A printed number, its absolute tolerance, and its decimals.

    The tolerance is half of the last printed digit, or `tolerance_frac` of the number where that is more.
    """
    exact = Decimal(str(text))
    exponent = exact.as_tuple().exponent
    n_decimals = max(0, -exponent) if isinstance(exponent, int) else 0
    half_digit = 0.5 * 10.0**-n_decimals * (1 + _ROUNDING)
    return float(exact), max(half_digit, abs(float(exact)) * tolerance_frac), n_decimals
