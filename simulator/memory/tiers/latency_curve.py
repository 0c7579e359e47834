"""Latency of a memory against the bandwidth that is asked of it, as a curve of straight lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.memory.dram.refusal import KeyPath, PartRefusal

PS_PER_NS = 1000.0
BYTES_PER_PS = 1e-3
"""1 GB/s."""


@dataclass(frozen=True, slots=True, eq=False)
class LatencyCurve:
    """Latency at a load: `gb_per_s` float64[n] strictly rising from 0 or more, reads and writes together, and
    `latency_ns` float64[n] of a read, never falling; n >= 2.

    Between two points the curve is straight, below the first one flat, and the last one is the most that the memory
    moves: who asks for more waits longer in front of it, for as long as he asks.

    Raises PartRefusal (a ConfigError that names `bandwidth_gb_per_s` or `latency_ps` and the number of the point) for
    points that are no such curve. Not modelled: that a memory slows down where even more is asked of it; the share of
    writes, which changes the curve and is not its argument.
    """

    gb_per_s: NDArray[np.float64]
    latency_ns: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("gb_per_s", "latency_ns"):
            points = np.array(getattr(self, name), np.float64)
            points.flags.writeable = False
            object.__setattr__(self, name, points)
        _check_points(self.gb_per_s.tolist(), self.latency_ns.tolist())

    @property
    def idle_ns(self) -> float:
        """Latency of a read that nobody is in the way of."""
        return float(self.latency_ns[0])

    @property
    def peak_gb_per_s(self) -> float:
        """The most that the memory moves."""
        return float(self.gb_per_s[-1])

    def at(self, gb_per_s: float) -> float:
        """Latency in ns where so many GB/s are moved; from the peak on, the peak's."""
        return float(np.interp(gb_per_s, self.gb_per_s, self.latency_ns))

    def scaled(self, channels: int) -> LatencyCurve:
        """As many of these memories, over which lines are spread evenly: so many times the bandwidth at each latency.

        Raises ConfigError for less than one.
        """
        if channels < 1:
            raise PartRefusal(("n_channels",), f"{channels} channels have no latency", remedy="give one at least")
        return LatencyCurve(self.gb_per_s * channels, self.latency_ns)

    def shifted(self, ns: float) -> LatencyCurve:
        """The same behind a way that adds `ns` to every latency (takes from it, where negative: not down to 0)."""
        return LatencyCurve(self.gb_per_s, self.latency_ns + ns)

    def limited(self, peak_gb_per_s: float) -> LatencyCurve:
        """The same behind something that lets no more than `peak_gb_per_s` through: the curve ends there. Raises
        ConfigError for a peak of nothing."""
        if not peak_gb_per_s > 0:
            raise PartRefusal(("peak_gb_per_s",), f"a peak of {peak_gb_per_s:g} GB/s", remedy="give more than 0")
        if peak_gb_per_s >= self.peak_gb_per_s:
            return self
        below = self.gb_per_s < peak_gb_per_s
        gb_per_s = [*self.gb_per_s[below].tolist(), peak_gb_per_s]
        latency_ns = [*self.latency_ns[below].tolist(), self.at(peak_gb_per_s)]
        if len(gb_per_s) == 1:  # the curve was flat up to there
            gb_per_s, latency_ns = [0.0, *gb_per_s], latency_ns * 2
        return LatencyCurve(np.array(gb_per_s), np.array(latency_ns))

    def reshaped(
        self, *, idle_ns: float | None = None, peak_gb_per_s: float | None = None, wait_scale: float = 1.0
    ) -> LatencyCurve:
        """Another memory with this one's shape: at the same share of its own peak it adds `wait_scale` times as much to
        its own idle latency. What is not given is this one's. Raises ConfigError for a negative `wait_scale`."""
        if wait_scale < 0:
            raise PartRefusal(
                ("wait_scale",), f"{wait_scale:g} would shorten waits below none", remedy="give 0 or more"
            )
        idle = self.idle_ns if idle_ns is None else idle_ns
        peak = self.peak_gb_per_s if peak_gb_per_s is None else peak_gb_per_s
        wait_ns = (self.latency_ns - self.idle_ns) * wait_scale
        return LatencyCurve(self.gb_per_s * (peak / self.peak_gb_per_s), idle + wait_ns)

    def table(self) -> NDArray[np.float64]:
        """The points for kernels, float64[n, 2]: bytes per ps, and ps."""
        return np.column_stack((self.gb_per_s * BYTES_PER_PS, self.latency_ns * PS_PER_NS))


def _check_points(gb_per_s: Sequence[float], latency_ns: Sequence[float]) -> None:
    """Refuse points that are no curve, at the point that is wrong."""
    n = len(gb_per_s)
    if n != len(latency_ns):
        raise PartRefusal(
            ("latency_ps",), f"{len(latency_ns)} latencies at {n} bandwidths", remedy="give one latency a bandwidth"
        )
    if n < 2:
        raise PartRefusal(
            ("bandwidth_gb_per_s",), f"a curve of {n} points has no peak", remedy="give the idle memory and its peak"
        )
    for index, (bandwidth, latency) in enumerate(zip(gb_per_s, latency_ns, strict=True)):
        if not 0 <= bandwidth < np.inf:
            _refuse("bandwidth_gb_per_s", index, f"{bandwidth:g} GB/s is no bandwidth", "give 0 or more")
        if not 0 < latency < np.inf:
            _refuse("latency_ps", index, f"{latency:g} ns is no latency", "give more than 0")
        if index and bandwidth <= gb_per_s[index - 1]:
            said = f"{bandwidth:g} GB/s after {gb_per_s[index - 1]:g}"
            _refuse("bandwidth_gb_per_s", index, f"bandwidth does not rise: {said}", "list points by rising bandwidth")
        if index and latency < latency_ns[index - 1]:
            said = f"{latency:g} ns after {latency_ns[index - 1]:g}"
            _refuse("latency_ps", index, f"latency falls with load: {said}", "leave out the point that is off")


def _refuse(key: str, index: int, cause: str, remedy: str) -> None:
    place: KeyPath = (key, index)
    raise PartRefusal(place, cause, remedy=remedy)
