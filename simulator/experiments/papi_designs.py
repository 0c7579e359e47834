"""PAPI and the machines it is compared to, on batches drawn from length sets: each run once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from simulator.core.config import load_config
from simulator.devices.pim_stack import PimStack
from simulator.experiments.drawn_batches import Drawn, DrawnBatch, DrawnTimes, drawn_times
from simulator.experiments.settings import bound_settings
from simulator.serving.speculation import Speculation
from simulator.workload.catalog import data_directory
from simulator.workload.length_sets import draw_lengths

SEED, ALIKE = "run.seed", "requests.all_alike"
"""What changes a batch and no machine: the seed of its lengths, and whether all requests have the mean length."""

_N_MACHINES_KEPT = 128
_STACKS, _STACK_OF = "system.stacks.", 2
_OF_GPUS = ("system.gpu", "system.gpus.")

Sets = Mapping[str, Any]


class PapiDesigns:
    """Designs of a configuration such as `papi.yaml`, with overrides: only those that concern a design make it another
    machine. Decodes are at contexts `context_step` apart, `n_samples` passes of each batch are simulated."""

    def __init__(self, config: str, context_step: int, n_samples: int) -> None:
        self._path = data_directory("hw_configs") / config
        self._tree = load_config(self._path)
        self._designs = self._tree.at("system.designs").plain()
        self.context_step, self.n_samples = context_step, n_samples
        self._stacks: dict[str, PimStack] = {}
        self._times: dict[tuple[Any, ...], DrawnTimes] = {}
        self._machine = lru_cache(maxsize=_N_MACHINES_KEPT)(self._built)
        self._batch = lru_cache(maxsize=None)(self._drawn)

    def times(self, design: str, drawn: Drawn, sets: Sets | None = None) -> DrawnTimes:
        """What a batch takes on a design."""
        own = {path: value for path, value in (sets or {}).items() if self.concerns(design, path)}
        seed = int((sets or {}).get(SEED, self._tree.get(SEED, 1)))
        alike = bool((sets or {}).get(ALIKE, False))
        changes = tuple(sorted(own.items()))
        key = (design, drawn, seed, alike, changes)
        if key not in self._times:
            machine = self._machine(design, drawn.model, changes)
            self._times[key] = drawn_times(machine, self._batch(drawn, seed, alike))
        return self._times[key]

    def machine(self, design: str, model: str, sets: Sets | None = None) -> Any:
        """A design that holds a model."""
        return self._machine(design, model, tuple(sorted((sets or {}).items())))

    def concerns(self, design: str, path: str) -> bool:
        """Whether an override can change what a design takes."""
        own = self._designs[design]
        fc_stack = own.get("fc_stack")
        if path.startswith("system.scheduler."):
            return bool(own["fc_unit"] == "dynamic")
        if path.startswith("system.fc_link."):
            return fc_stack is not None
        if path.startswith(_STACKS):
            return path.split(".")[_STACK_OF] in (fc_stack, own["attention_stack"])
        if path == _OF_GPUS[0] or path.startswith(_OF_GPUS[1]):
            return bool(own["has_gpus"])
        if path.startswith("system.elementwise."):
            return not own["has_gpus"]
        return path not in (SEED, ALIKE)

    def _built(self, design: str, model: str, changes: tuple[tuple[str, Any], ...]) -> Any:
        sets = {"system.design": design, "workload.model": model, **dict(changes)}
        settings = bound_settings(self._tree.with_sets(sets), self._path)
        return settings.system_class(settings.system_config, settings.model, self.context_step, self._stack)

    def _stack(self, config: PimStack.Config) -> PimStack:
        """One for each configuration: what it has computed serves all machines that have it."""
        key = config.model_dump_json()
        if key not in self._stacks:
            self._stacks[key] = PimStack(config)
        return self._stacks[key]

    def _drawn(self, drawn: Drawn, seed: int, alike: bool) -> DrawnBatch:
        trace = draw_lengths(drawn.lengths, drawn.batch, seed)
        if alike:
            columns = (trace.prompt_tokens, trace.output_tokens)
            prompts, outputs = (np.full_like(column, max(1, round(float(column.mean())))) for column in columns)
            trace = replace(trace, prompt_tokens=prompts, output_tokens=outputs)
        return DrawnBatch.of(trace, Speculation(drawn.speculation), self.n_samples)
