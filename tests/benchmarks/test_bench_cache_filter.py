"""Speed of what recording does with valgrind's text: reading it, and the cache filter."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from simulator.memory.cache_filter import CacheFilter
from simulator.memory.lackey_text import LackeyText

N = 1 << 22
LEAST_PER_S = 20e6

pytestmark = pytest.mark.benchmark


def per_s(name: str, work: Callable[[], object], n: int) -> float:
    """Median rate of five calls by CPU time, after one that does not count; printed."""
    work()
    times = []
    for _ in range(5):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    rate = n / statistics.median(times)
    print(f"{name}: {rate / 1e6:,.1f} M/s (target: {LEAST_PER_S / 1e6:.0f} M/s)")
    return rate


@pytest.mark.parametrize("name", ["Zipf", "one after the other", "uniform, every access a miss in L1"])
def test_cache_filter(name: str) -> None:
    rng = np.random.default_rng(0)
    line = {"Z": rng.zipf(1.3, N) % (1 << 20), "o": np.arange(N) // 8, "u": rng.integers(0, 1 << 18, N)}[name[0]]
    line, is_store = line.astype(np.uint64), rng.random(N) < 0.3
    caches = CacheFilter()
    assert per_s(f"cache filter, {name}", lambda: caches.filter(line, is_store), N) > LEAST_PER_S


def test_lackey_text() -> None:
    rows = "I  0401ab70,3\nI  0401ab73,5\n S 1fff000768,8\nI  0401b770,1\n L 04222cac,8\n"
    text = (rows * (N // 50)).encode()
    rate = per_s("lackey's lines", lambda: [len(piece) for piece in LackeyText().feed(text)], N // 50 * 5)
    assert rate > LEAST_PER_S
