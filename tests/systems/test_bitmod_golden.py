"""BitMoD's own numbers: every given row of both revisions, cycles equal and energies within 0.01 %."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import simulator
from simulator.experiments.bitmod_designs import BitmodDesigns

from .bitmod_cases import CONFIG, Row, machine, rows

REL = 1e-4
SAMPLE = ("BP001", "BP055", "BC044", "BC099", "BC108")


def _problems(row: Row, metrics: dict[str, Any]) -> list[str]:
    found = []
    if metrics["cycles"] != row.cycles:
        found.append(f"{row.case}: {metrics['cycles']:,} cycles, not {row.cycles:,}")
    if row.compute_cycles is not None and metrics["compute_cycles"] != row.compute_cycles:
        found.append(f"{row.case}: {metrics['compute_cycles']:,} cycles of the array, not {row.compute_cycles:,}")
    for name, theirs in row.energies_uj.items():
        if abs(metrics[name] - theirs) > max(REL * theirs, row.rounding_uj):
            found.append(f"{row.case}: {name} {metrics[name]:.3f}, not {theirs}")
    return found


def test_every_given_row() -> None:
    assert len(rows()) == 108
    steps = ((row, machine(row.model, **row.system).step(row.work)) for row in rows())
    assert [problem for row, step in steps for problem in _problems(row, step.metrics)] == []


@pytest.mark.parametrize("row", [row for row in rows() if row.case in SAMPLE], ids=lambda row: row.case)
def test_rows_through_the_python_api(row: Row) -> None:
    run = simulator.run(CONFIG, row.sets)
    assert _problems(row, run.metrics) == []
    assert run.metrics["step_time_ms"] == pytest.approx(row.cycles / 1e6, rel=1e-12)
    assert run.metrics["sram_uj"] == pytest.approx(run.metrics["sram_read_uj"] + run.metrics["sram_write_uj"])


def test_a_row_through_the_command(run_json: Callable[..., Any]) -> None:
    row = next(row for row in rows() if row.case == "BC044")
    result = run_json("bitmod", row.sets)
    assert _problems(row, result["metrics"]) == []
    assert set(result["breakdown"]["area_mm2"]) == {"elements", "weight buffer", "activation buffer"}


# Figures 7 and 8 of the paper: means over its six models, of prompts alone and with the 20 decodes that it draws.
@pytest.mark.parametrize(
    ("design", "n_decodes", "speedup", "energy"),
    [
        ("bitmod-ll", 0, 1.99, 0.457), ("ant", 0, 1.64, 0.474), ("olive", 0, 1.81, 0.441),
        ("bitmod-ly", 0, 2.82, 0.339),
        ("bitmod-ll", 20, 2.41, 0.410), ("ant", 20, 2.52, 0.379), ("olive", 20, 3.01, 0.324),
        ("bitmod-ly", 20, 4.18, 0.241), ("ant", 256, 3.13, None), ("bitmod-ly", 256, 5.07, None),
    ],
)  # fmt: skip
def test_means_of_the_figures(
    published: BitmodDesigns, design: str, n_decodes: int, speedup: float, energy: float | None
) -> None:
    assert fmean(published.speedups(design, n_decodes).values()) == pytest.approx(speedup, abs=0.005)
    if energy is not None:
        assert fmean(published.energy_ratios(design, n_decodes).values()) == pytest.approx(energy, abs=0.0005)


@pytest.fixture(scope="module")
def published() -> BitmodDesigns:
    """The designs by the sums behind the paper's figures."""
    return BitmodDesigns(revision=2024)


# Growing contexts are hundreds of steps a design.
@pytest.mark.parametrize("growing", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_the_table_of_the_page(repo_root: Path, growing: bool) -> None:
    """What docs/bitmod.md says of the two accountings."""
    text = (repo_root / "docs" / "bitmod.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (published 20\d\d|corrected) \| (\d+) \| (.+) \|$", text, re.MULTILINE)
    assert len(found) == 8
    designs = {name: _designs(name) for name in {accounting for accounting, _, _ in found}}
    for accounting, n_decodes, cells in found:
        if growing is not (accounting == "corrected" and n_decodes != "0"):
            continue
        for design, cell in zip(("ant", "olive", "bitmod-ll", "bitmod-ly"), cells.split(" | "), strict=True):
            speedup = fmean(designs[accounting].speedups(design, int(n_decodes)).values())
            energy = fmean(designs[accounting].energy_ratios(design, int(n_decodes)).values())
            assert cell == f"{speedup:.2f}, {energy:.3f}", (accounting, n_decodes, design)


def _designs(accounting: str) -> BitmodDesigns:
    """The designs of a row's first cell."""
    name, _, revision = accounting.partition(" ")
    return BitmodDesigns(accounting=name, revision=int(revision or 2025))
