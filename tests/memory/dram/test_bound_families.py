"""What a run was bound by, in one word and in one rule."""

from __future__ import annotations

from simulator.memory.dram.bounds import BoundBy


def test_a_family_of_many_rules_outweighs_the_largest_rule() -> None:
    ticks = {"burst": 500, "rd-rd": 90, "rd-wr": 80, "wr-rd": 70, "twin": 5}
    families = {"data bus": 505, "bank group": 90, "turnaround": 150}
    foremost = {"data bus": "twin", "bank group": "rd-rd", "turnaround": "rd-wr"}
    bound = BoundBy(ticks, families, 745, foremost)
    assert bound.limiting == "rd-rd"
    assert bound.limiting_family == "turnaround"


def test_a_run_of_bursts_alone() -> None:
    bound = BoundBy({"burst": 10}, {"data bus": 10}, 10)
    assert bound.limiting == bound.limiting_family == "burst"
