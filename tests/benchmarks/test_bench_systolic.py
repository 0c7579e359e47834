"""Speed of systolic arrays beside SCALE-Sim's own runs: CPU time of a product in one process, and of a long list."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.experiments.validate_systolic import array_like, base_array, load_systolic_targets, reference_runs
from simulator.experiments.validate_targets import FOLDER

N_GEMMS = 100_000

pytestmark = pytest.mark.benchmark


def cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def test_products_beside_the_reference(tmp_path: Path) -> None:
    """A list of one product over and over: read, counted, timed, made a record; and a replay of the product alone."""
    targets = load_systolic_targets(FOLDER / "systolic.yaml")
    ratios, alone, base = [], [], base_array(targets)
    (tmp_path / "warm.csv").write_text("M,N,K\n3,4,5\n")
    base.replay(tmp_path / "warm.csv", 1)
    for run in reference_runs(targets, FOLDER):
        device = array_like(run, base)
        one, many = tmp_path / "one.csv", tmp_path / "many.csv"
        row = "{},{},{}\n".format(*run.shape)
        one.write_text("M,N,K\n" + row)
        many.write_text("M,N,K\n" + row * (N_GEMMS // 10))
        alone.append(run.wall_s / cpu_s(lambda device=device, one=one: device.replay(one, 1)))
        ratios.append(run.wall_s / cpu_s(lambda device=device, many=many: device.replay(many, 1)) * (N_GEMMS // 10))
    print(
        f"\nSCALE-Sim's wall time over our CPU time: {min(ratios):,.0f} to {max(ratios):,.0f} a product of a list "
        f"(target: 1,000), {min(alone):,.0f} to {max(alone):,.0f} for a list of one"
    )
    assert min(ratios) >= 1000


def test_a_long_list(tmp_path: Path) -> None:
    rng = random.Random(1)
    path = tmp_path / "products.csv"
    rows = (",".join(str(rng.randint(1, most)) for most in (4096, 12_000, 12_000)) for _ in range(N_GEMMS))
    path.write_text("M,N,K\n" + "\n".join(rows) + "\n")
    targets = load_systolic_targets(FOLDER / "systolic.yaml")
    device = array_like(reference_runs(targets, FOLDER)[0], base_array(targets))
    print(f"\n{N_GEMMS:,} different products: {cpu_s(lambda: device.replay(path, 1)):.2f} s of CPU (target: about 1)")
