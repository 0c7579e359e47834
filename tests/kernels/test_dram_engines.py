"""The event-driven DRAM engine against the table-driven one, on random set-ups: equal in everything.

Thousands more: python -m tests.kernels.fuzz_dram N SEED.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.core.errors import ConfigError
from simulator.memory.dram.controller import ControllerConfig, Requests, simulate
from tests.kernels.dram_cases import STANDARDS, load_dram, timing_differences
from tests.kernels.fuzz_dram import differences, random_case, run

N_CASES = 25


@pytest.mark.parametrize("standard", STANDARDS)
def test_engines_agree(standard: str) -> None:
    for seed in range(N_CASES):
        case = random_case(standard, np.random.default_rng([seed, 4]), n_requests=300 + 40 * seed)
        assert not differences(case), case.text


@pytest.mark.thorough
@pytest.mark.parametrize("standard", STANDARDS)
def test_engines_agree_on_many(standard: str) -> None:
    for seed in range(150):
        case = random_case(standard, np.random.default_rng([seed, 5]))
        assert not differences(case), case.text


def test_a_rule_of_one_tick_between_two_buses() -> None:
    """A precharge may share the tick of a column command on the other bus, if no rule forbids it."""
    sets = {"refresh": "NoRefresh", "overrides.n_rtp": 0, "overrides.n_wtrs": 56, "overrides.n_rtw": 60}
    _, spec = load_dram("hbm3", **sets)
    config = ControllerConfig(refresh="NoRefresh", read_queue=1, write_queue=5)
    requests = Requests(
        address=np.array([0x15DD00, 0xEECE40, 0x529340]),
        is_write=np.array([False, True, False]),
        channel=np.zeros(3, np.int32),
        bank=np.array([0, 1, 0], np.int32),
        row=np.array([1399, 7091, 5284]),
    )
    event = simulate(spec, config, requests, engine="event")
    assert not timing_differences(event, simulate(spec, config, requests, engine="table"))


@pytest.mark.parametrize("low_frac", [0.0, 0.9])
def test_a_write_mode_that_is_never_left_is_refused(low_frac: float) -> None:
    """Reads would starve, or the mode switch to and fro within a tick."""
    case = random_case("ddr4", np.random.default_rng([3, 4]), n_requests=20)
    for engine in ("event", "table"):
        with pytest.raises(ConfigError, match="never left again"):
            run(replace(case, config=replace(case.config, write_low_frac=low_frac)), engine)


def test_a_wait_after_cas_is_kept() -> None:
    """The event-driven kernel knows no rules for CAS and leaves them to the other engine."""
    sets: dict[str, str | int] = {"overrides.n_cas": 100, "refresh": "NoRefresh"}
    case = random_case("lpddr5", np.random.default_rng([5, 4]), n_requests=50)
    config = ControllerConfig(refresh="NoRefresh", n_channels=case.config.n_channels)
    late = replace(case, sets=sets, config=config)
    assert not differences(late)
    assert run(late, "event").cycles > run(replace(late, sets={"refresh": "NoRefresh"}), "event").cycles
