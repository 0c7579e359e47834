"""Which positions a decode step attends to: all, a window, or the heaviest few.

A `Selection` is the seam for statistics of a trained model: it says how many positions each sequence attends to in a
layer, and then which. Those here come from stated distributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The sequences of a decode step: `identity` int64[n], one number for each sequence of the run, and `context`
    int64[n] positions that there are to attend to, the new token's included."""

    number: int
    identity: Ints
    context: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Attended:
    """Ranges of positions, in the order in which they are read: `sequence` int64[n] (its place in the step), `head`
    int64[n] (a key-value head) or None for all heads alike, `first` position int64[n] and `n_positions` int64[n]."""

    sequence: Ints
    head: Ints | None
    first: Ints
    n_positions: Ints


class Selection(Protocol):
    """What attention reads. Steps are asked in order, and in each step all layers in order."""

    def n_attended(self, step: Step, layer: int) -> int:
        """(position, key-value head) pairs that `attended` will give, told before anything is drawn."""
        ...

    def attended(self, step: Step, layer: int) -> Attended:
        """The positions that this layer attends to in this step."""
        ...


class Recent:
    """All positions (`window` None), or the last `window` and the first `sinks`; alike in all layers.

    Source: Xiao et al. 2023 (StreamingLLM), section 3, for windows with sinks.
    """

    def __init__(self, n_heads: int, window: int | None = None, sinks: int = 0) -> None:
        self.n_heads, self.window, self.sinks = n_heads, window, sinks
        self._last: tuple[Step, Attended] | None = None

    def n_attended(self, step: Step, layer: int) -> int:
        """(position, head) pairs."""
        most = step.context if self.window is None else np.minimum(step.context, self.window + self.sinks)
        return int(most.sum()) * self.n_heads

    def attended(self, step: Step, layer: int) -> Attended:
        """For each sequence its sinks, and then its window; the same object for all layers of a step."""
        if self._last is None or self._last[0] is not step:
            self._last = step, self._ranges(step.context)
        return self._last[1]

    def _ranges(self, context: Ints) -> Attended:
        sequence = np.arange(len(context))
        if self.window is None:
            return Attended(sequence, None, np.zeros_like(context), context)
        recent = np.maximum(context - self.window, self.sinks)
        first = np.stack([np.zeros_like(context), recent], axis=1).ravel()
        count = np.stack([np.minimum(self.sinks, context), context - recent], axis=1).ravel()
        some = count > 0
        return Attended(np.repeat(sequence, 2)[some], None, first[some], count[some])


@dataclass(frozen=True, slots=True)
class TopK:
    """How heavy hitters are drawn: `top_k` units of `unit_tokens` positions for each of `n_groups` (one for all heads
    together, or one a key-value head) of `n_heads`, beside sinks and window; weight rank^-`skew`; `drift` the share of
    ranks drawn anew each step."""

    top_k: int
    unit_tokens: int
    n_groups: int
    n_heads: int
    window: int
    sinks: int
    skew: float
    drift: float


class HeavyHitters:
    """The heaviest few positions of each (sequence, layer), or of each key-value head, beside sinks and window.

    Every unit (a token, or a block) has a rank, uniform and independent; a step draws `top_k` of the units that are
    neither sinks nor recent, without replacement and with weight rank^-skew (exponential races). `drift` of the ranks
    are drawn anew each step. `most_tokens` is the longest context of the run; memory: four bytes a unit.

    Not modelled: ranks that depend on a token's content or its distance, layers or heads that agree with each other.
    Source: that few positions get most of the attention, and mostly the same ones from step to step: Zhang et al. 2023
    (H2O); that recent ones and the first ones do: StreamingLLM. The distribution is assumed.
    """

    def __init__(
        self, draws: TopK, n_layers: int, n_sequences: int, most_tokens: int, rng: np.random.Generator
    ) -> None:
        self.draws = draws
        self._rng = rng
        self._n_units = -(-most_tokens // draws.unit_tokens)
        self._n_layers = n_layers
        self._identity = np.full((n_layers, n_sequences), -1, dtype=np.int64)
        # One over the weight of every unit: a race with an exponential draw times it is won as often as it should be.
        self._handicap: list[NDArray[np.float32]] = []

    def n_attended(self, step: Step, layer: int) -> int:
        """(position, head) pairs."""
        draws = self.draws
        first_recent, first_free = self._bounds(step.context)
        fixed = first_free + step.context - first_recent
        return int((fixed + draws.top_k * draws.unit_tokens).sum()) * draws.n_heads

    def attended(self, step: Step, layer: int) -> Attended:
        """For each sequence, or head of it, its sinks, the heavy hitters by position, and its window."""
        draws, context = self.draws, step.context
        first_recent, first_free = self._bounds(context)
        handicap = self._ranked(step, layer)
        picks = self._winners(handicap, first_free // draws.unit_tokens, first_recent // draws.unit_tokens)
        n_rows = len(picks)
        recent, ends = np.repeat(first_recent, draws.n_groups), np.repeat(context, draws.n_groups)
        first = np.empty((n_rows, draws.top_k + 2), dtype=np.int64)
        first[:, 0], first[:, 1:-1], first[:, -1] = 0, picks * draws.unit_tokens, recent
        count = np.full_like(first, draws.unit_tokens)
        count[:, 0], count[:, -1] = first_free, ends - recent
        if not first_free:
            first, count = first[:, 1:], count[:, 1:]
        width = first.shape[1]
        sequence = np.repeat(np.arange(len(context)), draws.n_groups * width)
        head = None
        if draws.n_groups > 1:
            head = np.tile(np.repeat(np.arange(draws.n_groups), width), len(context))
        return Attended(sequence, head, first.ravel(), count.ravel())

    def _bounds(self, context: Ints) -> tuple[Ints, int]:
        """First position of the window, and first one after the sinks, both at whole units."""
        size = self.draws.unit_tokens
        return (context - self.draws.window) // size * size, -(-self.draws.sinks // size) * size

    def _ranked(self, step: Step, layer: int) -> NDArray[np.float32]:
        """The layer's handicaps, float32[sequence, group, unit], as of this step."""
        shape = (len(step.identity), self.draws.n_groups, self._n_units)
        if layer == len(self._handicap):
            self._handicap.append(self._drawn(shape))
            self._identity[layer] = step.identity
            return self._handicap[layer]
        handicap = self._handicap[layer]
        for place in np.flatnonzero(self._identity[layer] != step.identity):
            handicap[place] = self._drawn(shape[1:])
        self._identity[layer] = step.identity
        n_new = int(self._rng.binomial(handicap.size, self.draws.drift)) if self.draws.drift else 0
        if n_new:
            handicap.ravel()[self._rng.integers(0, handicap.size, n_new)] = self._drawn((n_new,))
        return handicap

    def _drawn(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        rank = self._rng.random(shape, dtype=np.float32)
        rank *= np.float32(self._n_units)
        rank += np.float32(1)
        np.power(rank, np.float32(self.draws.skew), out=rank)
        return rank

    def _winners(self, handicap: NDArray[np.float32], low: int, high: Ints) -> Ints:
        """The `top_k` units between `low` and `high` int64[sequence] that win, int64[sequence x group, top_k]."""
        n_sequences, n_groups, _ = handicap.shape
        top, least = int(high.max()), int(high.min())
        race = self._rng.standard_exponential((n_sequences, n_groups, top - low), dtype=np.float32)
        race *= handicap[:, :, low:top]
        if least < top:
            late = np.arange(least, top) >= high[:, None]
            race[:, :, least - low :][np.broadcast_to(late[:, None, :], race[:, :, least - low :].shape)] = np.inf
        race = race.reshape(n_sequences * n_groups, top - low)
        top_k = self.draws.top_k
        winners = np.argpartition(race, top_k - 1, axis=1)[:, :top_k] if top_k < top - low else _all_units(race)
        winners.sort(axis=1)
        return winners + low


def _all_units(race: NDArray[np.float32]) -> Ints:
    return np.tile(np.arange(race.shape[1]), (len(race), 1))
