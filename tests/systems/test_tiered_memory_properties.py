"""What holds of two tiers of memory whatever the stream and the machine are: above all, nobody beats the oracle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.contracts.accesses import AccessRun, PolicyRun
from simulator.systems import tiered_memory
from simulator.systems.tiered_memory import TieredMemory
from simulator.workload.accesses import AccessStream
from tests.systems.tiered_cases import US, changed, drawn_config, drawn_stream, m5_config


@pytest.fixture(scope="module")
def config(repo_root: Path) -> TieredMemory.Config:
    """The machine of M5."""
    return m5_config(repo_root)


def by_name(found: AccessRun) -> dict[str, PolicyRun]:
    return {run.policy: run for run in found.runs}


def assert_possible(found: AccessRun, stream: AccessStream) -> None:
    """Nothing is faster than the oracle or than the bound, lines are neither lost nor made, times add up."""
    runs = by_name(found)
    oracle = runs["oracle"]
    is_write = np.concatenate([chunk.is_write for chunk in stream.chunks()])
    n_writes = int(is_write.sum()) * stream.lines_per_record
    n_reads = len(is_write) * stream.lines_per_record - n_writes
    assert oracle.bound_ps is not None
    assert 0 <= oracle.bound_ps <= oracle.time_ps
    for run in found.runs:
        assert run.time_ps >= oracle.time_ps, run.policy
        assert (run.ddr_reads + run.cxl_reads, run.ddr_writes + run.cxl_writes) == (n_reads, n_writes)
        assert 0 <= run.n_promoted - run.n_demoted <= found.n_ddr_pages <= stream.n_pages
        assert min(run.spent_ps.values()) >= 0
        assert sum(run.spent_ps.values()) == pytest.approx(run.time_ps, rel=1e-6, abs=stream.n_records)


@pytest.mark.parametrize(
    "seeds", [range(24), pytest.param(range(24, 1000), marks=pytest.mark.thorough)], ids=["sample", "all"]
)
def test_nobody_beats_the_oracle_or_the_bound(config: TieredMemory.Config, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        stream = drawn_stream(rng)
        system = TieredMemory(drawn_config(rng, config))
        assert_possible(system.run_accesses(stream, seed), stream)


def outcome(found: AccessRun) -> list[object]:
    return [
        (run.policy, run.time_ps, run.n_promoted, run.n_demoted, run.n_faults, run.ddr_reads, run.picked.tolist())
        for run in found.runs
    ]


def test_results_do_not_depend_on_how_the_stream_is_read(
    config: TieredMemory.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    stream = drawn_stream(rng)
    system = TieredMemory(changed(config, quantum_records=16, made_for_bytes=10**9, periods="scaled"))
    whole = outcome(system.run_accesses(stream, 1))
    monkeypatch.setattr(tiered_memory, "CHUNK_RECORDS", 100)
    source = stream.make_chunks
    assert outcome(system.run_accesses(replace(stream, make_chunks=lambda n: source(min(n, 37))), 1)) == whole


def test_a_seed_gives_one_result(config: TieredMemory.Config) -> None:
    stream = drawn_stream(np.random.default_rng(2))
    system = TieredMemory(changed(config, made_for_bytes=10**9, periods="scaled"))
    assert outcome(system.run_accesses(stream, 7)) == outcome(system.run_accesses(stream, 7))


def test_who_only_identifies_takes_no_migration_and_his_own_work(config: TieredMemory.Config) -> None:
    stream = drawn_stream(np.random.default_rng(11))
    system = TieredMemory(changed(config, migrate=False, made_for_bytes=10**9, periods="scaled"))
    runs = by_name(system.run_accesses(stream, 1))
    none = runs["no_migration"]
    for run in runs.values():
        own = run.spent_ps["identification"] + run.spent_ps["hint faults"]
        assert run.n_promoted == run.ddr_reads == run.spent_ps["migration"] == 0
        assert run.time_ps == pytest.approx(none.time_ps + own, abs=2)


def test_slower_cxl_memory_makes_no_run_shorter_that_moves_nothing(config: TieredMemory.Config) -> None:
    stream = drawn_stream(np.random.default_rng(3))
    times, bounds = [], []
    for latency_ns in (0, 50, 200, 1000):
        cxl = config.cxl.model_copy(update={"adder_ps": config.cxl.adder_ps + latency_ns * 1000})
        found = by_name(TieredMemory(changed(config, cxl=cxl)).run_accesses(stream, 1))
        times.append(found["no_migration"].time_ps)
        bounds.append(found["oracle"].bound_ps or 0)
    assert times == sorted(times)
    assert times[0] < times[-1]
    assert bounds == sorted(bounds)


def test_where_all_fits_and_moves_are_free_the_oracle_runs_as_if_all_were_ddr(config: TieredMemory.Config) -> None:
    stream = drawn_stream(np.random.default_rng(8))
    free = {"promote_ps": 0, "demote_ps": 0, "copy_gb_per_s": 1e12, "blocking_frac": 1.0}
    roomy = changed(config, capacity_frac=1.0, migration=free)
    oracle = by_name(TieredMemory(roomy).run_accesses(stream, 1))["oracle"]
    all_ddr = by_name(TieredMemory(changed(roomy, cxl=config.ddr)).run_accesses(stream, 1))["no_migration"]
    # It may be a little faster: what it leaves in CXL memory does not load DDR.
    assert oracle.time_ps == pytest.approx(all_ddr.time_ps, rel=1e-3)
    assert oracle.bound_ps == pytest.approx(all_ddr.time_ps, rel=0.01)


def test_the_oracle_counts_writes_where_bandwidth_is_short(config: TieredMemory.Config) -> None:
    line = np.arange(60_000, dtype=np.uint32) % np.uint32(64)
    stream = AccessStream.of_arrays("writes", line, np.ones(60_000, np.bool_), 1)
    busy = changed(config, capacity_frac=1.0, processor={"instructions_per_record": 0.1}, migration={"promote_ps": US})
    runs = by_name(TieredMemory(busy).run_accesses(stream, 1))
    assert runs["oracle"].n_promoted == 1
    assert runs["oracle"].time_ps < 0.8 * runs["no_migration"].time_ps


def test_the_oracle_does_as_the_best_policy_where_no_plan_is_as_good(
    config: TieredMemory.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = np.arange(20_000, dtype=np.uint32) * np.uint32(67) % np.uint32(20 * 64)
    stream = AccessStream.of_arrays("scan", line, np.zeros(20_000, np.bool_), 20)
    cheap = changed(config, capacity_frac=1.0, migration={"promote_ps": US}, made_for_bytes=10**9, periods="scaled")
    monkeypatch.setattr(TieredMemory, "_plans", lambda *_: ([], 0))
    runs = by_name(TieredMemory(cheap).run_accesses(stream, 1))
    best = min((run for run in runs.values() if run.policy != "oracle"), key=lambda run: run.time_ps)
    assert best.time_ps < runs["no_migration"].time_ps
    assert runs["oracle"].time_ps == best.time_ps
    assert any(best.policy in note for note in runs["oracle"].notes)
