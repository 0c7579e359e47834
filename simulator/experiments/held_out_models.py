"""Two trained models in number formats: losses by window and errors of weights, each worked out once.

`tiny-llama` comes with the project, `small-llama` and the tokens lie beside the checkout or are not there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from simulator.experiments.accuracy_settings import AccuracySettings, bound_accuracy_settings
from simulator.experiments.settings import load_run_tree
from simulator.experiments.shared_models import HELD_OUT_TOKENS, models_directory
from simulator.numerics.checkpoint import Checkpoint, find_checkpoint
from simulator.numerics.model_weights import WeightReport
from simulator.numerics.tried_formats import TriedFormats
from simulator.workload.catalog import data_directory
from simulator.workload.tokens import TokenFile

TINY = "tiny-llama"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that something took: by the clock, and of all processors together."""

    wall_s: float
    cpu_s: float


@dataclass
class HeldOutModels:
    """Models and tokens of a folder; what was measured is kept."""

    folder: Path = field(default_factory=models_directory)
    _tried: dict[str, TriedFormats] = field(default_factory=dict)

    @cached_property
    def tokens(self) -> TokenFile | None:
        """The text that the models have not seen, if it is there."""
        path = self.folder / HELD_OUT_TOKENS
        return TokenFile.read(path) if path.is_file() else None

    def path(self, model: str) -> Path | None:
        """A model's folder, if it is there."""
        if model == TINY:
            return find_checkpoint(TINY)
        folder = self.folder / model
        return folder if folder.is_dir() else None

    def missing(self, model: str) -> str:
        """What a comparison on a model lacks, in words; empty where nothing does."""
        names = [] if self.path(model) else [model]
        names += [] if self.tokens else [HELD_OUT_TOKENS]
        return f"{' and '.join(names)}: not in ../shared/models beside the checkout" if names else ""

    def loss(self, model: str, formats: str, windows: Iterable[int]) -> float:
        """Mean loss in nats of a model that is there, on windows of its context by their numbers."""
        assert self.tokens is not None
        tried = self._of(model)
        width, tokens = tried.checkpoint.shape.max_context, self.tokens.tokens
        return tried.loss(formats, [tokens[window * width : (window + 1) * width] for window in windows])

    def weights(self, model: str, formats: str) -> WeightReport:
        """What a format does to the matrices of a model that is there."""
        return self._of(model).weights(formats)

    def timed(self, model: str, formats: str, n_windows: int) -> Cost:
        """What it takes to round a model's weights and to evaluate the first windows."""
        self._of(model).forget()
        started = time.perf_counter(), time.process_time()
        self.loss(model, formats, range(n_windows))
        return Cost(time.perf_counter() - started[0], time.process_time() - started[1])

    def search_sets(self, model: str, n_windows: int, tolerance: float) -> dict[str, object]:
        """A run that searches mantissas for a model: its keys by path; calibration is left to the defaults."""
        assert self.tokens is not None
        return {
            "workload.checkpoint": str(self.path(model)),
            "workload.tokens": str(self.tokens.path),
            "workload.n_windows": n_windows,
            "workload.reference_windows": 0,
            "workload.greedy_tokens": 0,
            "system.tolerance": tolerance,
        }

    def search_settings(self, model: str) -> AccuracySettings:
        """The same run, bound."""
        config = data_directory("hw_configs") / "anda.yaml"
        return bound_accuracy_settings(
            load_run_tree(config, self.search_sets(model, 1, 0.01), workload="accuracy"), config
        )

    def _of(self, model: str) -> TriedFormats:
        """A model that is there."""
        if model not in self._tried:
            path = self.path(model)
            assert path is not None
            self._tried[model] = TriedFormats(Checkpoint.open(path))
        return self._tried[model]
