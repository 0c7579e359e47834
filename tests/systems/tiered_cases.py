"""Streams of accesses and two-tier machines drawn at random, from the usual to the absurd."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.config import load_config
from simulator.experiments.access_settings import bound_access_settings
from simulator.systems.tiered_memory import TieredMemory
from simulator.workload.accesses import AccessStream, Clock

Rng = np.random.Generator
US = 10**6


def m5_config(repo_root: Path, *sets: str) -> TieredMemory.Config:
    """The system of `hw_configs/m5.yaml`."""
    file = repo_root / "hw_configs" / "m5.yaml"
    config = bound_access_settings(load_config(file, sets=sets), file).system_config
    assert isinstance(config, TieredMemory.Config)
    return config


def changed(config: TieredMemory.Config, **sections: Any) -> TieredMemory.Config:
    """The configuration with other values; of `migration` and `processor` those that are given."""
    for name in ("migration", "processor"):
        if name in sections:
            sections[name] = getattr(config, name).model_copy(update=sections[name])
    return config.model_copy(update=sections)


def drawn_stream(rng: Rng) -> AccessStream:
    """Skew, phases, scans, bursts, or two halves in turn; few or many writes; with and without a clock."""
    n, n_pages = int(rng.choice([300, 3000, 20_000])), int(rng.choice([1, 2, 7, 40, 300, 1500]))
    page = first_touch_ids(_drawn_pages(rng, n, n_pages))
    n_lines = int(rng.choice([1, 1, 1, 4, 64]))
    line = (page * 64 + rng.integers(0, 64, n) // n_lines * n_lines).astype(np.uint32)
    is_write = rng.random(n) < rng.choice([0, 0.1, 0.5, 0.9, 1])
    stream = AccessStream.of_arrays("drawn", line, is_write, int(page.max()) + 1, clock=_drawn_clock(rng, n))
    return replace(stream, lines_per_record=n_lines)


def drawn_config(rng: Rng, config: TieredMemory.Config) -> TieredMemory.Config:
    """Any capacity, cost, blocking, queue, memory-level parallelism and quantum."""
    cost_ps = int(rng.choice([0, 1000, US, 54 * US, 200 * US]))
    return changed(
        config,
        capacity_frac=float(rng.choice([0.01, 0.1, 0.375, 0.7, 1])),
        quantum_records=int(rng.choice([16, 64, 256, 5000])),
        fault_ps=int(rng.choice([0, US, 100 * US])),
        periods=str(rng.choice(["published", "scaled"])),
        made_for_bytes=int(rng.choice([8 * 10**9, 10**6, 10**4])),
        migration={
            "promote_ps": cost_ps,
            "demote_ps": int(rng.choice([0, cost_ps, cost_ps // 2])),
            "shootdown_ps": int(rng.choice([0, US, 10 * US])),
            "copy_gb_per_s": float(rng.choice([0.1, 10, 1000])),
            "blocking_frac": float(rng.choice([0, 0.1, 0.5, 1])),
            "queue_pages": int(rng.choice([1, 16, 256, 100_000])),
        },
        processor={
            "mlp": float(rng.choice([1, 2, 4, 16, 100])),
            "ipc": float(rng.choice([0.5, 1, 8])),
            "instructions_per_record": float(rng.choice([0.1, 10, 1000])),
        },
    )


def first_touch_ids(page: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pages numbered as they first appear."""
    _, first, which = np.unique(page, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which]


def _drawn_pages(rng: Rng, n: int, n_pages: int) -> NDArray[np.int64]:
    kind, number = str(rng.choice(["skew", "phases", "scan", "burst", "halves"])), np.arange(n)
    if kind == "skew":
        weight = np.arange(1, n_pages + 1) ** -1.2
        return rng.choice(n_pages, n, p=weight / weight.sum())
    if kind == "phases":
        phase = number * int(rng.choice([2, 5, 20])) // n
        hot = rng.integers(0, n_pages, (20, max(1, n_pages // 8)))
        inside = hot[phase, rng.integers(0, hot.shape[1], n)]
        return np.where(rng.random(n) < 0.9, inside, rng.integers(0, n_pages, n))
    if kind == "scan":
        return number // int(rng.choice([1, 16, 64])) % n_pages
    if kind == "burst":
        return np.repeat(rng.integers(0, n_pages, n // 50 + 1), 50)[:n]
    half = rng.integers(0, max(1, n_pages // 2), n)
    return np.where(number // max(1, n // 6) % 2 == 0, half, n_pages - 1 - half)


def _drawn_clock(rng: Rng, n: int) -> Clock | None:
    step, every = int(rng.choice([-1, 0, 3, 500])), int(rng.choice([64, 1000]))
    if step < 0:
        return None
    passed = rng.integers(0, 2 * step + 1, n // every + 2) * every
    return Clock(np.concatenate([[0], np.cumsum(passed)]).astype(np.int64), every, "instructions")
