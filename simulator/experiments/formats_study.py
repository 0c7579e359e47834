"""Two trained models in number formats: losses by window and errors of weights, each worked out once.

`tiny-llama` comes with the project, `small-llama` and the tokens lie beside the checkout or are not there.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from simulator.experiments.accuracy_settings import AccuracySettings, bound_accuracy_settings
from simulator.experiments.settings import load_run_tree
from simulator.numerics.accuracy import window_loss
from simulator.numerics.checkpoint import Checkpoint, find_checkpoint
from simulator.numerics.format_names import FP16, model_formats
from simulator.numerics.model_weights import WeightReport
from simulator.numerics.transformer import Transformer
from simulator.numerics.workers import workers
from simulator.workload.catalog import data_directory
from simulator.workload.tokens import TokenFile

TINY = "tiny-llama"
_TOKENS = "eval_tokens.npy"


def models_directory() -> Path:
    """`../shared/models` beside the checkout, or below what SIMULATOR_SHARED names."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    return Path(os.environ.get("SIMULATOR_SHARED", beside)) / "models"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that something took: by the clock, and of all processors together."""

    wall_s: float
    cpu_s: float


@dataclass
class FormatsStudy:
    """Models and tokens of a folder; what was measured is kept."""

    folder: Path = field(default_factory=models_directory)
    _losses: dict[tuple[str, str, int], float] = field(default_factory=dict)
    _reports: dict[tuple[str, str], WeightReport] = field(default_factory=dict)
    _model: tuple[tuple[str, str], Transformer] | None = None

    @cached_property
    def tokens(self) -> TokenFile | None:
        """The text that the models have not seen, if it is there."""
        path = self.folder / _TOKENS
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
        names += [] if self.tokens else [_TOKENS]
        return f"{' and '.join(names)}: not in ../shared/models beside the checkout" if names else ""

    def loss(self, model: str, formats: str, windows: Iterable[int]) -> float:
        """Mean loss in nats of a model that is there, on windows of its context by their numbers."""
        wanted = list(windows)
        missing = [window for window in wanted if (model, formats, window) not in self._losses]
        if missing:
            assert self.tokens is not None
            made = self._transformer(model, formats)
            width = made.shape.max_context
            texts = [self.tokens.tokens[window * width : (window + 1) * width] for window in missing]
            with workers() as pool:
                found = pool.map(lambda text: window_loss(made, text), texts)
                for window, loss in zip(missing, found, strict=True):
                    self._losses[model, formats, window] = loss
        return math.fsum(self._losses[model, formats, window] for window in wanted) / len(wanted)

    def weights(self, model: str, formats: str) -> WeightReport:
        """What a format does to the matrices of a model that is there."""
        key = (model, formats)
        if key not in self._reports:
            self._reports[key] = self._transformer(model, formats).weights.report
        return self._reports[key]

    def timed(self, model: str, formats: str, n_windows: int) -> Cost:
        """What it takes to round a model's weights and to evaluate the first windows."""
        self._model = None
        for key in [key for key in self._losses if key[:2] == (model, formats)]:
            del self._losses[key]
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

    def _transformer(self, model: str, formats: str) -> Transformer:
        """The model; its weights are rounded anew only where their format, or that of keys and values, is another."""
        named = model_formats(formats)
        key = (model, "+".join(part for part in formats.split("+") if not model_formats(part).activations) or FP16)
        if self._model is None or self._model[0] != key:
            path = self.path(model)
            assert path is not None
            self._model = key, Transformer(Checkpoint.open(path), model_formats(key[1]))
        return self._model[1].with_activations(named.activations)
