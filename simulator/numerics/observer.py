"""Who looks on while a model runs: recorders of traces and statistics, which change nothing of the forward pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.format_names import Site


class Observer:
    """Looks at nothing; a recorder overrides what it wants to see. Arrays are the model's own: copy what is kept.

    Methods are called layer by layer, first layer first; within a layer in the order that they have here, `inputs` for
    the sites qkv, o, u and d as the layer reaches them.
    """

    def begin(self, tokens: NDArray[np.int64], first: int) -> None:
        """A forward pass of tokens int64[T] at positions from `first`; 0 begins a text."""

    def inputs(self, layer: int, site: Site, values: NDArray[np.float32]) -> None:
        """Inputs float32[T, features] of the matrices of a site, before any number format."""

    def keys_values(self, layer: int, first: int, keys: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        """Keys (after the rotation) and values float32[n_kv_heads, T, head_dim] that enter the cache, in its format."""

    def attention(
        self,
        layer: int,
        first_query: int,
        first_key: int,
        scores: NDArray[np.float32],
        probabilities: NDArray[np.float32],
    ) -> None:
        """Attention of a block of queries, each float32[n_heads, n_queries, n_keys]: scores q.k / sqrt(head_dim), -inf
        where a query does not look, and their softmax; positions of queries and keys from `first_query`, `first_key`.
        """
