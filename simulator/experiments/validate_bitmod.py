"""BitMoD: rows of its simulator, vectors of its quantiser, its figures and what its text claims, beside ours."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import cos, exp, sin
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.api import run
from simulator.experiments.bitmod_designs import BASE, DESIGNS, MODELS, BitmodDesigns, Phase
from simulator.experiments.settings import load_settings
from simulator.experiments.validate_records import Claim, Group, Point
from simulator.experiments.validate_targets import FOLDER
from simulator.numerics.format_names import format_named
from simulator.numerics.formats.bitmod import Bitmod as BitmodFormat
from simulator.numerics.number_format import GroupedFormat
from simulator.systems.bitmod import Bitmod
from simulator.workload.batch import Batch
from simulator.workload.catalog import data_directory, load_model

ENERGIES = {
    "pe_uJ": "pe_uj", "sram_rd_uJ": "sram_read_uj", "sram_wr_uJ": "sram_write_uj", "dram_uJ": "dram_uj",
    "onchip_uJ": "onchip_uj", "total_uJ": "energy_uj",
}  # fmt: skip
SPECIAL_VALUES = {3: (3.0, -3.0, 6.0, -6.0), 4: (5.0, -5.0, 8.0, -8.0)}
MEAN = "mean"
TASKS = {0: "prompts", 20: "generation"}
_NAMES = {"OPT-1.3B": "opt-1.3b", "Phi-2": "phi-2", "Yi-6B": "yi-6b", "Llama-2-7B": "llama2-7b",
          "Llama-2-13B": "llama2-13b", "Llama-3-8B": "llama3-8b"}  # fmt: skip
_GROUP = 128
# The groups of weights that the vectors are of, weight by weight.
_VECTORS: dict[str, Callable[[int], float]] = {
    "G1": lambda i: sin(0.37 * (i + 1)) * exp(-i / 64),
    "G2": lambda i: ((37 * i + 11) % 128 - 63.5) / 63.5,
    "G3": lambda i: cos(0.11 * i * i) ** 3 + 2.5 * (i == 17),
    "G4": lambda i: (1.6 if i % 9 == 0 else 1.0) * sin(i + 0.5),
    "G5": lambda i: 0.3 * sin(1.7 * i) + 0.05 * cos(0.013 * i * i) - 1.4 * (i == 100),
}
Measure = Literal["speed", "energy"]
Row = Mapping[str, str]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Suite(_Section):
    """Rows of one revision of the simulator."""

    revision: Literal[2024, 2025]
    title: str
    source: str


class GoldenRows(_Section):
    """The table of rows, and which of them are run as a command would."""

    file: str
    energy_frac: float
    suites: dict[str, Suite]
    sample: list[str]


class QuantizerRows(_Section):
    """Vectors of the quantiser."""

    suite: str
    title: str
    source: str
    tolerance: float


class Figure(_Section):
    """Bars of a figure by design: the models in their order, and the mean."""

    title: str
    of: Measure
    n_decodes: int
    designs: dict[str, list[str]]


class TextClaim(_Section):
    """A ratio of two designs' means, itself the mean over tasks (by their decodes); `known` is why ours misses it, by
    at most `known_by`."""

    design: str
    over: str
    of: Measure
    tasks: list[int]
    ratio: str
    known: str = ""
    known_by: float = 0.0


class TextClaims(_Section):
    """Ratios that the text gives."""

    title: str
    rows: list[TextClaim]


class Rerun(_Section):
    """Mean speeds that the authors' programs give in a re-run; `ratios` of the lossy design over others."""

    title: str
    revision: Literal[2024, 2025]
    task: int | Literal["decode"]
    means: dict[str, str]
    ratios: dict[str, str] = {}


class Corrected(_Section):
    """What stands beside figure 7."""

    title: str


class BitmodTargets(_Section):
    """A file of targets of kind `bitmod`."""

    kind: Literal["bitmod"]
    source: str
    golden: GoldenRows
    quantizer: QuantizerRows
    figures: list[Figure]
    claims: TextClaims
    reruns: list[Rerun]
    corrected: Corrected


def load_bitmod_targets(path: Path = FOLDER / "bitmod.yaml") -> BitmodTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), BitmodTargets, ignore=())


def bitmod_points(path: Path) -> Iterator[Point | Claim]:
    """Every number of a file of targets beside ours."""
    targets = load_bitmod_targets(path)
    with (path.parent / targets.golden.file).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    yield from golden_points(targets.golden, rows)
    yield from quantizer_points(targets.quantizer, rows)
    designs = BitmodDesigns(revision=2024)
    for figure in targets.figures:
        yield from figure_points(figure, targets.source, designs)
    yield from claim_points(targets, designs)
    for rerun in targets.reruns:
        yield from rerun_points(rerun, BitmodDesigns(revision=rerun.revision))
    yield from corrected_points(targets)


# --- rows of the simulator


def golden_points(golden: GoldenRows, rows: list[dict[str, str]]) -> Iterator[Point]:
    """Cycles and energies of every row; those of the sample once more, through a run's record."""
    shipped = load_settings(data_directory("hw_configs") / "bitmod.yaml", {}).system()
    assert isinstance(shipped, Bitmod)
    for name, suite in golden.suites.items():
        group = Group(name, suite.title, suite.source)
        for row in rows:
            if row["suite"] == name:
                machine = shipped.for_model(load_model(_NAMES[row["workload"]])).changed(**_system(row, suite))
                found = machine.step(_batch(row)).metrics
                yield from row_points(group, f"{_design(row)} {_phase(row)}", row, found, golden)
    group = Group("bitmod_runs", "Some of these rows as `sim run` gives them", "as above")
    for row in rows:
        if row["case_id"] in golden.sample:
            record = run(data_directory("hw_configs") / "bitmod.yaml", _sets(row, golden.suites[row["suite"]]))
            yield from row_points(
                group, f"{row['case_id']}: {row['system']} {_phase(row)}", row, record.metrics, golden
            )


def row_points(group: Group, case: str, row: Row, ours: Mapping[str, float], golden: GoldenRows) -> Iterator[Point]:
    """A row's cycles, of the array too where they are known, and its energies."""
    for column, name in (("cycles_total", "cycles"), ("cycles_compute", "compute_cycles")):
        if row[column]:
            yield Point(group, case, f"{row['case_id']}: {name}", int(row[column]), ours[name])
    for column, name in ENERGIES.items():
        if row[column]:
            target = float(row[column])
            tolerance = golden.energy_frac * target
            yield Point(group, case, f"{row['case_id']}: {name}", target, ours[name], tolerance, n_decimals=3)


def _design(row: Row) -> str:
    name, _, width = row["system"].partition("-w")
    return f"{name}, other widths," if width else name


def _phase(row: Row) -> Phase:
    return "prefill" if row["phase"] == "prefill" else "decode"


def _batch(row: Row) -> Batch:
    made = Batch.prefill if _phase(row) == "prefill" else Batch.decode
    return made(int(row["ctx"]), int(row["batch"]))


def _system(row: Row, suite: Suite) -> dict[str, Any]:
    return {
        "datapath": row["system"].split("-")[0].lower(),
        "weight_bits": float(row["w_bits"]),
        "kv_bits": int(row["kv_bits"]),
        "revision": suite.revision,
    }


def _sets(row: Row, suite: Suite) -> dict[str, Any]:
    workload = {
        "model": _NAMES[row["workload"]], "phase": _phase(row), "batch": int(row["batch"]), "context": int(row["ctx"])
    }  # fmt: skip
    system = {f"system.{key}": value for key, value in _system(row, suite).items()}
    return {f"workload.{key}": value for key, value in workload.items()} | system


# --- vectors of the quantiser


def quantizer_points(asked: QuantizerRows, rows: list[dict[str, str]]) -> Iterator[Point]:
    """Special value, scale, and the mean squared error of every candidate and of plain formats."""
    group = Group("bitmod_quantizer", asked.title, asked.source)
    for row in rows:
        if row["suite"] == asked.suite:
            given = dict(part.split("=") for part in row["aux"].split(";"))
            case = f"{row['workload']} in {row['w_bits']} bits"
            for name, value in quantized(row["workload"], int(row["w_bits"])).items():
                tolerance = 0.0 if name == "pick" else asked.tolerance
                yield Point(group, case, f"{row['case_id']}: {name}", float(given[name]), value, tolerance, 12)


def quantized(vector: str, bits: int) -> dict[str, float]:
    """What the quantiser makes of a vector, by the names of the golden columns."""
    values = np.array([[_VECTORS[vector](i) for i in range(_GROUP)]])
    found = BitmodFormat(BitmodFormat.Config(bits=bits)).quantize_groups(values)
    formats: dict[str, Any] = {f"mse_FP{bits}": format_named(f"fp{bits}")}
    for special in SPECIAL_VALUES[bits]:
        formats[f"mse_sv{special:+g}"] = BitmodFormat(BitmodFormat.Config(bits=bits, special_values=(special,)))
    formats |= {f"mse_INT{bits}{kind}": format_named(f"int{bits}_{kind}") for kind in ("asym", "sym")}
    return {
        "pick": SPECIAL_VALUES[bits][int(found.extra["special"][0])],
        "scale": float(found.scales[0]),
        **{name: _mean_squared_error(one, values) for name, one in formats.items()},
    }


def _mean_squared_error(fmt: GroupedFormat, values: NDArray[np.float64]) -> float:
    return float(((fmt.dequantize_groups(fmt.quantize_groups(values)) - values) ** 2).mean())


# --- figures and claims


def figure_points(figure: Figure, source: str, designs: BitmodDesigns) -> Iterator[Point]:
    """A figure's bars by model and their mean, which the paper calls geometric and which is arithmetic."""
    group = Group(f"bitmod_{figure.of}_{TASKS[figure.n_decodes]}", figure.title, source)
    for design, bars in figure.designs.items():
        ours = ratios(designs, figure.of, design, figure.n_decodes)
        for model, printed in zip((*MODELS, MEAN), bars, strict=True):
            value = fmean(ours.values()) if model == MEAN else ours[model]
            yield Point.printed(group, DESIGNS[design], model, printed, value)


def ratios(designs: BitmodDesigns, of: Measure, design: str, n_decodes: int) -> dict[str, float]:
    """Speed, or energy, of a design over FP16's, by model."""
    measure = designs.speedups if of == "speed" else designs.energy_ratios
    return measure(design, n_decodes)


def claim_points(targets: BitmodTargets, designs: BitmodDesigns) -> Iterator[Point]:
    """Ratios of means over models, and the mean of these over tasks."""
    group = Group("bitmod_claims", targets.claims.title, targets.source, folded=False)
    for claim in targets.claims.rows:
        ours = fmean(_gain(designs, claim, n_decodes) for n_decodes in claim.tasks)
        tasks = " and ".join(TASKS[n_decodes] for n_decodes in claim.tasks)
        case = f"{DESIGNS[claim.design]} over {DESIGNS[claim.over]}, {tasks}"
        point = Point.printed(group, case, claim.of, claim.ratio, ours)
        yield replace(point, known=claim.known, known_tolerance=claim.known_by)


def _gain(designs: BitmodDesigns, claim: TextClaim, n_decodes: int) -> float:
    """How many times better the one design's mean is than the other's, FP16's being one."""
    own, other = (
        1.0 if design == BASE else fmean(ratios(designs, claim.of, design, n_decodes).values())
        for design in (claim.design, claim.over)
    )
    return own / other if claim.of == "speed" else other / own


def rerun_points(rerun: Rerun, designs: BitmodDesigns) -> Iterator[Point]:
    """Mean speeds of a task in a revision."""
    group = Group(f"bitmod_{rerun.revision}_{rerun.task}", rerun.title, "the authors' programs, run again")
    means = {design: fmean(_speeds(designs, design, rerun.task).values()) for design in rerun.means}
    for design, printed in rerun.means.items():
        yield Point.printed(group, "over FP16", DESIGNS[design], printed, means[design])
    for design, printed in rerun.ratios.items():
        ours = means["bitmod-ly"] / means[design]
        yield Point.printed(group, "BitMoD-LY over others", DESIGNS[design], printed, ours)


def _speeds(designs: BitmodDesigns, design: str, task: int | Literal["decode"]) -> dict[str, float]:
    if task != "decode":
        return designs.speedups(design, task)

    def cycles(name: str, model: str) -> float:
        return float(designs.machine(name, model, "decode").step(Batch.decode(256)).metrics["cycles"])

    return {model: cycles(BASE, model) / cycles(design, model) for model in MODELS}


def corrected_points(targets: BitmodTargets) -> Iterator[Claim]:
    """Means of figure 7 as the corrected accounting has them, and the published ones as the geometric means that they
    are called and are not."""
    corrected, published = BitmodDesigns(accounting="corrected", revision=2025), BitmodDesigns(revision=2024)
    group = Group("bitmod_beside", targets.corrected.title, targets.source, folded=False)
    for figure in targets.figures:
        if figure.of == "speed":
            for design, bars in figure.designs.items():
                geometric = geometric_mean(published.speedups(design, figure.n_decodes).values())
                ours = fmean(corrected.speedups(design, figure.n_decodes).values())
                case = f"{DESIGNS[design]}, {TASKS[figure.n_decodes]}"
                words = f"{bars[-1]} published, {geometric:.2f} as a geometric mean"
                yield Claim(group, case, "speed", None, ours, words, "x")
