"""Greedy text: the most likely next token, again and again, with the keys and values of all tokens so far kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from simulator.core.errors import WorkloadError
from simulator.numerics.transformer import Transformer


@dataclass(frozen=True, slots=True)
class GreedyText:
    """Continuations of one prompt by two models: `tokens` of the one examined, `reference` of the fp16 model."""

    n_prompt: int
    tokens: tuple[int, ...]
    reference: tuple[int, ...]

    @property
    def n_same_before_difference(self) -> int:
        """Tokens before the first that differs."""
        same = [ours == theirs for ours, theirs in zip(self.tokens, self.reference, strict=True)]
        return same.index(False) if False in same else len(same)

    @property
    def prefix_frac(self) -> float:
        """Share of the tokens that come before the first that differs."""
        return self.n_same_before_difference / len(self.tokens)

    @property
    def same_frac(self) -> float:
        """Share of the tokens that are the same at their place."""
        pairs = zip(self.tokens, self.reference, strict=True)
        return sum(ours == theirs for ours, theirs in pairs) / len(self.tokens)


def continued(model: Transformer, prompt: ArrayLike, n_tokens: int) -> tuple[int, ...]:
    """The `n_tokens` most likely tokens after a prompt int[P]; of equal scores the lowest id.

    Raises WorkloadError where prompt and continuation are longer than the model's context.
    """
    if n_tokens < 1:
        raise WorkloadError(f"a continuation of {n_tokens} tokens", remedy="ask for at least 1")
    ids = np.asarray(prompt)
    cache = model.cache(len(ids) + n_tokens)
    found: list[int] = []
    newest = ids
    while len(found) < n_tokens:
        hidden = model.hidden(newest, cache)
        found.append(int(np.argmax(model.head(hidden[-1:])[0])))
        newest = np.array(found[-1:])
    return tuple(found)
