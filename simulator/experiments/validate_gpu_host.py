"""Steps measured with their host: the GPU alone as a lower bound, and a floor that the host sets, fitted on half."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from simulator.experiments.gpu_profiles.reading import Absent
from simulator.experiments.gpu_profiles.rows import StepRow
from simulator.experiments.settings import load_settings
from simulator.experiments.validate_gpu_measured import Compared, Limits, claims_of, unchecked
from simulator.experiments.validate_gpu_profiles import Profiles
from simulator.experiments.validate_records import Claim, Group
from simulator.workload.batch import Batch
from simulator.workload.catalog import data_directory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FACTORS = 41  # of the engine's kernels over ours, from 1 to 2
_FLOORS = 81  # of the step's time, up to the median of the measured ones
_SLOPES = 41  # of what a sequence adds, up to 1 ms
_MOST_FACTOR, _MOST_SLOPE_MS = 2.0, 1.0


class HostClaims(BaseModel):
    """Claims of whole steps of `model` on the systems of `configs` by card: none below the GPU's time alone, and the
    errors by phase with a host's floor that is fitted on every second setting. `names` are what rows are called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    source: str
    profile: str
    model: str
    configs: dict[str, str]
    names: dict[str, str]
    rows: str
    lower_bound: Limits
    rows_with_host: str
    with_host: dict[str, Limits]


def host_claims(asked: HostClaims, profiles: Profiles) -> Iterator[Claim]:
    """Every claim beside our errors, or why it could not be checked."""
    group = Group("host", asked.title, asked.source, folded=False)
    profile = profiles.read(asked.profile)
    for gpu in asked.configs:
        for phase, limits in asked.with_host.items():
            alone = f"{asked.names[gpu]} {asked.names[phase]}"
            floored = f"{alone} with host"
            if isinstance(profile, Absent):
                yield from unchecked(group, alone, asked.lower_bound, asked.rows, profile.reason)
                yield from unchecked(group, floored, limits, asked.rows_with_host, profile.reason)
                continue
            steps = [step for step in profile.steps if (step.model, step.gpu, step.phase) == (asked.model, gpu, phase)]
            gpu_ms = gpu_times_ms(asked.configs[gpu], steps)
            rows = [_compared(step, ms) for step, ms in zip(steps, gpu_ms, strict=True)]
            yield from claims_of(group, alone, rows, asked.lower_bound, asked.rows)
            yield from claims_of(group, floored, held_out(steps, gpu_ms), limits, asked.rows_with_host)


def gpu_times_ms(config: str, steps: Sequence[StepRow]) -> list[float]:
    """Our time of each step without a host. Room is not asked for: engines that ran these steps shared it otherwise."""
    path = data_directory("hw_configs") / config
    systems = {}
    for step in steps:
        if step.tp not in systems:
            sets = {"workload.model": step.model, "system.tensor_parallel": step.tp, "system.capacity": "report"}
            systems[step.tp] = load_settings(path, {**sets, "system.reserved": "0 GiB"}).system()
    batches = [(Batch.prefill if step.phase == "prefill" else Batch.decode)(step.context, step.batch) for step in steps]
    return [systems[step.tp].step(batch).latency_ps / 1e9 for step, batch in zip(steps, batches, strict=True)]


def held_out(steps: Sequence[StepRow], gpu_ms: Sequence[float]) -> list[Compared]:
    """Steps of every second setting beside ours with the host that the other settings were fitted with."""
    import numpy as np

    n = np.array([step.batch for step in steps], float)
    measured, ours = np.array([step.measured_ms for step in steps]), np.array(gpu_ms)
    found = []
    for kept in (0, 1):
        fitted = np.arange(len(steps)) % 2 == kept
        host = fit_host(ours[fitted], n[fitted], measured[fitted])
        with_host = np.maximum(host[0] * ours, host[1] + host[2] * n)
        found += [
            _compared(step, ms) for step, ms, is_fitted in zip(steps, with_host, fitted, strict=True) if not is_fitted
        ]
    return found


def fit_host(gpu_ms: Floats, n: Floats, measured_ms: Floats) -> tuple[float, float, float]:
    """The factor of the engine's kernels over ours, the floor in ms, and what a sequence adds to it in ms.

    All arrays are float64[k]; least mean |log error| over a grid, so that the same rows give the same numbers.
    """
    import numpy as np

    factors = np.linspace(1.0, _MOST_FACTOR, _FACTORS)
    floors = np.linspace(0.0, float(np.median(measured_ms)), _FLOORS)
    slopes = np.linspace(0.0, _MOST_SLOPE_MS, _SLOPES)
    least, best = np.inf, (1.0, 0.0, 0.0)
    for slope in slopes.tolist():
        floor = floors[:, None] + slope * n  # [floors, k]
        ours = np.maximum(factors[:, None, None] * gpu_ms, floor)
        losses = np.abs(np.log(ours / measured_ms)).mean(axis=-1)
        place = np.unravel_index(int(losses.argmin()), losses.shape)
        if losses[place] < least:
            least, best = losses[place], (float(factors[place[0]]), float(floors[place[1]]), slope)
    return best


def _compared(step: StepRow, ms: float) -> Compared:
    return Compared(step.phase, f"TP{step.tp} {step.batch} x {step.context}", step.measured_ms, float(ms))
