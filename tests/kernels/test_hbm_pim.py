"""The kernel of a channel with processing units beside its tick-by-tick twin, and the twin's log beside the table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.memory.hbm_pim.channel import PimChannel, Placement
from simulator.memory.hbm_pim.program import PimProgram
from tests.kernels.pim_cases import PATTERNS, programs, spec
from tests.twins.hbm_pim import TickTwin, rule_violations, state_violations

PLACEMENTS: tuple[Placement, ...] = ("bank", "bg", "buffer")
CHOICES = st.fixed_dictionaries({
    "n_ccdab": st.sampled_from((4, 6, 9)),
    "n_ccdsb": st.sampled_from((4, 6)),
    "n_refi": st.sampled_from((700, 1100, 5070)),
})  # fmt: skip


def compare(placement: Placement, program: PimProgram, queue: int, accounting: str, chosen: dict[str, int]) -> TickTwin:
    """Both on one program; returns the twin."""
    standard = spec(accounting, **chosen)
    twin = TickTwin(standard, placement, queue)
    ticks = twin.run(program)
    ours = PimChannel(standard, placement, queue).run(program)
    assert ours.ticks == ticks
    assert ours.commands == twin.counts()
    return twin


@pytest.mark.parametrize("placement", PLACEMENTS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_kernel_equals_the_twin(placement: Placement, data: st.DataObject) -> None:
    program = data.draw(programs(placement))
    queue = data.draw(st.sampled_from((1, 2, 5, 32, 32, 64)))
    accounting = data.draw(st.sampled_from(("published", "corrected")))
    compare(placement, program, queue, accounting, data.draw(CHOICES))


@pytest.mark.thorough
@pytest.mark.parametrize("placement", PLACEMENTS)
@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_kernel_equals_the_twin_on_many(placement: Placement, data: st.DataObject) -> None:
    program = data.draw(programs(placement, 25))
    queue = data.draw(st.sampled_from((1, 2, 5, 32, 32, 64)))
    accounting = data.draw(st.sampled_from(("published", "corrected")))
    compare(placement, program, queue, accounting, data.draw(CHOICES))


@pytest.mark.parametrize("placement", PLACEMENTS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_no_command_breaks_a_row_of_the_table(placement: Placement, data: st.DataObject) -> None:
    program = data.draw(programs(placement, 6))
    accounting = data.draw(st.sampled_from(("published", "corrected")))
    twin = compare(placement, program, 32, accounting, data.draw(CHOICES))
    assert rule_violations(twin.spec, placement, twin.log) == []
    assert state_violations(placement, twin.log) == []
    requests = twin.requests(program)
    assert sorted(one.request for one in twin.log if one.request >= 0) == list(range(len(requests)))
    place = {one.request: i for i, one in enumerate(twin.log)}
    order = [place[one.place] for one in requests]
    for one in requests:
        if one.kind == "BARRIER":
            assert max(order[: one.place], default=-1) < order[one.place] <= min(order[one.place :])


def of(*runs: tuple[int, ...]) -> PimProgram:
    """A program of these runs."""
    return PimProgram(np.array(runs, np.int64).reshape(-1, 7), np.array(PATTERNS, np.int64))


def test_a_program_of_nothing_ends_at_once() -> None:
    assert compare("bank", of(), 32, "published", {}).log == []


def test_one_product_waits_for_its_row() -> None:
    twin = compare("bank", of((0, 1, 0, 0, 0, 1, 0)), 32, "published", {})
    assert [(one.tick, one.command) for one in twin.log] == [(1, "ACTAB"), (20, "MACAB")]


def test_two_refreshes_follow_one_closing() -> None:
    twin = compare("bank", of((0, 200, 0, 0, 0, 1, 0)), 32, "published", {"n_refi": 700})
    rows = [one for one in twin.row_log() if one.command in ("PREA", "REFab")]
    assert [one.command for one in rows[-3:]] == ["PREA", "REFab", "REFab"]
    assert [one.address[1] for one in rows[-2:]] == [0, 1]
