"""Attention to the tokens of the largest scores: an oracle, since finding them takes all scores.

What a method that selects tokens can reach at most, with the same number of tokens and no estimate of the rest.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt

from simulator.numerics.attention import AttentionRule, Heads, LayerCall, attend_exactly


class TopK(AttentionRule):
    """Every query of every head attends to the `k` tokens of its largest scores; equal to the last of them are kept."""

    class Config(BaseModel):
        """Tokens that a query attends to."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        k: PositiveInt

    name = "top_k"

    def __init__(self, config: Config) -> None:
        self.config = config

    def attend(self, call: LayerCall, queries: Heads, keys: Heads, values: Heads) -> Heads:
        """Softmax over the chosen tokens."""
        return attend_exactly(call, queries, keys, values, restrict=self._choose)

    def _choose(self, scores: Heads, first_query: int, first_key: int) -> None:
        n_keys = scores.shape[2]
        if n_keys <= self.config.k:
            return
        least = np.partition(scores, n_keys - self.config.k, axis=2)[..., n_keys - self.config.k, None]
        scores[scores < least] = -np.inf
