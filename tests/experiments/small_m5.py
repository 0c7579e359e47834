"""M5's study on one small trace of our own: what figures and validation compute, in seconds."""

from __future__ import annotations

from simulator.experiments.m5_study import M5Study
from simulator.experiments.memory_traces import MemoryTraces
from simulator.workload.catalog import data_directory


def small_m5() -> M5Study:
    """A study of `sql_store`, policies over a part of it."""
    files = {"sql_store": data_directory("traces") / "sql_store.npz"}
    return M5Study(MemoryTraces(files, is_shared=False), records=200_000, copied_records=200_000)
