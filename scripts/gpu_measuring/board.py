"""The card as its driver sees it: power over a while, clocks, names."""

from __future__ import annotations

import importlib
import math
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SAMPLE_S = 0.02


@dataclass(frozen=True, slots=True)
class PowerSource:
    """Where power is read: `energy_j` counts from some start on, `power_w` is the present draw; None if missing."""

    name: str
    energy_j: Callable[[], float] | None
    power_w: Callable[[], float] | None


class PowerWindow:
    """Mean board power between `start` and `stop`, read by a thread of its own.

    With an energy counter it is the difference between the first and the last change seen, over the time between them:
    drivers refresh the counter only now and then. Otherwise it is the mean of the later half of the readings, since
    drivers average the draw over up to a second.
    """

    def __init__(self, source: PowerSource | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._source = source
        self._clock = clock
        self._stop = threading.Event()
        self._changes: list[tuple[float, float]] = []
        self._readings: list[float] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read."""
        if self._source is not None:
            self._thread = threading.Thread(target=self._run, args=(self._source,), daemon=True)
            self._thread.start()

    def stop(self) -> float:
        """Mean watts since `start`, or NaN where nothing could be read."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if len(self._changes) > 1:
            (begin, first), (end, last) = self._changes[0], self._changes[-1]
            return (last - first) / (end - begin)
        later = self._readings[len(self._readings) // 2 :]
        return sum(later) / len(later) if later else math.nan

    def _run(self, source: PowerSource) -> None:
        last = math.nan
        while not self._stop.wait(SAMPLE_S):
            try:
                if source.energy_j is not None:
                    counted = source.energy_j()
                    if not math.isnan(last) and counted != last:
                        self._changes.append((self._clock(), counted))
                    last = counted
                if source.power_w is not None:
                    self._readings.append(source.power_w())
            except Exception:
                return  # a driver that stops answering costs the power, not the row


def power_source(uuid: str | None) -> PowerSource | None:
    """The best source for the card of this UUID: pynvml's counter, its draw, nvidia-smi's draw, or None."""
    try:
        nvml, handle = _nvml(uuid)
    except Exception:
        return _smi_source(uuid)
    energy = _working(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)
    power = _working(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3)
    if energy is None and power is None:
        return _smi_source(uuid)
    return PowerSource("NVML energy counter" if energy else "NVML power", energy, None if energy else power)


def board_facts(uuid: str | None) -> dict[str, str]:
    """Driver, power limit and clocks, as nvidia-smi names them; empty where it is not there."""
    names = (
        "driver_version",
        "power.limit",
        "clocks.current.sm",
        "clocks.current.memory",
        "clocks.max.sm",
        "clocks.max.memory",
        "temperature.gpu",
    )
    answer = _smi(uuid, ",".join(names), "csv,noheader")
    return dict(zip(names, (cell.strip() for cell in answer.split(",")), strict=False)) if answer else {}


def _nvml(uuid: str | None) -> tuple[Any, Any]:
    nvml: Any = importlib.import_module("pynvml")
    nvml.nvmlInit()
    if uuid is None:
        return nvml, nvml.nvmlDeviceGetHandleByIndex(0)
    return nvml, nvml.nvmlDeviceGetHandleByUUID(uuid)


def _working(read: Callable[[], float]) -> Callable[[], float] | None:
    try:
        read()
    except Exception:
        return None
    return read


def _smi_source(uuid: str | None) -> PowerSource | None:
    def power_w() -> float:
        return float(_smi(uuid, "power.draw", "csv,noheader,nounits"))

    return PowerSource("nvidia-smi", None, power_w) if _working(power_w) else None


def _smi(uuid: str | None, query: str, form: str) -> str:
    chosen = ["-i", uuid] if uuid else ["-i", "0"]
    try:
        ran = subprocess.run(
            ["nvidia-smi", *chosen, f"--query-gpu={query}", f"--format={form}"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.strip().splitlines()[0] if ran.stdout.strip() else ""
