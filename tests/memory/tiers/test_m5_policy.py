"""M5's Manager on a machine whose counters and reports are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.memory.tiers.policies.m5 import M5
from simulator.memory.tiers.policy import HotReports, TierCounters

CLOCK_HZ = 4e8
POLL_PS = 10**9
FIRST, LEAST, MOST = 1_250_000, 128, 16_777_215


class Told:
    """A machine that tells what it is told to, and notes what it is asked for."""

    def __init__(self, n_pages: int = 1000, n_ddr_pages: int = 400, n_on_ddr: int = 100) -> None:
        self.n_pages, self.n_ddr_pages, self.n_on_ddr = n_pages, n_ddr_pages, n_on_ddr
        self.now_ps = 0
        self.on_ddr = np.zeros(n_pages, bool)
        self.last_touch_ps = np.zeros(n_pages, np.int64)
        self.reads = (0, 0)
        self.writes = (0, 0)
        self.hot: Sequence[int] = ()
        self.words: Sequence[int] = ()
        self.periods_ps: list[int] = []
        self.picked: list[list[int]] = []
        self.promoted: list[list[int]] = []

    @property
    def n_free_ddr_pages(self) -> int:
        return self.n_ddr_pages - self.n_on_ddr

    def poll(self, policy: M5, ddr_reads: int, cxl_reads: int) -> list[int]:
        """One poll after so many reads; the pages that were promoted."""
        self.now_ps += POLL_PS
        self.reads = self.reads[0] + ddr_reads, self.reads[1] + cxl_reads
        n_promoted = len(self.promoted)
        assert policy.act(self) == self.now_ps + policy.config.poll_ps  # type: ignore[arg-type]
        return self.promoted[-1] if len(self.promoted) > n_promoted else []

    def counters(self) -> TierCounters:
        return TierCounters(self.reads[0], self.writes[0], self.reads[1], self.writes[1])

    def take_hot_pages(self) -> HotReports:
        return _reports(self.hot)

    def take_hot_words(self) -> HotReports:
        return _reports(self.words)

    def set_tracker_period_ps(self, period_ps: int) -> None:
        self.periods_ps.append(period_ps)

    def pick(self, pages: NDArray[np.int64]) -> None:
        self.picked.append(pages.tolist())

    def promote(self, pages: NDArray[np.int64]) -> int:
        self.promoted.append(pages.tolist())
        return len(pages)


def _reports(keys: Sequence[int]) -> HotReports:
    ones = np.ones(len(keys), np.int64)
    return HotReports(np.array(keys, np.uint32), ones, ones)


def manager(**changes: Any) -> M5:
    settings_of = {
        "poll_ps": POLL_PS,
        "f0": 0.001,
        "exponent": 3.0,
        "first_period_cyc": FIRST,
        "min_period_cyc": LEAST,
        "max_period_cyc": MOST,
        "tracker_clock_hz": CLOCK_HZ,
        "least_words": 0,
        "list_pages": 1023,
        "list_words": 8191,
        "candidates": 2048,
    }
    return M5(M5.Config(**{**settings_of, **changes}))


def started(policy: M5, **sizes: int) -> Told:
    machine = Told(**sizes)
    assert policy.start(machine, 0) == policy.config.poll_ps  # type: ignore[arg-type]
    return machine


def words(page: int, *numbers: int) -> list[int]:
    return [page * 64 + number for number in numbers]


# --- the Elector


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 999),
    st.sampled_from([1e-5, 0.001, 1.0]), st.sampled_from([1.0, 2.0, 3.0, 5.4]),
)  # fmt: skip
def test_frequency_is_f0_times_the_ratio_of_densities_to_a_power(
    ddr_reads: int, cxl_reads: int, n_on_ddr: int, f0: float, exponent: float
) -> None:
    policy = manager(f0=f0, exponent=exponent)
    machine = started(policy, n_on_ddr=n_on_ddr)
    machine.poll(policy, ddr_reads, cxl_reads)
    ratio = (cxl_reads / (1000 - n_on_ddr)) / (ddr_reads / n_on_ddr)
    cycles = min(max(1 / (f0 * ratio**exponent), LEAST), MOST)
    assert machine.periods_ps[-1] == pytest.approx(cycles * 2500, abs=2500, rel=1e-9)


def test_the_period_stays_within_its_limits_and_begins_at_the_default() -> None:
    policy = manager()
    machine = started(policy)
    assert machine.periods_ps == [FIRST * 2500]
    machine.poll(policy, 1, 10**9)
    assert machine.periods_ps[-1] == LEAST * 2500
    machine.poll(policy, 10**9, 1)
    assert machine.periods_ps[-1] == MOST * 2500


@pytest.mark.parametrize("exponent", [1.0, 40.0, 1e6])
@pytest.mark.parametrize("reads", [(1, 10**15), (10**15, 1)])
def test_no_power_is_too_large(exponent: float, reads: tuple[int, int]) -> None:
    policy = manager(exponent=exponent)
    machine = started(policy, n_on_ddr=1)
    machine.poll(policy, *reads)
    assert machine.periods_ps[-1] == (LEAST if reads[0] == 1 else MOST) * 2500


@pytest.mark.parametrize("stop_rule", ["shipped", "intended"])
@pytest.mark.parametrize(
    ("n_on_ddr", "ddr_reads", "cxl_reads"),
    [(0, 5, 5), (1000, 5, 5), (100, 0, 5), (100, 5, 0), (0, 0, 0)],
)
def test_with_one_input_of_nothing_all_is_moved_at_the_period_before(
    stop_rule: str, n_on_ddr: int, ddr_reads: int, cxl_reads: int
) -> None:
    policy = manager(stop_rule=stop_rule)
    machine = started(policy, n_on_ddr=n_on_ddr, n_ddr_pages=1000)
    machine.hot = [3, 1, 2]
    assert machine.poll(policy, ddr_reads, cxl_reads) == [3, 1, 2]
    assert machine.periods_ps == [FIRST * 2500]


def test_shipped_never_stops_and_intended_stops_a_round_after_which_ddrs_density_rose() -> None:
    for stop_rule, moved in (("shipped", [True] * 4), ("intended", [True, True, False, True])):
        policy = manager(stop_rule=stop_rule)
        machine = started(policy)
        machine.hot = [9]
        # bw_den(DDR) / total: the first that is known, the same, up, down.
        polls = [(10, 90), (20, 180), (30, 70), (10, 90)]
        assert [bool(machine.poll(policy, *reads)) for reads in polls] == moved
        assert machine.picked == [[9]] * 4, "what is not moved was identified all the same"


def test_writes_do_not_count() -> None:
    policy = manager()
    machine = started(policy)
    machine.poll(policy, 10, 20)
    before = machine.periods_ps[-1]
    machine.writes = (10**6, 7)
    machine.poll(policy, 10, 20)
    assert machine.periods_ps[-1] == before


def test_scaled_polls_come_sooner_and_the_rest_stays() -> None:
    config = manager().config
    assert config.scaled(1 / 80).poll_ps == POLL_PS // 80
    assert config.scaled(1e-30).poll_ps == 1
    assert config.scaled(1 / 80).model_copy(update={"poll_ps": POLL_PS}) == config


# --- the Nominator


def nominated(nominator: str, hot: Sequence[int], word_keys: Sequence[int], **changes: Any) -> list[int]:
    """What is promoted at the first poll: everything that was nominated."""
    policy = manager(nominator=nominator, **changes)
    machine = started(policy)
    machine.hot, machine.words = hot, word_keys
    promoted = machine.poll(policy, 0, 1)
    assert machine.picked[-1] == promoted
    return promoted


@pytest.mark.parametrize(
    ("nominator", "pages", "uses_words"),
    [
        ("hpt_only", True, False),
        ("hwt_only", False, True),
        ("hpt_driven", True, True),
        ("hwt_driven", False, True),
    ],
)
def test_a_nominator_has_the_trackers_that_it_reads(nominator: str, pages: bool, uses_words: bool) -> None:
    policy = manager(nominator=nominator)
    assert (policy.uses_pages, policy.uses_words) == (pages, uses_words)


def test_hpt_only_passes_through_what_is_reported() -> None:
    assert list(dict.fromkeys(nominated("hpt_only", [5, 3, 9, 3], words(1, 2)))) == [5, 3, 9]
    assert len(nominated("hpt_only", list(range(2000)), [])) == 1023


def test_hwt_only_takes_the_pages_of_words() -> None:
    assert nominated("hwt_only", [7], [*words(4, 1), *words(2, 0, 1), *words(4, 63)]) == [4, 2]
    assert nominated("hwt_only", [], [word for page in range(9) for word in words(page, 3)], candidates=4) == [
        0,
        1,
        2,
        3,
    ]


def test_hwt_driven_counts_different_words() -> None:
    reported = [*words(1, 5), *words(2, 0, 9, 63), *words(3, 7, 7, 7), *words(4, 1, 2)]
    assert nominated("hwt_driven", [8], reported) == [2, 4, 1, 3]
    assert nominated("hwt_driven", [8], reported, least_words=2) == [2, 4]
    assert nominated("hwt_driven", [8], reported, least_words=3) == [2]
    assert nominated("hwt_driven", [8], reported, candidates=1) == [2]
    assert nominated("hwt_driven", [8], []) == []


def test_a_mask_of_32_bits_holds_no_word_above_the_31st() -> None:
    reported = [*words(1, 0, 32), *words(2, 3, 36)]
    assert nominated("hwt_driven", [], reported, least_words=2) == [1, 2]
    assert nominated("hwt_driven", [], reported, least_words=2, word_mask="shipped") == [2]


def test_hpt_driven_shifts_by_two_for_each_hot_word() -> None:
    """Scores: 5 has 1 << 4, 6 has 1, 7 (words alone) 1, 8 has 1 << 2."""
    hot, reported = [6, 5, 8], [*words(5, 1, 2), *words(7, 1, 2, 3, 4), *words(8, 0)]
    assert nominated("hpt_driven", hot, reported) == [5, 8, 6, 7]
    assert nominated("hpt_driven", hot, reported, least_words=1) == [5, 8]
    assert nominated("hpt_driven", hot, reported, least_words=4) == [5]
    assert nominated("hpt_driven", hot, reported, least_words=16) == []
    assert nominated("hpt_driven", hot, reported, candidates=3) == [5, 8, 6]


def test_hpt_driven_holds_any_number_of_words() -> None:
    assert nominated("hpt_driven", [1, 2], [*words(1, *range(20)), *words(2, *range(64))]) == [2, 1]
    assert nominated("hpt_driven", [], []) == []
    assert nominated("hpt_driven", [4, 4], []) == [4]


def test_only_so_many_words_are_read_in_a_poll() -> None:
    reported = [*words(1, 0, 1), *words(2, 0, 1)]
    assert nominated("hwt_only", [], reported, list_words=2) == [2]


def test_the_last_line_id_is_on_the_last_page() -> None:
    last = (1 << 32) - 1
    for nominator in ("hwt_only", "hwt_driven"):
        assert nominated(nominator, [], [last, last - 1]) == [(1 << 26) - 1]
    assert nominated("hpt_driven", [(1 << 26) - 1], [last, 0]) == [(1 << 26) - 1, 0]
