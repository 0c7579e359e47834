"""Attention on the units of one memory channel: its heads as a command program.

Two heads at a time share the channel: while one head's products read keys or values, the other's scores pass through
the softmax unit and back into the units' buffers. A score window is sixteen columns of keys, after which every unit has
filled one transfer of scores; a context window is one column of values for all positions.

Source: AttAcc (ASPLOS 2024), section on mapping, and its trace generator. Not modelled: time inside the softmax unit,
writing the new token's key and value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from simulator.core.rounding import ceil_div
from simulator.kernels import hbm_pim_attention as layout
from simulator.kernels import hbm_pim_queue as kernel
from simulator.memory.hbm_pim.channel import PimChannel
from simulator.memory.hbm_pim.program import PimProgram

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_COLUMNS = 16
"""Columns of keys, for each unit, between two barriers."""

VALUE_REGION = 8 << 20
"""Bytes of a bank below its first value; keys stand there."""

# Places in the list of patterns.
ONE, SCORES, CONTEXTS, PROBABILITIES = range(4)


@dataclass(frozen=True, slots=True)
class PimHead:
    """A key-value head on a channel: the positions it attends to, and how many queries share its keys and values."""

    context: int
    n_queries: int = 1


@dataclass(frozen=True, slots=True)
class HeadShape:
    """What all heads have in common: elements of a head, bytes of an element, and the ticks that `queries` of a column
    keep a unit busy."""

    head_dim: int
    bytes_per_element: int
    busy_ticks: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class PublishedShare:
    """What the public trace generator does to a channel, the `index`th of those that have a head in each round.

    It sends one product ahead, drops moves that do not divide by the windows, lays heads `max_context` x head_dim / 64
    bytes apart, and lets the second head of a pair repeat the values of the first, on `n_in_round` channels of a round.
    """

    index: int
    n_in_round: tuple[int, ...]
    max_context: int


@dataclass(frozen=True, slots=True)
class HeadCommands:
    """Numbers of products and moves of one head, and of its windows."""

    n_score_columns: int
    products_per_column: int
    n_wrgb: int
    n_score_moves: int
    n_context_moves: int
    n_mvgb: int
    n_mvgb_each: int

    @classmethod
    def of(cls, channel: PimChannel, head: PimHead, shape: HeadShape) -> HeadCommands:
        """Of a head of this shape on this channel."""
        lanes = channel.spec.tx_bytes // shape.bytes_per_element
        per_column = ceil_div(shape.head_dim, channel.n_spread * lanes)
        n_senders = channel.n_units // channel.n_pseudo_channels
        n_each = ceil_div(head.context, channel.n_units * lanes)
        n_ranks = channel.n_ranks if n_senders > 1 else 1
        return cls(
            n_score_columns=ceil_div(head.context, channel.n_units),
            products_per_column=per_column,
            n_wrgb=channel.n_spread * per_column * head.n_queries,
            n_score_moves=n_senders * head.n_queries,
            n_context_moves=channel.n_spread * n_ranks * head.n_queries,
            n_mvgb=n_senders * n_each * head.n_queries,
            n_mvgb_each=n_each,
        )

    @property
    def n_score_windows(self) -> int:
        """Windows of keys."""
        return ceil_div(self.n_score_columns, WINDOW_COLUMNS)


def attention_program(
    channel: PimChannel, heads: Sequence[PimHead], shape: HeadShape, published: PublishedShare | None = None
) -> PimProgram:
    """The program of a channel for its heads, in their order.

    With `published`, `heads` are one of each round, and the last round may have none on this channel.
    """
    patterns = np.array(move_patterns(channel), np.int64)
    if not heads:
        return PimProgram(np.empty((0, kernel.N_RUN_COLUMNS), np.int64), patterns)
    row_bytes = channel.columns_per_row * channel.spec.tx_bytes
    plan = np.zeros(layout.N_PLAN_WORDS, np.int64)
    plan[layout.INDEX] = -1 if published is None else published.index
    plan[layout.WINDOW], plan[layout.VALUE_ROWS] = WINDOW_COLUMNS, VALUE_REGION // row_bytes
    plan[layout.ONE : layout.PROBABILITIES + 1] = ONE, SCORES, CONTEXTS, PROBABILITIES
    table = _head_table(channel, heads, shape)
    if published is None:
        in_round = np.ones(len(heads), np.int64)
        n_products = table[:, layout.N_COLUMNS] * table[:, layout.PER_COLUMN]
        n_rows = -(-n_products // (channel.columns_per_row * channel.turns))
        table[1:, layout.BASE_ROW] = np.cumsum(n_rows)[:-1]
    else:
        in_round = np.array(published.n_in_round, np.int64)
        apart = ceil(published.max_context * shape.head_dim / channel.spec.n_banks / row_bytes)
        table[:, layout.BASE_ROW] = apart * np.arange(len(heads))
    return PimProgram(layout.attention_runs(table, in_round, plan), patterns)


def _head_table(channel: PimChannel, heads: Sequence[PimHead], shape: HeadShape) -> NDArray[np.int64]:
    """Numbers of each head as the kernel reads them, base rows not yet set."""
    words: dict[PimHead, tuple[int, ...]] = {}
    for head in set(heads):
        own = HeadCommands.of(channel, head, shape)
        words[head] = (
            own.n_score_columns, own.products_per_column, own.n_wrgb, own.n_score_moves, own.n_context_moves,
            own.n_mvgb, own.n_mvgb_each, head.n_queries, shape.busy_ticks(head.n_queries), 0,
        )  # fmt: skip
    return np.array([words[head] for head in heads], np.int64)


def published_moves(channel: PimChannel, head: PimHead, shape: HeadShape, n_in_round: Sequence[int]) -> dict[str, int]:
    """Moves of all channels by name, where the public generator lays out so many equal heads in each round.

    A list of moves that is cut into windows loses what does not divide by their number.
    """
    own = HeadCommands.of(channel, head, shape)
    n_windows, n_columns = own.n_score_windows, own.products_per_column
    late_scores, late_contexts = n_windows - n_windows // 2, n_columns - n_columns // 2
    moves = dict.fromkeys(("WRGB", "MVSB", "MVGB", "SFM"), 0)
    for round_, n in enumerate(n_in_round):
        is_alone, is_first = round_ % 2 == 0 and round_ == len(n_in_round) - 1, round_ % 2 == 0
        query_windows = 1 if is_first else n_windows
        late = 1 if is_alone else late_scores if is_first else late_contexts
        moves["WRGB"] += own.n_wrgb * n // query_windows * query_windows
        moves["MVGB"] += own.n_mvgb * n // late * late
        moves["SFM"] += head.n_queries * n
        # The second of a pair repeats the values of the first, on its channels.
        n_contexts = n if is_first else n_in_round[round_ - 1]
        moves["MVSB"] += own.n_score_moves * n_windows * n + own.n_context_moves * n_columns * n_contexts
    return moves


def move_patterns(channel: PimChannel) -> list[list[int]]:
    """The bank groups that moves go to in turn: for ONE, SCORES, CONTEXTS and PROBABILITIES."""
    groups, ranks = channel.n_groups, channel.n_ranks
    if channel.n_units == channel.n_pseudo_channels:
        return [[0]] * 4
    n = groups * ranks
    return [
        [0] * n,
        [rank * groups + group for group in range(groups) for rank in range(ranks)],
        [rank * groups for _ in range(groups) for rank in range(ranks)],
        list(range(n)),
    ]
