"""Batches drawn from length sets: the passes that stand for all, against the engine that runs every one."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.experiments.drawn_batches import Drawn, DrawnBatch, drawn_times
from simulator.experiments.llm_lengths import drawn, drawn_requests, drawn_rules
from simulator.experiments.papi_designs import ALIKE, SEED, PapiDesigns
from simulator.experiments.settings import Settings, load_settings
from simulator.experiments.trace_batches import batched
from simulator.serving.speculation import Speculation
from simulator.workload.length_sets import draw_lengths

CREATIVE = "dolly_creative_writing"


def settings(repo_root: Path, design: str, batch: int, speculation: int) -> Settings:
    sets = {
        "system.design": design, "workload.batch": batch, "workload.context_step": 64,
        "serving.speculation_length": speculation,
    }  # fmt: skip
    return load_settings(repo_root / "hw_configs" / "papi.yaml", sets)


@pytest.mark.parametrize(("batch", "speculation"), [(4, 1), (16, 4)])
def test_all_passes_are_what_the_engine_runs(repo_root: Path, batch: int, speculation: int) -> None:
    chosen = settings(repo_root, "a100-attacc", batch, speculation)
    machine = chosen.system(64)
    result = batched(chosen, machine, drawn_requests(drawn(chosen)), drawn_rules(chosen))
    every = DrawnBatch.of(drawn(chosen), chosen.speculation, 1 << 20)
    times = drawn_times(machine, every)
    metrics = result.own_metrics()
    assert times.n_passes == metrics["n_passes"]
    assert times.decode_ps * 1e-12 == pytest.approx(metrics["decode_time_s"], rel=1e-12)
    assert times.prefill_ps * 1e-12 == pytest.approx(metrics["prefill_time_s"], rel=1e-12)
    assert times.total_pj == pytest.approx(float(result.iterations.energy_pj.sum()), rel=1e-9)
    assert times.n_tokens == int(result.iterations.given_tokens.sum())
    assert times.tokens_per_s == pytest.approx(times.n_tokens / (times.total_ps * 1e-12))


@pytest.mark.parametrize("design", ["papi", "attacc-only"])
def test_a_few_passes_stand_for_all(repo_root: Path, design: str) -> None:
    chosen = settings(repo_root, design, 16, 4)
    machine = chosen.system(64)
    every, few = (drawn_times(machine, DrawnBatch.of(drawn(chosen), chosen.speculation, n)) for n in (1 << 20, 16))
    assert few.total_ps == pytest.approx(every.total_ps, rel=0.02)
    assert few.total_pj == pytest.approx(every.total_pj, rel=0.02)


def test_passes_lose_sequences_as_they_end() -> None:
    trace = draw_lengths(CREATIVE, 8, 1)
    batch = DrawnBatch.of(trace, Speculation(1), 10)
    alive = [one.n_sequences for one, _ in batch.passes]
    assert alive == sorted(alive, reverse=True)
    assert sum(n for _, n in batch.passes) == int(trace.output_tokens.max()) - 1
    assert batch.n_tokens == int(trace.output_tokens.sum()) - 8


def test_what_concerns_a_design() -> None:
    designs = PapiDesigns("papi.yaml", 64, 2)
    concerned = {
        "system.scheduler.alpha": {"papi"},
        "system.fc_link.n_ports": {"papi", "attacc-only", "pim-only-papi"},
        "system.stacks.attacc.unit_clock": {"a100-attacc", "attacc-only"},
        "system.stacks.attn_pim.power_limit": {"papi", "pim-only-papi"},
        "system.gpu": {"papi", "a100-attacc", "a100-hbm-pim"},
        "system.gpus.rules.compute_frac": {"papi", "a100-attacc", "a100-hbm-pim"},
        "system.elementwise.latency": {"attacc-only", "pim-only-papi"},
        "system.head_pipeline": {"papi", "a100-attacc", "a100-hbm-pim", "attacc-only", "pim-only-papi"},
        SEED: set(),
        ALIKE: set(),
    }
    names = ("papi", "a100-attacc", "a100-hbm-pim", "attacc-only", "pim-only-papi")
    assert {path: {name for name in names if designs.concerns(name, path)} for path in concerned} == concerned


def test_overrides_that_do_not_concern_a_design_change_nothing() -> None:
    designs, drawn_batch = PapiDesigns("papi.yaml", 64, 2), Drawn("llama-65b", CREATIVE, 4, 1)
    plain = designs.times("a100-attacc", drawn_batch)
    assert designs.times("a100-attacc", drawn_batch, {"system.fc_link.n_ports": 6}) is plain
    assert designs.times("a100-attacc", drawn_batch, {"system.gpu": "A100a"}).decode_ps < plain.decode_ps
    assert designs.times("a100-attacc", drawn_batch, {SEED: 2}).n_tokens != plain.n_tokens
    alike = designs.times("a100-attacc", drawn_batch, {ALIKE: True})
    assert alike.n_tokens == pytest.approx(plain.n_tokens, abs=4)
    assert alike.n_passes == alike.n_tokens // 4 < plain.n_passes
    with_stacks = designs.machine("pim-only-papi", "llama-65b")
    assert designs.machine("papi", "llama-65b").weights.stack is with_stacks.weights.stack
