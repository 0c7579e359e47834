"""The analytic GPU against runs of the public AttAcc simulator: every column of the GPUs, to the digits printed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import pytest

from simulator.devices.tile_gpu import TileEnergy, TileOperator
from simulator.devices.tile_gpu_layer import AttentionPlace, TileLayer
from simulator.workload.batch import Batch
from tests.devices.tile_gpu_parts import layer
from tests.systems.golden_cases import REPO_ROOT

GOLDEN = REPO_ROOT / "tests" / "golden" / "attacc" / "attacc_golden.csv"
MODELS = {"GPT-175B": "gpt3-175b", "LLAMA-65B": "llama-65b", "OPT-66B": "opt-66b"}
PLACES: dict[str, AttentionPlace] = {"dgx": "gpu", "dgx-cpu": "host", "dgx-attacc": "pim"}

Row = Mapping[str, str]
Operators = tuple[TileOperator, ...]
Chosen = Callable[[TileOperator], bool]


@cache
def rows() -> list[Row]:
    with GOLDEN.open(newline="") as text:
        return [row for row in csv.DictReader(text) if row["kind"] == "end_to_end"]


def layer_of(row: Row) -> TileLayer:
    return layer(
        MODELS[row["model"]],
        int(row["n_gpu"]),
        row["gpu"],
        n_bytes=int(row["bytes_per_elem"]),
        attention=PLACES[row["system"]],
    )


def of_kind(*kinds: str) -> Chosen:
    return lambda operator: operator.kind in kinds


def named(*starts: str) -> Chosen:
    return lambda operator: operator.name.startswith(starts)


def everything(operator: TileOperator) -> bool:
    return True


PREFILL: dict[str, Chosen] = {
    "prefill_ms": everything,
    "prefill_attn_matmul_ms": of_kind("matmul"),
    "prefill_fc_ms": of_kind("fc"),
    "prefill_allreduce_ms": of_kind("all_reduce"),
    "prefill_softmax_ms": of_kind("softmax"),
    "prefill_act_ms": of_kind("activation"),
    "prefill_norm_ms": of_kind("norm"),
}
DECODE_ANYWHERE: dict[str, Chosen] = {
    "dec_act_norm_ms": of_kind("activation", "norm"),
    "dec_allreduce_ms": of_kind("all_reduce"),
    "dec_act_ms": of_kind("activation"),
    "dec_norm_ms": of_kind("norm"),
}
DECODE_WITHOUT_PIM: dict[str, Chosen] = {
    "decode_ms_per_step": everything,
    "dec_attn_matmul_ms": of_kind("matmul"),
    "dec_fc_ms": of_kind("fc"),
    "dec_comm_ms": of_kind("all_reduce", "link"),
    "dec_qkv_ms": named("qkv"),
    "dec_proj_ms": named("projection"),
    "dec_ffn_ms": lambda operator: operator.kind == "fc" and operator.name.startswith("ffn"),
    "dec_gpu_pim_link_ms": of_kind("link"),
    "dec_softmax_ms": of_kind("softmax"),
}
Spent = tuple[Chosen, Callable[[TileEnergy], float]]
ENERGY_ANYWHERE: dict[str, Spent] = {
    "e_fc_mem_mJ": (of_kind("fc"), lambda energy: energy.dram_pj),
    "e_fc_comp_mJ": (of_kind("fc"), lambda energy: energy.on_chip_pj),
    "e_etc_mem_mJ": (of_kind("activation", "norm"), lambda energy: energy.dram_pj),
    "e_etc_comp_mJ": (of_kind("activation", "norm"), lambda energy: energy.on_chip_pj),
    "e_comm_mJ": (everything, lambda energy: energy.nvlink_pj),
}
ENERGY_WITHOUT_PIM: dict[str, Spent] = {
    "decode_energy_mJ_per_step": (everything, lambda energy: energy.total_pj),
    "e_dram_mJ": (everything, lambda energy: energy.dram_pj),
    "e_l2_mJ": (everything, lambda energy: energy.l2_pj),
    "e_l1_mJ": (everything, lambda energy: energy.l1_pj),
    "e_reg_mJ": (everything, lambda energy: energy.reg_pj),
    "e_alu_mJ": (everything, lambda energy: energy.alu_pj),
    "e_attn_mem_mJ": (of_kind("matmul", "softmax"), lambda energy: energy.dram_pj),
    "e_attn_comp_mJ": (of_kind("matmul", "softmax"), lambda energy: energy.on_chip_pj),
}


def model_ms(machine: TileLayer, operators: Iterable[TileOperator], chosen: Chosen) -> float:
    """Time of the chosen operators over all layers."""
    return sum(operator.time_ps for operator in operators if chosen(operator)) * machine.model.n_layers * 1e-9


def model_mj(machine: TileLayer, operators: Iterable[TileOperator], spent: Spent) -> float:
    """Energy of the chosen operators over all layers and GPUs."""
    chosen, part = spent
    one = sum(part(operator.energy) for operator in operators if chosen(operator))
    return one * machine.n_gpus * machine.model.n_layers * 1e-9


def computed(row: Row) -> dict[str, float]:
    """Every column of a row that GPUs (and host CPUs) decide."""
    machine = layer_of(row)
    batch, prompt, output = int(row["batch"]), int(row["lin"]), int(row["lout"])
    prefill = machine.operators(Batch.prefill(prompt, batch), "gpu")
    steps = [machine.operators(Batch.decode(prompt + step, batch)) for step in range(1, output)]
    has_pim = row["system"] == "dgx-attacc"
    times = DECODE_ANYWHERE if has_pim else DECODE_ANYWHERE | DECODE_WITHOUT_PIM
    energies = ENERGY_ANYWHERE if has_pim else ENERGY_ANYWHERE | ENERGY_WITHOUT_PIM
    found = {column: model_ms(machine, prefill, chosen) for column, chosen in PREFILL.items()}
    for column, chosen in times.items():
        found[column] = sum(model_ms(machine, step, chosen) for step in steps) / len(steps)
    for column, spent in energies.items():
        found[column] = sum(model_mj(machine, step, spent) for step in steps) / len(steps)
    return found


def half_of_last_digit(printed: str) -> float:
    return 0.5001 * 10.0 ** -len(printed.partition(".")[2])


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["case"])
def test_every_column_equals_the_public_tool(row: Row) -> None:
    found = computed(row)
    off = {
        column: (value, row[column])
        for column, value in found.items()
        if abs(value - float(row[column])) > half_of_last_digit(row[column])
    }
    assert off == {}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["case"])
def test_the_bytes_that_a_run_needs_equal_the_public_tool(row: Row) -> None:
    needed = layer_of(row).required_bytes(int(row["batch"]), int(row["lin"]), int(row["lout"]))
    assert abs(needed - int(row["required_bytes"])) < 1


@pytest.mark.parametrize("case", ["A01", "A03", "A08", "A10"])
def test_the_link_to_the_stacks_is_what_the_pipeline_leaves_of_it(case: str) -> None:
    # Where attention outlasts the link, the tool keeps the share of one head of those that a GPU has.
    row = next(row for row in rows() if row["case"] == case)
    machine = layer_of(row)
    step = machine.operators(Batch.decode(int(row["lin"]) + 1, int(row["batch"])))
    left = model_ms(machine, step, of_kind("link")) / machine.shard.n_kv_heads
    assert abs(left - float(row["dec_gpu_pim_link_ms"])) < half_of_last_digit(row["dec_gpu_pim_link_ms"])


def test_the_golden_rows_cover_every_system() -> None:
    assert {row["system"] for row in rows()} == set(PLACES)
    assert {row["gpu"] for row in rows()} == {"A100a", "H100"}
