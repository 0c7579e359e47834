"""Attention of one layer: the protocol of its rules, and exact causal attention in blocks of queries.

A rule is a class in `numerics/attention_rules`, found by its module's name: `dense`, `top_k`, `window`; other packages
add theirs by entry points of the group `simulator.numerics.attention_rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
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
MAX_BLOCK_QUERIES = 256
"""Of a block, of whose own keys half are computed for nothing."""

Heads = NDArray[np.float32]
Restriction = Callable[[Heads, int, int], None]
"""Sets to -inf, in scores [n, n_queries, n_keys] of queries from a position and keys from a position, what is left
out; keys after a query are -inf already."""


@dataclass(frozen=True, slots=True)
class LayerCall:
    """Which attention is computed: of which layer, of queries from which position, and who looks on.

    `state` is the rule's own, of this layer and text: empty where a text begins, kept between its decode steps.
    """

    layer: int
    first: int
    observer: Observer | None = None
    state: dict[str, Any] = field(default_factory=dict)


class AttentionRule(ABC):
    """How queries attend to keys and values; built of its `Config`.

    A rule itself has no state, since texts are worked on at once: what it keeps of a text goes to `LayerCall.state`.
    A call with `first` 0 is of a whole text or of a prompt; decode steps are calls with T = 1 and rising `first`.
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
    rep, n_keys = n_heads // len(keys), keys.shape[1]
    scaled = queries * np.float32(head_dim**-0.5)
    found = np.empty_like(queries)
    n_rows = max(1, min(n_queries, BLOCK_SCORES // (rep * n_keys), MAX_BLOCK_QUERIES))
    space = np.empty(rep * n_rows * n_keys, np.float32)
    later = np.triu(np.full((n_rows, n_rows), -np.inf, np.float32), 1)
    for start in range(0, n_queries, n_rows):
        own = slice(start, min(start + n_rows, n_queries))
        n_own, first_query = own.stop - own.start, call.first + start
        first_key = 0 if window is None else max(0, first_query - window + 1)
        seen = slice(first_key, first_query + n_own)
        record = _Record(call, first_query, first_key, (n_heads, n_own, seen.stop - first_key))
        for kv_head in range(len(keys)):
            heads = slice(kv_head * rep, (kv_head + 1) * rep)
            rows = scaled[heads, own].reshape(-1, head_dim)
            flat = space[: len(rows) * (seen.stop - first_key)].reshape(len(rows), -1)
            np.matmul(rows, keys[kv_head, seen].T, out=flat)
            scores = flat.reshape(rep, n_own, -1)
            # The last keys are those of the block's own positions.
            scores[:, :, -n_own:] += later[:n_own, :n_own]
            if window is not None:
                _hide_older(scores, first_query - window + 1 - first_key)
            if restrict is not None:
                restrict(scores, first_query, first_key)
            record.scores(heads, scores)
            sums = _exponentials(flat)
            record.probabilities(heads, scores, sums)
            outputs = np.matmul(flat, values[kv_head, seen])
            outputs /= sums
            found[heads, own] = outputs.reshape(rep, -1, head_dim)
        record.tell()
    return found


class _Record:
    """A block's scores and probabilities for an observer, if there is one."""

    def __init__(self, call: LayerCall, first_query: int, first_key: int, size: tuple[int, int, int]) -> None:
        self._call = call
        self._place = (first_query, first_key)
        self._arrays = [] if call.observer is None else [np.empty(size, np.float32) for _ in range(2)]

    def scores(self, heads: slice, scores: Heads) -> None:
        """Scores of some heads, as they are before their exponentials take their place."""
        if self._arrays:
            self._arrays[0][heads] = scores

    def probabilities(self, heads: slice, exponentials: Heads, sums: Heads) -> None:
        """Probabilities of some heads, from the exponentials and their sums."""
        if self._arrays:
            np.divide(exponentials, sums.reshape(*exponentials.shape[:2], 1), out=self._arrays[1][heads])

    def tell(self) -> None:
        """Show the block."""
        if self._call.observer is not None:
            self._call.observer.attention(self._call.layer, *self._place, *self._arrays)


def _hide_older(scores: Heads, n_older: int) -> None:
    """Leave out the keys before each query's window: `n_older` of the first query's, one more of each next one's."""
    for row in range(scores.shape[1]):
        scores[:, row, : max(0, n_older + row)] = -np.inf


def _exponentials(scores: Heads) -> Heads:
    """Turn scores [rows, n_keys] into exponentials of their distance to the row's maximum; their sums [rows, 1]."""
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    sums: Heads = scores.sum(axis=1, keepdims=True)
    return sums
