"""Plans and bounds of perfect foresight against every schedule of small cases, tried out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.memory.tiers.oracle_bound import gain_bound
from simulator.memory.tiers.oracle_plan import PlacementTask, Plan, best_plan
from simulator.memory.tiers.policies.oracle import Oracle
from simulator.memory.tiers.policy import NEVER_PS, MachineView, TierCounters

Reads = NDArray[np.int64]
Lines = NDArray[np.uint32]
Bools = NDArray[np.bool_]

QUANTUM = 4
BENEFIT_PS = 1000.0


def task_of(
    line: Lines, is_write: Bools, n_pages: int, capacity: int, up: float, down: float, chunk: int = 5
) -> PlacementTask:
    """A task whose stream comes `chunk` records at a time."""

    def stream_pass() -> Iterator[tuple[Lines, Bools]]:
        for first in range(0, len(line), chunk):
            yield line[first : first + chunk], is_write[first : first + chunk]

    return PlacementTask(stream_pass, len(line), n_pages, capacity, up, down)


def reads_by(task: PlacementTask, interval_records: int) -> Reads:
    """int64[n_pages, n_intervals] reads."""
    reads = np.zeros((task.n_pages, -(-task.n_records // interval_records)), np.int64)
    record = 0
    for line, is_write in task.stream_pass():
        np.add.at(reads, (line >> 6, (record + np.arange(len(line))) // interval_records), ~is_write)
        record += len(line)
    return reads


def best_of_all(reads: Reads, task: PlacementTask, benefit: NDArray[np.float64]) -> float:
    """The best gain of any schedule with moves between intervals: Bellman's recursion over sets of pages."""
    n_pages, n_intervals = reads.shape
    sets = [which for which in range(1 << n_pages) if which.bit_count() <= task.capacity]
    value = {which: 0.0 if which == 0 else -np.inf for which in sets}
    for interval in range(n_intervals):
        gain = {
            which: benefit[interval] * sum(int(reads[page, interval]) for page in range(n_pages) if which >> page & 1)
            for which in sets
        }
        value = {
            after: gain[after]
            + max(
                before_value
                - task.promote_cost_ps * (after & ~before).bit_count()
                - task.demote_cost_ps * (before & ~after).bit_count()
                for before, before_value in value.items()
            )
            for after in sets
        }
    return max(value.values())


def carried_out(plan: Plan, reads: Reads, task: PlacementTask, benefit: NDArray[np.float64]) -> float:
    """What a plan gains, interval by interval; its moves must be possible."""
    assert np.all(np.diff(plan.boundaries) > 0)
    moves = dict(zip(plan.boundaries.tolist(), zip(plan.promoted, plan.demoted, strict=True), strict=True))
    on_ddr = np.zeros(reads.shape[0], bool)
    gain = 0.0
    for interval in range(reads.shape[1]):
        promoted, demoted = moves.pop(interval * plan.interval_records, ((), ()))
        for page in demoted:
            assert on_ddr[page]
            on_ddr[page] = False
        for page in promoted:
            assert not on_ddr[page]
            on_ddr[page] = True
        assert on_ddr.sum() <= task.capacity
        gain -= task.promote_cost_ps * len(promoted) + task.demote_cost_ps * len(demoted)
        gain += benefit[interval] * float(reads[on_ddr, interval].sum())
    assert not moves
    return gain


@st.composite
def tasks(draw: st.DrawFn) -> PlacementTask:
    """Up to five pages over up to six quanta."""
    n_pages = draw(st.integers(1, 5))
    n_records = draw(st.integers(1, 6 * QUANTUM))
    page = draw(st.lists(st.integers(0, n_pages - 1), min_size=n_records, max_size=n_records))
    is_write = draw(st.lists(st.integers(0, 4).map(lambda n: n == 0), min_size=n_records, max_size=n_records))
    cost = st.sampled_from([0.0, 300.0, 1000.0, 2500.0, 1e6])
    return task_of(
        np.array(page, np.uint32) * 64 + 3,
        np.array(is_write),
        n_pages,
        draw(st.integers(0, n_pages + 1)),
        draw(cost),
        draw(cost),
        draw(st.integers(1, 9)),
    )


@settings(max_examples=150, deadline=None)
@given(tasks(), st.sampled_from([1, 2]), st.integers(0, 3))
def test_no_schedule_beats_the_bound_and_the_plan_is_one(task: PlacementTask, width: int, seed: int) -> None:
    interval = width * QUANTUM
    coarse, fine = reads_by(task, interval), reads_by(task, QUANTUM)
    benefit = np.full(coarse.shape[1], BENEFIT_PS) if seed == 0 else uneven(coarse.shape[1], seed)
    fine_benefit = np.repeat(benefit, width)[: fine.shape[1]]
    plan = best_plan(task, benefit, interval)
    best, best_at_any_quantum = best_of_all(coarse, task, benefit), best_of_all(fine, task, fine_benefit)
    bound = gain_bound(task, fine_benefit, QUANTUM, plan)
    assert carried_out(plan, coarse, task, benefit) == pytest.approx(plan.value_ps)
    assert 0 <= plan.value_ps <= best * (1 + 1e-9)
    assert plan.bound_ps >= best * (1 - 1e-9)
    assert bound >= best_at_any_quantum


def uneven(n_intervals: int, seed: int) -> NDArray[np.float64]:
    """Benefits of a read that differ from interval to interval, some of them losses."""
    return np.random.default_rng(seed).uniform(-0.3, 1.5, n_intervals) * BENEFIT_PS


def skewed(n_records: int, n_pages: int, capacity: int, cost: float, seed: int = 1, drift: int = 4) -> PlacementTask:
    """Few pages take most reads, and which ones changes `drift` times."""
    rng = np.random.default_rng(seed)
    rank = rng.zipf(1.3, n_records) % n_pages
    phase = np.arange(n_records) * drift // n_records
    page = (rank + phase * (n_pages // 5)) % n_pages
    return task_of(
        page.astype(np.uint32) * 64, rng.random(n_records) < 0.2, n_pages, capacity, cost, cost, chunk=10_007
    )


@pytest.mark.parametrize("cost_reads", [0, 5, 50, 500])
def test_gap_is_small_where_all_schedules_cannot_be_tried(cost_reads: int) -> None:
    task = skewed(200_000, 1000, 100, cost_reads * BENEFIT_PS)
    plan = best_plan(task, BENEFIT_PS, 2048)
    bound = gain_bound(task, BENEFIT_PS, 2048, plan)
    reads = reads_by(task, 2048)
    benefit = np.full(reads.shape[1], BENEFIT_PS)
    assert carried_out(plan, reads, task, benefit) == pytest.approx(plan.value_ps)
    print(f"moves cost {cost_reads} reads: gap {bound / plan.value_ps - 1:.3%}")
    assert plan.value_ps <= plan.bound_ps * (1 + 1e-9)
    assert plan.value_ps <= bound <= 1.03 * plan.value_ps


def test_room_for_all_pages_needs_no_price() -> None:
    task = skewed(50_000, 300, 300, 20 * BENEFIT_PS)
    plan = best_plan(task, BENEFIT_PS, 1024)
    assert plan.value_ps == pytest.approx(plan.bound_ps)
    assert not plan.price_ps.any()
    assert gain_bound(task, BENEFIT_PS, 1024, plan) == pytest.approx(plan.value_ps)


@pytest.mark.parametrize(("capacity", "cost"), [(0, 0.0), (0, 1000.0), (50, 1e15)])
def test_no_room_and_moves_too_dear_gain_nothing(capacity: int, cost: float) -> None:
    task = skewed(20_000, 100, capacity, cost)
    plan = best_plan(task, BENEFIT_PS, 512)
    assert plan.value_ps == 0
    assert len(plan.boundaries) == plan.n_promotions == plan.n_demotions == 0
    assert gain_bound(task, BENEFIT_PS, 256, plan) == 0


def test_free_moves_gain_every_read_that_fits() -> None:
    task = skewed(20_000, 100, 64, 0.0)
    plan = best_plan(task, BENEFIT_PS, 64)
    every_read = float(reads_by(task, 64).sum()) * BENEFIT_PS
    assert plan.value_ps == pytest.approx(every_read)
    assert gain_bound(task, BENEFIT_PS, 64, plan) == pytest.approx(every_read)


def test_records_of_many_lines_gain_as_often() -> None:
    one = skewed(20_000, 100, 10, 10 * BENEFIT_PS)
    many = PlacementTask(
        one.stream_pass, one.n_records, one.n_pages, one.capacity, one.promote_cost_ps, one.demote_cost_ps, 8
    )
    plan, same = best_plan(many, BENEFIT_PS, 512), best_plan(one, 8 * BENEFIT_PS, 512)
    assert plan.value_ps == same.value_ps
    assert gain_bound(many, BENEFIT_PS, 256, plan) == gain_bound(one, 8 * BENEFIT_PS, 256, same)


def test_negative_costs_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        skewed(10, 2, 1, -1.0)


@pytest.mark.parametrize("n_records", [999, 1001])
def test_a_stream_of_another_length_is_refused(n_records: int) -> None:
    task = replace(skewed(1000, 10, 2, 0.0), n_records=n_records)
    with pytest.raises(ValueError, match=f"does not give {n_records} records"):
        best_plan(task, BENEFIT_PS, 64)


def test_nothing_read_gains_nothing() -> None:
    task = task_of(np.zeros(10, np.uint32), np.ones(10, bool), 1, 1, 0.0, 0.0)
    plan = best_plan(task, BENEFIT_PS, 4)
    assert plan.value_ps == gain_bound(task, BENEFIT_PS, 2, plan) == 0


class Room:
    """A machine that takes `batch` promotions a call, as the policy sees it; `record` is set by the test."""

    def __init__(self, n_pages: int, n_ddr_pages: int, batch: int, lines_per_record: int) -> None:
        self.n_pages, self.n_ddr_pages, self.batch = n_pages, n_ddr_pages, batch
        self.lines_per_record = lines_per_record
        self.on_ddr = np.zeros(n_pages, bool)
        self.record = self.now_ps = 0
        self.moves: list[tuple[int, str, int]] = []

    @property
    def n_free_ddr_pages(self) -> int:
        return self.n_ddr_pages - int(self.on_ddr.sum())

    def counters(self) -> TierCounters:
        n_lines = self.record * self.lines_per_record
        return TierCounters(n_lines // 8, n_lines // 8, n_lines // 4, n_lines - 2 * (n_lines // 8) - n_lines // 4)

    def pick(self, pages: NDArray[np.int64]) -> None:
        assert not self.on_ddr[pages].any()

    def promote(self, pages: NDArray[np.int64]) -> int:
        assert len(pages) <= self.n_free_ddr_pages
        self._move(pages[: self.batch], True)
        return min(len(pages), self.batch)

    def demote(self, pages: NDArray[np.int64]) -> int:
        self._move(pages, False)
        return len(pages)

    def _move(self, pages: NDArray[np.int64], to_ddr: bool) -> None:
        self.on_ddr[pages] = to_ddr
        self.moves += [(self.record, "up" if to_ddr else "down", int(page)) for page in pages]


@pytest.mark.parametrize("lines_per_record", [1, 8])
def test_the_policy_carries_out_the_plan(lines_per_record: int) -> None:
    task = replace(skewed(20_000, 100, 10, 10 * BENEFIT_PS), lines_per_record=lines_per_record)
    plan = best_plan(task, BENEFIT_PS, 512)
    assert plan.n_demotions
    policy, machine = Oracle(Oracle.Config(), plan), Room(100, 10, 1000, lines_per_record)
    assert policy.start(cast(MachineView, machine), 0) == NEVER_PS
    for record in policy.boundaries:
        machine.record = int(record)
        assert policy.act(cast(MachineView, machine)) == NEVER_PS
    steps = zip(plan.boundaries.tolist(), plan.demoted, plan.promoted, strict=True)
    assert machine.moves == [
        (record, way, page)
        for record, demoted, promoted in steps
        for way, pages in (("down", demoted), ("up", promoted))
        for page in pages.tolist()
    ]


def test_promotions_that_a_busy_machine_refuses_come_later() -> None:
    task = skewed(20_000, 100, 10, 10 * BENEFIT_PS)
    plan = best_plan(task, BENEFIT_PS, 512)
    policy, machine = Oracle(Oracle.Config(), plan), Room(100, 10, 2, 1)
    wanted = np.zeros(100, bool)
    policy.start(cast(MachineView, machine), 0)
    for step, record in enumerate(plan.boundaries.tolist()):
        wanted[plan.demoted[step]] = False
        wanted[plan.promoted[step]] = True
        for machine.record in range(record, record + 12):
            again_ps = policy.act(cast(MachineView, machine))
        assert again_ps == NEVER_PS
        assert np.array_equal(machine.on_ddr, wanted)
