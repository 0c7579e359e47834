"""BitMoD and the arrays it is compared to, in the precisions that the paper gives each model: cycles and energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from simulator.experiments.settings import load_settings
from simulator.systems.bitmod import Bitmod
from simulator.workload.batch import Batch
from simulator.workload.catalog import data_directory, load_model

MODELS = ("opt-1.3b", "phi-2", "yi-6b", "llama2-7b", "llama2-13b", "llama3-8b")
BASE = "fp16"
DESIGNS = {BASE: "FP16", "ant": "ANT", "olive": "OliVe", "bitmod-ll": "BitMoD-LL", "bitmod-ly": "BitMoD-LY"}
PROMPT_TOKENS = 256
N_PUBLISHED_DECODES = 20
"""Decodes behind a prompt in the paper's figures."""

Phase = Literal["prefill", "decode"]
_PHASES: tuple[Phase, ...] = ("prefill", "decode")

# Bits of weights in prompts and in decodes, by model in the order of MODELS or for all. BitMoD's lossy design has other
# weights in prompts than in decodes: it is charged so, and holds them once.
_ALL = {
    BASE: (16.0, 16.0),
    "bitmod-ll": (6.0625, 6.0625),
    "bitmod-ly": (4.0625, 3.0625),
}
_BY_MODEL: dict[int, dict[str, dict[Phase, tuple[float, ...]]]] = {
    2024: {
        "ant": {"prefill": (5.5,) * 6, "decode": (5, 5, 5.25, 5, 5, 4.5)},
        "olive": {"prefill": (4.5,) * 6, "decode": (3.875, 4, 4.25, 3.75, 3.75, 3.5)},
    },
    2025: {
        "ant": dict.fromkeys(_PHASES, (5, 5, 5.25, 5, 4, 5)),
        "olive": dict.fromkeys(_PHASES, (4, 4, 4, 4, 4, 4.5)),
    },
}


@dataclass(frozen=True, slots=True)
class DesignCost:
    """A query of a model on a design: a prompt and then `n_decodes` tokens, none for a discriminative task."""

    model: str
    design: str
    n_decodes: int
    cycles: float
    energy_uj: float
    onchip_uj: float


def precision(design: str, model: str, phase: Phase, revision: int) -> dict[str, Any]:
    """Keys of `system` for a design in a phase, as the figures of a revision have it. Source: BitMoD's repository."""
    at = _PHASES.index(phase)
    if design in _ALL:
        weight_bits = _ALL[design][at]
    else:
        weight_bits = _BY_MODEL[revision][design][phase][MODELS.index(model)]
    serial = design.startswith("bitmod")
    kv_bits = 8 if serial and revision == 2025 else 16
    return {"datapath": design.split("-")[0], "weight_bits": weight_bits, "kv_bits": kv_bits, "revision": revision}


class BitmodDesigns:
    """The designs of a configuration such as `bitmod.yaml`, with overrides; `accounting` and `revision` as there."""

    def __init__(
        self, sets: Mapping[str, Any] | None = None, *, accounting: str = "published", revision: int = 2024
    ) -> None:
        settings = load_settings(data_directory("hw_configs") / "bitmod.yaml", dict(sets or {}))
        made = settings.system()
        assert isinstance(made, Bitmod)
        self._shipped: Bitmod = made
        self.accounting, self.revision = accounting, revision
        self._machine = cache(self._built)

    def machine(self, design: str, model: str, phase: Phase) -> Bitmod:
        """A design that holds a model in the precision of a phase."""
        return self._machine(design, model, phase)

    def cost(
        self, design: str, model: str, n_decodes: int = 0, *, prompt_tokens: int = PROMPT_TOKENS, batch: int = 1
    ) -> DesignCost:
        """A prompt and `n_decodes` tokens, each at the context at which the accounting charges it."""
        first = self.machine(design, model, "prefill").step(Batch.prefill(prompt_tokens, batch)).metrics
        sums = {name: float(first[name]) for name in ("cycles", "energy_uj", "onchip_uj")}
        machine = self.machine(design, model, "decode")
        charged = [machine.charged_context(prompt_tokens, prompt_tokens + n) for n in range(1, n_decodes + 1)]
        for context in dict.fromkeys(charged):
            step = machine.step(Batch.decode(context, batch)).metrics
            for name in sums:
                sums[name] += charged.count(context) * step[name]
        return DesignCost(model, design, n_decodes, **sums)

    def speedups(self, design: str, n_decodes: int = 0) -> dict[str, float]:
        """Cycles of FP16 over those of a design, by model."""
        return {
            model: self.cost(BASE, model, n_decodes).cycles / self.cost(design, model, n_decodes).cycles
            for model in MODELS
        }

    def energy_ratios(self, design: str, n_decodes: int = 0) -> dict[str, float]:
        """Energy of a design over that of FP16, by model."""
        return {
            model: self.cost(design, model, n_decodes).energy_uj / self.cost(BASE, model, n_decodes).energy_uj
            for model in MODELS
        }

    def _built(self, design: str, model: str, phase: Phase) -> Bitmod:
        keys = precision(design, model, phase, self.revision)
        machine = self._shipped.for_model(load_model(model))
        return machine.changed(**keys, accounting=self.accounting, capacity="report")
