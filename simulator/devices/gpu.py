"""One GPU: kernels by rooflines with a launch time, and the clock that its board's power limit leaves.

Source: `docs/gpu.md`, where every number is held against measured kernels and steps. Not modelled: what
`gpu_kernels` names, and temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import Bound, RunRecord
from simulator.core.errors import ConfigError
from simulator.devices.gpu_collectives import GpuCollectives
from simulator.devices.gpu_config import GpuConfig
from simulator.devices.gpu_host_link import HostLink
from simulator.devices.gpu_kernels import GpuKernels, Kernel
from simulator.devices.gpu_replay import replay_kernels
from simulator.kernels.gpu_power import LOWEST_RATIO, clock_ratios, kernel_times

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Kernels that ran: float64[n] times of one run each at the clock ratio of their group, and the ratios
    float64[g]."""

    time_ps: NDArray[np.float64]
    ratios: NDArray[np.float64]


class Gpu:
    """A GPU as its part describes it."""

    Config = GpuConfig

    def __init__(self, config: GpuConfig) -> None:
        self.config = config
        self.kernels = GpuKernels(config)

    def run(self, groups: Sequence[Sequence[tuple[Kernel, float]]]) -> Work:
        """Times of (kernel, how often) in groups, over each of which the board averages its power."""
        rows = [entry for group in groups for entry in group]
        offsets = np.zeros(len(groups) + 1, np.int64)
        np.cumsum([len(group) for group in groups], out=offsets[1:])
        energies = self.config.energies
        columns = np.array(
            [(n, one.latency_ps, one.memory_ps, one.compute_ps, one.dram_bytes, one.compute_pj) for one, n in rows],
            dtype=np.float64,
        ).T.copy()
        count, latency_ps, memory_ps, compute_ps, dram_bytes, compute_pj = columns
        ratios, time_ps = np.empty(len(groups)), np.empty(len(rows))
        clock_ratios(
            offsets, count, latency_ps, memory_ps, compute_ps, dram_bytes * energies.dram_pj_per_byte, compute_pj,
            float(energies.active_mw), float(self.config.board_limit_mw), ratios,
        )  # fmt: skip
        kernel_times(offsets, latency_ps, memory_ps, compute_ps, ratios, time_ps)
        return Work(time_ps, ratios)

    def replay(self, trace: str | Path, seed: int) -> RunRecord:
        """Predict the kernels of a CSV file (`gpu_kernel_rows` says its columns), a row each, and hold them against
        what was measured.

        `seed` is unused: nothing here is random.
        """
        del seed
        return replay_kernels(self, str(trace))

    def dynamic_pj(self, kernel: Kernel, ratio: float) -> tuple[float, float]:
        """Energy of one run's memory traffic, and of its arithmetic at a clock ratio."""
        return kernel.dram_bytes * self.config.energies.dram_pj_per_byte, kernel.compute_pj * ratio * ratio

    def limit_note(self, ratio: float) -> str:
        """What the board's limit does to work at a clock ratio below 1, for a reader of the figures."""
        limit_w = self.config.board_limit_mw / 1e3
        if ratio <= LOWEST_RATIO:
            return f"the board's limit of {limit_w:,.0f} W is exceeded: no clock lowers what memory traffic takes"
        return f"the board's limit of {limit_w:,.0f} W holds the clock at {ratio:.0%} of its boost"

    def bound(self, kernel: Kernel, time_ps: float, ratio: float) -> Bound:
        """What binds a kernel at a clock ratio: the constraint, and what it achieves of the data sheet's peak."""
        compute_ps = kernel.compute_ps / ratio
        roof_ps = max(kernel.memory_ps, compute_ps)
        if kernel.latency_ps >= roof_ps:
            return Bound("launch latency", kernel.latency_ps / 1e6, time_ps / 1e6, "us of the kernel's time")
        if compute_ps > kernel.memory_ps:
            constraint = "compute" if ratio >= 1.0 else "power limit"
            return Bound(constraint, kernel.flops / time_ps, self.config.formats[kernel.peak].peak_tflops, "TFLOP/s")
        if not kernel.dram_bytes:
            return Bound("cache bandwidth", kernel.memory_ps / 1e6, time_ps / 1e6, "us of the kernel's time")
        achieved = kernel.dram_bytes / time_ps * 1e3
        return Bound("memory bandwidth", achieved, self.config.bandwidth_gb_per_s, "GB/s")

    def collectives(self, n_ranks: int) -> GpuCollectives:
        """Collectives of so many GPUs of this kind. Raises ConfigError where the part has no fabric or library."""
        config = self.config
        if config.fabric is None or config.collectives is None:
            raise ConfigError(
                f"{config.name} has no fabric to other GPUs",
                remedy="name `fabric` and `collectives` in the part, as hw_configs/parts/gpu_h200.yaml does",
            )
        return GpuCollectives(config.collectives, config.fabric, n_ranks)

    def host_link(self) -> HostLink:
        """The link to the host. Raises ConfigError where the part has none."""
        if self.config.host_link is None:
            raise ConfigError(
                f"{self.config.name} has no link to a host",
                remedy="name `host_link` in the part, as hw_configs/parts/gpu_h200.yaml does",
            )
        return HostLink(self.config.host_link)
