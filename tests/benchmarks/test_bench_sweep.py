"""Speed of sweeps: the shipped 1,000 points, what the driver adds to a point, two workers against one, memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from simulator.contracts.runner import Outcome, Point

REPO_ROOT = Path(__file__).resolve().parents[2]
PAYLOAD = json.dumps({"system": "cent", "workload": "null", "metrics": {f"metric_{n}_ms": 1.25 * n for n in range(8)}})
CENT = str(REPO_ROOT / "hw_configs/cent.yaml")

pytestmark = pytest.mark.benchmark


class NullRunner:
    """Gives every point the same outcome, as fast as it can."""

    def __init__(self, _plan: object) -> None:
        return

    def submit(self, points: Iterable[Point]) -> Iterator[Sequence[Outcome]]:
        """Answer points in batches of 64."""
        batch: list[Outcome] = []
        for point in points:
            batch.append(Outcome(point.key, False, PAYLOAD, 0.0))
            if len(batch) == 64:
                yield batch
                batch = []
        if batch:
            yield batch

    def close(self) -> None:
        """Nothing is left to end."""
        return


def cpu_s(who: int) -> float:
    """CPU time used so far by this process, or by those it waited for."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def null_sweep(n_points: int, out: str) -> None:
    """Sweep points that cost nothing and print what the driver used (run as a process of its own)."""
    from simulator.experiments.sweep import sweep

    axes = {"workload.context": {"range": [1, n_points // 10, 1]}, "system.n_devices": list(range(8, 18))}
    started = cpu_s(resource.RUSAGE_SELF)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sweep({"config": CENT, "axes": axes}, out=out, runner=NullRunner, report=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu_s": cpu_s(resource.RUSAGE_SELF) - started, "before_kib": before, "peak_kib": peak}))


def measured(n_points: int, out: Path) -> dict[str, Any]:
    """`null_sweep` in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    command = (sys.executable, __file__, str(n_points), str(out))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_what_the_driver_adds_to_a_point_and_what_memory_it_takes(tmp_path: Path) -> None:
    small, large = measured(10_000, tmp_path / "small"), measured(100_000, tmp_path / "large")
    per_point_ms = (large["cpu_s"] - small["cpu_s"]) / 90_000 * 1e3
    grown_mib = (large["peak_kib"] - small["peak_kib"]) / 1024
    print(
        f"\nsweep driver: {per_point_ms:.2f} ms of CPU a point (at most 2); peak memory {large['peak_kib'] / 1024:.0f}"
        f" MiB at 100,000 points, {grown_mib:.0f} MiB more than at 10,000"
    )
    assert per_point_ms <= 2.0
    assert grown_mib <= 64


def shipped_sweep(folder: Path, n_workers: int) -> tuple[float, float]:
    """Wall and CPU seconds of the shipped sweep."""
    from simulator.experiments.sweep import sweep

    before, started = cpu_s(resource.RUSAGE_SELF) + cpu_s(resource.RUSAGE_CHILDREN), time.perf_counter()
    file = REPO_ROOT / "hw_configs/sweeps/cent_1000.yaml"
    result = sweep(file, out=folder / str(n_workers), workers=n_workers)
    wall_s = time.perf_counter() - started
    assert (result.metrics["n_points"], result.metrics["n_failed"]) == (1000, 0)
    return wall_s, cpu_s(resource.RUSAGE_SELF) + cpu_s(resource.RUSAGE_CHILDREN) - before


def test_a_thousand_points_and_two_workers(tmp_path: Path) -> None:
    (one_wall_s, one_cpu_s), (two_wall_s, two_cpu_s) = (shipped_sweep(tmp_path, n) for n in (1, 2))
    same = (tmp_path / "1/table.csv").read_bytes() == (tmp_path / "2/table.csv").read_bytes()
    # Two workers share all work but the driver's: on free cores the ratio of walls is that of the work each one has.
    print(
        f"\n1,000 CENT points: one worker {one_wall_s:.1f} s ({one_cpu_s:.1f} CPU-s), two {two_wall_s:.1f} s "
        f"({two_cpu_s:.1f} CPU-s), {one_wall_s / two_wall_s:.2f}x; load {os.getloadavg()[0]:.1f}"
    )
    assert same
    assert two_cpu_s <= 60.0  # 30 s on two cores
    assert two_cpu_s <= 1.35 * one_cpu_s


if __name__ == "__main__":
    null_sweep(int(sys.argv[1]), sys.argv[2])
