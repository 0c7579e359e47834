"""What the pages on HBM stacks with processing units, AttAcc and PAPI say in numbers is what the simulator gives."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.pim_stack import PimStack

PLACEMENTS = re.compile(r"^\| `(bank|bg|buffer)` \|.*\| ([\d,]+)(?: cycles)? \|$", re.MULTILINE)
SPACINGS = re.compile(r"^\| (\dP\dB)(?: \(.*\))? \| ([\d| ]+) \|$", re.MULTILINE)
DIES = re.compile(r"^\| .*, (\dP\dB) \|.*\| ([\d,]+) \| (\d+) \| ([\d,]+) \| ([\d.]+) \|$", re.MULTILINE)
PARTS = {"1P1B": "attacc", "4P1B": "fc_pim", "1P2B": "attn_pim"}


def _page(repo_root: Path, name: str) -> str:
    return (repo_root / "docs" / name).read_text(encoding="utf-8")


def _stack(repo_root: Path, design: str) -> PimStack:
    part = repo_root / "hw_configs" / "parts" / "pim_stacks" / f"{PARTS[design]}.yaml"
    return PimStack(bind(load_part(part), PimStack.Config))


def test_cycles_of_the_placements(repo_root: Path, sim) -> None:
    stated = PLACEMENTS.findall(_page(repo_root, "pim_stack.md"))
    assert len(stated) == 3
    for placement, cycles in stated:
        sets = ("scope=attention", "heads_per_stack=16", "head_dim=128", "context=2048")
        words = [word for one in sets for word in ("--set", f"workload.{one}")]
        outcome = sim("run", str(repo_root / "hw_configs" / "attacc.yaml"), *words, "--set",
                      f"system.placement={placement}", "--json")  # fmt: skip
        assert json.loads(outcome.out)["metrics"]["pim_cycles"] == int(cycles.replace(",", ""))


def test_stacks_and_their_spacing(repo_root: Path) -> None:
    page = _page(repo_root, "pim_stack.md")
    dies, spacings = DIES.findall(page), SPACINGS.findall(page)
    assert len(dies) == len(spacings) == 3
    for design, n_banks, gib, n_units, area in dies:
        stack = _stack(repo_root, design)
        assert stack.area is not None
        assert (stack.n_banks, stack.capacity_bytes >> 30) == (int(n_banks.replace(",", "")), int(gib))
        assert stack.area.n_stack_units == int(n_units.replace(",", ""))
        assert stack.area.area_mm2 == pytest.approx(float(area), abs=0.05)
    for design, row in spacings:
        stack = _stack(repo_root, design)
        found = [max(stack.channel.mac_ticks, stack.busy_ticks(n)) for n in (1, 2, 4, 8, 16)]
        assert found == [int(cell) for cell in row.split("|")]
