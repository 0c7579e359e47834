"""Requests as columns: what the engines serve, in the order in which a queue takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.core.errors import Position, WorkloadError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests over time: `arrival_ps`, `prompt_tokens`, `output_tokens` and `ids`, int64[n] each, in any order of
    rows.

    `where` says where row i was written, for messages; without it they name the request by its id. Build it with `of`.
    """

    arrival_ps: Int64s
    prompt_tokens: Int64s
    output_tokens: Int64s
    ids: Int64s
    where: Callable[[int], Position | str] | None = None

    @classmethod
    def of(
        cls,
        arrival_ps: ArrayLike,
        prompt_tokens: ArrayLike,
        output_tokens: ArrayLike,
        ids: ArrayLike | None = None,
        where: Callable[[int], Position | str] | None = None,
    ) -> Requests:
        """Columns from anything that numpy reads as integers; `ids` are the row numbers unless given.

        Errors: WorkloadError for no requests, columns of different lengths, a negative arrival, and a prompt or an
        output without tokens.
        """
        columns = [np.asarray(column, np.int64) for column in (arrival_ps, prompt_tokens, output_tokens)]
        n = len(columns[0])
        columns.append(np.arange(n) if ids is None else np.asarray(ids, np.int64))
        if n == 0:
            raise WorkloadError("there are no requests to serve", remedy="give a trace with at least one request")
        if any(column.shape != (n,) for column in columns):
            raise WorkloadError(f"the columns of the requests differ in length: {[len(column) for column in columns]}")
        requests = cls(columns[0], columns[1], columns[2], columns[3], where)
        for name, column, least in zip(
            ("arrival in ps", "number of prompt tokens", "number of output tokens"), columns, (0, 1, 1), strict=False
        ):
            if column.min() < least:
                row = int(np.argmax(column < least))
                raise WorkloadError(
                    f"the {name} is {column[row]}, and the least is {least}",
                    where=requests.place(row),
                    remedy="correct or leave out this request",
                )
        return requests

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def total_tokens(self) -> Int64s:
        """Prompt and output tokens of each request: its steps, and its context at the last of them."""
        return self.prompt_tokens + self.output_tokens

    def place(self, row: int) -> Position | str:
        """Where the request of this row was written, or else which one it is."""
        return self.where(row) if self.where is not None else f"request {self.ids[row]}"

    def queue_order(self) -> Sequence[int]:
        """Rows in the order (arrival, id, row): first come, first served, with ties that no order of rows decides."""
        order: list[int] = np.lexsort((self.ids, self.arrival_ps)).tolist()
        return order
