"""The parameters of a GPU's part that measured kernels can tell, and which terms of which kernels follow each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

from simulator.devices.gpu_config import GpuConfig
from simulator.kernels import gpu_calibration as terms

MAX_PARAMETERS = 8
"""No more than this many are refitted on one GPU: with more, the formulas would follow the rows instead of the card."""
GEMM, DECODE, PREFILL = "gemm", "attn_decode", "attn_prefill"
FAMILIES = (GEMM, DECODE, PREFILL)


@dataclass(frozen=True, slots=True)
class FitParameter:
    """A parameter: its path in the part, the field that holds it, the term that follows it and in which families of
    rows; the unit that a part writes it in, and how many of the field's units that is.

    `least` and `most` bound the value in the field's units.
    """

    path: str
    field: str
    term: int
    families: tuple[str, ...]
    unit: str = ""
    scale: float = 1.0
    least: float = 0.05
    most: float = 1.0

    def of(self, config: GpuConfig) -> float:
        """Its value in a bound part."""
        value: Any = reduce(_member, self.field.split("."), cast(Any, config))
        return float(value)

    def written(self, value: float) -> str | float:
        """A value of the field as a part writes it, to four digits."""
        rounded = float(f"{value / self.scale:.4g}")
        return f"{rounded:g} {self.unit}" if self.unit else rounded


def _member(section: Any, name: str) -> Any:
    return section[name] if isinstance(section, dict) else getattr(section, name)


def parameters_of(config: GpuConfig) -> Sequence[FitParameter]:
    """All of them for one part, those first that are refitted first."""
    base, form = f"formats.{config.base_format}", config.formats[config.base_format]
    return (
        _bandwidth("bandwidths.gemm_frac" if form.bandwidth_frac is None else f"{base}.bandwidth_frac", GEMM),
        _launch("launches.gemm" if form.launch_ps is None else f"{base}.launch", GEMM),
        _rate(f"{base}.matmul_frac", GEMM, DECODE),
        _bandwidth("bandwidths.attention_frac", DECODE, PREFILL),
        _launch("launches.attention_decode", DECODE),
        _rate("attention.prefill_frac", PREFILL),
        FitParameter(
            "energies.dram", "energies.dram_pj_per_byte", terms.DRAM_ENERGY, FAMILIES, "pJ/B", least=1e-3, most=1e5
        ),
        FitParameter("energies.pj_per_flop", "energies.pj_per_flop", terms.FLOP_ENERGY, FAMILIES, least=1e-3, most=1e5),
        FitParameter("attention.prefill_tail", "attention.prefill_tail", terms.TAIL, (PREFILL,), least=1e-3, most=10.0),
    )


def _bandwidth(path: str, *families: str) -> FitParameter:
    return FitParameter(path, path, terms.MEMORY, families, most=1.0)


def _rate(path: str, *families: str) -> FitParameter:
    # Boost clocks can lie above the data sheet's.
    return FitParameter(path, path, terms.COMPUTE, families, most=1.5)


def _launch(path: str, family: str) -> FitParameter:
    return FitParameter(path, f"{path}_ps", terms.LATENCY, (family,), "us", 1e6, least=1e4, most=1e9)
