"""Which experts the tokens of a step are routed to: skewed, and a little alike from one token to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_TOKENS_AT_ONCE = 1 << 10


class Routing:
    """Draws `top_k` of `n_experts` experts for each token in each of `n_layers` layers.

    Expert weights are (1 + rank)^-`skew` with a random order of the experts in each layer (skew 0: all alike), drawn
    without replacement. With probability `stickiness`, drawn for each token and layer, a token takes the experts of the
    one before it in its sequence. A prompt's tokens are drawn from a generator of their own.

    Not modelled: routing that depends on the token or its topic, balance over a batch, capacity limits that drop some.
    Source: that consecutive tokens repeat experts more often than by chance: Jiang et al. 2024 (Mixtral of Experts),
    section 5; exponent and probability are assumed.
    """

    def __init__(
        self, n_layers: int, n_experts: int, top_k: int, skew: float, stickiness: float, rng: np.random.Generator
    ) -> None:
        self.n_experts, self.top_k, self.stickiness = n_experts, top_k, stickiness
        self._rng = rng
        order = np.argsort(rng.random((n_layers, n_experts)), axis=1)
        self._handicap = ((1.0 + order) ** skew).astype(np.float32)
        self._chosen: Ints | None = None
        self._identity: Ints | None = None

    def step(self, identity: Ints) -> list[Ints]:
        """The experts of each layer that the new tokens of the sequences `identity` int64[n] go to, each once."""
        n_layers = len(self._handicap)
        race = self._rng.standard_exponential((n_layers, len(identity), self.n_experts), dtype=np.float32)
        race *= self._handicap[:, None, :]
        chosen = _smallest(race, self.top_k)
        if self.stickiness:
            sticks = self._rng.random((n_layers, len(identity))) < self.stickiness
            if self._chosen is not None and self._identity is not None:
                sticks &= self._identity == identity
                chosen[sticks] = self._chosen[sticks]
        self._chosen, self._identity = chosen, identity.copy()
        used = np.zeros((n_layers, self.n_experts), dtype=np.bool_)
        np.put_along_axis(used, chosen.reshape(n_layers, -1), True, axis=1)
        return [np.flatnonzero(row) for row in used]

    def prompt(self, tokens: int, rng: np.random.Generator) -> list[Ints]:
        """The experts of each layer that a prompt's tokens go to, each once; no token follows another's choice."""
        used = np.zeros((len(self._handicap), self.n_experts), dtype=np.bool_)
        for layer, handicap in enumerate(self._handicap):
            for first in range(0, tokens, _TOKENS_AT_ONCE):
                n = min(_TOKENS_AT_ONCE, tokens - first)
                race = rng.standard_exponential((n, self.n_experts), dtype=np.float32) * handicap
                used[layer, _smallest(race, self.top_k).ravel()] = True
                if used[layer].all():
                    break
        return [np.flatnonzero(row) for row in used]


def _smallest(race: NDArray[np.float32], count: int) -> Ints:
    """Places of the `count` smallest along the last axis, in no order."""
    if count == race.shape[-1]:
        return np.broadcast_to(np.arange(count), race.shape).copy()
    return np.argpartition(race, count - 1, axis=-1)[..., :count]
