"""Speed of the event-driven DRAM controller: beside the reference's measured speed, and beside a C++ twin."""

from __future__ import annotations

import ctypes
import importlib
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulator.memory.dram import event_engine
from simulator.memory.dram.controller import ControllerConfig, DramTiming, Requests
from simulator.memory.dram.standard import DramSpec
from tests.kernels.dram_cases import golden_case, golden_differences, golden_rows, timing_differences

TWIN = Path(__file__).with_name("dram_twin.cpp")
LAYOUT = ("dram_event_state", "dram_event", "dram_event_advance", "dram_event_refresh", "dram_event_stream", "vectors")
N_TIMES = 5
# Case to how many times the reference's cycles per CPU-second are wanted.
CASES = {
    "ddr4_stream_r": 100,
    "ddr4_stream_w": 100,
    "ddr4_random_r": 25,
    "ddr4_random_mixed50": 25,
    "ddr4_random_mixed67_q64": 40,
    "ddr4_2rank_random_mixed67": 25,
    "ddr4_4ch_fe4_stream_r": 100,
    "ddr5_stream_r": 100,
    "ddr5_stream_w": 100,
    "ddr5_random_mixed67": 25,
    "ddr5_random_mixed67_q64": 40,
    "gddr6_stream_r": 100,
    "gddr6_stream_w": 100,
    "gddr6_random_mixed67": 25,
    "gddr6_random_mixed67_q64": 40,
    "hbm2_random_r": 10,
    "hbm2_stream_w": 10,
    "hbm2_8ch_fe16_stream_r": 10,
    "hbm3_stream_r": 10,
    "hbm3_random_mixed67": 10,
    "hbm3_4ch_fe4_random_r": 10,
    "lpddr5_stream_r": 10,
    "lpddr5_random_mixed67": 10,
}

pytestmark = pytest.mark.benchmark

Kernel = Callable[..., None]
Case = tuple[DramSpec, ControllerConfig, Requests]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, cxx: str) -> Kernel:
    """The C++ twin, on the kernel's own arrays, called as the kernel is; skipped where there is no compiler."""
    folder = tmp_path_factory.mktemp("twin")
    words: dict[str, int] = {}
    for name in LAYOUT:
        module = importlib.import_module(f"simulator.kernels.{name}")
        words |= {key: int(value) for key, value in vars(module).items() if key.isupper() and is_whole(value)}
    lines = [f"constexpr Int {key} = {value};" for key, value in words.items() if not key.startswith("_")]
    (folder / "dram_words.hpp").write_text("\n".join(["#pragma once", *lines, ""]))
    options = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-Wno-psabi", f"-I{folder}"]
    subprocess.run([cxx, *options, str(TWIN), "-o", str(folder / "dram_twin.so")], check=True)
    run_events = ctypes.CDLL(str(folder / "dram_twin.so")).run_events

    def call(state, n_channels, table, requests, offers, latency, issue, flight, log, front, tallies, until) -> None:  # type: ignore[no-untyped-def]
        def at(words):  # type: ignore[no-untyped-def]
            return words.ctypes.data_as(ctypes.c_void_p)

        n, n_offers, n_log = (ctypes.c_int64(len(rows)) for rows in (requests, offers, log))
        run_events(
            at(state), ctypes.c_int64(n_channels), at(table), at(requests), n, at(offers), n_offers, at(latency),
            at(issue), at(flight), at(log), n_log, at(front), at(tallies), ctypes.c_int64(int(until)),
        )  # fmt: skip

    return call


def is_whole(value: object) -> bool:
    """Whether a module's word is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def timed(kernel: Kernel, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[DramTiming, float]:
    """A run with this kernel, and the CPU seconds in the kernel alone."""
    spent = [0.0]

    def around(*arguments: object) -> None:
        begun = time.process_time()
        kernel(*arguments)
        spent[0] += time.process_time() - begun

    monkeypatch.setattr(event_engine, "run_events", around)
    return event_engine.simulate_event(*case), spent[0]


@pytest.mark.parametrize("name", CASES)
def test_speed(name: str, twin: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(row for row in golden_rows() if row["case"] == name)
    case = golden_case(row)
    ours = event_engine.run_events
    first, _ = timed(ours, case, monkeypatch)  # also compiles
    second, _ = timed(twin, case, monkeypatch)
    assert not golden_differences(row, case[0], first)
    assert not timing_differences(first, second)
    pairs = [(timed(ours, case, monkeypatch)[1], timed(twin, case, monkeypatch)[1]) for _ in range(N_TIMES)]
    taken_s = statistics.median(pair[0] for pair in pairs)
    to_twin = statistics.median(pair[1] / pair[0] for pair in pairs)
    times = int(row["cycles"]) / 1e6 / taken_s / float(row["ref_mcyc_per_s"])
    print(
        f"\n{name}: {taken_s / len(case[2]) * 1e9:,.0f} ns a request, {times:,.0f} times the reference "
        f"(target: {CASES[name]}), {to_twin:.2f} of the C++ twin's speed (target: 0.8)"
    )
