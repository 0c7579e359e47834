"""BitMoD's own numbers: every given row of both revisions, cycles equal and energies within 0.01 %."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import simulator

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


# Figure 7 of the paper: its text's means over six models, of the given precisions.
_MODELS = ("opt-1.3b", "phi-2", "yi-6b", "llama2-7b", "llama2-13b", "llama3-8b")
_BASE = {"datapath": "fp16", "weight_bits": 16, "kv_bits": 16}
_LL = {"datapath": "bitmod", "weight_bits": 6.0625}


def _mean_speedup(decodes: int, prefill: dict[str, Any], decode: dict[str, Any]) -> float:
    """Of a prompt of 256 tokens and decodes at that context, revision 2024."""
    from simulator.workload.batch import Batch

    def cycles(model: str, prefill: dict[str, Any], decode: dict[str, Any]) -> float:
        first = machine(model, revision=2024, **prefill).step(Batch.prefill(256)).metrics["cycles"]
        if not decodes:
            return first
        return first + decodes * machine(model, revision=2024, **decode).step(Batch.decode(256)).metrics["cycles"]

    return sum(cycles(model, _BASE, _BASE) / cycles(model, prefill, decode) for model in _MODELS) / len(_MODELS)


def test_means_of_figure_7() -> None:
    lossy_prefill, lossy_decode = ({"datapath": "bitmod", "weight_bits": bits} for bits in (4.0625, 3.0625))
    assert _mean_speedup(0, _LL, _LL) == pytest.approx(1.99, abs=0.005)
    assert _mean_speedup(20, _LL, _LL) == pytest.approx(2.41, abs=0.005)
    assert _mean_speedup(0, lossy_prefill, lossy_decode) == pytest.approx(2.82, abs=0.005)
    assert _mean_speedup(20, lossy_prefill, lossy_decode) == pytest.approx(4.18, abs=0.005)
