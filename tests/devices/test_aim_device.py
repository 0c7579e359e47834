"""The AiM device: every detail gives the same result, and the closed forms hold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.devices.aim_device import AimDevice
from simulator.memory.aim_isa import Command, Opcode
from simulator.memory.aim_timing import AimTiming

from .aim_parts import Line, aim_device, instructions, program_of

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ALL = (1 << 32) - 1


def assert_equal(one: AimTiming, other: AimTiming) -> None:
    assert one.cycles == other.cycles
    np.testing.assert_array_equal(one.commands, other.commands)
    np.testing.assert_array_equal(one.active_cyc, other.active_cyc)
    np.testing.assert_array_equal(one.section_cyc, other.section_cyc)
    np.testing.assert_array_equal(one.section_commands, other.section_commands)


@QUICK
@given(st.data(), st.integers(1, 6), st.booleans(), st.sampled_from([1, 1, 2, 8]), st.sampled_from([33, 33, 1, 64]))
def test_every_detail_gives_the_same(data: st.DataObject, n: int, refresh: bool, width: int, queue: int) -> None:
    sets = {"organisation.n_channels": n, "refresh": refresh, "dispatcher_width": width, "queue_entries": queue}
    if refresh:
        sets["timing.n_refi"] = data.draw(st.sampled_from([800, 1000, 7800]))
    device = aim_device(sets)
    program = program_of(data.draw(instructions(n)))
    full, by_class, fast = (device.time(program, detail) for detail in ("full", "class", "fast"))
    assert_equal(full, by_class)
    assert_equal(full, fast)


@QUICK
@given(st.data(), st.integers(1, 4))
def test_more_instructions_never_end_sooner(data: st.DataObject, n: int) -> None:
    """Cutting an in-order program of register and all-bank commands anywhere saves time."""
    lines = [line for line in data.draw(instructions(n)) if line[0] not in (Opcode.W_MEM, Opcode.R_MEM)]
    device = aim_device({"organisation.n_channels": n})
    cut = data.draw(st.integers(0, len(lines)))
    assert device.time(program_of(lines[:cut])).cycles <= device.time(program_of(lines)).cycles


@QUICK
@given(st.data(), st.integers(2, 5))
def test_channels_are_alike(data: st.DataObject, n: int) -> None:
    """Renumbering the channels renumbers the results."""
    lines = data.draw(instructions(n))
    order = data.draw(st.permutations(range(n)))

    def moved(mask: int) -> int:
        return sum(1 << order[channel] for channel in range(n) if mask >> channel & 1)

    device = aim_device({"organisation.n_channels": n})
    ours = device.time(program_of(lines))
    theirs = device.time(program_of([(op, size, moved(mask), bank, row) for op, size, mask, bank, row in lines]))
    assert theirs.cycles == ours.cycles
    np.testing.assert_array_equal(theirs.commands[list(order)], ours.commands)


# --- closed forms of matrix-vector products


def gemv_cycles(segments: list[int], n_columns: int, reuse: int) -> int:
    """The documented closed form: segments of a row's bursts, columns per bank, accumulators."""
    t, open_row = 33, None
    last_read = 0
    group = -(-n_columns // -(-n_columns // reuse))
    for segment, n in enumerate(segments):
        t += 2 * n
        for first in range(0, n_columns, group):
            columns = range(first, min(first + group, n_columns))
            t += 2 * len(columns)
            current = t - 1 + 32
            last_mac = 0
            for index, column in enumerate(columns):
                row = column * len(segments) + segment
                if index == 0:
                    start = current + (56 if open_row is None else 0 if open_row == row else 88)
                else:
                    start = last_mac + (2 if open_row == row else 12 + 32 + 56)
                last_mac, open_row = start + 2 * (n - 1), row
            last_read = last_mac + 34 + 3 * (len(columns) - 1)
            t = last_read + 5
    return last_read + 4


@pytest.mark.parametrize(
    ("n_inputs", "n_columns", "reuse"),
    [(1024, 1, 32), (1000, 5, 32), (4096, 8, 32), (2048, 33, 32), (1040, 64, 32), (512, 3, 2), (4096, 20, 1)],
)
def test_matrix_vector_products_in_closed_form(n_inputs: int, n_columns: int, reuse: int) -> None:
    bursts = [-(-min(1024, n_inputs - at) // 16) for at in range(0, n_inputs, 1024)]
    group = -(-n_columns // -(-n_columns // reuse))
    lines: list[Line] = []
    for segment, n in enumerate(bursts):
        lines.append((Opcode.WR_GB, n, ALL, 0, 0))
        for first in range(0, n_columns, group):
            columns = range(first, min(first + group, n_columns))
            lines += [(Opcode.WR_BIAS, 1, ALL, 0, 0)] * len(columns)
            lines += [(Opcode.MAC_ABK, n, ALL, 0, column * len(bursts) + segment) for column in columns]
            lines += [(Opcode.RD_MAC, 1, ALL, 0, 0)] * len(columns)
    timing = aim_device().time(program_of(lines))
    assert timing.cycles == gemv_cycles(bursts, n_columns, reuse)


# --- refresh


LONG: dict[str, list[Line]] = {
    "rows": [(Opcode.MAC_ABK, 64, ALL, 0, row) for row in range(1500)],
    "one row": [(Opcode.MAC_ABK, 64, ALL, 0, 0)] * 3000,
    "writes": [(Opcode.W_MEM, 1, 1, index % 16, 0) for index in range(40_000)],
    "rounds": [
        line
        for row in range(600)
        for line in ((Opcode.WR_BIAS, 1, ALL, 0, 0), (Opcode.MAC_ABK, 64, ALL, 0, row), (Opcode.RD_MAC, 1, ALL, 0, 0))
    ],
}


@pytest.mark.parametrize("case", LONG)
def test_refresh_takes_its_time(case: str) -> None:
    """One all-bank refresh every n_refi clocks stops a channel for n_rfc and closes its rows."""
    program = program_of(LONG[case])
    plain, refreshed = aim_device().time(program), aim_device({"refresh": True}).time(program)
    n_refreshes = refreshed.commands[0, Command.REFAB]
    assert n_refreshes == pytest.approx(refreshed.cycles / 7800, abs=1)
    added = refreshed.cycles - plain.cycles
    # A refresh itself, and at most precharge and activation of what it closed, twice.
    assert 0.95 * 240 * n_refreshes <= added <= (240 + 2 * (54 + 32 + 56)) * n_refreshes


def test_a_longer_refresh_costs_more() -> None:
    program = program_of(LONG["rows"])
    cycles = [aim_device({"refresh": True, "timing.n_rfc": n}).time(program).cycles for n in (200, 520)]
    assert cycles[1] > cycles[0]


def test_refresh_is_sent_on_time() -> None:
    program = program_of(LONG["rows"])
    refreshed = aim_device({"refresh": True}).time(program)
    assert (refreshed.commands[:, Command.REFAB] == refreshed.cycles // 7800).all()
    assert aim_device().time(program).commands[:, Command.REFAB].sum() == 0
    assert refreshed.cycles > aim_device().time(program).cycles


# --- the part


def test_geometry_of_the_shipped_part() -> None:
    device = aim_device()
    assert device.channel_bytes == 512 * 2**20
    assert device.clock_ps == 500
    assert device.geometry.row_elements == 1024
    assert device.geometry.columns(1000) == 63
    assert list(device.geometry.row_segments(2500)) == [(0, 64), (1, 64), (2, 29)]


def test_a_rational_clock() -> None:
    device = aim_device({"clock_period": "0.769 ns"})
    assert device.clock_ps == Fraction(769)
    assert aim_device({"clock_period": "1.5 ns"}).clock_ps * 4 == 6000


@pytest.mark.parametrize(
    "sets",
    [
        {"organisation.n_bank_groups": 2},
        {"organisation.n_banks_per_group": 8},
        {"organisation.n_channels": 63},
        {"queue_entries": 65},
        {"queue_entries": 0},
        {"dispatcher_width": 0},
        {"timing.n_rp": -1},
        {"timing.n_rp": 1.5},
        {"clock_period": "0 ns"},
        {"detail": "quick"},
    ],
    ids=str,
)
def test_parts_that_are_refused(sets: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        aim_device(sets)
    assert caught.value.remedy


def test_a_misspelt_timing_is_refused() -> None:
    with pytest.raises(ConfigError):
        aim_device({"timing.n_rpp": 3})


def test_bursts_shorter_than_an_element_are_refused() -> None:
    with pytest.raises(ConfigError):
        aim_device({"organisation.burst_bytes": 1}).geometry.columns(16)


def peak(device: AimDevice) -> float:
    """Bytes a clock that all banks can stream."""
    return device.geometry.n_channels * device.geometry.n_banks * 32 / 2


def test_a_row_reaches_56_per_cent_of_the_peak() -> None:
    """A 64-burst row costs 226 clocks, of which 128 are multiplications."""
    device = aim_device()
    few, many = (
        device.time(program_of([(Opcode.MAC_ABK, 64, ALL, 0, row) for row in range(n)])).cycles for n in (100, 200)
    )
    assert many - few == 100 * 226
    assert 64 * 16 * 32 * 32 / (226 * peak(device)) == pytest.approx(0.566, abs=0.001)


@pytest.mark.parametrize("n_refi", [0, 1, 100, 240])
def test_a_refresh_interval_that_leaves_no_time_is_refused(n_refi: int) -> None:
    with pytest.raises(ConfigError):
        aim_device({"refresh": True, "timing.n_refi": n_refi})


def test_a_write_mode_that_never_ends_is_refused() -> None:
    with pytest.raises(ConfigError):
        aim_device({"write_low_watermark": 0})
