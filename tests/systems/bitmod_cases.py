"""Golden rows of BitMoD's simulator, and the system that a row is of."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulator.core.registry import load_kind
from simulator.experiments.settings import load_settings
from simulator.systems.bitmod import Bitmod
from simulator.workload.batch import Batch
from simulator.workload.catalog import load_model

REPO_ROOT = Path(__file__).resolve().parents[2]
CONFIG = REPO_ROOT / "hw_configs" / "bitmod.yaml"
_ROWS = REPO_ROOT / "simulator" / "experiments" / "targets" / "datapath_golden.csv"
_MODELS = {"OPT-1.3B": "opt-1.3b", "Phi-2": "phi-2", "Yi-6B": "yi-6b", "Llama-2-7B": "llama2-7b",
           "Llama-2-13B": "llama2-13b", "Llama-3-8B": "llama3-8b"}  # fmt: skip
ENERGIES = {"pe_uJ": "pe_uj", "sram_rd_uJ": "sram_read_uj", "sram_wr_uJ": "sram_write_uj", "dram_uJ": "dram_uj",
            "onchip_uJ": "onchip_uj", "total_uJ": "energy_uj"}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row: what was run, its cycles (compute alone where known), and its energies by the names of our metrics; whole
    ones are rounded."""

    case: str
    model: str
    phase: str
    batch: int
    context: int
    system: dict[str, object]
    cycles: int
    compute_cycles: int | None
    energies_uj: dict[str, float]
    rounding_uj: float

    @property
    def work(self) -> Batch:
        """The batch of the row's step."""
        return (Batch.prefill if self.phase == "prefill" else Batch.decode)(self.context, self.batch)

    @property
    def sets(self) -> dict[str, object]:
        """The same as changes to the shipped configuration."""
        workload = {"model": self.model, "phase": self.phase, "batch": self.batch, "context": self.context}
        return {f"workload.{key}": value for key, value in workload.items()} | {
            f"system.{key}": value for key, value in self.system.items()
        }


@cache
def rows() -> tuple[Row, ...]:
    """Every given row of both revisions."""
    with _ROWS.open(encoding="utf-8", newline="") as file:
        return tuple(_row(one) for one in csv.DictReader(file) if one["suite"] in _REVISIONS)


_REVISIONS = {"bitmod_published_2024": 2024, "bitmod_current_2025": 2025}


def _row(one: dict[str, str]) -> Row:
    revision = _REVISIONS[one["suite"]]
    return Row(
        case=one["case_id"],
        model=_MODELS[one["workload"]],
        phase=one["phase"].removesuffix("_step"),
        batch=int(one["batch"]),
        context=int(one["ctx"]),
        system={
            "datapath": one["system"].split("-")[0].lower(),
            "weight_bits": float(one["w_bits"]),
            "kv_bits": int(one["kv_bits"]),
            "revision": revision,
        },
        cycles=int(one["cycles_total"]),
        compute_cycles=int(one["cycles_compute"]) if one["cycles_compute"] else None,
        energies_uj={ours: float(one[theirs]) for theirs, ours in ENERGIES.items() if one[theirs]},
        rounding_uj=1.0 if revision == 2024 else 1e-3,
    )


@cache
def shipped(model: str) -> Bitmod:
    """The shipped machine for a model."""
    settings = load_settings(CONFIG, {"workload.model": model})
    assert settings.system_class is load_kind("simulator.systems", "bitmod")
    made = settings.system()
    assert isinstance(made, Bitmod)
    return made


@cache
def _named(model: str) -> Bitmod:
    return shipped("llama2-7b").for_model(load_model(model))


def machine(model: str = "llama2-7b", **system: object) -> Bitmod:
    """The shipped machine with other keys of `system`, for a model."""
    return _named(model).changed(**system)
