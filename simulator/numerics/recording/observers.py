"""Several recorders that look at one forward pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.format_names import Site
from simulator.numerics.observer import Observer


class Observers(Observer):
    """Tells each of several observers, in order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def begin(self, tokens: NDArray[np.int64], first: int) -> None:
        """A forward pass begins."""
        for one in self._observers:
            one.begin(tokens, first)

    def inputs(self, layer: int, site: Site, values: NDArray[np.float32]) -> None:
        """Inputs of the matrices of a site."""
        for one in self._observers:
            one.inputs(layer, site, values)

    def keys_values(self, layer: int, first: int, keys: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        """Keys and values that enter the cache."""
        for one in self._observers:
            one.keys_values(layer, first, keys, values)

    def attention(
        self,
        layer: int,
        first_query: int,
        first_key: int,
        scores: NDArray[np.float32],
        probabilities: NDArray[np.float32],
    ) -> None:
        """Attention of a block of queries."""
        for one in self._observers:
            one.attention(layer, first_query, first_key, scores, probabilities)
