"""Attention's program of one channel in plain Python, window by window: the slow twin of the compiled layout."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import (
    CONTEXTS,
    ONE,
    PROBABILITIES,
    SCORES,
    VALUE_REGION,
    WINDOW_COLUMNS,
    HeadCommands,
    HeadShape,
    PimHead,
    PublishedShare,
    move_patterns,
)
from simulator.kernels.hbm_pim_queue import MVGB, MVSB, SFM, WRGB
from simulator.memory.hbm_pim.channel import PimChannel
from simulator.memory.hbm_pim.program import PimProgram, ProgramBuilder


class AttentionTwin:
    """Builds one channel's program, run by run."""

    def __init__(
        self, channel: PimChannel, heads: tuple[PimHead, ...], shape: HeadShape, published: PublishedShare | None
    ) -> None:
        self.heads, self.shape, self.published = heads, shape, published
        self.commands = [HeadCommands.of(channel, head, shape) for head in heads]
        self.n_rounds = len(published.n_in_round) if published else len(heads)
        self.row_bytes = channel.columns_per_row * channel.spec.tx_bytes
        self.columns_per_row = channel.columns_per_row * channel.turns
        self.bases = self._bases(channel)
        self.out = ProgramBuilder(move_patterns(channel))

    def _bases(self, channel: PimChannel) -> list[int]:
        """The first row of each head's keys; its values stand as far above the first value."""
        if self.published is not None:
            n_banks = channel.spec.n_banks
            apart = ceil(self.published.max_context * self.shape.head_dim / n_banks / self.row_bytes)
            return [round_ * apart for round_ in range(self.n_rounds)]
        bases, row = [], 0
        for commands in self.commands:
            bases.append(row)
            row += ceil_div(commands.n_score_columns * commands.products_per_column, self.columns_per_row)
        return bases

    def program(self) -> PimProgram:
        for first in range(0, self.n_rounds - 1, 2):
            self._pair(first, first + 1)
        if self.n_rounds % 2:
            self._alone(self.n_rounds - 1)
        return self.out.program()

    def _pair(self, a: int, b: int) -> None:
        """Two heads, the moves of each beside the products of the other."""
        self._queries(a, 0, 1)
        if self.published is not None and a == 0 and self.heads:
            self._keys(a, 0, 1)
        self.out.barrier()
        self._scores(a, lambda window, n: self._queries(b, window, n))
        self._scores(b, lambda window, n: self._softmax(a, window, n))
        self._contexts(a, lambda window, n: self._softmax(b, window, n))
        # The public generator repeats the first head's values here.
        self._contexts(a if self.published is not None else b, lambda window, n: None)

    def _alone(self, a: int) -> None:
        """One head with nothing beside it."""
        self._queries(a, 0, 1)
        self.out.barrier()
        self._scores(a, lambda window, n: None)
        self._softmax(a, 0, 1)
        self.out.barrier()
        self._contexts(a, lambda window, n: None)

    def _scores(self, head: int, beside: Callable[[int, int], None]) -> None:
        """Keys of a head, window by window: the scores of one leave during the next."""
        n_windows = self._commands(head).n_score_windows
        per_column = self._commands(head).products_per_column
        n_products = self._commands(head).n_score_columns * per_column
        step = WINDOW_COLUMNS * per_column
        for window in range(n_windows + 1):
            if window < n_windows and self._has(head):
                self._keys(head, window * step, min(step, n_products - window * step))
            if window > 0 and self._has(head):
                self.out.moves(MVSB, self._commands(head).n_score_moves, SCORES)
            if window < n_windows:
                beside(window, n_windows)
                self.out.barrier()

    def _contexts(self, head: int, beside: Callable[[int, int], None]) -> None:
        """Values of a head, a column of the result after the other."""
        commands = self._commands(head)
        n, n_windows = commands.n_score_columns, commands.products_per_column
        base = self.bases[head] + VALUE_REGION // self.row_bytes
        for window in range(n_windows + 1):
            if window < n_windows and self._has(head):
                self.out.products(base, window * n, n, self._busy(head))
            if window > 0 and self._has(head):
                self.out.moves(MVSB, commands.n_context_moves, CONTEXTS)
            if window < n_windows:
                beside(window, n_windows)
                self.out.barrier()

    def _keys(self, head: int, first: int, n: int) -> None:
        self.out.products(self.bases[head], first, n, self._busy(head))

    def _queries(self, head: int, window: int, n_windows: int) -> None:
        """A head's queries into the units' buffers, a part of them in each window."""
        if self._has(head):
            first, n = self._share(head, self._commands(head).n_wrgb, window, n_windows)
            self.out.moves(WRGB, n, ONE, 1, first)

    def _softmax(self, head: int, window: int, n_windows: int) -> None:
        """A head's softmax in the first window, its probabilities back into the buffers from the middle one on."""
        if not self._has(head):
            return
        if window == 0:
            self.out.moves(SFM, self.heads[head].n_queries, ONE)
        late = n_windows // 2
        if window >= late:
            commands = self._commands(head)
            first, n = self._share(head, commands.n_mvgb, window - late, n_windows - late)
            self.out.moves(MVGB, n, PROBABILITIES, commands.n_mvgb_each, first)

    def _share(self, head: int, n: int, window: int, n_windows: int) -> tuple[int, int]:
        """First and number of the moves of a window, out of `n` over all windows."""
        if self.published is None or n_windows == 1:
            first, end = n * window // n_windows, n * (window + 1) // n_windows
            return first, end - first
        # The generator cuts one list of all channels' moves, in which the channels take turns, and drops the rest.
        index, n_channels = self.published.index, self.published.n_in_round[head]
        step = n * n_channels // n_windows
        first, end = (max(0, ceil_div(cut * step - index, n_channels)) for cut in (window, window + 1))
        return first, end - first

    def _has(self, head: int) -> bool:
        return head < len(self.heads)

    def _commands(self, head: int) -> HeadCommands:
        """A head's numbers; those of the round's other channels where this one has none."""
        return self.commands[min(head, len(self.commands) - 1)]

    def _busy(self, head: int) -> int:
        return self.shape.busy_ticks(self.heads[head].n_queries)
