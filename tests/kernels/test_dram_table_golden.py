"""The table-driven DRAM engine against Ramulator 2.1: equal in every statistic and command, on all golden rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.memory.dram.controller import Requests
from simulator.memory.dram.table_engine import simulate_table
from tests.kernels.dram_cases import golden_case, golden_commands, golden_differences, golden_rows

SAMPLE = (
    "ddr4_rowhit_streams16_mixed50",
    "ddr5_mop_random_mixed67",
    "lpddr5_mop_random_mixed67",
    "gddr6_mop_random_mixed67",
    "hbm2_8ch_fe16_stream_r",
    "hbm3_mop_random_mixed67",
    "hbm3_4Gb_perbank_burst8_mixed75",
)
ROWS = {row["case"]: row for row in golden_rows()}
# Runs of which only the first commands are given, and the row from which they differ in nothing but refresh.
OUTSIDE_THE_TABLE = {
    "ddr4_random_mixed67": ("ddr4_random_mixed67_noref", "AllBank"),
    "hbm3_perbank_random_mixed67": ("hbm3_random_mixed67", "HBM34PerBankRefresh"),
}


def head(requests: Requests, n: int) -> Requests:
    return replace(
        requests, **{name: getattr(requests, name)[:n] for name in ("address", "is_write", "channel", "bank", "row")}
    )


def assert_equal(case: str) -> None:
    spec, config, requests = golden_case(ROWS[case])
    timing = simulate_table(spec, config, requests)
    assert not golden_differences(ROWS[case], spec, timing)


def test_the_table_has_every_row() -> None:
    assert len(ROWS) == 105
    assert set(golden_commands()) <= {*ROWS, *OUTSIDE_THE_TABLE}


@pytest.mark.parametrize("case", SAMPLE)
def test_golden_sample(case: str) -> None:
    assert_equal(case)


@pytest.mark.thorough
@pytest.mark.parametrize("case", [case for case in ROWS if case not in SAMPLE])
def test_golden_rest(case: str) -> None:
    assert_equal(case)


@pytest.mark.parametrize("case", golden_commands())
def test_first_commands(case: str) -> None:
    """Command by command, so that a difference shows where it begins."""
    golden = golden_commands()[case]
    like, refresh = OUTSIDE_THE_TABLE.get(case, (case, ""))
    row = ROWS[like] | ({"refresh": refresh} if refresh else {})
    spec, config, requests = golden_case(row)
    requests = head(requests, 2000)
    log = simulate_table(spec, config, requests, log=True).log
    assert log is not None
    kinds = np.where(log.request < 0, "refresh", np.where(requests.is_write[log.request], "write", "read"))
    ours = [
        (int(log.cyc[k]), spec.commands[log.command[k]], int(log.bank[k]), str(kinds[k])) for k in range(len(golden))
    ]
    assert ours == golden
