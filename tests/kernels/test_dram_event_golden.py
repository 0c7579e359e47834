"""The event-driven DRAM engine against Ramulator 2.1: equal in every statistic and command, on all golden rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.memory.dram import event_engine
from simulator.memory.dram.controller import ControllerConfig, Requests
from simulator.memory.dram.event_engine import simulate_event, why_not
from tests.kernels.dram_cases import golden_case, golden_differences, golden_rows, load_dram, timing_differences

ROWS = {row["case"]: row for row in golden_rows()}
LOGGED = ("ddr4_stream_r", "lpddr5_random_mixed67", "hbm3_random_mixed67", "ddr4_4ch_fe4_stream_r")


def first(requests: Requests, n: int) -> Requests:
    """The first `n` of some requests."""
    names = ("address", "is_write", "channel", "bank", "row")
    return replace(requests, **{name: getattr(requests, name)[:n] for name in names})


@pytest.mark.parametrize("case", ROWS)
def test_golden(case: str) -> None:
    spec, config, requests = golden_case(ROWS[case])
    assert why_not(spec, config) is None
    assert not golden_differences(ROWS[case], spec, simulate_event(spec, config, requests))


@pytest.mark.parametrize("case", LOGGED)
def test_a_log_changes_nothing(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the kernel is left and entered again every few commands, as the log is full or a call is over."""
    spec, config, requests = golden_case(ROWS[case])
    requests = first(requests, 5000)
    plain = simulate_event(spec, config, requests)
    monkeypatch.setattr(event_engine, "LOG_ROWS", 40)
    monkeypatch.setattr(event_engine, "REQUESTS_PER_CALL", 7)
    logged = simulate_event(spec, config, requests, log=True)
    assert not timing_differences(logged, plain)
    assert logged.log is not None
    counts = np.bincount(logged.log.command, minlength=len(spec.commands))
    assert (counts[: len(spec.commands)] >= plain.commands).all()
    for channel in range(config.n_channels):
        assert (np.diff(logged.log.cyc[logged.log.channel == channel]) >= 0).all()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (ControllerConfig(row_policy="closed"), "policy"),
        (ControllerConfig(read_queue=2000), "queues"),
        (ControllerConfig(fe_ratio=1000), "queues"),
    ],
)
def test_what_the_kernel_does_not_know_goes_to_the_table(config: ControllerConfig, reason: str) -> None:
    spec = load_dram("ddr4")[1]
    why = why_not(spec, config)
    assert reason in str(why)
