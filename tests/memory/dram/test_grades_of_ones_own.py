"""A speed grade beyond the derived tables: its own timings, or overrides, stand where no derived case fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.memory.dram.standard import DramPart, resolve
from tests.kernels.dram_cases import REPO_ROOT

GRADE = "rate: 3600, tck_ps: 556, n_bl: 4, n_cl: 25, n_rcd: 25, n_rp: 25, n_ras: 58, n_rc: 83, n_wr: 27, n_rtp: 14"
MORE = "n_cwl: 18, n_ccds: 4, n_ccdl: 9, n_wtrs: 5, n_wtrl: 14, n_cs: 2"
ACTIVATION = {"n_rrdl": 9, "n_faw": 38}


def part_of(folder: Path, own: str, *sets: str) -> DramPart:
    """DDR4 with a grade at 3600 MT/s."""
    base = REPO_ROOT / "hw_configs" / "parts" / "dram" / "ddr4.yaml"
    path = folder / "own.yaml"
    path.write_text(f"extends: {base}\ntiming: OWN\nspeed_grades:\n  OWN: {{{GRADE}, {MORE}{own}}}\n")
    return bind(load_part(path, sets), DramPart)


def test_the_grades_own_timings(tmp_path: Path) -> None:
    own = "".join(f", {name}: {value}" for name, value in ACTIVATION.items())
    timing = resolve(part_of(tmp_path, own)).timing
    assert {name: timing[name] for name in ACTIVATION} == ACTIVATION


def test_overrides(tmp_path: Path) -> None:
    timing = resolve(part_of(tmp_path, "", *(f"overrides.{name}={value}" for name, value in ACTIVATION.items()))).timing
    assert {name: timing[name] for name in ACTIVATION} == ACTIVATION


def test_neither(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no case fits 3600 MT/s"):
        part_of(tmp_path, "")
