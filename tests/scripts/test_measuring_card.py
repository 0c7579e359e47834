"""Power between two moments, and what a failing row does to the run."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import pytest


def window_w(monkeypatch: pytest.MonkeyPatch, n_readings: int, **sources: Callable[[], float] | None) -> float:
    """What a window gives after this many readings, taken at seconds 0, 1, 2..."""
    from gpu_measuring import board

    seen = itertools.count(1)

    def counted(read: Callable[[], float] | None) -> Callable[[], float] | None:
        def once() -> float:
            assert read is not None
            next(seen)
            return read()

        return once if read else None

    monkeypatch.setattr(board, "SAMPLE_S", 1e-3)
    source = board.PowerSource("fake", counted(sources.get("energy_j")), counted(sources.get("power_w")))
    clock = itertools.count()
    window = board.PowerWindow(source, clock=lambda: float(next(clock)))
    window.start()
    patience = time.monotonic() + 10
    while seen.__reduce__()[1][0] <= n_readings and time.monotonic() < patience:
        time.sleep(1e-3)
    return window.stop()


def test_power_is_the_energy_between_two_changes_of_the_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.chain([5.0, 5.0], (300.0 * tick for tick in itertools.count(7)))
    assert window_w(monkeypatch, 6, energy_j=lambda: next(readings)) == 300.0


def test_power_without_a_counter_is_the_mean_of_the_later_half(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.chain([0.0], itertools.repeat(200.0))
    assert window_w(monkeypatch, 4, power_w=lambda: next(readings)) == 200.0


def test_a_driver_that_stops_answering_costs_the_power_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> float:
        raise OSError("driver")

    assert math.isnan(window_w(monkeypatch, 1, power_w=lost))


def test_no_source_no_power() -> None:
    from gpu_measuring.board import PowerWindow

    window = PowerWindow(None)
    window.start()
    assert math.isnan(window.stop())


def test_neither_library_nor_program(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_measuring import board

    def missing(*_: Any, **__: Any) -> Any:
        raise OSError("no nvidia-smi")

    monkeypatch.setattr(board.importlib, "import_module", missing)
    monkeypatch.setattr(board.subprocess, "run", missing)
    assert board.power_source("GPU-1") is None
    assert board.board_facts("GPU-1") == {}


def bench(torch: Any, method: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    from gpu_measuring.card import CardBench

    return CardBench(torch, "kind", {"gemm": method})


def failing(error: BaseException, behind: BaseException | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def method(row: dict[str, Any]) -> dict[str, Any]:
        if behind is None:
            raise error
        try:
            raise behind
        finally:
            raise error

    return method


def test_memory_and_kernels_that_are_not_there_skip_the_row(torch: Any) -> None:
    from gpu_measuring.errors import RowSkipped

    with pytest.raises(RowSkipped, match="out of memory on this card"):
        bench(torch, failing(torch.cuda.OutOfMemoryError("12 GiB"))).measure({"kind": "gemm"})
    with pytest.raises(RowSkipped, match=r"not supported here: no fp8$"):
        bench(torch, failing(RuntimeError("no fp8\nstack"))).measure({"kind": "gemm"})
    with pytest.raises(RowSkipped, match="not supported here: AssertionError"):
        bench(torch, failing(AssertionError())).measure({"kind": "gemm"})


def test_ctrl_c_within_a_graph_is_no_skipped_row(torch: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench(torch, failing(RuntimeError("capture ended"), behind=KeyboardInterrupt())).measure({"kind": "gemm"})


def test_a_card_that_no_longer_answers_ends_the_run(torch: Any) -> None:
    from gpu_measuring.errors import MeasuringError

    torch.cuda.synchronize.side_effect = RuntimeError("CUDA error: an illegal memory access\nmore")
    with pytest.raises(MeasuringError, match=r"illegal memory access.*--resume"):
        bench(torch, failing(RuntimeError())).recover()


def test_buffers_exceed_the_cache(torch: Any) -> None:
    from gpu_measuring.card import n_rotating

    assert n_rotating(torch, 1 << 30) == 1
    assert n_rotating(torch, 10_000_000) == 20
    assert n_rotating(torch, 1000) == 256


def test_layers_of_a_model() -> None:
    from gpu_measuring.errors import RowSkipped
    from gpu_measuring.steps import shape_of

    assert shape_of("llama2-70b:8").n_layers == 8
    assert shape_of("llama2-13b").n_layers == 40
    for name in ("llama2-7c", "llama2-7b:x"):
        with pytest.raises(RowSkipped, match="no shapes of"):
            shape_of(name)
