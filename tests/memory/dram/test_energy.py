"""Energy by command: against arithmetic on data sheets, a plain twin of the open time, and known energies per bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.core.parameters import KINDS, parameters
from simulator.memory.dram.controller import CommandLog
from simulator.memory.dram.energy import (
    PARTS,
    DramCurrents,
    command_energies,
    dram_energy,
    open_time,
    pj_per_bit,
    read_currents,
)
from simulator.memory.dram.spec import DramSpec
from simulator.memory.dram.standard import DramPart
from tests.memory.dram.steady_streams import (
    PARTS as FOLDER,
)
from tests.memory.dram.steady_streams import (
    STANDARDS,
    currents_of,
    placed,
    ran,
    random_requests,
    spec_of,
)

# pJ/bit of a stream of reads, background, refresh and bus included. DDR4 and DDR5: data-sheet maxima, above what is
# measured; GDDR6: Micron states 7.5 for a device (GDDR6X brief); HBM2: O'Connor et al. 3.9 without background; HBM3: SK
# hynix 3.4 for HBM3E (IEDM 2023, as quoted).
STREAMING_PJ_PER_BIT = {
    "ddr4": (12, 25), "ddr5": (9, 20), "lpddr5": (3, 7), "gddr6": (4, 9), "hbm2": (3.5, 7), "hbm3": (2.5, 5),
}  # fmt: skip


def stream(spec: DramSpec, n: int):
    """Reads that go round all banks, row by row."""
    i = np.arange(n)
    per_row = spec.n_columns // spec.prefetch
    return placed(i % spec.n_banks, i // (spec.n_banks * per_row))


def test_ddr4_energies_follow_from_the_data_sheet() -> None:
    energies = command_energies(spec_of("ddr4"), currents_of("ddr4"))
    # Eight devices; mA x V x ns = pJ. IDD0 48, 2N 34, 3N 43, 4R 135, 4W 123, 5B 250; IPP 3 and 28 at 2.5 V.
    assert energies.act_pre_pj == pytest.approx(8 * 1.2 * (48 * 46.16 - 43 * 32 - 34 * 14.16))
    assert energies.read_pj == pytest.approx(8 * 1.2 * (135 - 43) * 8 / 2.4)
    assert energies.write_pj == pytest.approx(8 * 1.2 * (123 - 43) * 8 / 2.4)
    assert energies.refresh_all_pj == pytest.approx(8 * (1.2 * (250 - 43) + 2.5 * (28 - 3)) * 350)
    assert energies.background_closed_mw == pytest.approx(8 * (1.2 * 34 + 2.5 * 3))
    assert energies.open_mw == pytest.approx(8 * 1.2 * (43 - 34))
    assert energies.bank_open_mw == 0
    # 64 lines, half of them low, and 8 strobe pairs, for 8 x 1/2.4 ns, in W x ns = nJ.
    assert energies.io_read_pj == pytest.approx(1.2**2 / (34 + 40) * (32 + 8) * 8 / 2.4 * 1000)


def test_a_ddr5_activation_does_not_pay_for_the_other_banks() -> None:
    energies = command_energies(spec_of("ddr5"), currents_of("ddr5"))
    one_bank = 92 + (142 - 92) / 32
    core = 1.1 * (103 * 48 - one_bank * 32 - 92 * 16) + 1.8 * (8 - 7) * 48
    assert energies.act_pre_pj == pytest.approx(4 * core)
    assert energies.bank_open_mw == pytest.approx(4 * 1.1 * (142 - 92) / 32)


@pytest.mark.parametrize("standard", STANDARDS)
def test_every_organisation_has_energies(standard: str) -> None:
    tree = load_part(FOLDER / f"{standard}.yaml", ())
    for name in bind(tree, DramPart).organisations:
        energies = command_energies(spec_of(standard, f"org={name}"), currents_of(standard))
        assert energies.act_pre_pj > 0
        assert energies.read_pj > 0
        assert energies.write_pj > 0
        assert energies.refresh_all_pj > energies.refresh_bank_pj > 0
        assert energies.background_closed_mw > 0
        assert energies.open_mw >= 0
        assert energies.bank_open_mw >= 0


@pytest.mark.parametrize("standard", STANDARDS)
def test_every_current_says_where_it_comes_from(standard: str) -> None:
    tree = load_part(FOLDER / "currents" / f"{standard}.yaml", ())
    found = parameters(tree)
    assert len(found) >= 8
    for parameter in found:
        assert parameter.kind in KINDS
        assert parameter.kind != "assumed" or parameter.range is not None, parameter.path


def test_the_part_leads_to_its_currents() -> None:
    for standard in STANDARDS:
        part = bind(load_part(FOLDER / f"{standard}.yaml", ()), DramPart)
        assert part.currents is not None
        assert read_currents(part.currents) == currents_of(standard)


@pytest.mark.parametrize("standard", STANDARDS)
def test_streaming_costs_what_is_known(standard: str) -> None:
    spec = spec_of(standard)
    timing = ran(spec, stream(spec, 20_000))
    ledger = dram_energy(spec, currents_of(standard), timing)
    low, high = STREAMING_PJ_PER_BIT[standard]
    assert low < pj_per_bit(spec, timing, ledger) < high


@pytest.mark.parametrize("standard", STANDARDS)
def test_random_accesses_cost_more_than_a_stream(standard: str) -> None:
    spec = spec_of(standard)
    costs = []
    for requests in (stream(spec, 4000), random_requests(spec, 4000, 5, n_rows=1 << 10)):
        timing = ran(spec, requests)
        costs.append(pj_per_bit(spec, timing, dram_energy(spec, currents_of(standard), timing)))
    assert costs[1] > 1.2 * costs[0]


@settings(max_examples=30, deadline=None)
@given(
    standard=st.sampled_from(STANDARDS),
    seed=st.integers(0, 1000),
    n=st.integers(1, 1500),
    write_frac=st.floats(0, 1),
    refresh=st.sampled_from(("NoRefresh", "AllBank")),
    n_channels=st.sampled_from((1, 2)),
)
def test_energy_is_a_sum_of_parts_that_are_never_negative(standard, seed, n, write_frac, refresh, n_channels) -> None:
    spec, currents = spec_of(standard), currents_of(standard)
    requests = random_requests(spec, n, seed, write_frac=write_frac, n_channels=n_channels)
    timing = ran(spec, requests, refresh=refresh, n_channels=n_channels)
    ledger = dram_energy(spec, currents, timing, n_channels=n_channels)
    parts = ledger.by_component()
    assert set(parts) == set(PARTS)
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == pytest.approx(ledger.total_pj)
    energies = command_energies(spec, currents)
    counts = dict(zip(spec.commands, timing.commands.tolist(), strict=True))
    assert parts["read"] == pytest.approx(counts["RD"] * energies.read_pj)
    assert parts["write"] == pytest.approx(counts["WR"] * energies.write_pj)
    if refresh == "NoRefresh":
        assert parts["refresh"] == 0


@pytest.mark.parametrize("standard", STANDARDS)
def test_more_requests_cost_more(standard: str) -> None:
    spec = spec_of(standard)
    totals = []
    for n in (200, 400, 800, 1600):
        timing = ran(spec, random_requests(spec, n, 2, write_frac=0.3))
        totals.append(dram_energy(spec, currents_of(standard), timing).total_pj)
    assert totals == sorted(totals)


@pytest.mark.parametrize(("standard", "refresh"), [(s, "AllBank") for s in STANDARDS] + [
    ("lpddr5", "PerBank"), ("hbm2", "PerBank"), ("hbm3", "HBM34PerBankRefresh"),
])  # fmt: skip
def test_open_time_equals_its_twin(standard: str, refresh: str) -> None:
    spec = spec_of(standard)
    timing = ran(spec, random_requests(spec, 1500, 4, write_frac=0.2), refresh=refresh)
    assert timing.log is not None
    found = open_time(spec, timing.log, 1, timing.drain_cycles)
    any_cyc, bank_cyc = plain_open_time(spec, timing.log, timing.drain_cycles)
    assert found.any_cyc[0].tolist() == any_cyc
    assert found.bank_cyc[0].tolist() == bank_cyc


def plain_open_time(spec: DramSpec, log: CommandLog, end: int) -> tuple[list[int], list[int]]:
    """Walk every tick of one channel, with a set of open banks and the ends of refreshes."""
    under = spec.n_banks // int(np.prod(spec.level_sizes[: spec.refresh_level]))
    n_scopes = spec.n_banks // under
    lasting = {"REFab": spec.timing.get("n_rfcab", spec.timing.get("n_rfc")), "REFpb": spec.timing.get("n_rfcpb")}
    open_banks: set[int] = set()
    any_cyc, bank_cyc, busy = [0] * n_scopes, [0] * n_scopes, [0] * n_scopes
    events = list(zip(log.cyc.tolist(), log.command.tolist(), log.bank.tolist(), strict=True))
    at = 0
    for tick in range(end):
        while at < len(events) and events[at][0] <= tick:
            _, command, bank = events[at]
            name, scope = spec.commands[command], bank // under
            if name in ("ACT", "ACT1"):
                open_banks.add(bank)
            elif name == "PREpb":
                open_banks.discard(bank)
            elif name == "PREab":
                open_banks -= set(range(scope * under, (scope + 1) * under))
            elif name in lasting:
                ticks = lasting[name] * spec.ticks_per_ck
                busy[scope] = max(busy[scope], events[at][0] + ticks)
                bank_cyc[scope] += min(ticks, end - events[at][0]) * (under if name == "REFab" else 1)
            at += 1
        for scope in range(n_scopes):
            n_open = sum(bank // under == scope for bank in open_banks)
            any_cyc[scope] += n_open > 0 or busy[scope] > tick
            bank_cyc[scope] += n_open
    return any_cyc, bank_cyc


def test_without_a_log_the_open_share_must_be_given() -> None:
    spec, currents = spec_of("ddr4"), currents_of("ddr4")
    timing = ran(spec, stream(spec, 500), log=False)
    with pytest.raises(ConfigError, match="command log"):
        dram_energy(spec, currents, timing)
    always = dram_energy(spec, currents, timing, open_frac=1.0).total_pj
    assert always > dram_energy(spec, currents, timing, open_frac=0.0).total_pj


def changed(standard: str, **values: float) -> DramCurrents:
    """A standard's currents with some of the first device's changed."""
    plain = currents_of(standard).model_dump()
    plain["devices"][next(iter(plain["devices"]))] |= values
    return DramCurrents.model_validate(plain)


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="give energy back"):
        changed("ddr4", idd4r_ma=20)
    with pytest.raises(ValueError, match="above that with rows open"):
        changed("ddr4", idd2n_ma=80)
    with pytest.raises(ValueError, match="t_ras is longer"):
        changed("ddr4", t_ras_ps=90_000)
    with pytest.raises(ConfigError, match="below the standby currents"):
        command_energies(spec_of("ddr4"), changed("ddr4", idd0_ma=30))
    wide = replace(spec_of("ddr4"), dq_bits=32)
    with pytest.raises(ConfigError, match="32 data lines"):
        command_energies(wide, currents_of("ddr4"))
    with pytest.raises(ValueError, match="either `devices` or `pseudo_channel`"):
        DramCurrents.model_validate({"metered_bus": {"read_pj_per_bit": 1, "write_pj_per_bit": 1}})


def test_a_faster_grade_takes_the_nearest_device() -> None:
    energies = command_energies(spec_of("ddr4", "timing=DDR4_3200AA"), currents_of("ddr4"))
    assert energies.device == "x8_3200"
    assert command_energies(spec_of("ddr4"), currents_of("ddr4")).device == "x8_2400"
