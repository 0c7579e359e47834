"""A DRAM channel shared by a host and PIM: equal to a plain twin, to either side's engine alone, lawful, conserving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.core.errors import ConfigError
from simulator.memory.dram.controller import ControllerConfig, Refresh, simulate
from simulator.memory.dram.mixed import Sharing, simulate_mixed
from simulator.memory.dram.pim_program import no_program, program_of
from tests.kernels.dram_cases import load_dram, requests_for, timing_differences, trace_lines, trace_writes
from tests.kernels.mixed_cases import (
    POLICIES,
    PREEMPTS,
    MixedCase,
    broken_rules,
    device,
    no_requests,
    plain_log,
    random_case,
    requests_of,
    twin_log,
)

SET_UPS = (
    ControllerConfig(),
    ControllerConfig(refresh="NoRefresh", scheduler="FRFCFSRowHit"),
    ControllerConfig(refresh="PerBank", read_queue=8, write_queue=4, fe_ratio=3),
    ControllerConfig(row_policy="closed", row_cap=2),
)


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_a_plain_twin(seed: int) -> None:
    case = random_case(seed)
    timing = case.run()
    assert timing.host.log is not None
    assert plain_log(case.spec, timing.host.log) == twin_log(case), case.text
    assert not broken_rules(case, timing), case.text


@pytest.mark.thorough
@pytest.mark.parametrize("first", range(40, 640, 100))
def test_equal_to_a_plain_twin_often(first: int) -> None:
    for seed in range(first, first + 100):
        case = random_case(seed, n_requests=200, n_operations=20)
        timing = case.run()
        assert timing.host.log is not None
        assert plain_log(case.spec, timing.host.log) == twin_log(case), case.text


@pytest.mark.parametrize("config", SET_UPS, ids=lambda config: f"{config.refresh} {config.row_policy}")
def test_without_pim_it_is_the_plain_controller(config: ControllerConfig) -> None:
    spec = device(refresh=config.refresh).spec
    for seed in range(6):
        rng = np.random.default_rng([seed, 3])
        requests = replace(requests_of(spec, rng, 1500, paced=seed % 2 == 0), window=(0, 5)[seed // 3])
        plain = simulate(spec, config, requests, engine="table", log=True)
        shared = simulate_mixed(spec, config, Sharing(), requests, no_program(), log=True).host
        assert not timing_differences(plain, shared)
        assert plain.log is not None
        assert shared.log is not None
        for name in ("cyc", "command", "bank", "channel", "request"):
            assert np.array_equal(getattr(plain.log, name), getattr(shared.log, name))
        assert not timing_differences(simulate(spec, config, requests), shared)


@pytest.mark.parametrize("seed", range(20))
def test_without_a_host_it_is_the_program_in_order(seed: int) -> None:
    case = replace(random_case(seed, n_operations=60), requests=no_requests())
    timing = case.run()
    assert timing.host.log is not None
    assert plain_log(case.spec, timing.host.log) == twin_log(case), case.text
    assert not broken_rules(case, timing)
    assert timing.pim.end_cyc == timing.host.log.cyc[-1]
    assert timing.host.drain_cycles == 0


@pytest.mark.parametrize(
    ("command", "n_operations", "count", "aim_cyc", "reply_cyc"),
    [("MACab", 1, 64, 185, 2), ("MACab", 16, 64, 3575, 2), ("MACab", 128, 64, 28887, 2), ("WRGB", 1, 64, 163, 4),
     ("WRMAC", 1, 32, 99, 4)],
)  # fmt: skip
def test_as_long_as_on_the_aim_simulator(
    command: str, n_operations: int, count: int, aim_cyc: int, reply_cyc: int
) -> None:
    """Micro cases of CENT's golden table, less what passes from the last command to the reply that ends the trace."""
    spec = device().spec
    rows = range(n_operations) if command == "MACab" else (-1,)
    program = program_of(spec, [(command, row, count) for row in rows])
    config = ControllerConfig(refresh="NoRefresh")
    assert simulate_mixed(spec, config, Sharing(), no_requests(), program).pim.end_cyc == aim_cyc - reply_cyc


def large_case(seed: int) -> MixedCase:
    return random_case(seed, n_requests=2500, n_operations=150)


@pytest.mark.parametrize("seed", range(12))
def test_stepping_over_quiet_ticks_changes_nothing(seed: int) -> None:
    case = large_case(seed)
    ours, every = case.run(), case.run(every_tick=True)
    assert not timing_differences(ours.host, every.host), case.text
    assert ours.interference == every.interference
    assert np.array_equal(ours.pim.first_cyc, every.pim.first_cyc)
    assert np.array_equal(ours.pim.last_cyc, every.pim.last_cyc)
    assert ours.n_visited < every.n_visited == max(ours.host.drain_cycles, ours.pim.end_cyc)


@pytest.mark.parametrize("seed", range(12))
def test_lawful_and_nothing_lost(seed: int) -> None:
    case = large_case(seed)
    timing = case.run()
    assert not broken_rules(case, timing), case.text
    tally, requests, program = timing.host.at_drain, case.requests, case.program
    served = tally.reads_served + tally.writes_served + tally.reads_forwarded + tally.writes_coalesced
    assert served == len(requests)
    assert np.count_nonzero(timing.host.issue_cyc > 0) == tally.reads_served + tally.writes_served
    assert np.all(timing.host.latency_cyc[~requests.is_write] >= 1)
    counts = dict(zip(case.spec.commands, timing.host.commands.tolist(), strict=True))
    assert counts["RD"] + counts["WR"] == tally.reads_served + tally.writes_served
    for name in ("MACab", "WRGB", "WRMAC", "RDMAC"):
        assert counts[name] == program.count[program.command == case.spec.command_index(name)].sum()
    assert np.all(timing.pim.first_cyc >= program.release_cyc)
    assert np.all(timing.pim.first_cyc[1:] > timing.pim.last_cyc[:-1])
    found = timing.interference
    assert found.host_hits_lost <= found.host_rows_closed
    assert found.pim_rows_reopened <= found.pim_rows_closed == found.precharges_for_host
    assert counts["PREab"] >= found.precharges_for_host + found.precharges_for_pim


@pytest.mark.parametrize("preempt", PREEMPTS)
@pytest.mark.parametrize("seed", range(8))
def test_pim_first_serves_pim_as_if_alone(seed: int, preempt: str) -> None:
    """PIM work that is all there from the start is served tick by tick as without a host, and later under no policy."""
    case = large_case(seed)
    sharing = replace(case.sharing, preempt=preempt, max_wait_cyc=0)
    program = replace(case.program, release_cyc=np.ones(len(case.program), np.int64))
    case = replace(case, sharing=sharing, program=program)
    ends = {policy: case.run(log=False, sharing=replace(sharing, policy=policy)).pim for policy in POLICIES}
    alone = case.run(log=False, requests=no_requests()).pim
    assert np.array_equal(ends["pim_first"].first_cyc, alone.first_cyc)
    assert np.array_equal(ends["pim_first"].last_cyc, alone.last_cyc)
    assert all(one.end_cyc >= alone.end_cyc for one in ends.values())


@pytest.mark.parametrize("seed", range(8))
def test_host_first_serves_a_busy_host_as_if_alone(seed: int) -> None:
    """Reads that are always there: PIM has nothing of the channel until they are all under way."""
    case = large_case(seed)
    requests = requests_for(case.spec, "RoBaRaCoCh", 1, trace_lines("random", 2000, 18, 1, seed), np.zeros(2000, bool))
    sharing = Sharing(policy="host_first")
    config = ControllerConfig(refresh=case.config.refresh)
    timing = case.run(log=False, sharing=sharing, requests=requests, config=config)
    alone = simulate(case.spec, config, requests)
    assert np.array_equal(timing.host.issue_cyc, alone.issue_cyc)
    assert np.array_equal(timing.host.latency_cyc, alone.latency_cyc)
    assert timing.pim.end_cyc > alone.drain_cycles


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("max_wait_cyc", [100, 700])
def test_waiting_is_bounded(policy: str, max_wait_cyc: int) -> None:
    for seed in range(8):
        case = large_case(seed)
        timing = case.spec.timing
        sharing = replace(case.sharing, policy=policy, max_wait_cyc=max_wait_cyc)
        found = case.run(log=False, sharing=sharing).interference
        # Every operation may need two modes, a precharge and an activation; every request a row of its own.
        refresh = timing["n_rfcab"] + 2 * (timing["n_ras"] + timing["n_rp"]) + timing["n_mod"]
        operation = 2 * (timing["n_mod"] + timing["n_rc"]) + timing["n_rcdmac"] + 2 * int(case.program.count.max())
        request = timing["n_rc"] + timing["n_cwl"] + timing["n_bl"] + timing["n_wr"] + timing["n_mod"]
        turns = sharing.pim_quantum * operation, sharing.host_quantum * request
        for waited, turn in zip((found.longest_host_wait_cyc, found.longest_pim_wait_cyc), turns, strict=True):
            longest = max_wait_cyc + turn + operation
            assert waited <= longest + (longest // timing["n_refi"] + 1) * refresh, case.text


def test_without_a_bound_a_side_starves() -> None:
    """The whole program passes before the host's first request, and all requests before the program."""
    spec = device().spec
    requests = requests_for(spec, "RoBaRaCoCh", 1, trace_lines("random", 1000, 18, 1, 1), trace_writes(1000, 1.0, 1))
    program = program_of(spec, [("MACab", row, 64) for row in range(40)])
    pim = simulate_mixed(spec, ControllerConfig(), Sharing("pim_first"), requests, program)
    assert int(pim.host.issue_cyc.min()) > pim.pim.end_cyc
    host = simulate_mixed(spec, ControllerConfig(), Sharing("host_first"), requests, program)
    assert int(host.pim.first_cyc[0]) > host.host.drain_cycles


def test_rows_lost_to_the_other_side_are_counted() -> None:
    """One host row, one PIM row, one request or operation each in turn: each closes the other's row every time."""
    spec = device(refresh="NoRefresh").spec
    n = 20
    lines = np.arange(n, dtype=np.int64)  # one row of one bank
    requests = requests_for(spec, "RoBaRaCoCh", 1, lines, np.zeros(n, bool))
    assert len(set(zip(requests.bank.tolist(), requests.row.tolist(), strict=True))) == 1
    program = program_of(spec, [("MACab", 100, 4)] * n)
    sharing = Sharing("alternate", host_quantum=1)
    found = simulate_mixed(spec, ControllerConfig(refresh="NoRefresh"), sharing, requests, program).interference
    assert (found.host_rows_closed, found.host_hits_lost) == (n, n - 1)
    assert (found.pim_rows_closed, found.pim_rows_reopened) == (n - 1, n - 1)
    assert found.turns == n


@pytest.mark.parametrize(
    ("sets", "config", "where"),
    [
        ({}, ControllerConfig(n_channels=2), "n_channels"),
        ({}, ControllerConfig(refresh="HBM34PerBankRefresh"), "refresh"),
    ],
)
def test_what_cannot_be_shared_is_refused(sets: dict[str, str], config: ControllerConfig, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        simulate_mixed(device(**sets).spec, config, Sharing(), no_requests(), no_program())
    assert caught.value.where == where
    assert caught.value.remedy


@pytest.mark.parametrize("standard", ["gddr6", "hbm2", "ddr4"])
def test_a_memory_without_pim_commands_is_refused(standard: str) -> None:
    _, spec = load_dram(standard)
    with pytest.raises(ConfigError, match="has no ACTab"):
        simulate_mixed(spec, ControllerConfig(), Sharing(), no_requests(), no_program())


def test_per_bank_refresh_beside_pim() -> None:
    refresh: Refresh = "PerBank"
    for seed in range(6):
        case = large_case(seed)
        part = device(refresh=refresh)
        case = replace(case, device=part, spec=part.spec, config=replace(case.config, refresh=refresh))
        timing = case.run()
        assert timing.host.at_drain.refreshes_served > 0
        assert not broken_rules(case, timing), case.text
        assert not timing_differences(timing.host, case.run(every_tick=True).host)
