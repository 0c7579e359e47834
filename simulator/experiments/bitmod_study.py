"""What figures 7 and 8 of BitMoD share: its designs on six models, a ratio to FP16 for each, and the mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

from simulator.experiments.bitmod_designs import (
    BASE,
    DESIGNS,
    MODELS,
    N_PUBLISHED_DECODES,
    PROMPT_TOKENS,
    BitmodDesigns,
)
from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.workload.batch import Batch

NAMES = {
    "opt-1.3b": "OPT-1.3B",
    "phi-2": "Phi-2",
    "yi-6b": "Yi-6B",
    "llama2-7b": "Llama-2-7B",
    "llama2-13b": "Llama-2-13B",
    "llama3-8b": "Llama-3-8B",
}
ORDER = ("bitmod-ll", "ant", "olive", "bitmod-ly")
TASKS = {"discriminative": 0, "generative": N_PUBLISHED_DECODES}
"""Decodes behind a prompt of 256, by the kind of task."""
TEXT_DECODES = 256
MEAN = "mean"
MEANS = "means, generative"
SHOWN = (11.0, 3.2)
CAUTIONS = (
    "Precisions are the paper's: BitMoD-LL 6 bits, BitMoD-LY 4 in prompts and 3 in decodes of the same query, which no "
    "one chip holds; ANT and OliVe 3.5 to 5.5, mixed with 8 by layer.",
    "The revision of 2024, behind the paper's bars, counts attention too large; the authors mended it in 2025 and did "
    "not draw the figures again.",
    "The text profiles 256 tokens after a prompt of 256; the figure has 20, all at the context of the prompt.",
    "Corrected: growing contexts, gated columns, our DDR4-2133, leakage, 255 decodes after the prompt's own token, "
    "precisions of 2025. See docs/bitmod.md. A query: `sim run hw_configs/bitmod.yaml --set workload.output_tokens=256 "
    "--set system.accounting=corrected`.",
)

Quantity = Literal["speed-up", "energy"]


class BitmodStudy:
    """Ratios to FP16 under the paper's sums (the revision of 2024), and under what its text and we would have."""

    def __init__(self) -> None:
        self.published = BitmodDesigns(revision=2024)
        self.corrected = BitmodDesigns(revision=2025, accounting="corrected")
        self._ratios = cache(self._found)

    def bars(self, of: Quantity) -> list[Value]:
        """Series of designs over models and their arithmetic mean, a panel for each kind of task."""
        values = []
        for task, n_decodes in TASKS.items():
            for design in ORDER:
                ratios = self._ratios("published", design, of, n_decodes)
                values += [Value(task, DESIGNS[design], NAMES[model], ratios[model]) for model in MODELS]
                values.append(Value(task, DESIGNS[design], MEAN, mean(ratios)))
        return values

    def means(self, panel: str, of: Quantity) -> list[Value]:
        """Means over the models where the paper's figure is mended, step by step."""
        cases = {
            "as drawn,\n20 tokens": ("published", N_PUBLISHED_DECODES),
            "as drawn,\n256 tokens": ("published", TEXT_DECODES),
            "corrected,\n256 tokens": ("corrected", TEXT_DECODES - 1),
        }
        return [
            Value(panel, DESIGNS[design], at, mean(self._ratios(sums, design, of, n_decodes)))
            for design in ORDER
            for at, (sums, n_decodes) in cases.items()
        ]

    def _found(self, sums: str, design: str, of: Quantity, n_decodes: int) -> Mapping[str, float]:
        ratios = {}
        for model in MODELS:
            own, base = (self._cost(sums, one, model, n_decodes)[of] for one in (design, BASE))
            ratios[model] = base / own if of == "speed-up" else own / base
        return ratios

    def _cost(self, sums: str, design: str, model: str, n_decodes: int) -> dict[Quantity, float]:
        """Cycles and uJ of a query. Where contexts grow, the decode at the mean context stands for all: what a decode
        costs is all but linear in it."""
        if sums == "published":
            cost = self.published.cost(design, model, n_decodes)
            return {"speed-up": cost.cycles, "energy": cost.energy_uj}
        prompt = self.corrected.cost(design, model)
        middle = Batch.decode(PROMPT_TOKENS + (n_decodes + 1) // 2)
        decode = self.corrected.machine(design, model, "decode").step(middle).metrics
        return {
            "speed-up": prompt.cycles + n_decodes * decode["cycles"],
            "energy": prompt.energy_uj + n_decodes * decode["energy_uj"],
        }


def mean(ratios: Mapping[str, float]) -> float:
    """The arithmetic mean, which the paper calls `Geo Mean`."""
    return sum(ratios.values()) / len(ratios)


def ratio_figure(name: str, title: str, source: str, of: str, y: str, measure: Callable[[Any], list[Value]]) -> Figure:
    """A figure of bars over models for both kinds of task, and of means where the paper's figure is mended; `of` names
    the quantity in its caption."""
    return Figure(
        name=name,
        title=title,
        caption=(
            "A prompt of 256 (discriminative), and with 20 tokens after it, each at a context of 256 (generative): our "
            f"{of} by the sums of the authors' simulator as of 2024, with the paper's bars (diamonds). The mean is "
            "arithmetic. Right: means of what the paper's text says instead, 256 tokens, and of our corrected "
            "accounting."
        ),
        source=source,
        panels=(
            Panel("discriminative", "bars", y=y, reference=1.0, labelled=False, breadth=8.0),
            Panel("generative", "bars", reference=1.0, labelled=False, breadth=8.0),
            Panel(MEANS, "bars", reference=1.0, labelled=False, breadth=5.0),
        ),
        runs={},
        measure=measure,
        cautions=CAUTIONS,
        inches=SHOWN,
    )
