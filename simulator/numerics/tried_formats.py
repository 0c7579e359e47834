"""One checkpoint in one set of number formats after the other: what was worked out is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.accuracy import window_loss
from simulator.numerics.attention import AttentionRule
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.format_names import FP16, model_formats
from simulator.numerics.model_weights import WeightReport
from simulator.numerics.transformer import Transformer
from simulator.numerics.workers import workers


class TriedFormats:
    """Losses of a model in formats by name.

    The weights that were rounded last stay in memory, as a search tries many formats of activations with the same ones;
    of each window and formats the loss is kept.
    """

    def __init__(self, checkpoint: Checkpoint, attention: AttentionRule | None = None) -> None:
        self.checkpoint = checkpoint
        self._attention = attention
        self._losses: dict[tuple[str, bytes], float] = {}
        self._reports: dict[str, WeightReport] = {}
        self._model: tuple[str, Transformer] | None = None

    def model(self, name: str) -> Transformer:
        """The model in these formats. Raises WorkloadError on weights that are not finite."""
        parts = [part for part in name.split("+") if not model_formats(part).activations]
        kept = "+".join(parts) or FP16
        if self._model is None or self._model[0] != kept:
            self._model = None  # never both in memory
            self._model = kept, Transformer(self.checkpoint, model_formats(kept), self._attention)
        return self._model[1].with_activations(model_formats(name).activations)

    def losses(self, name: str, windows: Sequence[NDArray[np.int64]] | NDArray[np.int64]) -> list[float]:
        """Nats a token of each window int64[T]."""
        keys = [(name, window.tobytes()) for window in windows]
        missing = {key: window for key, window in zip(keys, windows, strict=True) if key not in self._losses}
        if missing:
            model = self.model(name)
            with workers() as pool:
                found = pool.map(lambda text: window_loss(model, text), missing.values())
                self._losses.update(zip(missing, found, strict=True))
        return [self._losses[key] for key in keys]

    def loss(self, name: str, windows: Sequence[NDArray[np.int64]] | NDArray[np.int64]) -> float:
        """The mean over windows of one length."""
        found = self.losses(name, windows)
        return math.fsum(found) / len(found)

    def weights(self, name: str) -> WeightReport:
        """What the formats do to the matrices."""
        if name not in self._reports:
            self._reports[name] = self.model(name).weights.report
        return self._reports[name]

    def forget(self) -> None:
        """Drop all that was worked out, for those who measure how long it takes."""
        self._losses.clear()
        self._reports.clear()
        self._model = None
