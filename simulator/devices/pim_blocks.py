"""A weight matrix in blocks, one for each of several HBM stacks with processing units.

Source: PAPI (ASPLOS 2025): weights are cut in two-dimensional blocks, one a stack. Which grid it takes is not said:
here the one with least time. Not modelled: links, which are the system's; stacks with less than the largest block.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from simulator.core.errors import ConfigError, MappingError
from simulator.core.rounding import ceil_div
from simulator.devices.pim_linear import N_TRIED, RESULT_BYTES, LinearShape, grids

if TYPE_CHECKING:
    from simulator.devices.pim_stack import PimStack, StackRun


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """A weight matrix in rows x columns of blocks, one for each stack.

    `channels` are rows and columns of a stack's channels. `run` is what the stack with the largest block does,
    `input_bytes` what it receives, for all tokens, and `output_bytes` what it sends: results, or partial sums of which
    `rows` stacks have the others.
    """

    rows: int
    columns: int
    channels: tuple[int, int]
    block: LinearShape
    run: StackRun
    input_bytes: int
    output_bytes: int

    @property
    def traffic_bytes(self) -> int:
        """What all stacks receive and send."""
        return self.rows * self.columns * (self.input_bytes + self.output_bytes)


def block_grid(
    stack: PimStack,
    n_stacks: int,
    shape: LinearShape,
    *,
    link_ps_per_byte: float = 0.0,
    grid: tuple[int, int] | None = None,
) -> BlockGrid:
    """Cuts a weight matrix in blocks for `n_stacks` stacks (PAPI), all of which get one.

    Of all grids, of stacks and of channels in them, the four are timed that could be fastest, and the fastest is taken,
    ties by least traffic; `grid` gives that of stacks. The time is the stack's, and what its bytes in and out take at
    `link_ps_per_byte`: 0 leaves links to the caller. Raises ConfigError for a grid of
    another number of stacks, MappingError where a block has no room.
    """
    if n_stacks < 1 or (grid is not None and (min(grid) < 1 or grid[0] * grid[1] != n_stacks)):
        raise ConfigError(
            f"a grid of {grid[0]} x {grid[1]} blocks is not one for each of {n_stacks} stacks"
            if grid
            else f"{n_stacks} stacks hold no weights",
            where="grid",
            remedy="give rows and columns whose product is the number of stacks, at least 1",
        )
    candidates, refusal = [], None
    for rows, columns in [grid] if grid else grids(n_stacks):
        block = LinearShape(
            shape.tokens, ceil_div(shape.n_in, rows), ceil_div(shape.n_out, columns), shape.bytes_per_element
        )
        sent = (shape.tokens * block.n_in * shape.bytes_per_element, shape.tokens * block.n_out * RESULT_BYTES)
        link_ps = sum(sent) * link_ps_per_byte
        try:
            for least_ps, channels in stack.linear_grids(block):
                candidates.append((least_ps + link_ps, sum(sent), (rows, columns), channels, link_ps, block, sent))
        except MappingError as error:  # another grid pads less
            refusal = refusal or error
    if refusal and not candidates:
        raise refusal
    best_ps, best = inf, candidates[0]
    for one in sorted(candidates, key=lambda one: one[:4])[:N_TRIED]:
        if one[0] >= best_ps:
            break
        _, _, _, channels, link_ps, block, _ = one
        time_ps = stack.linear_time_ps(block, channels) + link_ps
        if (time_ps, one[1]) < (best_ps, best[1]):
            best_ps, best = time_ps, one
    _, _, (rows, columns), channels, _, block, sent = best
    run = stack.linear(block.tokens, block.n_in, block.n_out, block.bytes_per_element, grid=channels)
    return BlockGrid(rows, columns, channels, block, run, *sent)
