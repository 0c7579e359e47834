"""Attention of one layer: the protocol of its rules, and exact causal attention in blocks of queries.

A rule is a class in `numerics/attention_rules`, found by its module's name: `dense`, `top_k`, `window`; other packages
add theirs by entry points of the group `simulator.numerics.attention_rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from simulator.core.binding import bind
from simulator.core.config import tree_of
from simulator.core.errors import Position
from simulator.core.registry import load_kind
from simulator.numerics.observer import Observer

RULES = "simulator.numerics.attention_rules"
BLOCK_SCORES = 1 << 19
"""Scores of a key-value head worked on at once: 2 MiB, which stay in a core's cache between the passes over them."""

Heads = NDArray[np.float32]
Restriction = Callable[[Heads, int, int], None]
"""Sets to -inf, in scores [n, n_queries, n_keys] of queries from a position and keys from a position, what is left
out; keys after a query are -inf already."""


@dataclass(frozen=True, slots=True)
class LayerCall:
    """Which attention is computed: of which layer, of queries from which position, and who looks on."""

    layer: int
    first: int
    observer: Observer | None = None


class AttentionRule(ABC):
    """How queries attend to keys and values; built of its `Config`.

    A rule may keep state of a text for each layer: a call with `first` 0 begins a text, calls with T = 1 and rising
    `first` are its decode steps.
    """

    class Config(BaseModel):
        """Parameters of the rule."""

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, config: Any) -> None:
        """A rule of this configuration."""

    @abstractmethod
    def attend(self, call: LayerCall, queries: Heads, keys: Heads, values: Heads) -> Heads:
        """Outputs float32[n_heads, T, head_dim] of queries float32[n_heads, T, head_dim] at positions `call.first` on,
        over keys and values float32[n_kv_heads, S, head_dim] of positions 0 to S - 1 = call.first + T - 1.

        Query head h uses key-value head h // (n_heads / n_kv_heads). Keys carry their rotation; scores are to be
        divided by sqrt(head_dim). A query sees its own position and those before it.
        """


def attention_rule(kind: str, *, where: Position | str | None = None, **fields: Any) -> AttentionRule:
    """The rule of a name with its parameters. Raises ConfigError for a name or a parameter that there is not."""
    rule = load_kind(RULES, kind, where=where)
    built: AttentionRule = rule(bind(tree_of(fields, where=str(where or kind)), rule.Config))
    return built


def attend_exactly(
    call: LayerCall,
    queries: Heads,
    keys: Heads,
    values: Heads,
    *,
    restrict: Restriction | None = None,
    window: int | None = None,
) -> Heads:
    """Softmax attention with the exact row maximum, float32, of the keys that each query sees.

    `window` keys are seen at most, the query's own included; `restrict` leaves more of them out. Only keys that some
    query of a block sees are computed, and no array is larger than a block of scores. Shapes as `AttentionRule.attend`.
    """
    n_heads, n_queries, head_dim = queries.shape
    rep = n_heads // keys.shape[0]
    scaled = queries * np.float32(head_dim**-0.5)
    found = np.empty_like(queries)
    n_rows = max(1, min(n_queries, BLOCK_SCORES // (rep * keys.shape[1]), 256))
    space = np.empty(rep * n_rows * keys.shape[1], np.float32)
    for start in range(0, n_queries, n_rows):
        own = slice(start, min(start + n_rows, n_queries))
        first_query = call.first + start
        first_key = 0 if window is None else max(0, first_query - window + 1)
        seen = slice(first_key, call.first + own.stop)
        recorded = (
            []
            if call.observer is None
            else [np.empty((n_heads, own.stop - start, seen.stop - first_key), np.float32) for _ in range(2)]
        )
        for kv_head in range(keys.shape[0]):
            heads = slice(kv_head * rep, (kv_head + 1) * rep)
            rows = scaled[heads, own].reshape(-1, head_dim)
            scores = space[: len(rows) * (seen.stop - first_key)].reshape(len(rows), -1)
            np.matmul(rows, keys[kv_head, seen].T, out=scores)
            by_head = scores.reshape(rep, own.stop - start, -1)
            _hide(by_head, first_query, first_key, window)
            if restrict is not None:
                restrict(by_head, first_query, first_key)
            if recorded:
                recorded[0][heads] = by_head
            sums = _exponentials(scores)
            outputs = np.matmul(scores, values[kv_head, seen])
            outputs /= sums
            found[heads, own] = outputs.reshape(rep, -1, head_dim)
            if recorded:
                recorded[1][heads] = by_head / sums.reshape(rep, -1, 1)
        if call.observer is not None:
            call.observer.attention(call.layer, first_query, first_key, *recorded)
    return found


def _hide(scores: Heads, first_query: int, first_key: int, window: int | None) -> None:
    """Leave out keys after a query, and those before its window."""
    n_queries, n_keys = scores.shape[1:]
    if n_queries > 1:
        # The last n_queries keys are the block's own positions.
        scores[:, :, n_keys - n_queries :][:, _after(n_queries)] = -np.inf
    if window is not None:
        oldest = first_query - window + 1 - first_key
        for row in range(n_queries):
            scores[:, row, : max(0, oldest + row)] = -np.inf


def _after(n: int) -> NDArray[np.bool_]:
    return np.triu(np.ones((n, n), np.bool_), 1)


def _exponentials(scores: Heads) -> Heads:
    """Turn scores [rows, n_keys] into exponentials of their distance to the row's maximum; their sums [rows, 1]."""
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    sums: Heads = scores.sum(axis=1, keepdims=True)
    return sums
