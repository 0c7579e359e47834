"""What holds for any step of BitMoD's arrays: bounds that no step beats, monotony, and what the corrections change."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from simulator.contracts.system import BatchesRequests, ChargesContexts, ServesRequests, TwoAccountings
from simulator.devices.gemm_work import fetches, serial_terms
from simulator.workload.batch import Batch, Sequence

from .bitmod_cases import CONFIG, machine
from .machines import SMALL

FORMS: dict[str, dict[str, Any]] = {
    "fp16": {"datapath": "fp16", "weight_bits": 16, "kv_bits": 16},
    "ant": {"datapath": "ant", "weight_bits": 5.25, "kv_bits": 16},
    "olive": {"datapath": "olive", "weight_bits": 4.5, "kv_bits": 16},
    "bitmod": {"datapath": "bitmod", "weight_bits": 3.0625, "kv_bits": 8},
}
ACCOUNTINGS = st.sampled_from(["published", "corrected"])
REVISIONS = st.sampled_from([2024, 2025])


def _small(**system: Any) -> Any:
    """A machine for a small model: any of them takes milliseconds."""
    return machine(**system).for_model(SMALL)


def _cycles(batch: Batch, **system: Any) -> int:
    return int(_small(**system).step(batch).metrics["cycles"])


def _batch(phase: str, context: int, n: int) -> Batch:
    return (Batch.prefill if phase == "prefill" else Batch.decode)(context, n)


@given(
    phase=st.sampled_from(["prefill", "decode"]),
    context=st.integers(1, 700),
    n=st.integers(1, 40),
    form=st.sampled_from(sorted(FORMS)),
    accounting=ACCOUNTINGS,
    revision=REVISIONS,
)
@settings(max_examples=40, deadline=None)
def test_no_step_beats_its_bounds(phase: str, context: int, n: int, form: str, accounting: str, revision: int) -> None:
    made = _small(**FORMS[form], accounting=accounting, revision=revision)
    step = made.step(_batch(phase, context, n))
    metrics, energy = step.metrics, step.energy
    assert metrics["cycles"] >= max(metrics["compute_cycles"], metrics["memory_cycles"]) - 1
    assert metrics["cycles"] <= metrics["compute_cycles"] + metrics["memory_cycles"] + 1
    peak_gb_per_s = 32 if accounting == "published" else made.stream.peak_gb_per_s
    products = len(made.costs(_batch(phase, context, n))) * SMALL.n_layers  # each may round 31 bytes off
    assert step.traffic_bytes["dram"] <= peak_gb_per_s * step.latency_ps / 1e3 + 32 * products
    assert all(value >= 0 for value in energy.by_component().values())
    assert metrics["energy_uj"] == pytest.approx(metrics["onchip_uj"] + metrics["dram_uj"], rel=1e-9)
    assert metrics["onchip_uj"] == pytest.approx(metrics["pe_uj"] + metrics["sram_uj"], rel=1e-9)
    assert all(0 < bound.achieved <= bound.peak * (1 + 1e-9) for bound in step.bounds.values())
    assert step.schedule.makespan_ps == step.latency_ps


@given(
    phase=st.sampled_from(["prefill", "decode"]),
    context=st.integers(1, 600),
    n=st.integers(1, 40),
    form=st.sampled_from(sorted(FORMS)),
    accounting=ACCOUNTINGS,
    revision=REVISIONS,
    more=st.integers(0, 200),
)
@settings(max_examples=30, deadline=None)
def test_more_work_takes_no_less(
    phase: str, context: int, n: int, form: str, accounting: str, revision: int, more: int
) -> None:
    system = {**FORMS[form], "accounting": accounting, "revision": revision}
    cycles = _cycles(_batch(phase, context, n), **system)
    assert _cycles(_batch(phase, context + more, n), **system) >= cycles
    assert _cycles(_batch(phase, context, n + more // 8), **system) >= cycles


@given(
    phase=st.sampled_from(["prefill", "decode"]),
    bits=st.tuples(st.integers(16, 128), st.integers(16, 128)).map(sorted),
    kv=st.tuples(st.integers(1, 16), st.integers(1, 16)).map(sorted),
    accounting=ACCOUNTINGS,
)
@settings(max_examples=30, deadline=None)
def test_more_bits_take_no_less(phase: str, bits: list[int], kv: list[int], accounting: str) -> None:
    few, many = (
        _cycles(_batch(phase, 300, 3), weight_bits=bits[at] / 16, kv_bits=kv[at], accounting=accounting)
        for at in (0, 1)
    )
    assert few <= many


@given(context=st.integers(1, 3000), n=st.integers(1, 12), form=st.sampled_from(sorted(FORMS)))
@settings(max_examples=25, deadline=None)
def test_gating_and_fills_are_what_they_say(context: int, n: int, form: str) -> None:
    """A gated element that draws as much as a working one makes the whole array's power; none makes the least."""
    batch = Batch.decode(context, n)
    of = {frac: _small(**FORMS[form], accounting="corrected", idle_frac=frac) for frac in (0.0, 0.1, 1.0)}
    pe = {frac: made.step(batch).metrics["pe_uj"] for frac, made in of.items()}
    assert pe[0.0] <= pe[0.1] <= pe[1.0]
    whole = of[1.0]
    step = whole.step(batch)
    element_pj = whole.array.config.pe_energy_pj * whole.config.layout_factor
    assert pe[1.0] == pytest.approx(element_pj * whole.array.n_elements * step.latency_ps / 1e3 / 1e6, rel=1e-9)
    published = _small(**FORMS[form], revision=2025)
    assert step.metrics["compute_cycles"] >= sum(
        cost.compute_cycles * cost.gemm.repeat for cost in published.costs(batch)
    )
    assert pe[0.0] <= published.step(batch).metrics["pe_uj"]


def test_terms_and_stalls() -> None:
    """Section 1.2 of the format: a dot product of four takes 4 cycles at 8 bits, 3 at 6 and 5, 2 at 4 and 3."""
    assert {bits: serial_terms(Fraction(bits)) for bits in (8, 6, 5, 4, 3)} == {8: 4, 6: 3, 5: 3, 4: 2, 3: 2}
    assert serial_terms(Fraction("6.0625")) == 3
    array = machine().array
    three = Fraction("3.0625")
    assert array.stall_cycles(4096, three, 128, 8) == 0  # 64 steps against 8
    assert array.stall_cycles(4096, three, 16, 8) == 0
    assert array.stall_cycles(4096, three, 8, 8) == 512 * 4
    assert array.stall_cycles(4, three, 128, 8) == 6
    assert machine(**FORMS["fp16"]).array.stall_cycles(4096, Fraction(16), 1, 8) == 0
    batch = Batch.prefill(128)
    short = {
        accounting: machine(weight_bits=4, group=8, accounting=accounting, capacity="report").step(batch)
        for accounting in ("published", "corrected")
    }
    assert all("groups of 8 are shorter" in " ".join(step.notes) for step in short.values())
    long = machine(weight_bits=4, accounting="corrected").step(batch)
    assert short["corrected"].metrics["compute_cycles"] > 1.9 * long.metrics["compute_cycles"]


def test_refetches() -> None:
    """Nothing twice where one operand fits; else whichever moves less."""
    assert fetches(10, 1000, 10) == fetches(1000, 10, 10) == fetches(1, 1, 10)
    found = fetches(100, 20, 10)
    assert (found.weight, found.activation) == (1, 10) or (found.weight, found.activation) == (2, 1)
    assert 100 * found.weight + 20 * found.activation == min(2 * 100 + 20, 100 + 10 * 20)


def test_it_is_what_engines_ask_for() -> None:
    made = machine()
    for protocol in (BatchesRequests, ServesRequests, TwoAccountings, ChargesContexts):
        assert isinstance(made, protocol)
    assert made.other_accounting().accounting.name == "corrected"
    assert made.other_accounting().other_accounting().accounting.name == "published"


@pytest.mark.parametrize("accounting", ["published", "corrected"])
def test_any_batch_is_a_step(accounting: str) -> None:
    """Prompts, decodes and verifications together cost no less than any of them, whatever their order."""
    made = _small(accounting=accounting)
    parts = [(Sequence(64, 64), 2), (Sequence(1, 300), 3), (Sequence(4, 50), 1), (Sequence(70, 200), 1)]
    whole = made.step(Batch.of_runs(parts)).latency_ps
    assert whole == made.step(Batch.of_runs(reversed(parts))).latency_ps
    alone = [made.step(Batch.of_runs([part])).latency_ps for part in parts]
    assert max(alone) <= whole <= sum(alone)
    assert made.step_key(Batch.of_runs(parts)) == made.step_key(Batch.of_runs(reversed(parts)))


def test_a_query_is_charged_at_frozen_contexts_or_at_its_own() -> None:
    """Published: the prompt and decodes of its context; corrected: contexts that grow."""
    sets = {"workload.model": "opt-1.3b", "workload.output_tokens": 21}
    published = simulator.run(CONFIG, sets)
    made = machine("opt-1.3b")
    frozen = made.step(Batch.prefill(256)).latency_ps + 20 * made.step(Batch.decode(256)).latency_ps
    assert published.metrics["query_latency_s"] == pytest.approx(frozen / 1e12, rel=1e-12)
    assert published.breakdown["other_accounting"]["accounting"] == "corrected"
    corrected = simulator.run(CONFIG, {**sets, "system.accounting": "corrected"})
    made = made.other_accounting()
    grown = made.step(Batch.prefill(256)).latency_ps + sum(
        made.step(Batch.decode(256 + n)).latency_ps for n in range(1, 21)
    )
    assert corrected.metrics["query_latency_s"] == pytest.approx(grown / 1e12, rel=1e-12)
    assert {"array", "dram"} == set(corrected.breakdown["token_time_by_resource_ms"])


def test_memory_of_the_corrected_sums_is_the_projects_own() -> None:
    """Two channels of DDR4-2133 stream 32 GB/s; more channels lift a step that they bound, slower ones stretch it."""
    batch = Batch.decode(256)
    made = machine(accounting="corrected")
    assert 31 < made.stream.read.gb_per_s < made.stream.peak_gb_per_s
    assert made.stream.peak_gb_per_s == pytest.approx(34.1, abs=0.1)
    assert all(bound.constraint == "dram" for bound in made.step(batch).bounds.values())
    wider = made.changed(memory=made.config.memory.model_copy(update={"n_channels": 4}))
    assert wider.step(batch).latency_ps < 0.75 * made.step(batch).latency_ps
    slower = made.changed(memory=made.config.memory.model_copy(update={"timing": "DDR4_1600K"}))
    assert slower.step(batch).latency_ps > 1.2 * made.step(batch).latency_ps
    # Commands and bus of a stream by the data sheet: 11.6 pJ a bit; standby comes on top of it.
    assert sum(made.stream.dynamic_pj(8, 0).values()) / 64 == pytest.approx(11.6, abs=0.1)


def test_a_datapath_is_one_file(tmp_path: Any, repo_root: Any) -> None:
    """A configuration adds one: eight lanes, half the elements."""
    config = tmp_path / "mine.yaml"
    part = repo_root / "hw_configs" / "parts" / "datapaths" / "bitmod.yaml"
    shape = "{rows: 32, columns: 16}"
    config.write_text(
        f"extends: {CONFIG}\nsystem:\n  datapath: wide\n  datapaths:\n    wide: {{use: {part}, name: Wide, lanes: 8, "
        f"prefill: {shape}, decode: {shape}}}\n",
        encoding="utf-8",
    )
    sets = {"workload.phase": "prefill", "workload.context": 256, "workload.model": "opt-1.3b"}
    wide, plain = (simulator.run(path, sets).metrics for path in (config, CONFIG))
    assert wide["compute_cycles"] == pytest.approx(plain["compute_cycles"], rel=0.05)
    assert wide["pe_uj"] == pytest.approx(plain["pe_uj"] / 2, rel=0.05)


def test_ports_between_rows_of_the_table() -> None:
    """Interpolated ones are told, lie between their neighbours, and rise with the width."""
    buffers = machine().buffers
    low, between, high = (buffers.port(width) for width in (576, 640, 768))
    assert low.note is None
    assert between.note is not None
    assert low.read_pj < between.read_pj < high.read_pj
    assert buffers.port(100).width == 128
    step = machine(weight_bits=5.0625, accounting="corrected", capacity="report").step(Batch.decode(100))
    assert any("interpolated between 576 and 768" in note for note in step.notes)


def test_it_serves_a_trace(run_json: Callable[..., Any], repo_root: Any) -> None:
    sets = {"workload.model": "opt-1.3b", "workload.context_step": 256, "system.accounting": "corrected"}
    trace = repo_root / "traces" / "conversation_2k.csv"
    result = run_json("bitmod", sets, "--trace", trace, "--requests", 2, "--qps", 0.01)
    assert result["metrics"]["n_requests"] == 2
