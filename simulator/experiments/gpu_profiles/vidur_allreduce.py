"""Vidur's all-reduce on DGX A100 and DGX H100: NCCL by message size, 2, 4 and 8 cards of one node.

Measured: the median over the eleven NCCL kernels of a run (kernel tracing, milliseconds to three places) of rank 0,
then the median over three runs; here the median over the lines of one size, too (16 MiB comes twice).

Columns: num_workers, devices_per_node, size, collective, `time_stats.all_reduce.median`. `size` is in bytes: the
profiler writes twice its fp16 elements, and as elements the 64 MiB rows of eight H100s would be above the links' 450
GB/s. The first messages of a run hold the wait for the other ranks (a kernel is on the card before they arrive), so
small sizes are the time of the slowest to come, not of the wire, and not even monotone.

Cleaning, with the counts of the published files: of 6,958 A100 lines the 3,976 that span nodes (devices_per_node below
num_workers, and 16 workers) are left out, 2,982 stay; of H100 all 2,982. That is 993 sizes for each card and count.

Source: microsoft/vidur (commit 7d475133), `data/profiling/network`; unit as its `profiling/collectives` writes it.
Licence MIT.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path

from simulator.experiments.gpu_profiles.rows import AllReduce, Dropped, GpuProfile, ProfileRow
from simulator.experiments.gpu_profiles.table import table

NAME = "vidur_allreduce"
FOLDER = "vidur_collectives"
_FILES = {"a100_80": "a100_dgx_all_reduce.csv", "h100": "h100_dgx_all_reduce.csv"}
_MEDIAN = "time_stats.all_reduce.median"
_COLUMNS = ("num_workers", "devices_per_node", "size", "collective", _MEDIAN)


def read(folder: Path) -> GpuProfile:
    """Rows of both machines in `folder`; WorkloadError, with file and line, on text not as published."""
    rows: list[ProfileRow] = []
    n_spanning = 0
    for gpu, file in _FILES.items():
        times_us: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
        for line in table(folder / file, _COLUMNS):
            line.choice("collective", ("all_reduce",))
            world = line.count("num_workers", least=2)
            if line.count("devices_per_node", least=1) < world:
                n_spanning += 1
            else:
                times_us[world, line.count("size", least=1)].append(1e3 * line.positive(_MEDIAN))
        rows += (
            ProfileRow(
                NAME,
                gpu,
                f"all_reduce {size} bytes on {world}",
                (AllReduce(size, world),),
                statistics.median(times),
                world,
            )
            for (world, size), times in sorted(times_us.items())
        )
    dropped = (Dropped(n_spanning, "the message spans nodes"),) if n_spanning else ()
    return GpuProfile(NAME, tuple(rows), dropped=dropped)
