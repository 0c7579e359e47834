"""Moving pages: what it costs, who has to go, the migration thread's queue, hint faults and extreme streams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.core.errors import ModelFault, WorkloadError
from simulator.memory.tiers.machine import TieredMachine
from simulator.memory.tiers.platform import MigrationCosts
from simulator.memory.tiers.policy import NEVER_PS, MachineView
from tests.memory.tiers.machine_cases import FREE, Asking, Case, Never, Scripted, Seeing, case, script

COSTS = MigrationCosts(54_000_000, 10_000_000, 3_000_000, 0.01, 1.0, 4)


def touching(pages: list[int], *, n_pages: int, n_ddr: int, quantum: int = 1) -> Case:
    """A read of the first line of each page in turn."""
    drawn = case(0, n=len(pages), n_pages=n_pages, quantum=quantum, n_ddr=n_ddr)
    line = np.array(pages, np.uint32) * 64
    return replace(drawn, line=line, is_write=np.zeros(len(pages), bool), request_starts=())


def on_ddr(machine: TieredMachine) -> list[int]:
    return [int(page) for page in np.flatnonzero(machine.on_ddr)]


def test_a_page_goes_only_when_there_is_no_room() -> None:
    stream = touching([0] * 10, n_pages=8, n_ddr=3)
    machine = stream.run(Scripted({0: [("promote", [1, 2])], 1: [("promote", [3, 3, 1])]}))
    assert (on_ddr(machine), machine.n_demoted) == ([1, 2, 3], 0)
    machine = stream.run(Scripted({0: [("promote", [1, 2])], 1: [("promote", [3, 4])]}))
    assert machine.n_demoted == 1
    assert len(on_ddr(machine)) == 3


def test_the_clock_passes_over_pages_that_were_touched_once() -> None:
    """1, 2 and 3 were touched before they came to DDR; when 4 comes the hand passes all three and takes the first."""
    stream = touching([1, 2, 3, 2, 3, 0, 0, 2, 0, 0], n_pages=8, n_ddr=3)
    coming = {2: [("promote", [1, 2, 3])], 4: [("promote", [4])]}
    assert on_ddr(stream.run(Scripted(coming))) == [2, 3, 4]
    # Of 2, which was touched since, and 3 and 4 the hand next takes 3: 2 has a second chance, 3 had its own.
    assert on_ddr(stream.run(Scripted({**coming, 8: [("promote", [5])]}))) == [2, 4, 5]


def test_a_page_that_nobody_touched_goes_first() -> None:
    stream = touching([0, 1, 2, 0, 1, 2], n_pages=8, n_ddr=3)
    machine = stream.run(Scripted({-1: [("promote", [0, 7, 1])], 4: [("promote", [2])]}))
    assert on_ddr(machine) == [0, 1, 2]


def test_more_pages_than_ddr_holds() -> None:
    machine = touching([0] * 5, n_pages=8, n_ddr=3).run(Scripted({0: [("promote", [7, 6, 5, 4, 3])]}))
    assert (on_ddr(machine), machine.n_promoted, machine.n_refused) == ([5, 6, 7], 3, 2)


@pytest.mark.parametrize("blocking_frac", [0.0, 0.5, 1.0])
def test_the_program_waits_for_its_share_of_a_migration(blocking_frac: float) -> None:
    stream = touching([0] * 5, n_pages=8, n_ddr=2).on(migration=replace(COSTS, blocking_frac=blocking_frac))
    machine = stream.run(Scripted({0: [("promote", [1, 2])], 2: [("promote", [3])]}))
    batches = (2 * 54_000_000 + 3_000_000) + (54_000_000 + 10_000_000 + 3_000_000)
    assert machine.spent.migration_ps == batches * blocking_frac
    still = stream.run(Never())
    assert machine.now_ps - still.now_ps >= batches * blocking_frac


def test_who_moves_pages_within_faults_waits_for_promotions_in_full_and_has_no_queue() -> None:
    stream = touching([0] * 5, n_pages=8, n_ddr=5).on(migration=replace(COSTS, blocking_frac=0.5))
    plan = {0: [("promote", [1, 2, 3, 4, 5])], 2: [("promote", [6])]}
    machine = stream.run(Scripted(plan, moves_in_fault=True))
    assert (machine.n_promoted, machine.n_demoted, machine.n_refused) == (6, 1, 0)
    assert machine.spent.migration_ps == 6 * 54_000_000 + 2 * 3_000_000 + (10_000_000 + 3_000_000) / 2


def test_a_policy_may_be_called_at_records() -> None:
    """At the first quantum that ends at or after each; two within one quantum are one call."""
    stream = touching([0] * 40, n_pages=2, n_ddr=1, quantum=4)
    for size in (1, 3, 100):
        policy = _AtRecords([4, 5, 6, 21, 40])
        stream.run(policy, quanta_a_chunk=size)
        assert policy.reads == [4, 8, 24, 40]


class _AtRecords:
    """Notes how many records had run when it was called."""

    name = "at_records"

    def __init__(self, boundaries: list[int]) -> None:
        self.boundaries = np.array(boundaries, np.int64)
        self.reads: list[int] = []

    def start(self, machine: MachineView, seed: int) -> int:
        return NEVER_PS

    def act(self, machine: MachineView) -> int:
        self.reads.append(machine.counters().cxl_reads)
        return NEVER_PS


def test_no_page_is_copied_faster_than_the_copy_goes() -> None:
    slow = replace(COSTS, copy_bytes_per_ps=1e-5)
    assert slow.batch_ps(1, 1) == 2 * 409_600_000 + 3_000_000
    assert COSTS.batch_ps(0, 0) == 0


def test_the_queue_of_a_thread_that_works_beside_the_program() -> None:
    """Four pages fit; the others are refused until the thread has done some."""
    beside = replace(COSTS, blocking_frac=0.0, shootdown_ps=0)
    stream = touching([0] * 4000, n_pages=12, n_ddr=12).on(migration=beside)
    at_once = {0: [("promote", [1, 2, 3]), ("promote", [4, 5, 6])], 1: [("promote", [7, 8])]}
    machine = stream.run(Scripted(at_once))
    assert (on_ddr(machine), machine.n_refused) == ([1, 2, 3, 4], 4)
    assert machine.now_ps > 5 * 54_000_000
    later = stream.run(Scripted({**at_once, 3998: [("promote", [9, 10, 11, 5, 6])]}))
    assert (on_ddr(later), later.n_refused) == ([1, 2, 3, 4, 5, 9, 10, 11], 5)


def test_dearer_migration_never_makes_a_run_shorter() -> None:
    for seed in range(3):
        drawn = case(seed)
        plan = script(seed, len(drawn.compute_ps), drawn.n_pages)
        for name, values in (
            ("promote_ps", (0, 10**6, 10**8)),
            ("demote_ps", (0, 10**6, 10**8)),
            ("shootdown_ps", (0, 10**6, 10**8)),
            ("copy_bytes_per_ps", (1.0, 0.01, 1e-5)),
            ("blocking_frac", (0.0, 0.3, 1.0)),
        ):
            base = drawn.on(migration=replace(COSTS, queue_pages=10**6))
            times = [base.with_costs(**{name: value}).run(Scripted(plan)).now_ps for value in values]
            assert times == sorted(times), name


def test_copies_load_both_tiers_in_the_next_quantum_alone() -> None:
    stream = touching([0] * 6, n_pages=8, n_ddr=8).on(migration=replace(FREE, blocking_frac=0.0))
    times = []
    for pages in ([], [5]):
        looking = Asking(1, lambda machine: None)
        stream.run(_Both(Scripted({2: [("promote", pages)]}), looking))
        times.append(np.diff([0, *looking.called_ps]))
    # One page read from CXL and written to DDR, at the peak of the slower one.
    assert times[1][3] >= 4096 / 0.02
    others = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(times[1][others], times[0][others], atol=1)


class _Both:
    """Two policies at once, of which the second only looks."""

    name = "both"

    def __init__(self, acting: Scripted, looking: Asking) -> None:
        self.acting, self.looking = acting, looking

    def start(self, machine: MachineView, seed: int) -> int:
        return self.acting.start(machine, seed)

    def act(self, machine: MachineView) -> int:
        self.looking.act(machine)
        return self.acting.act(machine)


def test_a_page_faults_once_for_each_time_it_is_protected() -> None:
    stream = touching([1, 2, 1, 1, 1, 2, 3, 1], n_pages=8, n_ddr=3)
    policy = Scripted({0: [("protect", [1, 2, 5]), ("protect", [1])], 4: [("protect", [1])]})
    machine = stream.run(policy)
    assert [page for page, _, _ in policy.faults] == [2, 1, 1]
    assert machine.n_faults == 3
    assert machine.spent.fault_ps == 3 * 700_000
    assert all(protected < at for _, at, protected in policy.faults)


def test_a_policy_that_makes_the_program_wait_past_its_own_next_call_does_not_stop_it() -> None:
    policy = Asking(1_000, lambda machine: machine.charge(5_000))
    machine = touching([0] * 20, n_pages=2, n_ddr=1).run(policy)
    assert len(policy.called_ps) == 20
    assert machine.spent.identification_ps == 20 * 5_000


def test_a_policy_is_called_at_the_first_quantum_that_ends_at_or_after_its_time() -> None:
    stream = replace(touching([0] * 40, n_pages=2, n_ddr=1), compute_ps=np.full(40, 1_000_000.0))
    ends = _called(stream, 1)
    for every_ps in (1_500_000, 5_000_000, 10**12):
        expected, due = [], every_ps
        for end in ends:
            if end >= due:
                expected.append(end)
                due = end + every_ps
        assert _called(stream, every_ps) == expected


def _called(stream: Case, every_ps: int) -> list[int]:
    policy = Asking(every_ps, lambda machine: None)
    stream.run(policy)
    return policy.called_ps


def test_requests_that_begin_at_one_record_begin_together_and_late_ones_at_the_end() -> None:
    stream = replace(touching([0] * 10, n_pages=2, n_ddr=1, quantum=4), request_starts=(0, 3, 3, 3, 9, 10, 50))
    machine = stream.run(Never(), quanta_a_chunk=1)
    begun = machine.request_begin_ps.tolist()
    assert begun[0] == 0
    assert begun[1] == begun[2] == begun[3] < begun[4] < machine.now_ps
    assert begun[5:] == [machine.now_ps] * 2


def test_a_trace_of_writes_alone_is_not_run_quantum_by_quantum() -> None:
    drawn = case(1, n=4000, quantum=1, write=1.0)
    machine = drawn.machine(Never())
    n_calls = 0
    advance = machine._advance

    def counted(*arguments: object) -> int:
        nonlocal n_calls
        n_calls += 1
        return advance(*arguments)  # type: ignore[arg-type]

    machine._advance = counted  # type: ignore[method-assign, assignment]
    machine.feed(0, drawn.line, drawn.is_write, drawn.compute_ps)
    assert n_calls < 300
    assert machine.counters().cxl_reads == 0


def test_time_that_int64_cannot_hold_is_refused() -> None:
    long = replace(touching([0] * 4, n_pages=2, n_ddr=1), compute_ps=np.full(4, 4e18))
    with pytest.raises(WorkloadError, match="longer than 9223372 s"):
        long.run(Never())
    with pytest.raises(WorkloadError, match="longer than"):
        touching([0] * 4, n_pages=2, n_ddr=1).run(Asking(1, lambda machine: machine.charge(1 << 63)))


def test_what_the_kernel_would_look_up_beyond_its_arrays_is_refused() -> None:
    stream = touching([0, 1, 2, 1], n_pages=2, n_ddr=1)
    with pytest.raises(ModelFault, match="record 2 is of line 128, and there are 2 pages"):
        stream.run(Never())
    machine = replace(stream, n_pages=3).machine(Never())
    with pytest.raises(ModelFault, match="4 quanta from record 8, with the work of 3"):
        machine.feed(8, stream.line, stream.is_write, stream.compute_ps[:3])


def test_the_largest_line_and_the_smallest_machine() -> None:
    """The last line of 2^26 pages, none of which fits DDR: line ids fill 32 bits."""
    n_pages = 1 << 18  # a table of all 2^26 would be most of what a test may have
    last = n_pages * 64 - 1
    stream = replace(touching([0, 0], n_pages=n_pages, n_ddr=0), line=np.array([last, 0], np.uint32))
    tracker = Seeing()
    machine = stream.run(Scripted({0: [("promote", [n_pages - 1, 0])]}), tracker_words=tracker)
    assert [line for line, _ in tracker.seen] == [last, 0]
    assert machine.last_touch_ps[-1] > 0
    assert (machine.n_promoted, machine.n_refused) == (0, 2)
    empty = stream.machine(Never())
    empty.feed(0, stream.line[:0], stream.is_write[:0], stream.compute_ps[:0])
    empty.finish()
    assert empty.now_ps == 0


def test_what_is_picked_is_kept_in_order_and_the_view_cannot_be_written() -> None:
    machine = touching([0] * 3, n_pages=6, n_ddr=2).run(Scripted({0: [("pick", [4, 2, 4])], 1: [("pick", [5, 2])]}))
    assert machine.pick_order.tolist() == [-1, -1, 1, -1, 0, 2]
    with pytest.raises(ValueError, match="read-only"):
        machine.on_ddr[0] = True


def test_trackers_are_asked_64_times_as_often_for_words() -> None:
    pages, words = Seeing(), Seeing()
    machine = touching([0], n_pages=1, n_ddr=1).machine(Never(), tracker_pages=pages, tracker_words=words)
    machine.set_tracker_period_ps(6_400)
    machine.set_tracker_period_ps(10)
    assert (pages.periods, words.periods) == ([6_400, 10], [100, 1])
