"""What the figures of Anda share: the paper's tuples, its nine models' prompts on every design, gains and shares.

A prompt is as long as its model was trained for, in batch 1, with products of INT4 weights alone: the paper's scope.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Literal

from simulator.contracts.results import StepResult
from simulator.core.errors import ConfigError
from simulator.experiments.settings import Settings, load_settings
from simulator.numerics.bit_operations import Mantissas, bit_operations_saving, checked_mantissas, mac_weights
from simulator.systems.anda import Anda
from simulator.workload.batch import Batch
from simulator.workload.catalog import data_directory, load_model

BASE = "fp_fp"
DESIGNS = ("fp_fp", "fp_int", "ifpu", "figna", "figna_m11", "figna_m8", "anda")
MODELS = (
    "opt-1.3b", "opt-2.7b", "opt-6.7b", "llama-7b", "llama2-7b", "opt-13b", "llama-13b", "llama2-13b", "opt-30b",
)  # fmt: skip
COMPONENTS = ("compute", "sram", "dram")
TOLERANCES = ("0.1%", "1%")
DATASETS = ("WikiText2", "PTB", "C4")
MODEL_NAMES = {
    "opt-1.3b": "OPT-1.3B", "opt-2.7b": "OPT-2.7B", "opt-6.7b": "OPT-6.7B", "llama-7b": "LLaMA-7B",
    "llama2-7b": "LLaMA2-7B", "opt-13b": "OPT-13B", "llama-13b": "LLaMA-13B", "llama2-13b": "LLaMA2-13B",
    "opt-30b": "OPT-30B",
}  # fmt: skip
BARS: dict[str, tuple[str, str]] = {
    "FP-FP": ("fp_fp", "0.1%"),
    "FP-INT": ("fp_int", "0.1%"),
    "iFPU": ("ifpu", "0.1%"),
    "FIGNA": ("figna", "0.1%"),
    "FIGNA-M11": ("figna_m11", "0.1%"),
    "FIGNA-M8": ("figna_m8", "0.1%"),
    "Anda 0.1 %": ("anda", "0.1%"),
    "Anda 1 %": ("anda", "1%"),
}
"""Designs and tolerances by the names of bars; designs other than Anda have mantissas of their own."""
SCOPE = (
    "A prompt as long as the model was trained for, batch 1, products with INT4 weights alone, with the mantissas that "
    "the paper's search chose on WikiText2: the paper's scope. Decodes and attention are in docs/anda.md."
)
FITTED = (
    "Three values of the published accounting are fitted to LLaMA-13B: for how many heights of the array weights are "
    "fetched once and the energy of a bit of SRAM to FP-FP's split, the baselines' shape to Anda's half of its DRAM."
)
Accounting = Literal["published", "corrected"]

_TUPLES = Path(__file__).parent / "targets" / "anda_tuples.csv"


@dataclass(frozen=True, slots=True)
class Cell:
    """One tuple of the paper: model, data set, tolerance, mantissas, and the saving that it prints, if it is known."""

    model: str
    dataset: str
    tolerance: str
    mantissas: Mantissas
    paper_saving: float | None

    @property
    def saving(self) -> float:
        """Bit operations saved, as computed."""
        return bit_operations_saving(self.mantissas, mac_weights(load_model(self.model)))


@lru_cache(maxsize=1)
def cells() -> tuple[Cell, ...]:
    """The 54 tuples that the paper's search chose."""
    with _TUPLES.open(newline="", encoding="utf-8") as file:
        return tuple(
            Cell(
                row["model"].lower(),
                row["dataset"],
                row["tolerance"],
                checked_mantissas([int(row[name]) for name in ("qkv", "o", "u", "d")]),
                float(row["bops_saving_paper"]) if row["bops_saving_paper"] else None,
            )
            for row in csv.DictReader(file)
        )


def chosen(model: str, tolerance: str, dataset: str = "WikiText2") -> Mantissas:
    """The paper's tuple for a model. Raises ConfigError for a cell that it does not have."""
    for cell in cells():
        if (cell.model, cell.dataset, cell.tolerance) == (model, dataset, tolerance):
            return cell.mantissas
    raise ConfigError(f"Anda's paper has no tuple for {model} on {dataset} at {tolerance}")


@lru_cache(maxsize=1)
def _settings() -> Settings:
    return load_settings(data_directory("hw_configs") / "anda.yaml", {"system.attention": "excluded"})


def design(name: str, model: str, mantissas: Mantissas, accounting: Accounting = "published") -> Anda:
    """A design for a model, in the paper's scope."""
    settings = _settings()
    changed = {"design": name, "mantissas": mantissas, "accounting": accounting}
    made = settings.system_class(settings.system_config.model_copy(update=changed), load_model(model))
    assert isinstance(made, Anda)
    return made


@lru_cache(maxsize=512)
def prompt(name: str, model: str, mantissas: Mantissas, accounting: Accounting = "published") -> StepResult:
    """The prompt of a model on a design."""
    machine = design(name, model, mantissas, accounting)
    return machine.step(Batch.prefill(machine.model.max_context))


@dataclass(frozen=True, slots=True)
class Gain:
    """How many times a design is as fast, as sparing of energy, and as fast for its area, as FP-FP."""

    speed: float
    energy: float
    speed_per_area: float


def gain(name: str, model: str, mantissas: Mantissas, accounting: Accounting = "published") -> Gain:
    """A design against FP-FP on one model's prompt."""
    base, other = (prompt(one, model, mantissas, accounting) for one in (BASE, name))
    speed = base.latency_ps / other.latency_ps
    areas = [design(one, model, mantissas, accounting).area_mm2 for one in (BASE, name)]
    return Gain(speed, base.energy.total_pj / other.energy.total_pj, speed * areas[0] / areas[1])


def geomeans(name: str, tolerance: str, models: Sequence[str] = MODELS, accounting: Accounting = "published") -> Gain:
    """Geometric means over models, each with the paper's WikiText2 tuple for a tolerance (`0.1%`, `1%`)."""
    found = [gain(name, model, chosen(model, tolerance), accounting) for model in models]
    return Gain(
        _geomean(one.speed for one in found),
        _geomean(one.energy for one in found),
        _geomean(one.speed_per_area for one in found),
    )


def energy_split(name: str, model: str, mantissas: Mantissas, accounting: Accounting = "published") -> dict[str, float]:
    """Energy of a design by component, in % of all that FP-FP takes."""
    base = prompt(BASE, model, mantissas, accounting).energy.total_pj
    parts = prompt(name, model, mantissas, accounting).energy.by_component()
    return {component: 100 * parts[component] / base for component in COMPONENTS}


def _geomean(values: Iterable[float]) -> float:
    found = list(values)
    return float(prod(found) ** (1 / len(found)))
