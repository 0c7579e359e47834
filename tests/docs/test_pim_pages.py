"""What the pages on HBM stacks with processing units, AttAcc and PAPI say in numbers is what the simulator gives."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import simulator
from simulator.core.binding import bind
from simulator.core.config import load_config, load_part
from simulator.core.parameters import parameters
from simulator.devices.pim_stack import PimStack
from simulator.experiments.settings import load_settings
from simulator.workload.batch import Batch

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


def _rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table whose header begins with `heading`, without header and rule."""
    lines = page[page.index(f"| {heading}") :].split("\n\n")[0].splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_bounds_and_limits_of_attacc(repo_root: Path) -> None:
    page, config = _page(repo_root, "attacc.md"), repo_root / "hw_configs" / "attacc.yaml"
    dgx = load_settings(config, {"system.variant": "dgx"}).system()
    attacc = load_settings(config).system()
    for batch, whole, *parts, gpus_alone in _rows(page, "batch | step"):
        step = attacc.step(Batch.decode(2048, int(batch)))
        assert step.latency_ps / 1e9 == pytest.approx(float(whole), abs=0.006)
        assert dgx.step(Batch.decode(2048, int(batch))).latency_ps / 1e9 == pytest.approx(float(gpus_alone), abs=0.006)
        busy = {name: ps / 1e9 for name, ps in step.schedule.resource_busy_ps().items()}
        found = [busy[name] for name in ("gpu", "nvlink", "pim")]
        assert found == pytest.approx([float(part) for part in parts], abs=0.006)
    for machine, *limits, _ in _rows(page, "memory | 4,096"):
        variant = next(name for name in ("dgx-large", "dgx-attacc", "dgx") if name in machine)
        accounting = "corrected" if "corrected" in machine else "published"
        system = load_settings(config, {"system.variant": variant, "system.accounting": accounting}).system()
        assert [system.batch_limit(n) for n in (4096, 2176, 256)] == [int(limit) for limit in limits], machine


def test_the_sweep_behind_alpha(repo_root: Path) -> None:
    page = _page(repo_root, "papi.md")
    system = load_settings(repo_root / "hw_configs" / "papi.yaml").system()
    stated = _rows(page, "RLP x TLP | stacks")
    assert f"Alpha\nis {system.alpha:.0f}" in page
    for n, stacks, gpus, unit in stated:
        found = [system.scheduler.fc_ps(int(n), one) / 1e6 for one in ("pim", "gpu")]
        assert found == pytest.approx([float(stacks), float(gpus)], abs=0.06)
        assert unit == ("stacks" if int(n) <= system.alpha else "GPUs")


def test_what_papi_leaves_open(repo_root: Path) -> None:
    """Every assumption of papi.yaml itself stands in the page, with its range."""
    tree = load_config(repo_root / "hw_configs" / "papi.yaml")
    assumed = {
        one.path for one in parameters(tree)
        if one.kind == "assumed" and not one.path.startswith(("system.gpus.", "system.stacks."))
    }  # fmt: skip
    stated = {row[0] for row in _rows(_page(repo_root, "papi.md"), "parameter | here") if row[0].startswith("system.")}
    assert stated == assumed


@pytest.mark.parametrize(("batch", "speculation"), [(4, 1), (64, 4)])
def test_speed_of_papi_over_others(repo_root: Path, batch: int, speculation: int) -> None:
    (stated,) = [
        row for row in _rows(_page(repo_root, "papi.md"), "batch, speculation") if row[0] == f"{batch}, {speculation}"
    ]
    spans = []
    for design in ("papi", "a100-attacc", "attacc-only", "pim-only-papi"):
        sets = {"system.design": design, "workload.batch": batch, "serving.speculation_length": speculation}
        run = simulator.run(repo_root / "hw_configs" / "papi.yaml", sets)
        spans.append(float(run.metrics["makespan_s"]))
    assert [span / spans[0] for span in spans[1:]] == pytest.approx([float(cell) for cell in stated[1:]], abs=0.011)
