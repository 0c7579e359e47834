"""Anda: its cells of bit operations, conversion vectors, searches and results, beside ours; fitted rows are told."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.figure_anda_study import (
    COMPONENTS,
    cells,
    chosen,
    design,
    energy_split,
    gain,
    geomeans,
)
from simulator.experiments.validate_records import Claim, Group, Point
from simulator.experiments.validate_targets import FOLDER
from simulator.numerics.bit_operations import MacWeights, Mantissas, bit_operations_saving, checked_mantissas
from simulator.numerics.block_floating_point import decode, encode, halves_of
from simulator.numerics.precision_search import MAX_ITERATIONS, search_precision

_GROUP = 64
_PRINTED = 11  # candidates: of fewer a trace may be a beginning
_EVEN: MacWeights = (1, 1, 1, 1)
_VECTORS: dict[str, Callable[[int], float]] = {
    "A1": lambda j: float(np.sin(0.5 * (j + 1)) * 2.0 ** -(j % 7)),
    "A2": lambda j: ((29 * j + 5) % 64 - 31.5) * 0.17,
}
Tolerance = Literal["0.1%", "1%"]
Row = Mapping[str, str]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Uniform(_Section):
    """Another format's mantissa, and the saving that the paper gives for it."""

    mantissa: int
    saving: str


class Bops(_Section):
    """Savings of bit operations: tolerances against the paper's digits, and against the same sum done elsewhere."""

    title: str
    file: str
    suite: str
    tolerance: float
    computed_tolerance: float
    uniform: dict[str, Uniform]


class Conversion(_Section):
    """Vectors of the conversion; `error_frac` is of their squared error."""

    title: str
    source: str
    suite: str
    error_frac: float


class PaperSearch(_Section):
    """A search that the paper prints: `+` was within the tolerance."""

    name: str
    tolerance: float
    weights: tuple[int, int, int, int]
    trace: str


class Searches(_Section):
    """Traces of searches, of the paper and of a model whose multiplications are `weights`."""

    title: str
    file: str
    suite: str
    shape: str
    weights: tuple[int, int, int, int]
    paper: PaperSearch


class SystemRow(_Section):
    """Means of a design; `energy_known` is why its energy is missed, as far as `energy_by`."""

    design: str
    label: str
    tolerance: Tolerance
    speed: str
    energy: str
    area: str
    energy_known: str = ""
    energy_by: float = 0.0


class Systems(_Section):
    """Means over models, and how far ours may be off."""

    title: str
    speed_frac: float
    energy_frac: float
    area_frac: float
    rows: list[SystemRow]


class Law(_Section):
    """Speeds of the golden rows' tuples."""

    title: str
    source: str
    column: str
    tolerance: float


class SplitRow(_Section):
    """Shares of compute, SRAM and DRAM; ours of the components in `fitted` are fitted to them, `why` says by what."""

    design: str
    label: str
    tolerance: Tolerance
    shares: tuple[int, int, int]
    gain: str | None = None
    fitted: tuple[str, ...] = ()
    why: str = ""


class TradeOff(_Section):
    """Speed and energy at a tolerance; `speed_known` is why the speed is missed, as far as `speed_by`."""

    tolerance: Tolerance
    speed: str
    speed_known: str
    speed_by: float
    energy: str


class Split(_Section):
    """One model's energy; `follows` says why the baselines' SRAM and DRAM predict nothing, other shares are within
    `points`."""

    title: str
    model: str
    points: float
    gain_frac: float
    follows: str
    rows: list[SplitRow]
    trade_off: TradeOff


class Chip(_Section):
    """The chip as a whole."""

    title: str
    area_mm2: str
    area_contradicts: str
    power_mw: str


class AndaTargets(_Section):
    """A file of targets of kind `anda`."""

    kind: Literal["anda"]
    source: str
    bops: Bops
    conversion: Conversion
    searches: Searches
    systems: Systems
    law: Law
    split: Split
    chip: Chip


def load_anda_targets(path: Path = FOLDER / "anda.yaml") -> AndaTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), AndaTargets, ignore=())


def anda_points(path: Path) -> Iterator[Point | Claim]:
    """Every number of a file of targets beside ours."""
    targets = load_anda_targets(path)
    golden = golden_rows(path.parent / targets.bops.file)
    yield from bops_points(targets, golden)
    yield from conversion_points(targets.conversion, golden)
    yield from search_points(targets, golden_rows(path.parent / targets.searches.file))
    yield from system_points(targets)
    yield from law_points(targets, golden)
    yield from split_points(targets)
    yield from chip_points(targets)


def golden_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# --- bit operations, conversion, searches


def bops_points(targets: AndaTargets, rows: list[dict[str, str]]) -> Iterator[Point | Claim]:
    """Savings of all cells whose number is known, by model, and of the formats with one mantissa."""
    asked = targets.bops
    group = Group("anda_bops", asked.title, targets.source)
    unknown = []
    for cell in cells():
        name = f"{cell.dataset} {cell.tolerance}"
        if cell.paper_saving is None:
            unknown.append(f"{cell.model} {name}")
        else:
            yield Point(group, cell.model, name, cell.paper_saving, cell.saving, asked.tolerance, n_decimals=2)
    for label, one in asked.uniform.items():
        saving = bit_operations_saving(checked_mantissas([one.mantissa] * 4), _EVEN)
        case = f"one mantissa of {one.mantissa}"
        yield Point(group, case, label, float(one.saving), saving, asked.tolerance, n_decimals=2)
    computed = Group("anda_bops_computed", "The same sums done elsewhere, four digits", "golden rows")
    by_cell = {(cell.model, f"{cell.dataset} {cell.tolerance}"): cell for cell in cells()}
    for row in rows:
        if row["suite"] == asked.suite:
            given = float(_given(row)["bops_saving_calc"])
            cell = by_cell[row["workload"].lower(), row["phase"]]
            yield Point(
                computed, "all rows", row["case_id"], given, cell.saving, asked.computed_tolerance, n_decimals=4
            )
    if unknown:
        rest = Group("anda_bops_rest", "Cells without a number", targets.source, folded=False)
        note = f"the given rows have no saving for {len(unknown)} of {len(cells())} tuples; ours computes them"
        yield Claim(rest, f"{len(unknown)} cells", "saving", asked.tolerance, None, "not given", "", note)


def _given(row: Row) -> dict[str, str]:
    return dict(part.split("=", 1) for part in row["aux"].split(";"))


def conversion_points(asked: Conversion, rows: list[dict[str, str]]) -> Iterator[Point]:
    """Shared exponent, mantissas of zero, their sum, and the squared error to the FP16 inputs."""
    group = Group("anda_conversion", asked.title, asked.source)
    for row in rows:
        if row["suite"] == asked.suite:
            given = _given(row)
            for name, value in converted(row["workload"], int(given["M"])).items():
                target = float(given[name])
                tolerance = asked.error_frac * target if name.startswith("mse") else 0.0
                yield Point(group, f"{row['workload']}, M = {given['M']}", name, target, value, tolerance, 12)


def converted(vector: str, mantissa_bits: int) -> dict[str, float]:
    """What the conversion makes of a vector, by the names of the golden columns."""
    halves = halves_of(np.array([[_VECTORS[vector](j) for j in range(_GROUP)]]))
    blocks = encode(halves, mantissa_bits)
    values: NDArray[np.float64] = halves.view(np.float16).astype(np.float64)
    return {
        "shared_exp_biased": int(blocks.exponents[0]),
        "zero_mantissas": int((blocks.mantissas == 0).sum()),
        "sum_mantissas": int(blocks.mantissas.sum()),
        "mse_vs_fp16": float(((decode(blocks, mantissa_bits) - values) ** 2).mean()),
    }


def search_points(targets: AndaTargets, rows: list[dict[str, str]]) -> Iterator[Point]:
    """The order in which candidates are tried: each trace is followed by a model that accepts what it accepts.

    What a trained model accepts is compared by `sim validate formats`.
    """
    asked, paper = targets.searches, targets.searches.paper
    group = Group("anda_search_order", asked.title, f"{targets.source}; golden runs on {asked.shape}", folded=False)
    yield _followed(group, f"{paper.name}, {paper.tolerance:.0%}", paper.trace, paper.weights, paper.tolerance)
    for row in rows:
        if (row["suite"], row["model"], row["metric"]) == (asked.suite, asked.shape, "trace"):
            tolerance = float(re.findall(r"tol=([\d.]+)", row["params"])[0])
            yield _followed(group, f"{row['model']}, {100 * tolerance:g}%", row["value"], asked.weights, tolerance)


def _followed(group: Group, case: str, trace: str, weights: MacWeights, tolerance: float) -> Point:
    """How many of a trace's candidates, as they stand, ours tries in the same place."""
    marks = {tuple(map(int, visit[:-1])): visit[-1] for visit in trace.split()}

    def perplexity(mantissas: Mantissas) -> float:
        return 1.0 if marks.get(mantissas) == "+" else 1e3

    # The paper shows ten candidates and not whether its queue was empty then.
    n_most = len(marks) if len(marks) < _PRINTED else MAX_ITERATIONS
    ours = search_precision(perplexity, 2.0, weights, tolerance=tolerance, max_iterations=n_most).trace.split()
    equal = sum(one == other for one, other in zip(trace.split(), ours, strict=False))
    return Point(group, case, "candidates in place", len(marks), equal - max(0, len(ours) - len(marks)))


# --- systems


def system_points(targets: AndaTargets) -> Iterator[Point]:
    """Geometric means over the nine models of speed, energy and speed for the area."""
    asked = targets.systems
    group = Group("anda_systems", asked.title, targets.source, folded=False)
    for row in asked.rows:
        found = geomeans(row.design, row.tolerance)
        yield _within(group, row.label, "speed", row.speed, found.speed, asked.speed_frac)
        energy = _within(group, row.label, "energy", row.energy, found.energy, asked.energy_frac)
        yield replace(energy, known=row.energy_known, known_tolerance=row.energy_by)
        yield _within(group, row.label, "speed for the area", row.area, found.speed_per_area, asked.area_frac)


def _within(group: Group, case: str, quantity: str, printed: str, ours: float, fraction: float) -> Point:
    return replace(
        Point.printed(group, case, quantity, printed, ours), tolerance=fraction * float(printed), n_decimals=2
    )


def law_points(targets: AndaTargets, rows: list[dict[str, str]]) -> Iterator[Point]:
    """Speeds of the given tuples on whole prompts, beside the law of planes."""
    law = targets.law
    group = Group("anda_law", law.title, law.source)
    for row in rows:
        if row["suite"] == targets.bops.suite:
            model, (dataset, tolerance) = row["workload"].lower(), row["phase"].split()
            speed = gain("anda", model, chosen(model, tolerance, dataset)).speed
            given = float(_given(row)[law.column])
            yield Point(group, model, row["phase"], given, speed, law.tolerance, n_decimals=4)


def split_points(targets: AndaTargets) -> Iterator[Point]:
    """Shares of one model's energy; those that ours are fitted to, or that equal them by construction, are told."""
    asked = targets.split
    group = Group("anda_split", asked.title, targets.source, folded=False)
    fitted = Group("anda_split_fitted", "The same, what is fitted or follows from it", targets.source)
    baselines = {row.shares[1:] for row in asked.rows if set(row.fitted) == set(COMPONENTS)}
    for row in asked.rows:
        mantissas = chosen(asked.model, row.tolerance)
        ours = energy_split(row.design, asked.model, mantissas)
        for component, share in zip(COMPONENTS, row.shares, strict=True):
            follows = row.shares[1:] in baselines and component != COMPONENTS[0]
            quantity, value = f"{component}, %", ours[component]
            if component in row.fitted:
                yield Point(fitted, row.label, quantity, share, value, asked.points, 1, row.why)
            elif follows:
                case, quantity = "SRAM and DRAM of the other baselines", f"{row.label}: {quantity}"
                yield Point(fitted, case, quantity, share, value, asked.points, 1, asked.follows)
            else:
                yield Point(group, row.label, quantity, share, value, asked.points, 1)
        if row.gain is not None:
            energy = gain(row.design, asked.model, mantissas).energy
            yield _within(group, row.label, "gain", row.gain, energy, asked.gain_frac)
    trade = asked.trade_off
    found = gain("anda", asked.model, chosen(asked.model, trade.tolerance))
    case = f"Anda {trade.tolerance.replace('%', ' %')}, figure of trade-offs"
    speed = _within(group, case, "speed", trade.speed, found.speed, targets.systems.speed_frac)
    yield replace(speed, known=trade.speed_known, known_tolerance=trade.speed_by)
    yield _within(group, case, "energy", trade.energy, found.energy, asked.gain_frac)


def chip_points(targets: AndaTargets) -> Iterator[Point]:
    """Area and power of the chip."""
    group = Group("anda_chip", targets.chip.title, targets.source, folded=False)
    machine = design("anda", targets.split.model, (8, 8, 8, 8))
    area = Point.printed(group, "area", "mm2", targets.chip.area_mm2, machine.area_mm2)
    yield replace(area, contradicts=targets.chip.area_contradicts)
    power = sum(power for _, power in machine.components.values())
    yield Point.printed(group, "power", "mW", targets.chip.power_mw, power)
