"""What tests of the DRAM device share: parts, replays, golden rows."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.devices.dram import SYNTHETIC, Dram
from simulator.experiments.replay import load_device

ROOT = Path(__file__).resolve().parents[2]
STANDARDS = ("ddr4", "ddr5", "lpddr5", "gddr6", "hbm2", "hbm3")
COLUMNS = (
    "org", "timing", "n_channels", "mapper", "refresh", "queue", "rank", "fe_ratio", "scheduler", "trace",
    "trace_param", "lg_lines", "read_frac", "n_requests",
)  # fmt: skip


def part(standard: str) -> Path:
    """The file of a standard."""
    return ROOT / "hw_configs" / "parts" / "dram" / f"{standard}.yaml"


def dram(standard: str = "ddr4", **sets: Any) -> Dram:
    """A shipped part with some keys set."""
    device = load_device(part(standard), sets)[1]
    assert isinstance(device, Dram)
    return device


def synthetic(standard: str = "ddr4", seed: int = 1, **sets: Any) -> RunRecord:
    """The record of synthetic traffic."""
    return dram(standard, **sets).replay(SYNTHETIC, seed)


@cache
def golden() -> dict[str, dict[str, str]]:
    """Rows of the golden table by case."""
    table = ROOT / "simulator" / "experiments" / "targets" / "dram_golden.csv"
    with table.open(newline="", encoding="utf-8") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def golden_sets(row: dict[str, str]) -> list[str]:
    """A golden row as the words after `sim replay PART synthetic`."""
    return [word for name in COLUMNS for word in ("--set", f"{name}={row[name]}")] + ["--seed", row["seed"]]
