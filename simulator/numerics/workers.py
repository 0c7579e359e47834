"""Threads that work on windows or matrices, each with a BLAS of one thread.

NumPy lets others run while it computes, so the element-wise parts run on all cores too; and threads that do not wait
for each other lose nothing where the cores are shared, where a BLAS of many threads, whose parts wait for the slowest,
loses most of its speed. A product is summed in the same order however many threads there are.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

MAX_WORKERS = 8
"""More would work on more windows at once than a machine's memory may hold."""

Threads = tuple[Callable[[], int], Callable[[int], None]]

_NO_THREADS: Threads = (lambda: 0, lambda n: None)
_FOLDERS = ("../numpy.libs", ".dylibs")
# Names in the wheels of NumPy 2, and of those before.
_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("64_", "")


@contextmanager
def steady_blas() -> Iterator[None]:
    """NumPy's OpenBLAS on one thread; within `workers` it is so already."""
    get, put = _openblas_threads() or _NO_THREADS
    n_before = get()
    if n_before > 1:
        put(1)
    try:
        yield
    finally:
        if n_before > 1:
            put(n_before)


@contextmanager
def workers() -> Iterator[Executor]:
    """A pool of threads, one for each core; what has not begun is dropped where an error leaves the block.

    Without NumPy's own OpenBLAS there is one worker, and the BLAS that there is has as many threads as it likes.
    """
    with steady_blas():
        pool = ThreadPoolExecutor(1 if _openblas_threads() is None else min(MAX_WORKERS, _n_cores()))
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _openblas_threads() -> Threads | None:
    """Functions that tell and set the threads of NumPy's OpenBLAS, where it brings one."""
    package = Path(np.__file__).parent
    for folder in _FOLDERS:
        for file in sorted((package / folder).glob("*openblas*")):
            try:
                library = ctypes.CDLL(str(file))
            except OSError:
                continue
            for prefix in _PREFIXES:
                for suffix in _SUFFIXES:
                    get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                    put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                    if get is not None and put is not None:
                        put.restype = None
                        return get, put
    return None
