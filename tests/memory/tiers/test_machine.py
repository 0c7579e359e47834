"""The machine equals its twin, record by record, whatever a policy does and however the stream is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.memory.tiers.machine import Spent, TieredMachine
from simulator.memory.tiers.platform import MigrationCosts
from tests.memory.tiers.machine_cases import Case, Scripted, Seeing, case, script
from tests.twins.tiers import Twin

PS = 3  # whole ps by which times may differ: each of both is cut off, and added up in another order


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any stream on any platform, of sizes at which a twin is quick."""
    quantum = draw(st.sampled_from([1, 5, 16, 400]))
    drawn = case(
        draw(st.integers(0, 10**6)),
        n=draw(st.sampled_from([1, 2, 40, 250])),
        n_pages=draw(st.sampled_from([1, 2, 12])),
        quantum=quantum,
        n_ddr=draw(st.sampled_from([0, 1, 4, 20])),
        write=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )
    costs = MigrationCosts(
        promote_ps=draw(st.sampled_from([0, 1_000_003, 54_000_000])),
        demote_ps=draw(st.sampled_from([0, 2_000_001])),
        shootdown_ps=draw(st.sampled_from([0, 4_000_000])),
        copy_bytes_per_ps=draw(st.sampled_from([1e-4, 0.01, np.inf])),
        blocking_frac=draw(st.sampled_from([0.0, 0.5, 1.0])),
        queue_pages=draw(st.sampled_from([1, 3, 256])),
    )
    compute = drawn.compute_ps * draw(st.sampled_from([0.0, 1.0, 1e3]))
    with_lines = replace(drawn, compute_ps=compute, lines_per_record=draw(st.sampled_from([1, 1, 4, 64])))
    return with_lines.on(migration=costs, fault_ps=draw(st.sampled_from([0, 700_000])), mlp=draw(st.floats(0.5, 16)))


def parts(spent: Spent) -> dict[str, float]:
    names = ("compute", "ddr", "cxl", "bandwidth", "fault", "migration", "identification")
    return {name: getattr(spent, f"{name}_ps") for name in names}


def assert_is(machine: TieredMachine, twin: Twin, policy: Scripted, twins_policy: Scripted) -> None:
    assert machine.now_ps == pytest.approx(twin.true_ps, rel=1e-9, abs=PS)
    assert machine.counters() == twin.counters()
    assert (machine.on_ddr == twin.on_ddr).all()
    assert (machine.n_promoted, machine.n_demoted) == (twin.n_promoted, twin.n_demoted)
    assert (machine.n_refused, machine.n_faults) == (twin.n_refused, len(twin.all_faults))
    np.testing.assert_allclose(machine.last_touch_ps, twin.last_touch_ps, rtol=1e-9, atol=PS)
    np.testing.assert_allclose(machine.request_begin_ps, twin.request_begin_ps, rtol=1e-9, atol=PS)
    np.testing.assert_allclose(np.array(policy.faults), np.array(twins_policy.faults), rtol=1e-9, atol=PS)
    assert policy.free == twins_policy.free
    for name, time_ps in parts(machine.spent).items():
        assert time_ps == pytest.approx(twin.spent[name], rel=1e-9, abs=1e-9 * machine.now_ps), name


@settings(max_examples=90, deadline=None)
@given(cases(), st.integers(0, 10**6), st.sampled_from([1, 3, 1 << 30]), st.booleans())
def test_the_machine_is_its_twin(stream: Case, seed: int, quanta_a_chunk: int, in_fault: bool) -> None:
    plan = script(seed, len(stream.compute_ps), stream.n_pages)
    policy, twins_policy = (Scripted(plan, moves_in_fault=in_fault) for _ in range(2))
    tracker = Seeing()
    machine = stream.run(policy, quanta_a_chunk=quanta_a_chunk, tracker_pages=tracker)
    twin = Twin(
        stream.platform, stream.n_pages, twins_policy, stream.lines_per_record, request_starts=stream.request_starts
    )
    twin.run(list(zip(stream.line.tolist(), stream.is_write.tolist(), strict=True)), stream.compute_ps.tolist())
    assert_is(machine, twin, policy, twins_policy)
    assert [line for line, _ in tracker.seen] == [line for line, _ in twin.seen]
    times, expected = (np.array([time for _, time in seen]) for seen in (tracker.seen, twin.seen))
    np.testing.assert_allclose(times, expected, rtol=1e-9, atol=PS)
    assert (np.diff(times) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 10**6), st.sampled_from([1, 2, 7]))
def test_nothing_depends_on_the_size_of_chunks(stream: Case, seed: int, quanta_a_chunk: int) -> None:
    plan = script(seed, len(stream.compute_ps), stream.n_pages)
    outcomes = []
    for size in (quanta_a_chunk, 1 << 30):
        policy, tracker = Scripted(plan), Seeing(every=7)
        machine = stream.run(policy, quanta_a_chunk=size, tracker_pages=tracker)
        reports = machine.take_hot_pages()
        outcomes.append(
            (
                machine.now_ps,
                parts(machine.spent),
                machine.counters(),
                machine.last_touch_ps.tolist(),
                machine.request_begin_ps.tolist(),
                (machine.sample_records, machine.sample_ps, machine.sample_ddr_frac),
                (policy.n_calls, policy.faults, policy.free),
                (tracker.seen, reports.key.tolist(), reports.query.tolist()),
            )
        )
    assert outcomes[0] == outcomes[1]


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 10**6))
def test_what_was_spent_is_the_time_and_no_access_is_lost(stream: Case, seed: int) -> None:
    policy = Scripted(script(seed, len(stream.compute_ps), stream.n_pages))
    machine = stream.run(policy)
    assert sum(parts(machine.spent).values()) == pytest.approx(machine.now_ps, rel=1e-9, abs=1)
    assert all(part >= 0 for part in parts(machine.spent).values())
    counters = machine.counters()
    n_writes = int(stream.is_write.sum()) * stream.lines_per_record
    assert counters.ddr_writes + counters.cxl_writes == n_writes
    assert counters.ddr_reads + counters.cxl_reads == len(stream.line) * stream.lines_per_record - n_writes
    assert policy.n_calls == len(stream.compute_ps)
    assert min(policy.free) >= 0, "DDR holds more than it can"
    assert machine.n_promoted - machine.n_demoted == machine.on_ddr.sum()
    begun = [*machine.request_begin_ps.tolist(), machine.now_ps]
    assert np.diff(begun).min() >= 0
    assert sum(np.diff(begun)) == machine.now_ps - begun[0]


@settings(max_examples=30, deadline=None)
@given(cases(), st.integers(0, 10**6))
def test_who_only_identifies_moves_nothing_and_pays_for_that_alone(stream: Case, seed: int) -> None:
    plan = script(seed, len(stream.compute_ps), stream.n_pages)
    machine = replace(stream, moves=False).run(Scripted(plan))
    still = stream.run(Scripted({}))
    assert not machine.on_ddr.any()
    assert machine.n_promoted == machine.n_demoted == machine.spent.migration_ps == 0
    extra = machine.spent.identification_ps + machine.spent.fault_ps
    assert machine.now_ps == pytest.approx(still.now_ps + extra, rel=1e-9, abs=PS)
    assert machine.spent.identification_ps == sum(
        pages[0] for number, acts in plan.items() if number < len(stream.compute_ps) for kind, pages in acts
        if kind == "charge"
    )  # fmt: skip
