"""A checkpoint and windows of tokens, run in one set of number formats after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.numerics.accuracy import Accuracy, Scope, evaluate, mean_loss, perplexity
from simulator.numerics.attention import AttentionRule
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.format_names import model_formats
from simulator.numerics.transformer import Transformer
from simulator.workload.model import ModelSpec

Windows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ModelOnText:
    """What a machine's formats are tried on: see `contracts.accuracy.AccuracySubject`.

    `windows` and `calibration` are int64[n, width]. The weights that were rounded last are kept: a search tries many
    formats of activations with the same weights.
    """

    checkpoint: Checkpoint
    format: str | None
    attention: AttentionRule | None
    windows: Windows
    calibration: Windows
    scope: Scope
    _models: dict[str, Transformer] = field(default_factory=dict)

    @property
    def shape(self) -> ModelSpec:
        """The model's numbers."""
        return self.checkpoint.shape

    def accuracy(self, formats: str) -> Accuracy:
        """Predictions on the windows, and their distance to those of the model as stored."""
        return evaluate(
            self.checkpoint, model_formats(formats), self.windows, attention=self.attention, scope=self.scope
        )

    def perplexity(self, formats: str) -> float:
        """Perplexity on the windows."""
        return self._perplexity(formats, self.windows)

    def calibration_perplexity(self, formats: str) -> float:
        """Perplexity on the windows for a search. Raises WorkloadError where there are none."""
        if not len(self.calibration):
            raise WorkloadError(
                "the file of tokens has none left for a search of formats",
                where="workload.calibration_first",
                remedy="give more tokens, or say which window a search begins at",
            )
        return self._perplexity(formats, self.calibration)

    def _perplexity(self, formats: str, windows: Windows) -> float:
        return perplexity(mean_loss(self._model(formats), windows))

    def _model(self, name: str) -> Transformer:
        """The model in these formats; all but those of activations stand in the name that it is kept by."""
        formats = model_formats(name)
        parts = [part for part in name.split("+") if not model_formats(part).activations]
        kept = "+".join(parts)
        if kept not in self._models:
            self._models.clear()
            self._models[kept] = Transformer(self.checkpoint, model_formats(kept or "fp16"), self.attention)
        return self._models[kept].with_activations(formats.activations)
