"""Datapaths of BitMoD's comparison and designs of Anda's for one model, each with the formats that it computes with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.experiments.settings import load_settings
from simulator.numerics.bit_operations import FLOAT_BITS
from simulator.numerics.format_names import model_formats
from simulator.systems.anda import Anda
from simulator.systems.bitmod import Bitmod
from simulator.workload.batch import Batch
from simulator.workload.catalog import data_directory
from simulator.workload.model import ModelSpec

PHASES = ("prefill", "decode")
BITMOD_FAMILY, ANDA_FAMILY = "28 nm", "16 nm"
# Bits of weights' codes by datapath; formats are what the datapath's part says of them.
_CODE_BITS = {"fp16": (16, 8, 4, 3), "ant": (8, 4, 3), "olive": (8, 4, 3), "bitmod": (8, 6, 4, 3)}
_DATAPATH_NAMES = {"fp16": "FP16", "ant": "ANT", "olive": "OliVe", "bitmod": "BitMoD"}
_KV_BITS = (16, 8)
_ANDA_DESIGNS = (
    ("fp_fp", "FP-FP", "W4"),
    *(("anda", "Anda", f"M{bits}") for bits in (4, 5, 6, 8, 13)),
    ("fp_int", "FP-INT", "W4"),
    ("ifpu", "iFPU", "W4"),
    ("figna", "FIGNA", "M13"),
    ("figna_m11", "FIGNA", "M11"),
    ("figna_m8", "FIGNA", "M8"),
)
_WEIGHTS = "int4_asym"


@dataclass(frozen=True, slots=True)
class Cost:
    """One step of a machine."""

    time_us: float
    energy_uj: float

    @property
    def edp(self) -> float:
        """Energy times delay, in uJ us."""
        return self.time_us * self.energy_uj


@dataclass(frozen=True, slots=True)
class FormatMachine:
    """A machine, its family, what of it varies, the formats that a model is evaluated in, and a step of each phase."""

    family: str
    name: str
    variant: str
    formats: str
    costs: dict[str, Cost]


def format_machines(model: ModelSpec, context: int) -> Iterator[FormatMachine]:
    """Every machine for a prompt of `context` tokens, and for a decode at that context, batch 1; a family's baseline
    first. Both families are added up by their corrected accounting."""
    yield from _bitmod_machines(model, context)
    yield from _anda_machines(model, context)


def _bitmod_machines(model: ModelSpec, context: int) -> Iterator[FormatMachine]:
    shipped = load_settings(data_directory("hw_configs") / "bitmod.yaml", {}).system()
    assert isinstance(shipped, Bitmod)
    for datapath, widths in _CODE_BITS.items():
        for bits in widths:
            for kv_bits in _KV_BITS:
                stands_for = shipped.config.datapaths[datapath].number_formats[str(bits)]
                stored = round(_stored_bits(stands_for, model), 4)
                machine = shipped.for_model(model).changed(
                    datapath=datapath, weight_bits=stored, kv_bits=kv_bits, accounting="corrected", capacity="report"
                )
                yield FormatMachine(
                    BITMOD_FAMILY,
                    _DATAPATH_NAMES[datapath],
                    _variant(f"{bits}b", kv_bits),
                    machine.number_formats,
                    _costs(machine, context),
                )


def _stored_bits(weights: str, model: ModelSpec) -> float:
    """Bits that a weight takes in a format, scales included."""
    found = model_formats(weights).weights
    return 16.0 if found is None else found.bits_per_value(model.hidden)


def _anda_machines(model: ModelSpec, context: int) -> Iterator[FormatMachine]:
    settings = load_settings(data_directory("hw_configs") / "anda.yaml", {"system.accounting": "corrected"})
    for design, name, variant in _ANDA_DESIGNS:
        bits = int(variant.removeprefix("M")) if variant.startswith("M") else FLOAT_BITS
        inputs = f"anda_m{bits}" if variant.startswith("M") else "act_fp16"
        config = settings.system_config.model_copy(update={"design": design, "mantissas": (bits,) * 4})
        for kv_bits in _KV_BITS:
            made = settings.system_class(config, model.replace(kv_bits=kv_bits))
            assert isinstance(made, Anda)
            kv = "" if kv_bits == FLOAT_BITS else f"+kv{kv_bits}"
            formats = f"{_WEIGHTS}+{inputs}{kv}"
            yield FormatMachine(ANDA_FAMILY, name, _variant(variant, kv_bits), formats, _costs(made, context))


def _variant(of: str, kv_bits: int) -> str:
    return of if kv_bits == FLOAT_BITS else f"{of}, KV{kv_bits}"


def _costs(machine: Bitmod | Anda, context: int) -> dict[str, Cost]:
    steps = {"prefill": Batch.prefill(context), "decode": Batch.decode(context)}
    found = {phase: machine.step(batch) for phase, batch in steps.items()}
    return {phase: Cost(step.latency_ps / 1e6, step.energy.total_pj / 1e6) for phase, step in found.items()}
