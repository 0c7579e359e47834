"""Time and power of one kernel that repeats: CUDA graphs timed by CUDA events.

A graph holds enough calls to last some milliseconds, so that neither Python nor the launch of a graph counts. It is
replayed until the clock has settled under the board's power limit, then timed three times; the median counts. Power is
averaged over a longer replay that follows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .board import PowerSource, PowerWindow

N_REPEATS = 3
WARM_S = 0.25
REPEAT_S = 0.15
GRAPH_S = 5e-3
BATCH_S = 0.05
# Beyond about a hundred kernels a graph costs each of them a fraction of a microsecond more.
MAX_CALLS = 64
N_TRIAL_CALLS = 8

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """Time of one call in microseconds, and mean board power in watts (NaN where not taken)."""

    t_us: float
    power_w: float


def replays_s(torch: Any, graph: Any, n_replays: int) -> float:
    """Seconds per replay of a graph."""
    begin = torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(n_replays):
        graph.replay()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3 / n_replays


class GraphTimer:
    """Times calls on the current card. `seconds`: how long power is averaged; 0 takes none."""

    def __init__(self, torch: Any, source: PowerSource | None, seconds: float) -> None:
        self.torch = torch
        self.source = source
        self.seconds = seconds

    def measure(self, calls: Sequence[Call], *, power: bool = True) -> Timing:
        """Time of one call, the calls taken in turn: give one for each buffer that rotates."""
        graph, n_calls, t_s = self._graph(calls)
        n_replays = max(1, math.ceil(REPEAT_S / (t_s * n_calls)))
        self._replay_for(graph, t_s * n_calls, WARM_S)
        t_us = median(replays_s(self.torch, graph, n_replays) for _ in range(N_REPEATS)) / n_calls * 1e6
        power_w = self._power(graph, t_us * 1e-6 * n_calls) if power else math.nan
        return Timing(t_us, power_w)

    def estimate_s(self, calls: Sequence[Call]) -> float:
        """A first look at the time of one call, good to some percent."""
        return self._graph(calls)[2]

    def power_w(self, seconds: float) -> float:
        """Mean power while the card is left alone."""
        window = PowerWindow(self.source)
        window.start()
        time.sleep(seconds)
        return window.stop()

    def _graph(self, calls: Sequence[Call]) -> tuple[Any, int, float]:
        """A graph of the calls, how many it holds, and about how long one takes in seconds."""
        self._warm_up(calls)
        n_trials = max(1, min(N_TRIAL_CALLS, math.ceil(GRAPH_S / self._eager_s(calls[0]))))
        n_rounds = math.ceil(n_trials / len(calls))
        graph = self._capture(calls, n_rounds)
        replays_s(self.torch, graph, 1)
        t_s = replays_s(self.torch, graph, 2) / (n_rounds * len(calls))
        wanted = math.ceil(min(MAX_CALLS, GRAPH_S / t_s) / len(calls))
        if wanted > n_rounds:
            n_rounds = wanted
            graph = self._capture(calls, n_rounds)
            replays_s(self.torch, graph, 1)
        return graph, n_rounds * len(calls), t_s

    def _warm_up(self, calls: Sequence[Call]) -> None:
        # A library loads, tunes and allocates on its first calls, which a graph cannot hold.
        stream = self.torch.cuda.Stream()
        stream.wait_stream(self.torch.cuda.current_stream())
        with self.torch.cuda.stream(stream):
            for call in (*calls[:2], calls[0]):
                call()
        self.torch.cuda.current_stream().wait_stream(stream)
        self.torch.cuda.synchronize()

    def _eager_s(self, call: Call) -> float:
        """Seconds of one call outside a graph: the launch may hide the kernel, so it is an upper bound."""
        begin = self.torch.cuda.Event(enable_timing=True)
        end = self.torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        return max(1e-6, float(begin.elapsed_time(end)) / 1e3)

    def _capture(self, calls: Sequence[Call], n_rounds: int) -> Any:
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph):
            for _ in range(n_rounds):
                for call in calls:
                    call()
        return graph

    def _replay_for(self, graph: Any, replay_s: float, seconds: float) -> None:
        """Keep the card busy: one batch of replays runs while the next is queued."""
        n_replays = max(1, math.ceil(BATCH_S / replay_s))
        running = None
        stop = time.perf_counter() + seconds
        while time.perf_counter() < stop:
            for _ in range(n_replays):
                graph.replay()
            queued = self.torch.cuda.Event()
            queued.record()
            if running is not None:
                running.synchronize()
            running = queued

    def _power(self, graph: Any, replay_s: float) -> float:
        if self.source is None or self.seconds <= 0:
            return math.nan
        window = PowerWindow(self.source)
        window.start()
        self._replay_for(graph, replay_s, self.seconds)
        mean = window.stop()
        self.torch.cuda.synchronize()
        return mean
