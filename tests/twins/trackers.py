"""Trackers in plain Python, read by read, from the text of M5's golden reference: what the kernels must equal."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

MASK_64 = (1 << 64) - 1


def splitmix64(seed: int, n: int) -> list[int]:
    outputs = []
    for _ in range(n):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK_64
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK_64
        outputs.append(z ^ (z >> 31))
    return outputs


@dataclass
class CountMin:
    n_rows: int
    n_columns: int
    k: int
    bits: int | None = None
    overflow: str = "wrap"
    is_conservative: bool = False
    is_modulo: bool = False
    seed: int = 2025
    counters: Counter = field(default_factory=Counter)
    cam: list = field(default_factory=list)

    def __post_init__(self) -> None:
        words = [word & 0xFFFFFFFF for word in splitmix64(self.seed, 32 * self.n_rows)]
        self.q = [words[32 * row : 32 * row + 32] for row in range(self.n_rows)]

    def column(self, row: int, key: int) -> int:
        hashed = 0
        for bit in range(32):
            if key >> bit & 1:
                hashed ^= self.q[row][bit]
        return hashed % self.n_columns if self.is_modulo else hashed & (self.n_columns - 1)

    def plus_one(self, n: int) -> int:
        if self.bits is None:
            return n + 1
        full = (1 << self.bits) - 1
        return min(n + 1, full) if self.overflow == "saturate" else (n + 1) & full

    def read(self, key: int) -> None:
        places = [(row, self.column(row, key)) for row in range(self.n_rows)]
        least = min(self.counters[place] for place in places)
        for place in places:
            if not self.is_conservative or self.counters[place] == least:
                self.counters[place] = self.plus_one(self.counters[place])
        # With conservative update the smallest counter's new value is the estimate, though it may have wrapped.
        self.show(key, self.plus_one(least) if self.is_conservative else min(self.counters[place] for place in places))

    def show(self, key: int, estimate: int) -> None:
        held = [entry for entry in self.cam if entry[0] == key]
        if held:
            self.cam.remove(held[0])
        elif len(self.cam) == self.k:
            if estimate <= self.cam[-1][1]:
                return
            self.cam.pop()
        at = next((i for i, (_, count) in enumerate(self.cam) if count < estimate), len(self.cam))
        self.cam.insert(at, (key, estimate))

    def query(self) -> list:
        picked, self.cam = self.cam, []
        self.counters = Counter()
        return picked


@dataclass
class SpaceSaving:
    n: int
    k: int
    entries: list = field(default_factory=list)

    def read(self, key: int) -> None:
        for entry in self.entries:
            if entry[0] == key:
                entry[1] += 1
                return
        if len(self.entries) < self.n:
            self.entries.append([key, 1])
            return
        least = min(count for _, count in self.entries)
        at = next(i for i, (_, count) in enumerate(self.entries) if count == least)
        self.entries[at] = [key, least + 1]

    def query(self) -> list:
        order = sorted(range(len(self.entries)), key=lambda i: (-self.entries[i][1], i))
        picked = [tuple(self.entries[i]) for i in order[: self.k]]
        self.entries = []
        return picked


@dataclass
class FirstTouch:
    k: int
    keys: list = field(default_factory=list)

    def read(self, key: int) -> None:
        if key not in self.keys and len(self.keys) < self.k:
            self.keys.append(key)

    def query(self) -> list:
        picked, self.keys = [(key, 1) for key in self.keys], []
        return picked


@dataclass
class Exact:
    k: int
    bits: int | None = None
    with_residues: bool = True
    counts: dict = field(default_factory=dict)

    def read(self, key: int) -> None:
        self.counts[key] = self.counts.get(key, 0) + 1

    def query(self) -> list:
        def read_out(n: int) -> int:
            return n if self.bits is None or self.with_residues else n >> self.bits << self.bits

        order = sorted(self.counts, key=lambda key: -read_out(self.counts[key]))
        picked = [(key, read_out(self.counts[key])) for key in order[: self.k]]
        self.counts = {}
        return picked


def through_queue(times_ps: Iterable[int], clock_hz: Fraction, interval_cyc: int, depth: int) -> list[bool]:
    """Which addresses are kept, by a queue of start times: an address waits until its start."""
    starts: deque = deque()
    kept = []
    free = 0
    for time_ps in times_ps:
        now = int(time_ps * clock_hz / 10**12)
        while starts and starts[0] <= now:
            starts.popleft()
        kept.append(len(starts) < depth)
        if kept[-1]:
            starts.append(max(now, free))
            free = starts[-1] + interval_cyc
    return kept


def by_count(tracker, keys: Iterable[int], period: int) -> list:
    """Picks of every query, one after each `period` reads."""
    picks = []
    for number, key in enumerate(keys, 1):
        tracker.read(int(key))
        if number % period == 0:
            picks.append(tracker.query())
    return picks


def by_time(tracker, keys: Iterable[int], times_ps: Iterable[int], period_ps: int) -> list:
    """Number and picks of every query, before the first read at or after each multiple of the period; of periods
    without a read only the one that ends is told."""
    picks = []
    number = 0
    for key, time_ps in zip(keys, times_ps, strict=True):
        if time_ps // period_ps > number:
            picks.append((number, tracker.query()))
            number = int(time_ps // period_ps)
        tracker.read(int(key))
    return picks


def score(keys: list[int], picks: list, period: int, k: int) -> dict[str, float]:
    """The golden columns."""
    picked = hottest = hits = n_picks = 0
    total: Counter = Counter()
    ever: set = set()
    for epoch, chosen in enumerate(picks):
        counts = Counter(keys[epoch * period : (epoch + 1) * period])
        total.update(counts)
        top = sorted(counts.values(), reverse=True)[:k]
        hottest += sum(top)
        picked += sum(counts[key] for key, _ in chosen)
        hits += sum(counts[key] >= top[-1] for key, _ in chosen)
        n_picks += len(chosen)
        ever |= {key for key, _ in chosen}
    best = sum(sorted(total.values(), reverse=True)[: len(ever)])
    return {
        "ratio_epoch": picked / hottest,
        "ratio_union": sum(total[key] for key in ever) / best,
        "topk_hit": hits / n_picks,
        "distinct_picked": len(ever),
        "epochs": len(picks),
    }
