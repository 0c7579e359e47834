"""Which traces of memory accesses figures and validation of M5 run: recorded ones beside the checkout, or our own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from simulator.workload.catalog import data_directory

OWN = ("rank_pages", "sql_store")
_ORDER = ("gap_pr", "gap_bfs", "liblinear_l1r_lr", "gnu_sort", "python_bfs", "cc1plus", "sqlite_kv", "redis_ycsba")
_SHORT = {
    "gap_pr": "PageRank",
    "gap_bfs": "BFS",
    "liblinear_l1r_lr": "Liblinear",
    "gnu_sort": "sort",
    "python_bfs": "Python",
    "cc1plus": "compiler",
    "sqlite_kv": "SQLite",
    "redis_ycsba": "Redis",
    "rank_pages": "PageRank (own)",
    "sql_store": "SQLite (own)",
}


@dataclass(frozen=True, slots=True)
class MemoryTraces:
    """Files by the traces' names; `is_shared` where they are those recorded for this purpose and not our own two."""

    files: dict[str, Path]
    is_shared: bool


def shared_directory() -> Path:
    """`../shared/traces/memory` beside the checkout, or below what SIMULATOR_SHARED names."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    return Path(os.environ.get("SIMULATOR_SHARED", beside)) / "traces" / "memory"


def memory_traces() -> MemoryTraces:
    """The eight traces of programs where all are there, else the two that come with the simulator."""
    folder = shared_directory()
    found = {name: folder / f"{name}.npz" for name in _ORDER}
    if all(path.is_file() for path in found.values()):
        return MemoryTraces(found, is_shared=True)
    return MemoryTraces({name: data_directory("traces") / f"{name}.npz" for name in OWN}, is_shared=False)


def short_name(trace: str) -> str:
    """A trace's program in a word."""
    return _SHORT.get(trace, trace)
