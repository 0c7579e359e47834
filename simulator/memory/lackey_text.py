"""The output of valgrind's lackey tool as it arrives, block by block, as accesses to 64-byte lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.kernels.lackey_text import parse_lackey

MAX_TEXT_LINE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class LineAccesses:
    """Loads and stores in order: `line` uint64[n] (address / 64), `is_store` bool[n], and `instructions` int64[n], how
    many instructions had begun, since the start of the text, when each was made."""

    line: NDArray[np.uint64]
    is_store: NDArray[np.bool_]
    instructions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.line)


class LackeyText:
    """Reads the text of `valgrind --tool=lackey --trace-mem=yes`, cut anywhere; other lines in it are passed over.

    A modify is a load and a store, an access that straddles lines one access to each of them.
    """

    def __init__(self, accesses_at_once: int = 1 << 16) -> None:
        self.n_instructions = 0
        self._rest = b""
        self._line = np.empty(accesses_at_once, np.uint64)
        self._is_store = np.empty(accesses_at_once, np.bool_)
        self._instructions = np.empty(accesses_at_once, np.int64)

    def feed(self, block: bytes) -> Iterator[LineAccesses]:
        """The accesses of the lines that `block` completes; what they point to is overwritten by the next.

        Raises WorkloadError where there is no end of a line in sight.
        """
        text = np.frombuffer(self._rest + block, np.uint8)
        start = 0
        while True:
            n_accesses, n_bytes, self.n_instructions = parse_lackey(
                text[start:], self.n_instructions, self._line, self._is_store, self._instructions
            )
            start += n_bytes
            if not n_accesses:
                break
            yield LineAccesses(self._line[:n_accesses], self._is_store[:n_accesses], self._instructions[:n_accesses])
        self._rest = text[start:].tobytes()
        if len(self._rest) > MAX_TEXT_LINE_BYTES:
            raise WorkloadError(
                f"a line of more than {MAX_TEXT_LINE_BYTES:,} bytes is no output of valgrind's lackey",
                remedy="record with the valgrind of the distribution",
            )
