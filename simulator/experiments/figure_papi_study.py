"""What the figures of PAPI share: the grids of batches, the designs as runs, ratios to a baseline, and both means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from simulator.experiments.drawn_batches import Drawn
from simulator.experiments.figure_data import AnyRun, DrawnRun, Value
from simulator.experiments.figure_study import DRAWN_CONTEXT_STEP, DRAWN_SAMPLES, Study
from simulator.experiments.validate_papi import load_papi_targets
from simulator.experiments.validate_papi_band import Quantity, amount, arithmetic, geometric

BASE = "a100-attacc"
DESIGNS = {"papi": "PAPI", BASE: "A100+AttAcc", "a100-hbm-pim": "A100+HBM-PIM", "attacc-only": "AttAcc-only"}
"""Designs that the paper compares in most figures, by how it calls them."""

MODELS = {"llama-65b": "LLaMA-65B", "gpt3-66b": "GPT-3 66B", "gpt3-175b": "GPT-3 175B"}
CREATIVE, QA = "dolly_creative_writing", "dolly_general_qa"
BATCHES, SPECULATIONS = (4, 16, 64), (1, 2, 4)
ARITHMETIC, GEOMETRIC = "arithmetic mean", "geometric mean"

CAUTIONS = (
    f"Computed on {DRAWN_SAMPLES} passes of each batch and at contexts {DRAWN_CONTEXT_STEP} apart: within 2 % of the "
    "commands given here, which simulate every pass.",
    "Lengths are drawn from published quantiles of Dolly; which of its records the paper takes is not said. Its bars "
    "are not printed: only its means are shown.",
    "Nothing is tuned to these numbers; `sim validate papi` says how far they move over what the paper leaves open.",
)
QA_CAUTION = "The lengths are those of Dolly's open_qa, which stands in for general_qa: its statistics are not public."

Ratios = Mapping[tuple[str, Drawn], float]
"""By design and batch."""


def grid(
    model: str, lengths: str, batches: Sequence[int] = BATCHES, speculations: Sequence[int] = SPECULATIONS
) -> list[Drawn]:
    """Batches of one model."""
    return [Drawn(model, lengths, batch, speculation) for batch in batches for speculation in speculations]


def runs_of(designs: Iterable[str], batches: Iterable[Drawn]) -> dict[str, AnyRun]:
    """Every batch on every design."""
    found: dict[str, AnyRun] = {}
    for drawn in batches:
        for design in designs:
            found[f"{design} {drawn.model} {drawn.lengths} {drawn.batch}/{drawn.speculation}"] = DrawnRun(design, drawn)
    return found


def ratios_to(
    study: Study, base: str, designs: Iterable[str], batches: Iterable[Drawn], of: Quantity
) -> dict[tuple[str, Drawn], float]:
    """The base's time, decode or energy over each design's."""
    found = {}
    for drawn in batches:
        theirs = amount(study.drawn(DrawnRun(base, drawn)), of)
        for design in designs:
            found[design, drawn] = theirs / amount(study.drawn(DrawnRun(design, drawn)), of)
    return found


def at(drawn: Drawn) -> str:
    """A batch's place in a figure: requests / tokens that a pass verifies."""
    return f"{drawn.batch}/{drawn.speculation}"


def grid_values(panel: str, ratios: Ratios, names: Mapping[str, str]) -> list[Value]:
    """A series per design over the batches."""
    return [
        Value(panel, names[design], at(drawn), ratio)
        for (design, drawn), ratio in ratios.items()
        if design in names and design != BASE
    ]


def mean_values(panel: str, ratios: Ratios, ours: str, others: Sequence[str], figure: str) -> list[Value]:
    """Both means of one design over others, with the published one, which is either, beside the arithmetic."""
    values = []
    batches = list(dict.fromkeys(drawn for _, drawn in ratios))
    for other in others:
        own = [ratios[ours, drawn] / (1.0 if other == BASE else ratios[other, drawn]) for drawn in batches]
        name = _in_lines(DESIGNS[other])
        published, n_decimals = published_mean(figure, ours, other)
        values.append(
            Value(panel, ARITHMETIC, name, arithmetic(own), published, n_decimals=n_decimals, is_judged=False)
        )
        values.append(Value(panel, GEOMETRIC, name, geometric(own)))
    return values


def published_mean(figure: str, ours: str, other: str, workload: str | None = None) -> tuple[float | None, int]:
    """What the paper prints of a figure's mean of one design over another, and its decimals."""
    for headline in load_papi_targets().band.headlines:
        named = (headline.figure.split(",")[0], headline.design, headline.over)
        if named == (figure, ours, other) and workload in (None, headline.workload):
            return headline.target
    return None, 0


def _in_lines(name: str) -> str:
    return name.replace("+", "+\n").replace("-", "-\n")
