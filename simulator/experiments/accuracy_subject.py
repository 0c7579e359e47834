"""A checkpoint and windows of tokens, run in one set of number formats after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.numerics.accuracy import Accuracy, Scope, evaluate, perplexity
from simulator.numerics.attention import AttentionRule
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.format_names import model_formats
from simulator.numerics.tried_formats import TriedFormats
from simulator.workload.model import ModelSpec

Windows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ModelOnText:
    """What a machine's formats are tried on: see `contracts.accuracy.AccuracySubject`.

    `windows` and `calibration` are int64[n, width].
    """

    checkpoint: Checkpoint
    format: str | None
    attention: AttentionRule | None
    windows: Windows
    calibration: Windows
    scope: Scope

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
        return perplexity(self._tried.loss(formats, windows))

    @cached_property
    def _tried(self) -> TriedFormats:
        return TriedFormats(self.checkpoint, self.attention)
