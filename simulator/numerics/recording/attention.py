"""Attention of the last tokens of each text: the heaviest positions, and how concentrated the probability is.

A causal forward pass gives the same numbers as a decode that has reached the same token, so a text's last S positions
are S decode steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.observer import Observer
from simulator.workload.llm_accesses.attention_hits import AttentionHits
from simulator.workload.model import ModelSpec

RECENT_TOKENS = 64
TOP_SIZES = (64, 256)

_LEAST = np.finfo(np.float32).tiny


class AttentionRecorder(Observer):
    """The last `n_steps` queries of each of `n_windows` texts of `window_tokens` tokens.

    For each layer, key-value head and step: `positions` int32[n_layers, n_kv_heads, n_windows x n_steps, top_k], the
    ones with most probability summed over the head's query heads, heaviest first, filled with -1 (a position of no
    probability at all is none), and `mass`, the share of the probability that they hold. For each layer, *query* head
    and step: `recent_mass`, the share of the newest 64 tokens, `effective_tokens`, exp of the entropy in nats, and
    `top_mass`, the share of the head's own 64 and 256 heaviest positions. Shares are float32.
    """

    def __init__(self, shape: ModelSpec, n_windows: int, window_tokens: int, n_steps: int, top_k: int) -> None:
        self._first_step, self._per_window = window_tokens - n_steps, n_steps
        self._window = -1
        steps = n_windows * n_steps
        by_kv_head, by_head = (shape.n_layers, shape.n_kv_heads, steps), (shape.n_layers, shape.n_heads, steps)
        self.positions = np.full((*by_kv_head, top_k), -1, np.int32)
        self.mass = np.zeros(by_kv_head, np.float32)
        self.recent_mass = np.zeros(by_head, np.float32)
        self.effective_tokens = np.zeros(by_head, np.float32)
        self.top_mass = np.zeros((*by_head, len(TOP_SIZES)), np.float32)
        self.context = np.tile(np.arange(self._first_step + 1, window_tokens + 1, dtype=np.int32), n_windows)
        self.window = np.repeat(np.arange(n_windows, dtype=np.int32), n_steps)

    @property
    def hits(self) -> AttentionHits:
        """What an access stream needs of it."""
        return AttentionHits(self.positions, self.context, self.window)

    def members(self) -> dict[str, NDArray[Any]]:
        """All arrays by the names that they have in the file."""
        return {
            "positions": self.positions,
            "context": self.context,
            "window": self.window,
            "mass": self.mass,
            "recent_mass": self.recent_mass,
            "effective_tokens": self.effective_tokens,
            "top_mass": self.top_mass,
            "top_sizes": np.array(TOP_SIZES, np.int32),
        }

    def begin(self, tokens: NDArray[np.int64], first: int) -> None:
        """Count texts."""
        self._window += first == 0

    def attention(
        self,
        layer: int,
        first_query: int,
        first_key: int,
        scores: NDArray[np.float32],
        probabilities: NDArray[np.float32],
    ) -> None:
        """Take the queries of a block that are steps."""
        begin = max(first_query, self._first_step)
        shares = probabilities[:, begin - first_query :]
        if not shares.shape[1]:
            return
        first = self._window * self._per_window + begin - self._first_step
        steps = slice(first, first + shares.shape[1])
        self.effective_tokens[layer, :, steps] = _effective_tokens(shares)
        self.recent_mass[layer, :, steps] = _recent_mass(shares, begin - first_key)
        self.top_mass[layer, :, steps] = _top_mass(shares)
        n_kv_heads = self.positions.shape[1]
        summed = shares.reshape(n_kv_heads, -1, *shares.shape[1:]).sum(axis=1)
        column, held = _heaviest(summed, self.positions.shape[3])
        self.positions[layer, :, steps, : column.shape[2]] = np.where(held > 0, first_key + column, -1)
        self.mass[layer, :, steps] = held.sum(axis=2) * (n_kv_heads / len(shares))


def _effective_tokens(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """exp of the entropy of each row of [..., n_keys]."""
    logs = np.log(np.maximum(shares, _LEAST))
    logs *= shares
    return np.asarray(np.exp(-logs.sum(axis=-1)), np.float32)


def _recent_mass(shares: NDArray[np.float32], own: int) -> NDArray[np.float32]:
    """Share of the newest tokens of queries whose own keys are columns `own`, `own` + 1 and so on."""
    n_queries = shares.shape[1]
    column = own + np.arange(n_queries)[:, None] - np.arange(RECENT_TOKENS)
    recent = shares[:, np.arange(n_queries)[:, None], np.maximum(column, 0)]
    return np.asarray(np.where(column >= 0, recent, 0).sum(axis=2), np.float32)


def _top_mass(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of the heaviest few of each row of [..., n_keys], [..., sizes]."""
    found = np.empty((*shares.shape[:-1], len(TOP_SIZES)), np.float32)
    left = shares
    for place in np.argsort(TOP_SIZES)[::-1]:
        cut = left.shape[-1] - TOP_SIZES[place]
        if cut > 0:
            left = np.partition(left, cut, axis=-1)[..., cut:]
        found[..., place] = left.sum(axis=-1)
    return found


def _heaviest(values: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns of the k largest of each row of [..., n_keys], the largest first, and their values."""
    cut = max(0, values.shape[-1] - k)
    column = np.argpartition(values, cut, axis=-1)[..., cut:] if cut else np.broadcast_to(
        np.arange(values.shape[-1]), values.shape
    )  # fmt: skip
    held = np.take_along_axis(values, column, axis=-1)
    order = np.argsort(-held, axis=-1, kind="stable")
    return np.take_along_axis(column, order, axis=-1), np.take_along_axis(held, order, axis=-1)


def repeated_frac(positions: NDArray[np.int32], window: NDArray[np.int32]) -> NDArray[np.float64]:
    """Share of the positions int[n_layers, n_kv_heads, n_steps, k] that were among those of the step before of the same
    text too, float64[n_layers, n_kv_heads]; NaN where no text has two steps."""
    follows = np.flatnonzero(window[1:] == window[:-1])
    found = np.full(positions.shape[:2], np.nan)
    for layer, head in np.ndindex(*found.shape):
        own = positions[layer, head]
        # The last column stands for "none".
        is_chosen = np.zeros((len(own), int(own.max(initial=0)) + 2), np.bool_)
        np.put_along_axis(is_chosen, own.astype(np.int64), True, axis=1)
        is_chosen[:, -1] = False
        now, before = is_chosen[follows + 1], is_chosen[follows]
        if now.any():
            found[layer, head] = (now & before).sum() / now.sum()
    return found
