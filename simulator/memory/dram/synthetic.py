"""Synthetic traffic for a memory: streams, strides, random lines, bursts, mixes and pointer chases, by formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.seeds import child_rng
from simulator.kernels import dram_traffic as kernel
from simulator.memory.dram.refusal import PartRefusal

Pattern = Literal["stream", "stride", "random", "burst", "mix", "pointer_chase"]
Arrivals = Literal["even", "poisson"]

MAX_LG_LINES = 48
_CODES = {
    "stream": kernel.STREAM,
    "stride": kernel.STRIDE,
    "random": kernel.RANDOM,
    "burst": kernel.BURST,
    "mix": kernel.MIX,
    "pointer_chase": kernel.POINTER_CHASE,
}
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """What synthetic traffic asks for; L = 2^`lg_lines` lines of one transaction each, p = `trace_param`.

    `stream` takes line i mod L, `stride` i p mod L, `random` any line, `burst` p lines in order from a random multiple
    of p, `mix` the next line of one of p streams, at random, each in its own part of the memory, and `pointer_chase`
    all lines in an order of the seed's, over and over. A request is a read with probability `read_frac`, in whole per
    cents.

    Raises ConfigError, naming the key, for what no formula can follow.
    """

    trace: Pattern = "stream"
    trace_param: int = 1
    lg_lines: int = 22
    read_frac: float = 1.0
    n_requests: int = 100_000

    def __post_init__(self) -> None:
        if self.trace not in _CODES:
            raise PartRefusal(
                ("trace",), f"there is no synthetic trace {self.trace!r}", remedy=f"choose one of {', '.join(_CODES)}"
            )
        if not 0 <= self.lg_lines <= MAX_LG_LINES:
            raise PartRefusal(
                ("lg_lines",),
                f"{self.lg_lines} is outside 0 to {MAX_LG_LINES}",
                remedy="22 are 4 Mi lines: 256 MiB of 64 bytes each",
            )
        if self.trace_param < 1 or (self.trace in ("burst", "mix") and self.trace_param > 1 << self.lg_lines):
            raise PartRefusal(
                ("trace_param",),
                f"{self.trace_param} is outside 1 to 2^lg_lines, what a {self.trace} can have",
                remedy="for burst it is the lines of a burst, for mix the streams, for stride the distance in lines",
            )
        if self.n_requests < 1:
            raise PartRefusal(("n_requests",), f"{self.n_requests} requests", remedy="ask for one at least")
        if not 0 <= self.read_frac <= 1:
            raise PartRefusal(("read_frac",), f"{self.read_frac} is no share", remedy="give 0 to 1")
        if self.trace == "pointer_chase" and self.read_frac < 1:
            raise PartRefusal(
                ("read_frac",),
                "a pointer chase has no writes: each address is what the read before it brought",
                remedy="leave read_frac at 1, or use trace=random",
            )

    def lines(self, seed: int) -> NDArray[np.int64]:
        """Line of every request, int64[n_requests]."""
        line = np.empty(self.n_requests, np.int64)
        n_seen = self.trace_param if self.trace == "mix" else 1
        kernel.fill_lines(
            _CODES[self.trace],
            np.uint64(seed & _MASK),
            self.lg_lines,
            np.uint64(self.trace_param & _MASK),
            np.zeros(n_seen, np.uint64),
            line,
        )
        return line

    def writes(self, seed: int) -> NDArray[np.bool_]:
        """Whether each request is a write, bool[n_requests]."""
        is_write = np.zeros(self.n_requests, np.bool_)
        if self.read_frac != 1.0:
            kernel.fill_writes(np.uint64(seed & _MASK), 100.0 * self.read_frac, is_write)
        return is_write

    def addresses(self, seed: int, tx_bytes: int, capacity_bytes: int) -> NDArray[np.int64]:
        """Byte address of every request, int64[n_requests]. Raises WorkloadError where the memory is smaller."""
        if self.largest_line * tx_bytes >= capacity_bytes:
            raise WorkloadError(
                f"2^{self.lg_lines} lines of {tx_bytes} bytes do not fit into {capacity_bytes:,} bytes",
                where="lg_lines",
                remedy=f"set lg_lines to at most {(capacity_bytes // tx_bytes).bit_length() - 1}",
            )
        return self.lines(seed) * tx_bytes

    @property
    def largest_line(self) -> int:
        """No request asks for a line beyond this one."""
        last = (1 << self.lg_lines) - 1
        return min(last, self.n_requests - 1) if self.trace == "stream" else last


def offer_cycles(n_requests: int, interval_cyc: float, arrivals: Arrivals, seed: int) -> NDArray[np.int64]:
    """Earliest tick of every request of an open loop, int64[n_requests], `interval_cyc` ticks apart on average."""
    if interval_cyc <= 0:
        raise ConfigError(
            "requests cannot be offered less than nothing apart",
            where="offer_interval_cyc",
            remedy="give an interval above 0",
        )
    if n_requests * interval_cyc > 2**62:
        raise ConfigError(
            f"{n_requests:,} requests that are {interval_cyc:g} cycles apart end beyond all time",
            where="offer_interval_cyc",
            remedy="offer them faster, or fewer of them",
        )
    if arrivals == "poisson":
        offer = np.empty(n_requests, np.int64)
        stream = int(child_rng(seed, "dram", "arrivals").integers(0, 2**63))
        kernel.fill_exponential(np.uint64(stream), float(interval_cyc), offer)
        return offer + 1
    even: NDArray[np.int64] = np.floor(np.arange(n_requests) * interval_cyc).astype(np.int64) + 1
    return even
