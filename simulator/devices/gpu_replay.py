"""Kernels of a file on one GPU: the time and power of each row by itself, beside what was measured.

The board averages the power of an isolated kernel over that kernel, as a program that repeats it would. A row of two
kernels in two streams takes the time of both, less what streams overlap. Whole steps need a system and are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.contracts.error_stats import ErrorStats, as_breakdown, errors_by_kind
from simulator.contracts.results import RunRecord, Table
from simulator.core.errors import Position, SimulatorError
from simulator.devices.gpu_kernel_rows import PREDICTED, KernelFile, KernelRow, read_kernels
from simulator.devices.gpu_kernels import BF16_BYTES, DecodeKernel, Heads, Kernel, PrefillKernel, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.devices.gpu import Gpu

STEP_KINDS = ("tp_decode", "tp_prefill")
OVERLAPPED_HEADS = {"Hq": 32, "Hkv": 8, "D": 128}
"""Heads of rows of two streams, whose columns do not say."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Of each row its time float64[n] and board power float64[n], NaN where there is none to tell, and what binds
    it."""

    t_us: NDArray[np.float64]
    power_w: NDArray[np.float64]
    roof: Sequence[str]


def replay_kernels(gpu: Gpu, path: str) -> RunRecord:
    """Predict every row of a file of kernels. Raises WorkloadError where the file is wrong, ConfigError where the part
    lacks what a row needs."""
    file = read_kernels(path, gpu.config.formats)
    predicted = predict(gpu, file.rows, file.name)
    return _record(gpu, file, predicted)


def predict(gpu: Gpu, rows: Sequence[KernelRow], name: str = "") -> Predictions:
    """Time, power and roof of rows, each by itself; `name` is the file's, for refusals. Raises ConfigError."""
    t_us, power_w = np.full((2, len(rows)), np.nan)
    roof = [""] * len(rows)
    others = _Others(gpu)
    groups, owners, kept_frac = [], [], []
    for place, row in enumerate(rows):
        kernels = kernels_of(gpu, row)
        if kernels:
            groups.append([(kernel, 1.0) for kernel in kernels])
            owners.append(place)
            in_streams = row.family == "attn_prefill_plus_decode"
            kept_frac.append(1.0 - gpu.config.streams_overlap_frac if in_streams else 1.0)
        elif row.family == "idle":
            power_w[place] = gpu.config.energies.idle_mw / 1e3
        elif row.family not in STEP_KINDS:
            try:
                t_us[place], roof[place] = others.predict(row)
            except SimulatorError as error:
                # The row asks for it; no system of a configuration does.
                error.where = Position(name, row.line) if name else None
                raise
    if groups:
        t_us[owners], power_w[owners] = _run(gpu, groups, np.array(kept_frac), owners, roof)
    return Predictions(t_us, power_w, roof)


def _run(
    gpu: Gpu,
    groups: Sequence[Sequence[tuple[Kernel, float]]],
    kept_frac: NDArray[np.float64],
    owners: Sequence[int],
    roof: list[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in us and powers in W of groups of kernels; fills the roof of each group's owner, that of its longest
    kernel."""
    work = gpu.run(groups)
    first = np.cumsum([0, *(len(group) for group in groups[:-1])])
    time_ps = np.add.reduceat(work.time_ps, first) * kept_frac
    energies = gpu.config.energies
    dynamic_pj = np.empty(len(groups))
    for number, (group, start, ratio) in enumerate(zip(groups, first.tolist(), work.ratios.tolist(), strict=True)):
        dynamic_pj[number] = sum(sum(gpu.dynamic_pj(kernel, ratio)) for kernel, _ in group)
        times = work.time_ps[start : start + len(group)]
        longest = int(np.argmax(times)) if len(group) > 1 else 0
        roof[owners[number]] = gpu.bound(group[longest][0], float(times[longest]), ratio).constraint
    # 1 pJ in 1 ps is 1 W.
    return time_ps / 1e6, energies.active_mw / 1e3 + dynamic_pj / time_ps


def kernels_of(gpu: Gpu, row: KernelRow) -> tuple[Kernel, ...]:
    """The kernels of a row, none for one that runs something else."""
    make = _KERNELS.get(row.family)
    return make(gpu, row) if make is not None else ()


def _gemm(gpu: Gpu, row: KernelRow) -> tuple[Kernel, ...]:
    sizes = row.sizes
    return (gpu.kernels.gemm(sizes["M"], sizes["N"], sizes["K"], row.number_format),)


def _decode(gpu: Gpu, row: KernelRow) -> tuple[Kernel, ...]:
    sizes = row.sizes
    rows = [Rows(sizes["B"], 1, sizes["L"])]
    return (gpu.kernels.attention_decode(_heads(sizes), rows, decode_kernel(gpu, row)),)


def decode_kernel(gpu: Gpu, row: KernelRow) -> DecodeKernel:
    """The decode kernel of a row's back end."""
    named: Any = row.backend
    return named or gpu.config.replay.decode_kernel


def _prefill(gpu: Gpu, row: KernelRow) -> tuple[Kernel, ...]:
    sizes = row.sizes
    # A chain of products has no kernel for prompts here; what remains is cuDNN's or what the part says.
    kernel: PrefillKernel = "fa2" if row.backend == "fa2" else gpu.config.replay.prefill_kernel
    return (gpu.kernels.attention_prefill(_heads(sizes), [Rows(sizes["B"], sizes["L"], sizes["L"])], kernel),)


def _two_streams(gpu: Gpu, row: KernelRow) -> tuple[Kernel, ...]:
    heads = {**OVERLAPPED_HEADS, **row.sizes}
    length = row.sizes["M"]
    prompt = KernelRow(row.kind, "attn_prefill", {**heads, "B": 1, "L": length}, backend=row.backend)
    tokens = KernelRow(row.kind, "attn_decode", heads, backend=row.backend)
    return (*_prefill(gpu, prompt), *_decode(gpu, tokens))


def _heads(sizes: Any) -> Heads:
    return Heads(sizes["Hq"], sizes["Hkv"], sizes["D"])


def _norm(gpu: Gpu, row: KernelRow) -> tuple[Kernel, ...]:
    return (gpu.kernels.norm(row.sizes["M"], row.sizes["N"]),)


def _silu_mul(gpu: Gpu, row: KernelRow) -> tuple[Kernel, ...]:
    """Two launches on matrices of their own: read and written, then two read and one written."""
    tensor = row.sizes["M"] * row.sizes["N"] * BF16_BYTES
    return gpu.kernels.elementwise(2 * tensor), gpu.kernels.elementwise(3 * tensor)


_KERNELS: dict[str, Callable[[Any, KernelRow], tuple[Kernel, ...]]] = {
    "copy": lambda gpu, row: (gpu.kernels.stream(row.sizes["bytes"], writes=True),),
    "read": lambda gpu, row: (gpu.kernels.stream(row.sizes["bytes"], writes=False),),
    "gemm": _gemm,
    "attn_decode": _decode,
    "attn_prefill": _prefill,
    "attn_prefill_plus_decode": _two_streams,
    "rmsnorm": _norm,
    "silu_mul": _silu_mul,
}


class _Others:
    """Rows that are no kernels of the GPU: its links, its launches, the memory of its host."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._collectives: dict[int, Any] = {}
        self._host_link: Any = None

    def predict(self, row: KernelRow) -> tuple[float, str]:
        """Time in us and what binds it."""
        if row.family.startswith("all_"):
            return self._collective(row)
        if row.family.startswith("launch_"):
            return self._launch(row)
        if row.family.startswith("host_"):
            return self._host_memory(row)
        n_bytes = row.sizes["bytes"]
        if self._host_link is None:
            self._host_link = self.gpu.host_link()
        return self._host_link.copy_ps(row.family, n_bytes) / 1e6, "host link"

    def _collective(self, row: KernelRow) -> tuple[float, str]:
        world, n_bytes = row.sizes["world"], row.sizes["bytes"]
        if world not in self._collectives:
            self._collectives[world] = self.gpu.collectives(world)
        collectives = self._collectives[world]
        roof = f"links, protocol {collectives.protocol(row.family, n_bytes)}"
        return collectives.time_ps(row.family, n_bytes) / 1e6, roof

    def _launch(self, row: KernelRow) -> tuple[float, str]:
        launches = self.gpu.config.launches
        if row.family == "launch_graph_small_kernel":
            return launches.elementwise_ps / 1e6, "launch latency"
        waits = launches.synchronise_ps if row.family == "launch_and_sync" else 0
        return (launches.eager_ps + waits) / 1e6, "launch latency"

    def _host_memory(self, row: KernelRow) -> tuple[float, str]:
        config = self.gpu.host_link().config
        rate = config.host_copy_gb_per_s if row.family == "host_copy" else config.host_read_gb_per_s
        if rate is None:
            return np.nan, ""
        return row.sizes["bytes"] / rate / 1e3, "host memory"


# --- the record


def _record(gpu: Gpu, file: KernelFile, predicted: Predictions) -> RunRecord:
    measured = np.array([(row.t_us, row.power_w) for row in file.rows]).T
    errors = predicted.t_us / measured[0] - 1, predicted.power_w / measured[1] - 1
    kinds = [row.kind for row in file.rows]
    time_error, power_error = (as_breakdown(errors_by_kind(kinds, one)) for one in errors)
    n_predicted = int(np.count_nonzero(~np.isnan(predicted.t_us) | ~np.isnan(predicted.power_w)))
    metrics: dict[str, int | float] = {"n_rows": len(file.rows), "n_predicted": n_predicted}
    for name, one in (("time_error", errors[0]), ("power_error", errors[1])):
        known = one[~np.isnan(one)]
        metrics[f"n_{name.split('_')[0]}s_measured"] = len(known)
        if len(known):
            stats = ErrorStats.of(known)
            metrics |= {f"{name}_mean_frac": stats.mean, f"{name}_p95_frac": stats.p95}
    return RunRecord(
        system=gpu.config.name,
        workload=file.name.rpartition("/")[2],
        metrics=metrics,
        breakdown={"error": time_error, "power_error": power_error},
        headlines=(_headline(file, metrics),),
        notes=_notes(file.rows, predicted),
        key_metrics=tuple(name for name in metrics if name.endswith("_frac")),
        tables={"predictions": _table(file, predicted, errors)},
    )


def _headline(file: KernelFile, metrics: dict[str, int | float]) -> str:
    text = f"{metrics['n_predicted']:,} of {len(file.rows):,} rows predicted"
    if "time_error_mean_frac" not in metrics:
        return f"{text}; no time was measured"
    mean, p95 = metrics["time_error_mean_frac"], metrics["time_error_p95_frac"]
    of_times = f"{metrics['n_times_measured']:,} measured times"
    return f"{text}; {of_times}: error {mean:.1%} mean, {p95:.1%} at the 95th percentile"


def _notes(rows: Sequence[KernelRow], predicted: Predictions) -> tuple[str, ...]:
    n_steps = sum(row.family in STEP_KINDS for row in rows)
    without = sorted({row.kind for row, t_us in zip(rows, predicted.t_us, strict=True) if _is_left_out(row, t_us)})
    notes = []
    if n_steps:
        notes.append(
            f"{n_steps} rows are whole steps, which need a system: sim run hw_configs/gpu_4xh200_tp4.yaml, say"
        )
    if without:
        notes.append(f"the part says nothing of {', '.join(without)}: no prediction")
    return tuple(notes)


def _is_left_out(row: KernelRow, t_us: float) -> bool:
    return bool(np.isnan(t_us)) and row.family not in (*STEP_KINDS, "idle")


def _table(file: KernelFile, predicted: Predictions, errors: tuple[NDArray[np.float64], ...]) -> Table:
    """Every column of the file as it was, and PREDICTED beside it."""
    ours = (
        predicted.t_us.tolist(),
        predicted.power_w.tolist(),
        predicted.roof,
        errors[0].tolist(),
        errors[1].tolist(),
    )
    rows = [(*cells, *added) for cells, *added in zip(file.cells, *ours, strict=True)]
    return Table((*file.columns, *PREDICTED), rows)
