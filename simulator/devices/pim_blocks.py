"""A weight matrix in blocks, one for each of several HBM stacks with processing units.

Source: PAPI (ASPLOS 2025): weights are cut in two-dimensional blocks, one a stack. Which grid it takes is not said:
here the one with least time. Not modelled: links, which are the system's; stacks with less than the largest block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.core.errors import ConfigError, MappingError
from simulator.core.rounding import ceil_div
from simulator.devices.pim_linear import RESULT_BYTES, LinearShape, grids

if TYPE_CHECKING:
    from simulator.devices.pim_stack import PimStack, StackRun


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """A weight matrix in rows x columns of blocks, one for each stack.

    `run` is what the stack with the largest block does, `input_bytes` what it receives, for all tokens, and
    `output_bytes` what it sends: results, or partial sums of which `rows` stacks have the others.
    """

    rows: int
    columns: int
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

    Of all grids the one with the least time is taken, ties by least traffic, or `grid`. The time is the stack's, and
    what its bytes in and out take at `link_ps_per_byte`: 0 leaves links to the caller. Raises ConfigError for a grid of
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
    blocks, refusal = [], None
    for rows, columns in [grid] if grid else grids(n_stacks):
        block = LinearShape(
            shape.tokens, ceil_div(shape.n_in, rows), ceil_div(shape.n_out, columns), shape.bytes_per_element
        )
        sent = (shape.tokens * block.n_in * shape.bytes_per_element, shape.tokens * block.n_out * RESULT_BYTES)
        link_ps = sum(sent) * link_ps_per_byte
        try:
            blocks.append((stack.least_linear_ps(block) + link_ps, link_ps, rows, columns, block, sent))
        except MappingError as error:  # another grid pads less
            refusal = refusal or error
    if refusal and not blocks:
        raise refusal
    found: list[tuple[float, int, BlockGrid]] = []
    for least_ps, link_ps, rows, columns, block, sent in sorted(blocks, key=lambda one: one[0]):
        if found and least_ps > min(one[0] for one in found):
            break
        run = stack.linear(block.tokens, block.n_in, block.n_out, block.bytes_per_element)
        one = BlockGrid(rows, columns, block, run, *sent)
        found.append((run.time_ps + link_ps, one.traffic_bytes, one))
    return min(found, key=lambda one: one[:2])[2]
