"""Fully-connected layers on the units of an HBM stack: the block of a weight matrix that one stack holds.

Inside a stack as PAPI has it, "the same as K^T": the channels are a grid of rows x columns, a row of them shares inputs
and a column of them outputs. In a channel the inputs lie over the banks and lanes of a unit, the outputs over the
units. A product reads one column of weights and serves all tokens; each weight is read once, columns in the order in
which they stand in the rows.

Sixteen columns of outputs make a window, after which every unit has filled one transfer of results for each token. The
results of a window leave beside the products of the next, so a unit has buffers for two. In the first two windows both
are free: the products of a chunk of inputs, for the outputs of both, go on beside the moves of the next chunk.

Source: PAPI (ASPLOS 2025) for the blocks and their place; AttAcc (ASPLOS 2024) for windows, moves and barriers. The
public sources have no command stream for this: order and overlap are ours. Not modelled: adding the partial sums of
channels on the buffer die; limits of the units' buffers, but for the tokens of a pass; two matrices at a time, or the
next pass's inputs beside products; a refresh that is due when a pass begins, which takes up to 9 % where passes are
short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from simulator.core.errors import ConfigError, MappingError, WorkloadError
from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import ONE, SCORES, WINDOW_COLUMNS, move_patterns
from simulator.kernels.hbm_pim_queue import MVSB, WRGB
from simulator.memory.hbm_pim.channel import PimChannel, PimRun
from simulator.memory.hbm_pim.program import PimProgram, ProgramBuilder

RESULT_BYTES = 2
"""Bytes of a result and of a partial sum, whatever the weights have: sixteen fill a transfer."""

N_TRIED = 4
"""Grids that are timed, of those that could be fastest by the bound on their time, which is a few per cent below it."""

_N_KEPT = 1 << 14

_INPUT_WINDOWS = 2
"""Windows whose products run beside the inputs: as many as a unit has buffers for."""

_MOVES_AT_ONCE = 8
"""Moves between two products: few enough that the controller's queue holds products, too."""


@dataclass(frozen=True, slots=True, order=True)
class LinearShape:
    """A product of `tokens` x `n_in` inputs and `n_in` x `n_out` weights of `bytes_per_element` bytes."""

    tokens: int
    n_in: int
    n_out: int
    bytes_per_element: int = 2

    def __post_init__(self) -> None:
        if min(self.tokens, self.n_in, self.n_out) < 1:
            raise WorkloadError(
                f"{self.tokens} tokens of {self.n_in} features and {self.n_out} outputs are no matrix product",
                remedy="give at least one token, input and output feature",
            )


@dataclass(frozen=True, slots=True)
class LinearCommands:
    """What a channel does for its share of a block: columns of outputs of each unit, chunks of inputs (products of a
    column), and moves of inputs over all and of results of a window."""

    n_columns: int
    n_chunks: int
    n_wrgb: int
    n_wrgb_chunk: int
    n_mvsb_window: int

    @classmethod
    def of(cls, channel: PimChannel, shape: LinearShape) -> LinearCommands:
        """Of a share of this shape on this channel. Raises ConfigError for elements that do not divide a burst."""
        lanes, rest = divmod(channel.spec.tx_bytes, shape.bytes_per_element)
        if rest or not lanes:
            raise ConfigError(
                f"elements of {shape.bytes_per_element} bytes do not divide a burst of {channel.spec.tx_bytes} bytes",
                where="bytes_per_element",
                remedy="give 1, 2 or 4 bytes",
            )
        n_bursts = ceil_div(shape.n_in, lanes)
        return cls(
            n_columns=ceil_div(shape.n_out, channel.n_units),
            n_chunks=ceil_div(n_bursts, channel.n_spread),
            n_wrgb=n_bursts * shape.tokens,
            n_wrgb_chunk=channel.n_spread * shape.tokens,
            n_mvsb_window=channel.n_units // channel.n_pseudo_channels * shape.tokens,
        )

    @property
    def n_products(self) -> int:
        """Columns of weights that each bank reads."""
        return self.n_columns * self.n_chunks

    @property
    def n_windows(self) -> int:
        """Windows of outputs."""
        return ceil_div(self.n_columns, WINDOW_COLUMNS)

    @property
    def n_mvsb(self) -> int:
        """Moves of results."""
        return self.n_windows * self.n_mvsb_window

    @property
    def n_early(self) -> int:
        """Products beside moves of inputs."""
        return (self.n_chunks - 1) * min(self.n_columns, _INPUT_WINDOWS * WINDOW_COLUMNS)

    def least_ticks(self, channel: PimChannel, busy_ticks: int) -> int:
        """What a channel cannot take less than: the first inputs, products beside inputs and then beside results,
        whichever take longer, and the last results. Products wait for rows and for refresh."""
        pace = _Pace.of(channel, busy_ticks)
        early_rows = self.n_early // channel.columns_per_row
        late_rows = ceil_div(self.n_products, channel.columns_per_row) - 1 - early_rows
        first = min(self.n_wrgb, self.n_wrgb_chunk)
        at = (first - 1) * channel.input_ticks
        at = pace.end(at, self.n_early, max(0, early_rows - 1), (self.n_wrgb - first - 1) * channel.input_ticks)
        results = (self.n_windows - 1) * self.n_mvsb_window
        at = pace.end(at, self.n_products - self.n_early, late_rows, (results - 1) * channel.move_ticks)
        return at + (self.n_mvsb_window - 1) * channel.move_ticks


@dataclass(frozen=True, slots=True)
class _Pace:
    """Least ticks between products, more of them at a row switch and at a refresh, and how late a refresh may be."""

    product: int
    row: int
    refresh: int
    refresh_interval: int
    late: int

    @classmethod
    def of(cls, channel: PimChannel, busy_ticks: int) -> _Pace:
        product = max(channel.mac_ticks, busy_ticks)
        # Where banks take turns, one is closed and opened beside another's products.
        alone = channel.turns == 1
        row = max(0, channel.row_ticks - product) if alone else 0
        refresh = max(0, channel.refresh_ticks - product - row) if alone else 0
        return cls(product, row, refresh, channel.refresh_interval, channel.columns_per_row * product)

    def end(self, start: int, n_products: int, n_rows: int, move_ticks: int) -> int:
        """When so many products from `start` on have been issued, and moves of so many ticks beside them."""
        end = start + (n_products - 1) * self.product + n_rows * self.row
        n_before, n_waited = (start + self.late) // self.refresh_interval, 0
        while (n := (end + n_waited * self.refresh - self.late) // self.refresh_interval - n_before) > n_waited:
            n_waited = n
        return max(start, end + n_waited * self.refresh, start + move_ticks)


def linear_program(channel: PimChannel, shape: LinearShape, busy_ticks: int) -> PimProgram:
    """The program of a channel for its share of a block; a product keeps the units busy for `busy_ticks`."""
    return _Linear(channel, LinearCommands.of(channel, shape), busy_ticks).program()


class _Linear:
    """Builds one channel's program, as steps that a barrier closes."""

    def __init__(self, channel: PimChannel, commands: LinearCommands, busy_ticks: int) -> None:
        self.commands, self.busy_ticks = commands, busy_ticks
        self.out = ProgramBuilder(move_patterns(channel))
        self.n_done = 0

    def program(self) -> PimProgram:
        commands = self.commands
        widths = [
            min(WINDOW_COLUMNS, commands.n_columns - first) for first in range(0, commands.n_columns, WINDOW_COLUMNS)
        ]
        early = widths[:_INPUT_WINDOWS]
        self._step(0, WRGB, self._inputs(0))
        for chunk in range(1, commands.n_chunks):
            self._step(sum(early), WRGB, self._inputs(chunk))
        self._step(early[0])
        for window in range(1, commands.n_windows):
            # Of the early windows only the last chunk is left.
            n_chunks = 1 if window < len(early) else commands.n_chunks
            self._step(widths[window] * n_chunks, MVSB, commands.n_mvsb_window)
        self.out.moves(MVSB, commands.n_mvsb_window, SCORES)
        return self.out.program()

    def _inputs(self, chunk: int) -> int:
        """Moves of a chunk of inputs; the last may have fewer."""
        commands = self.commands
        return min(commands.n_wrgb_chunk, commands.n_wrgb - chunk * commands.n_wrgb_chunk)

    def _step(self, n_products: int, kind: int = MVSB, n_moves: int = 0) -> None:
        """Products, with moves between them so that the channel's queue holds both."""
        n_parts = max(1, min(n_products, ceil_div(n_moves, _MOVES_AT_ONCE)))
        n_moved, n_read = 0, 0
        for part in range(1, n_parts + 1):
            moves, products = n_moves * part // n_parts - n_moved, n_products * part // n_parts - n_read
            self.out.moves(kind, moves, ONE if kind == WRGB else SCORES, 1, n_moved)
            self.out.products(0, self.n_done + n_read, products, self.busy_ticks)
            n_moved, n_read = n_moved + moves, n_read + products
        self.n_done += n_products
        self.out.barrier()


def grids(n: int) -> list[tuple[int, int]]:
    """Rows and columns of all grids of so many channels, or stacks."""
    return [(rows, n // rows) for rows in range(1, n + 1) if n % rows == 0]


def shares(n: int, parts: int, unit: int) -> dict[int, int]:
    """Sizes of the parts of `n` features, and how many parts have each: in whole units, but for the very last, as
    equal as that allows. Parts with nothing are left out."""
    n_units = ceil_div(n, unit)
    low, n_high = divmod(n_units, parts)
    sizes = {(low + 1) * unit: n_high, low * unit: parts - n_high}
    sizes = {size: count for size, count in sizes.items() if size and count}
    if excess := n_units * unit - n:
        smallest = min(sizes)
        sizes[smallest] -= 1
        if not sizes[smallest]:
            del sizes[smallest]
        sizes[smallest - excess] = sizes.get(smallest - excess, 0) + 1
    return sizes


class LinearOnChannels:
    """The block of a stack over its channels: which grid, what each channel has, and how long it takes.

    `busy_ticks` are those for which a product of so many tokens keeps the units. More than `tokens_per_pass` tokens
    read the weights again.
    """

    def __init__(
        self, channel: PimChannel, n_channels: int, busy_ticks: Callable[[int], int], tokens_per_pass: int
    ) -> None:
        self.channel, self.n_channels, self.busy_ticks = channel, n_channels, busy_ticks
        self.tokens_per_pass = tokens_per_pass
        self.run = lru_cache(maxsize=_N_KEPT)(self._run)
        self.best_grid = lru_cache(maxsize=_N_KEPT)(self._best_grid)
        self._bounds_of = lru_cache(maxsize=_N_KEPT)(self._bounds)

    def ticks(self, shape: LinearShape, grid: tuple[int, int]) -> int:
        """What the channel with most of the block takes."""
        return sum(n * self.run(max(self.shares(one, grid))).ticks for one, n in self.passes(shape))

    def passes(self, shape: LinearShape) -> list[tuple[LinearShape, int]]:
        """The block with the tokens of each pass over its weights, and how many passes have so many."""
        n_full, rest = divmod(shape.tokens, self.tokens_per_pass)
        sizes = [(self.tokens_per_pass, n_full), (rest, 1)]
        return [(replace(shape, tokens=tokens), n) for tokens, n in sizes if tokens and n]

    def runs(self, shape: LinearShape, grid: tuple[int, int]) -> list[tuple[PimRun, int]]:
        """What channels do for their shares of the block in one pass, and how many do so."""
        return [(self.run(share), n) for share, n in self.shares(shape, grid).items()]

    def shares(self, shape: LinearShape, grid: tuple[int, int]) -> dict[LinearShape, int]:
        """What channels have of the block, and how many have it. One of them has most inputs and most outputs."""
        lanes = max(1, self.channel.spec.tx_bytes // shape.bytes_per_element)
        n_in = shares(shape.n_in, grid[0], self.channel.n_spread * lanes)
        n_out = shares(shape.n_out, grid[1], self.channel.n_units)
        return {
            LinearShape(shape.tokens, some_in, some_out, shape.bytes_per_element): n_rows * n_columns
            for some_in, n_rows in n_in.items()
            for some_out, n_columns in n_out.items()
        }

    def _best_grid(self, shape: LinearShape, grid: tuple[int, int] | None) -> tuple[int, int]:
        """The grid with least time, ties by fewest rows; `grid` if it has room, where given."""
        found: list[tuple[int, tuple[int, int]]] = []
        for least, candidate in self.bounds(shape, grid)[:N_TRIED]:
            if found and least > min(found)[0]:
                break
            found.append((self.ticks(shape, candidate), candidate))
        return min(found)[1]

    def bounds(self, shape: LinearShape, grid: tuple[int, int] | None = None) -> list[tuple[int, tuple[int, int]]]:
        """Grids in which the block has room, and ticks that it takes no less than, the least first. Raises MappingError
        where it has room in none."""
        return self._bounds_of(shape, grid)

    def _bounds(self, shape: LinearShape, grid: tuple[int, int] | None) -> list[tuple[int, tuple[int, int]]]:
        found, n_missing = [], []
        for candidate in grids(self.n_channels) if grid is None else [grid]:
            largest = LinearCommands.of(self.channel, max(self.shares(shape, candidate)))
            n_rows = ceil_div(largest.n_products, self.channel.columns_per_row * self.channel.turns)
            if n_rows > self.channel.spec.n_rows:
                n_missing.append(n_rows - self.channel.spec.n_rows)
            else:
                found.append((sum(n * self._least(one, candidate) for one, n in self.passes(shape)), candidate))
        if not found:
            row_bytes = self.channel.spec.capacity_bytes // self.channel.spec.n_rows
            raise MappingError(
                f"{shape.n_in} x {shape.n_out} weights of {shape.bytes_per_element} bytes have no room in a stack: "
                f"{min(n_missing)} rows too few in every bank",
                remedy="cut the matrix in blocks for more stacks",
                missing_bytes=min(n_missing) * row_bytes * self.n_channels,
            )
        return sorted(found)

    def _least(self, shape: LinearShape, grid: tuple[int, int]) -> int:
        """The bound on a pass."""
        largest = LinearCommands.of(self.channel, max(self.shares(shape, grid)))
        return largest.least_ticks(self.channel, self.busy_ticks(shape.tokens))

    def _run(self, share: LinearShape) -> PimRun:
        return self.channel.run(linear_program(self.channel, share, self.busy_ticks(share.tokens)))
