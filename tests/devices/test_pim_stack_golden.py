"""Attention on a stack against fresh runs of the public AttAcc simulator: cycles within 1 %, commands equal."""

from __future__ import annotations

import pytest

from simulator.devices.pim_attention import PimHead
from tests.devices.pim_attention_parts import GoldenAttention, attention, golden, shared_stack

WITHIN = 0.01


@pytest.mark.parametrize("row", golden(), ids=lambda row: f"{row.case}-{row.context}")
def test_cycles_and_commands(row: GoldenAttention) -> None:
    ours = row.run()
    assert ours.ticks == pytest.approx(row.cycles, rel=WITHIN)
    assert {name: ours.commands[name] for name in row.counts} == row.counts


def test_all_golden_lengths_are_there() -> None:
    cases = {row.case for row in golden()}
    assert {"R01", "R07", "R13", "R17", "R21", "R25", "A03", "A14"} <= cases
    assert sorted(row.context for row in golden() if row.case == "A14") == [2049, 2050, 2051, 2052]


def test_one_tick_of_the_clock_is_the_grades() -> None:
    ours = attention(shared_stack(), 1, 2048)
    assert ours.time_ps == ours.ticks * 769


def test_dropped_moves() -> None:
    # The public generator drops what does not divide by the windows: 77 heads of 1,485 positions lose 4 of 616.
    ours = attention(shared_stack(), 77, 1485)
    assert ours.commands["WRGB"] == 612
    corrected = shared_stack(accounting="corrected").attention([PimHead(1485)] * 77, 128)
    assert corrected.commands["WRGB"] == 616
