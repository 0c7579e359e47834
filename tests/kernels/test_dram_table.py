"""The table-driven DRAM engine where no golden row goes: pacing, forwarding, row policy, set-ups that cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.core.errors import ConfigError, ModelFault
from simulator.memory.dram.controller import ControllerConfig, DramTiming, Requests, simulate
from simulator.memory.dram.table_engine import simulate_table
from tests.kernels.dram_cases import (
    STANDARDS,
    channel_logs,
    golden_case,
    golden_rows,
    load_dram,
    requests_for,
    rule_checker,
    timing_differences,
)
from tests.kernels.fuzz_dram import random_case, run

QUIET = ControllerConfig(refresh="NoRefresh")


def lines_of(standard: str, lines: list[int], writes: list[bool] | None = None, **changes: object) -> DramTiming:
    """A run over whole lines, without refresh."""
    _, spec = load_dram(standard)
    is_write = np.array(writes if writes is not None else [False] * len(lines), np.bool_)
    requests = requests_for(spec, "RoBaRaCoCh", 1, np.array(lines, np.int64), is_write)
    return simulate_table(spec, QUIET, replace(requests, **changes))  # type: ignore[arg-type]


def test_no_requests_take_no_time() -> None:
    timing = lines_of("ddr4", [])
    assert (timing.cycles, timing.drain_cycles, timing.commands.sum()) == (0, 0, 0)
    assert len(timing.latency_cyc) == 0


def test_one_read_by_hand() -> None:
    """Offered before tick 1: ACT in tick 1, RD after RCD (16), data after CL + BL (16 + 4)."""
    timing = lines_of("ddr4", [0])
    assert timing.issue_cyc.tolist() == [17]
    assert timing.latency_cyc.tolist() == [17 + 20]
    assert (timing.cycles, timing.drain_cycles) == (0, 17)


def test_a_pointer_chase_pays_the_whole_latency_each_time() -> None:
    """Next offer before the tick after the data: one row, so RD to RD is CL + BL + 1 ticks."""
    timing = lines_of("ddr4", list(range(50)), window=1)
    assert set(np.diff(timing.issue_cyc)) == {21}
    assert set(timing.latency_cyc[1:]) == {21}


def test_a_wider_window_is_never_slower() -> None:
    drains = [lines_of("ddr4", list(range(400)), window=window).drain_cycles for window in (1, 2, 4, 8, 0)]
    assert drains == sorted(drains, reverse=True)
    assert drains[0] > 3 * drains[-1]


def test_offers_hold_requests_back() -> None:
    offers = np.array([5, 100, 100, 1000], np.int64)
    timing = lines_of("ddr4", [0, 1, 2, 3], offer_cyc=offers)
    arrivals = timing.issue_cyc + 20 - timing.latency_cyc
    assert arrivals.tolist() == [4, 99, 100, 999]
    assert timing.cycles == 999


def test_forwarding_and_coalescing_see_the_exact_address() -> None:
    """A read of a queued write is answered in a tick; another byte of the line is another address."""
    _, spec = load_dram("ddr4")
    lines = np.array([0, 0, 0, 0], np.int64)
    requests = requests_for(spec, "RoBaRaCoCh", 1, lines, np.array([True, False, True, False]))
    requests = replace(requests, address=np.array([0, 0, 0, 8], np.int64))
    config = replace(QUIET, fe_ratio=4)
    # The first write gets its ACT in tick 1, where it leaves the write queue: nothing after it sees it.
    blind = simulate_table(spec, config, requests)
    assert (blind.at_drain.reads_forwarded, blind.at_drain.writes_coalesced) == (0, 0)
    # Behind older reads of another row of its bank it waits in the write queue.
    rows = np.array([1, 2, 3], np.int64) << 11
    many = np.concatenate([rows, lines])
    requests = requests_for(spec, "RoBaRaCoCh", 1, many, np.array([False] * 3 + [True, False, True, False]))
    address = requests.address.copy()
    address[-1] += 8
    seen = simulate_table(spec, QUIET, replace(requests, address=address))
    assert (seen.at_drain.reads_forwarded, seen.at_drain.writes_coalesced) == (1, 1)
    assert seen.latency_cyc[4] == 1
    assert seen.issue_cyc[4] == seen.issue_cyc[5] == -1
    assert seen.latency_cyc[3] == -1
    assert seen.latency_cyc[6] > 1


@pytest.mark.parametrize("standard", STANDARDS)
def test_a_log_tells_the_same_run(standard: str) -> None:
    case = random_case(standard, np.random.default_rng([3, 14]), n_requests=800)
    without, with_log = run(case, "table"), run(case, "table", log=True)
    assert not timing_differences(without, with_log)
    log = with_log.log
    assert log is not None
    assert without.log is None
    assert np.array_equal(np.bincount(log.command, minlength=len(without.commands)), without.commands)
    columns = log.request >= 0
    last = np.full(len(case.requests), -1, np.int64)
    np.maximum.at(last, log.request[columns], log.cyc[columns])
    served = without.issue_cyc >= 0
    assert np.array_equal(last[served], without.issue_cyc[served])


@pytest.mark.parametrize("standard", STANDARDS)
def test_closed_rows_obey_the_standard(standard: str) -> None:
    """The closed-row policy: rules kept, everything served, no row gets many more columns than the cap."""
    case = random_case(standard, np.random.default_rng([8, 1]), n_requests=1500)
    case = replace(case, config=replace(case.config, row_policy="closed", row_cap=4))
    timing = run(case, "table", log=True)
    _, spec = load_dram(case.standard, **case.sets)
    checker = rule_checker(standard, spec, case.config)
    assert timing.log is not None
    assert not [one for log in channel_logs(spec, case.requests, timing.log) for one in checker.violations(log)]
    done = timing.at_drain
    assert done.reads_served + done.writes_served + done.reads_forwarded + done.writes_coalesced == len(case.requests)


def test_closed_rows_take_the_precharge_along() -> None:
    """A stream at cap 4: the fifth column in a row is a read with precharge, or an explicit one comes first."""
    _, spec = load_dram("ddr4")
    requests = requests_for(spec, "RoBaRaCoCh", 1, np.arange(1000), np.zeros(1000, np.bool_))
    timing = simulate_table(spec, replace(QUIET, row_policy="closed"), requests)
    counts = dict(zip(spec.commands, timing.commands.tolist(), strict=True))
    assert counts["RD"] + counts["RDA"] == 1000
    assert counts["RDA"] > 0
    assert counts["ACT"] >= 1000 / 5
    assert timing.drain_cycles > simulate_table(spec, QUIET, requests).drain_cycles


def test_a_running_data_clock_needs_no_cas() -> None:
    _, spec = load_dram("lpddr5")
    requests = requests_for(spec, "RoBaRaCoCh", 1, np.arange(0, 100_000, 997), np.zeros(101, np.bool_))
    stops = simulate_table(spec, QUIET, requests)
    runs = simulate_table(spec, replace(QUIET, wck_always_on=True), requests)
    cas = spec.commands.index("CAS_RD")
    assert stops.commands[cas] > 0
    assert runs.commands[cas] == 0
    assert runs.drain_cycles <= stops.drain_cycles


def test_the_engine_is_found_by_its_name() -> None:
    spec, config, requests = golden_case(golden_rows()[0] | {"n_requests": "500"})
    assert not timing_differences(
        simulate(spec, config, requests, engine="table"), simulate_table(spec, config, requests)
    )


@pytest.mark.parametrize(
    ("standard", "refresh", "cause"),
    [
        ("ddr4", "PerBank", "no REFpb"),
        ("gddr6", "PerBank", "no n_refipb"),
        ("lpddr5", "HBM34PerBankRefresh", "pseudo channels"),
        ("ddr5", "HBM34PerBankRefresh", "no REFpb"),
        ("ddr5", "Sometimes", "unknown refresh"),
    ],
)
def test_refresh_that_a_standard_cannot_have_is_refused(standard: str, refresh: str, cause: str) -> None:
    _, spec = load_dram(standard)
    none = Requests(*(np.empty(0, np.int64),) * 5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=cause):
        simulate_table(spec, replace(QUIET, refresh=refresh), none)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accounting", "cause"), [("published", "none is served"), ("corrected", "refresh is asked for faster")]
)
def test_refresh_without_an_end_is_said_not_waited_for(accounting: str, cause: str) -> None:
    """An interval shorter than the refresh itself: no row can open any more, or the maintenance queue runs over."""
    _, spec = load_dram("ddr4", accounting=accounting)
    timing = spec.timing | {"n_refi": spec.timing["n_rfc"] // 2}
    requests = requests_for(spec, "RoBaRaCoCh", 1, np.arange(10), np.zeros(10, np.bool_))
    requests = replace(requests, offer_cyc=np.full(10, 10_000, np.int64))
    with pytest.raises(ModelFault, match=cause):
        simulate_table(replace(spec, timing=timing), ControllerConfig(), requests)
