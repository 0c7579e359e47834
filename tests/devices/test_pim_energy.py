"""Energy of stacks with processing units: what the AttAcc simulator printed to its last digit, and what must hold."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, ModelFault
from simulator.core.parameters import parameters
from simulator.devices.pim_energy import (
    MEMORY,
    PATHS,
    PLACEMENTS,
    Accounting,
    PimEnergy,
    Placement,
    StackCommands,
    UnitWork,
    attention_link_bytes,
    attention_work,
)

ROOT = Path(__file__).resolve().parents[2]
PART = ROOT / "hw_configs" / "parts" / "pim_energy.yaml"
PIM = PimEnergy(bind(load_part(PART), PimEnergy.Config))
MODELS = {"GPT-175B": (96, 96), "LLAMA-65B": (80, 64)}  # layers, heads
N_STACKS, N_GPUS = 8 * 5, 8
PJ_PER_MJ = 1e9
PRINTED = 0.5001e-5  # mJ

with (ROOT / "tests" / "golden" / "attacc" / "attacc_golden.csv").open(newline="", encoding="utf-8") as _stream:
    GOLDEN = {row["case"]: row for row in csv.DictReader(_stream)}
FRESH = [
    case for case, row in GOLDEN.items() if row["kind"] == "end_to_end" and row["pim_cache"] == "fresh" and row["n_mac"]
]
COUNTS = st.integers(0, 10**9)
COMMANDS = st.builds(StackCommands, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
WORKS = st.builds(UnitWork, st.floats(0, 1e12), st.floats(0, 1e9), st.sampled_from([1, 2]))


def of_row(case: str, accounting: Accounting = "published") -> tuple[EnergyLedger, int]:
    """The energy of a step's attention over all layers and stacks, and the number of layers."""
    row = GOLDEN[case]
    n_layers, n_heads = MODELS[row["model"]]
    commands = StackCommands(*(int(row[name]) for name in ("n_mac", "n_wrgb", "n_mvsb", "n_mvgb", "n_softmax")))
    placement: Placement = row["placement"]  # type: ignore[assignment]
    work = attention_work(
        n_heads * int(row["batch"]), int(row["kv_len_L"]), int(row["d_head"]), int(row["bytes_per_elem"]),
        accounting=accounting,
    )  # fmt: skip
    stacks = PIM.data_energy(commands, placement, accounting).scaled(N_STACKS)
    return (stacks + PIM.unit_energy(work)).scaled(n_layers), n_layers


def memory_mj(ledger: EnergyLedger) -> float:
    return sum(ledger.dynamic_pj.get(name, 0.0) for name in MEMORY) / PJ_PER_MJ


def compute_mj(ledger: EnergyLedger) -> float:
    return ledger.total_pj / PJ_PER_MJ - memory_mj(ledger)


def test_rows_are_there() -> None:
    assert {"A01", "A03", "A05", "A06", "A07", "A08", "A09", "A10"} <= set(FRESH)
    assert {GOLDEN[case]["placement"] for case in FRESH} == set(PLACEMENTS)


@pytest.mark.parametrize("case", FRESH)
def test_published_energies_to_their_last_digit(case: str) -> None:
    row = GOLDEN[case]
    ledger, _ = of_row(case)
    assert memory_mj(ledger) == pytest.approx(float(row["e_attn_mem_mJ"]), abs=PRINTED, rel=0)
    assert compute_mj(ledger) == pytest.approx(float(row["e_attn_comp_mJ"]), abs=PRINTED, rel=0)


@pytest.mark.parametrize("case", [*FRESH, "A14"])
def test_the_link_is_what_all_reduces_leave(case: str) -> None:
    """The printed energy of communication has two all-reduces a layer, counted as bytes times GPUs, and the link."""
    row = GOLDEN[case]
    n_layers, n_heads = MODELS[row["model"]]
    batch, head_dim, n_bytes = int(row["batch"]), int(row["d_head"]), int(row["bytes_per_elem"])
    link = PIM.link_energy(attention_link_bytes(batch, n_heads, n_heads, head_dim, n_bytes))
    all_reduces = PIM.link_energy(2 * N_GPUS * batch * n_heads * head_dim * n_bytes)
    ours = (link + all_reduces).scaled(n_layers).total_pj / PJ_PER_MJ
    assert ours == pytest.approx(float(row["e_comm_mJ"]), abs=PRINTED, rel=0)


def test_arithmetic_of_several_steps_is_their_mean() -> None:
    row = GOLDEN["A14"]
    contexts = [int(one) for one in row["kv_len_L"].split("|")]
    n_layers, n_heads = MODELS[row["model"]]
    steps = [
        PIM.unit_energy(attention_work(n_heads * int(row["batch"]), one, 128, accounting="published"))
        for one in contexts
    ]
    mean_mj = sum(compute_mj(step.scaled(n_layers)) for step in steps) / len(steps)
    assert mean_mj == pytest.approx(float(row["e_attn_comp_mJ"]), abs=PRINTED, rel=0)


def test_what_the_correction_changes() -> None:
    published, _ = of_row("A01")
    corrected, _ = of_row("A01", "corrected")
    for path in PATHS:
        assert corrected.dynamic_pj[path] == pytest.approx(8 * published.dynamic_pj[path])
    assert corrected.dynamic_pj["mac"] == pytest.approx(2 * published.dynamic_pj["mac"])
    for name in ("cell", "softmax_alu", "softmax_sram"):
        assert corrected.dynamic_pj[name] == published.dynamic_pj[name]


@pytest.mark.parametrize(("placement", "pj_per_byte"), [("bank", 4.40), ("bg", 12.48), ("buffer", 26.32)])
def test_a_byte_of_cells_costs_its_way_to_the_unit(placement: Placement, pj_per_byte: float) -> None:
    n_bytes = 32 * {"bank": 64, "bg": 16, "buffer": 2}[placement]
    assert PIM.data_energy(StackCommands(n_mac=1), placement).total_pj == pytest.approx(n_bytes * pj_per_byte)


@pytest.mark.parametrize(("placement", "pj_per_bit"), [("bank", 2.74), ("bg", 1.73), ("buffer", 0.0)])
def test_a_result_goes_from_the_unit_to_the_buffer_die(placement: Placement, pj_per_bit: float) -> None:
    moved = StackCommands(n_mvsb=1)
    assert PIM.data_energy(moved, placement).total_pj == pytest.approx(256 * pj_per_bit)
    assert PIM.data_energy(moved, placement, "published").total_pj == pytest.approx(32 * 2.74)


def test_inputs_also_cross_the_interposer() -> None:
    assert PIM.data_energy(StackCommands(n_wrgb=1)).dynamic_pj["io"] == pytest.approx(256 * 0.3)
    assert PIM.data_energy(StackCommands(n_mvsb=1, n_mvgb=1)).dynamic_pj["io"] == 0.0


def test_a_row_costs_the_same_however_little_is_read() -> None:
    whole = PIM.data_energy(StackCommands(n_mac=32, n_rows=64))
    assert whole.total_pj == pytest.approx(PIM.data_energy(StackCommands(n_mac=32)).total_pj)
    part = PIM.data_energy(StackCommands(n_mac=1, n_rows=64))
    assert part.total_pj - 64 * 256 * 0.44 == pytest.approx(64 * 8192 * 0.11)


@given(
    one=COMMANDS,
    other=COMMANDS,
    placement=st.sampled_from(PLACEMENTS),
    accounting=st.sampled_from(["published", "corrected"]),
)
def test_energy_is_linear_in_commands(
    one: StackCommands, other: StackCommands, placement: Placement, accounting: Accounting
) -> None:
    both = StackCommands(
        one.n_mac + other.n_mac, one.n_wrgb + other.n_wrgb, one.n_mvsb + other.n_mvsb, one.n_mvgb + other.n_mvgb
    )  # fmt: skip
    apart = PIM.data_energy(one, placement, accounting) + PIM.data_energy(other, placement, accounting)
    assert PIM.data_energy(both, placement, accounting).dynamic_pj == pytest.approx(apart.dynamic_pj)


@given(commands=COMMANDS, work=WORKS, placement=st.sampled_from(PLACEMENTS))
def test_no_energy_is_negative(commands: StackCommands, work: UnitWork, placement: Placement) -> None:
    for accounting in ("published", "corrected"):
        assert min(PIM.stack(commands, work, placement, accounting).dynamic_pj.values()) >= 0  # type: ignore[arg-type]


@given(commands=COMMANDS, placement=st.sampled_from(["bank", "bg"]))
def test_the_correction_takes_nothing_away(commands: StackCommands, placement: Placement) -> None:
    published = PIM.data_energy(commands, placement, "published").dynamic_pj
    corrected = PIM.data_energy(commands, placement, "corrected").dynamic_pj
    # A transfer to a bank group's unit does not come past the banks' decoders, which `published` charges for.
    kept = set(published) - ({"decoder_mux"} if placement == "bg" else set())
    assert all(corrected[name] >= published[name] * (1 - 1e-12) for name in kept)
    assert sum(corrected.values()) >= sum(published.values()) * (1 - 1e-12)


@pytest.mark.parametrize("case", FRESH)
def test_corrected_steps_cost_more(case: str) -> None:
    assert of_row(case, "corrected")[0].total_pj > of_row(case)[0].total_pj


@given(counts=st.lists(COUNTS, min_size=2, max_size=5).map(sorted), placement=st.sampled_from(PLACEMENTS))
def test_more_reads_cost_more(counts: list[int], placement: Placement) -> None:
    energies = [PIM.data_energy(StackCommands(n_mac=n), placement).total_pj for n in counts]
    assert all(later >= earlier for earlier, later in pairwise(energies))


@pytest.mark.parametrize("wrong", [{"n_mac": -1}, {"n_rows": -1}, {"n_mvgb": float("nan")}])
def test_negative_commands_are_our_fault(wrong: dict[str, float]) -> None:
    with pytest.raises(ModelFault, match="negative"):
        StackCommands(**wrong)


def test_negative_work_is_our_fault() -> None:
    with pytest.raises(ModelFault, match="negative"):
        UnitWork(n_macs=-1.0)


def test_every_constant_has_a_source_and_energies_a_range() -> None:
    found = parameters(load_part(PART))
    assert len(found) >= 20
    assert all(one.kind and one.source for one in found)
    assert all(one.range is not None for one in found if one.path.startswith("energy."))


@pytest.mark.parametrize(
    ("sets", "said"),
    [(["energy.tsv=-1 pJ/bit"], "tsv"), (["energy.tsv=3 W"], "tsv"), (["energy.tvs=1 pJ/bit"], "tsv")],
)
def test_wrong_constants_are_refused(sets: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bind(load_part(PART, sets=sets), PimEnergy.Config)
