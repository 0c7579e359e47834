"""Anda and the arrays beside it: the law of its planes, the paper's results, tiles counted one by one, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.devices.anda_tiling import BufferTiling, Fetches, StripTiling
from simulator.devices.anda_work import OperandFormat, attended_spans
from simulator.devices.bit_plane_array import BitPlaneArray
from simulator.experiments.figure_anda_study import DESIGNS, cells, chosen, design, energy_split, gain, geomeans, prompt
from simulator.experiments.settings import load_settings
from simulator.systems.anda import PAPER_SCOPE, Anda
from simulator.workload.batch import Batch, Sequence
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelSpec

from .golden_cases import REPO_ROOT

EVEN = ModelSpec(
    name="even", n_layers=2, hidden=256, n_heads=4, n_kv_heads=2, head_dim=64, ffn=512, vocab=1024, max_context=4096
)
CONFIG = REPO_ROOT / "hw_configs" / "anda.yaml"


@lru_cache(maxsize=256)
def anda(model: ModelSpec | str = EVEN, context_step: int = 1, **system: Any) -> Anda:
    """A machine; `system` are keys below `system`, dots written as double underscores, lists as tuples."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in system.items()}
    sets = {"system." + key.replace("__", "."): value for key, value in values.items()}
    found = load_settings(CONFIG, sets)
    spec = load_model(model) if isinstance(model, str) else model
    made = found.system_class(found.system_config, spec, context_step)
    assert isinstance(made, Anda)
    return made


def cycles(**system: Any) -> int:
    """Cycles of 64 tokens in the paper's scope."""
    return int(anda(attention="excluded", **system).step(Batch.prefill(64)).metrics["cycles"])


# --- the law of planes, and tiles


@pytest.mark.parametrize("bits", range(3, 17))
def test_a_group_takes_a_sign_plane_and_its_mantissa_planes(bits: int) -> None:
    assert cycles(mantissas=(bits,) * 4) * 16 == cycles(design="fp_fp") * (bits + 1)


def test_below_three_planes_the_port_of_the_weights_is_too_narrow() -> None:
    assert cycles(mantissas=(1, 1, 1, 1)) == cycles(mantissas=(2, 2, 2, 2)) == cycles(mantissas=(3, 3, 3, 3))


@pytest.mark.parametrize("design", ["fp_int", "ifpu", "figna"])
def test_arrays_of_equal_peak_take_as_long(design: str) -> None:
    assert cycles(design=design) == cycles(design="fp_fp")


@pytest.mark.parametrize(("design", "bits"), [("figna_m11", 11), ("figna_m8", 8)])
def test_shorter_mantissas_of_figna_are_faster(design: str, bits: int) -> None:
    assert cycles(design=design) * 16 == cycles(design="fp_fp") * bits


def test_each_module_has_its_own_planes() -> None:
    base = cycles(mantissas=(8, 8, 8, 8))
    longer = [cycles(mantissas=tuple(9 if one == module else 8 for one in range(4))) - base for module in range(4)]
    macs = [256 * (256 + 256), 256 * 256, 256 * 1024, 512 * 256]
    assert longer == [2 * 64 * one // (16 * 16 * 64) for one in macs]


@given(tokens=st.integers(1, 70), depth=st.integers(1, 300), outputs=st.integers(1, 90), name=st.sampled_from(DESIGNS))
def test_tails_are_padded_and_counted(tokens: int, depth: int, outputs: int, name: str) -> None:
    array = BitPlaneArray(anda().config.designs[name])
    config = array.config
    work = array.product(tokens, depth, outputs, 8, 4, 4.5)
    tiles = [
        (min(config.rows, tokens - row), min(config.columns, outputs - column))
        for row in range(0, tokens, config.rows)
        for column in range(0, outputs, config.columns)
    ]
    n_steps = len(range(0, depth, config.width))
    assert work.steps == len(tiles) * n_steps
    used = sum(rows * columns for rows, columns in tiles) / (config.rows * config.columns)
    assert work.busy_steps == pytest.approx(used * n_steps)
    assert work.activation_bits == pytest.approx(
        sum(rows for rows, _ in tiles) * n_steps * config.width * array.activation_bits(8)
    )
    assert work.operand_bits == pytest.approx(sum(columns for _, columns in tiles) * n_steps * config.width * 4.5)
    assert tokens * depth * outputs <= array.peak_macs_per_cycle(8, 4) * work.cycles * (1 + 1e-12)


def test_a_short_last_group_has_a_scale_of_its_own() -> None:
    form = OperandFormat(4, 128, 20)
    assert form.stored_bits(128) == 4 + 20 / 128
    assert form.stored_bits(129) * 129 == pytest.approx(129 * 4 + 40)


# --- tilings


@given(tokens=st.integers(1, 5000), depth=st.integers(1, 30000), outputs=st.integers(1, 30000), bits=st.integers(1, 16))
def test_buffers_never_move_more_than_tile_by_tile_and_hold_what_they_keep(
    tokens: int, depth: int, outputs: int, bits: int
) -> None:
    tiling = BufferTiling(16, 16, 1 << 23, 1 << 23)

    def moved(fetches: Fetches) -> float:
        return fetches.n_operand(tokens) * depth * outputs * 4.2 + fetches.n_activation * tokens * depth * bits

    found = tiling.fetches(tokens, depth, outputs, bits, 4.2)
    assert moved(found) <= moved(Fetches(16, -(-outputs // 16)))
    assert moved(found) >= depth * outputs * 4.2 + tokens * depth * bits
    if found.strip > 16 and found.n_operand(tokens) > 1:
        assert found.strip * depth * bits <= 1 << 23


def test_a_strip_is_a_strip() -> None:
    assert StripTiling(32).fetches(65, 9, 9, 9.0, 4.0).n_operand(65) == 3


# --- the paper's results


def test_savings_are_the_papers() -> None:
    assert len(cells()) == 54
    known = [cell for cell in cells() if cell.paper_saving is not None]
    assert len(known) >= 40
    assert all(abs(cell.saving - (cell.paper_saving or 0)) < 0.01 for cell in known)


@pytest.mark.parametrize(
    ("tolerance", "speed", "energy", "area"), [("0.1%", 2.14, 3.07, 3.47), ("1%", 2.49, 3.16, 4.03)]
)
def test_geometric_means_over_the_nine_models(tolerance: str, speed: float, energy: float, area: float) -> None:
    found = geomeans("anda", tolerance)
    assert found.speed == pytest.approx(speed, rel=0.025)
    assert found.energy == pytest.approx(energy, rel=0.05)
    assert found.speed_per_area == pytest.approx(area, rel=0.05)


@pytest.mark.parametrize(
    ("name", "speed", "energy", "area"),
    [("fp_int", 1, 1.25, 1.23), ("ifpu", 1, 1.42, 1.60), ("figna", 1, 1.53, 1.72), ("figna_m11", 1.45, None, 2.55),
     ("figna_m8", 2.0, None, 3.60)],
)  # fmt: skip
def test_geometric_means_of_the_other_arrays(name: str, speed: float, energy: float | None, area: float) -> None:
    """Energies of FIGNA-M11 and M8 (1.69 and 1.94) are not met: the paper's own split of LLaMA-13B gives 1.58, 1.61."""
    found = geomeans(name, "0.1%")
    assert found.speed == pytest.approx(speed, rel=0.01)
    assert found.speed_per_area == pytest.approx(area, rel=0.01)
    if energy is not None:
        assert found.energy == pytest.approx(energy, rel=0.02)


SPLITS = {
    "fp_fp": (42, 11, 48), "fp_int": (22, 11, 48), "ifpu": (12, 11, 48), "figna": (7, 11, 48),
    "figna_m11": (5, 11, 48), "figna_m8": (4, 11, 48), "anda": (5, 5, 24),
}  # fmt: skip


@pytest.mark.parametrize(("name", "tolerance", "split"), [
    *((name, "0.1%", split) for name, split in SPLITS.items()), ("anda", "1%", (4, 5, 24))])  # fmt: skip
def test_energy_of_llama_13b_by_component(name: str, tolerance: str, split: tuple[int, int, int]) -> None:
    found = energy_split(name, "llama-13b", chosen("llama-13b", tolerance))
    assert tuple(found.values()) == pytest.approx(split, abs=3)


@pytest.mark.parametrize(
    ("name", "energy"), [("fp_int", 1.25), ("ifpu", 1.43), ("figna", 1.53), ("figna_m11", 1.58), ("figna_m8", 1.61),
                         ("anda", 2.95)]
)  # fmt: skip
def test_energy_of_llama_13b(name: str, energy: float) -> None:
    assert gain(name, "llama-13b", chosen("llama-13b", "0.1%")).energy == pytest.approx(energy, rel=0.05)


def test_buffers_leave_more_to_gain_than_the_papers_strips() -> None:
    """With the best tiling DRAM counts less, so that units count more."""
    mantissas = chosen("llama-13b", "0.1%")
    published, corrected = (gain("anda", "llama-13b", mantissas, one) for one in ("published", "corrected"))
    assert corrected.speed == published.speed
    assert corrected.energy > published.energy
    for name in DESIGNS:
        parts = [prompt(name, "llama-13b", mantissas, one).metrics for one in ("published", "corrected")]
        assert parts[1]["dram_uj"] < parts[0]["dram_uj"]


def test_area_and_power_of_the_chip_are_the_papers() -> None:
    machine = design("anda", "llama-13b", (8, 8, 8, 8))
    assert machine.area_mm2 == pytest.approx(2.17, abs=0.05)
    assert sum(power for _, power in machine.components.values()) == pytest.approx(81.18, abs=0.01)
    step = prompt("anda", "llama-13b", (8, 8, 8, 8))
    assert step.breakdown["area_mm2"]["activation_buffer"] == 0.87
    assert "compressor" not in prompt("figna", "llama-13b", (8, 8, 8, 8)).breakdown["power_mw"]


# --- attention and steps


@given(
    new=st.integers(1, 40), before=st.integers(0, 60), rep=st.sampled_from([1, 2, 3, 8]),
    height=st.sampled_from([1, 8, 16]), window=st.sampled_from([None, 1, 7, 64]),
)  # fmt: skip
def test_blocks_attend_to_what_their_rows_do(new: int, before: int, rep: int, height: int, window: int | None) -> None:
    seen = []
    for row in range(new * rep):
        last = before + row // rep
        seen.append(set(range(0 if window is None else max(0, last - window + 1), last + 1)))
    wanted = [len(set.union(*seen[first : first + height])) for first in range(0, len(seen), height)]
    assert attended_spans(Sequence(new, before + new), rep, height, window).tolist() == wanted


@settings(max_examples=30)
@given(
    sequences=st.lists(st.tuples(st.integers(1, 90), st.integers(0, 200)), min_size=1, max_size=3),
    name=st.sampled_from(DESIGNS),
)
def test_attention_counts_tiles_of_every_head(sequences: list[tuple[int, int]], name: str) -> None:
    machine = anda(design=name)
    batch = Batch(tuple(Sequence(new, new + before) for new, before in sequences))
    found = {work.name: work for work in machine.work.layer(EVEN, batch)}
    config, passes = machine.array.config, machine.array.n_passes(16)
    score = output = 0
    for sequence in batch.sequences:
        for span in attended_spans(sequence, 2, config.rows, None).tolist():
            score += 2 * passes * -(-span // config.columns) * -(-64 // config.width)
            output += 2 * passes * -(-span // config.width) * -(-64 // config.columns)
    for work, steps in ((found["attention_score"], score), (found["attention_output"], output)):
        assert work.array is not None
        assert work.array.steps == steps
        assert 0 < work.array.busy_steps <= steps * (1 + 1e-12)
        assert work.macs <= work.peak_macs_per_cycle * work.array.cycles * (1 + 1e-12)


def test_keys_and_values_of_fewer_bits_take_fewer_passes() -> None:
    def array_cycles(kv_bits: int, design: str = "anda") -> float:
        model = EVEN.replace(kv_bits=kv_bits)
        work = anda(model, design=design).work.layer(model, Batch.decode(512))
        return sum(one.array.cycles for one in work if one.name.startswith("attention_") and one.array is not None)

    assert array_cycles(16) == 2 * array_cycles(8) == 4 * array_cycles(4)
    assert array_cycles(16, "fp_fp") == array_cycles(4, "fp_fp")


def test_the_papers_scope_has_its_products_and_says_so() -> None:
    batch = Batch.prefill(64)
    step = anda(attention="excluded").step(batch)
    assert set(step.bounds) == {"qkv_proj", "o_proj", "up_proj", "down_proj"}
    assert PAPER_SCOPE in step.notes
    wider = anda().step(batch)
    assert {"attention_score", "softmax", "lm_head", "embedding"} < set(wider.bounds)
    assert "Anda's paper stops at the products of prompts" in wider.notes[0]
    assert wider.latency_ps > step.latency_ps
    assert wider.energy.total_pj > step.energy.total_pj


@pytest.mark.parametrize("name", DESIGNS)
def test_energy_adds_up_and_time_is_the_slowest_resource(name: str) -> None:
    step = anda(design=name, attention="excluded").step(Batch.prefill(64))
    metrics = step.metrics
    assert metrics["energy_uj"] == pytest.approx(sum(metrics[f"{one}_uj"] for one in ("compute", "sram", "dram")))
    assert metrics["energy_uj"] == pytest.approx(step.energy.total_pj / 1e6)
    assert step.latency_ps == pytest.approx(metrics["cycles"] * 1e12 / 285e6, rel=1e-6)
    bits = sum(value for value in step.breakdown["dram_mb"].values() if isinstance(value, float)) * 8e6
    assert metrics["dram_uj"] == pytest.approx(bits * 3.9 / 1e6)
    assert step.traffic_bytes["hbm"] == pytest.approx(bits / 8, abs=1)


def test_a_slow_memory_bounds_the_step() -> None:
    slow = anda(memory__bandwidth="0.1 GB/s").step(Batch.decode(100))
    assert slow.bounds["qkv_proj"].constraint == "memory bandwidth"
    assert anda().step(Batch.prefill(256)).bounds["qkv_proj"].constraint == "compute"
    assert slow.latency_ps > anda().step(Batch.decode(100)).latency_ps


def test_units_without_work_are_charged_as_published_only() -> None:
    published, corrected = (anda(accounting=one).step(Batch.decode(64)) for one in ("published", "corrected"))
    ratio = float(published.breakdown["compute_uj"]["array"]) / float(corrected.breakdown["compute_uj"]["array"])
    assert 4 < ratio <= 16
    assert published.latency_ps == corrected.latency_ps
    other = anda().other_accounting()
    assert (other.accounting.name, other.other_accounting().accounting.name) == ("corrected", "published")


@settings(max_examples=20)
@given(
    runs=st.lists(st.tuples(st.integers(1, 80), st.integers(0, 100)), min_size=1, max_size=4),
    extra=st.integers(1, 60),
)
def test_more_work_never_costs_less(runs: list[tuple[int, int]], extra: int) -> None:
    machine = anda()
    batch = Batch(tuple(Sequence(new, new + before) for new, before in runs))
    more = Batch((*batch.sequences, Sequence(extra, extra)))
    less, greater = machine.step(batch), machine.step(more)
    assert less.latency_ps <= greater.latency_ps
    assert less.energy.total_pj < greater.energy.total_pj


def test_experts_are_fetched_and_computed_as_often_as_they_are_chosen() -> None:
    model = EVEN.replace(ffn=0, n_experts=8, n_experts_per_token=2, expert_ffn=128)
    for n in (1, 64):
        work = {one.name: one for one in anda(model).work.layer(model, Batch.prefill(n))}
        up = work["up_proj"]
        assert up.macs >= n * 2 * 256 * 256
        assert (up.dram_bits or {})["weights"] / (256 * 256 * (4 + 20 / 128)) == pytest.approx(2 if n == 1 else 8)
        assert up.module == "u"
    assert np.isfinite(anda(model).step(Batch.decode(64)).energy.total_pj)


def test_memory_that_does_not_hold_a_model_is_said() -> None:
    note = anda("llama2-70b").check_capacity(1, 4096)
    assert note is not None
    assert "overfill" in note
    assert anda("llama-13b").check_capacity(1, 2048) is None
    assert anda("llama-13b").weight_bytes == pytest.approx(12.69e9 * 4.156 / 8 + 0.66e9, rel=0.02)


# --- the command


def test_a_step_by_the_command(run_json: Callable[..., Any]) -> None:
    sets = {"workload.phase": "prefill", "workload.context": 128, "workload.model": "opt-1.3b",
            "system.attention": "excluded", "system.mantissas": "[8, 6, 5, 5]"}  # fmt: skip
    metrics = run_json("anda", sets)["metrics"]
    assert metrics["bops_saving"] == pytest.approx(2.74, abs=0.01)
    assert metrics["cycles"] == 24 * 128 * 2048 * 2048 * (3 * 9 + 1 * 7 + 4 * 6 + 4 * 6) // (16 * 16 * 64)


@pytest.mark.parametrize(
    ("code", "sets", "words"),
    [
        (2, {"system.mantissas": "[8, 8, 8, 17]"}, ("mantissas.3", "17", "at most 16")),
        (2, {"system.mantissas": "[0, 8, 8, 8]"}, ("mantissas.0", "at least 1")),
        (2, {"system.mantissas": "[8, 8, 8]"}, ("system.mantissas", "ends before its item 3")),
        (2, {"system.mantissas": "[8, 8, 8, 8, 8]"}, ("system.mantissas",)),
        (2, {"system.mantissas": "8"}, ("system.mantissas",)),
        (2, {"system.mantissas": "[8, 8, 8, 7.5]"}, ("whole number",)),
        (2, {"system.design": "fp-fp"}, ("system.design", "did you mean", "fp_fp")),
        (2, {"system.attention_mantissa": 0}, ("attention_mantissa", "at least 1")),
        (2, {"system.attention": "exclude"}, ("did you mean `excluded`?",)),
        (2, {"system.accounting": "correct"}, ("did you mean `corrected`?",)),
        (2, {"system.tolerance": -0.1}, ("tolerance",)),
        (2, {"system.memory.bandwidth": "0 GB/s"}, ("bandwidth", "above 0")),
        (2, {"system.memory.bandwidth": "1e-18 GB/s"}, ("days",)),
        (2, {"system.designs.anda.rows": 0}, ("rows", "above 0")),
        (2, {"system.designs.anda.row": 16}, ("did you mean `rows`?",)),
        (4, {"workload.model": "llama2-70b", "system.capacity": "enforce"}, ("overfill", "system.memory.capacity")),
        (4, {"workload.batch": 64, "system.capacity": "enforce"}, ("64 sequences of 192 positions", "overfill")),
    ],
)  # fmt: skip
def test_what_is_refused(
    refusal_of: Callable[..., str], code: int, sets: dict[str, object], words: tuple[str, ...]
) -> None:
    query = {"workload.prompt_tokens": 128, "workload.output_tokens": 64}
    said = refusal_of("anda", code, {**query, **sets})
    for word in words:
        assert word in said
