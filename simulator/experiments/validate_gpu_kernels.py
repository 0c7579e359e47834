"""Measured kernels beside ours, each by itself as `sim replay` predicts it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.devices.gpu import Gpu
from simulator.devices.gpu_kernel_rows import KernelRow, read_kernels
from simulator.devices.gpu_replay import predict
from simulator.experiments.validate_gpu_measured import Compared

SERIES = {
    "gemm": "GEMM bf16",
    "gemm_fp8": "GEMM fp8",
    "gemm_int8": "GEMM int8",
    "gemm_w4a16_g128": "GEMM w4a16",
    "attn_decode": "decode attention",
    "attn_prefill": "prefill attention",
    "all_reduce": "collectives",
    "all_gather": "collectives",
    "h2d_pinned": "host link",
    "d2h_pinned": "host link",
    "h2d_pageable": "host link",
    "bidirectional_pinned": "host link",
}
"""What rows of a kind are drawn and counted with; rows of other kinds are not compared."""


@dataclass(frozen=True, slots=True)
class ComparedKernel:
    """A measured kernel: its row, its time in us beside ours, and its power in W where that was
    measured and is predicted."""

    row: KernelRow
    time: Compared
    power: Compared | None


def measured_kernels(gpu: Gpu, paths: Sequence[Path]) -> Iterator[KernelRow]:
    """The rows of files that are compared."""
    for path in paths:
        for row in read_kernels(str(path), gpu.config.formats).rows:
            if row.kind in SERIES and not math.isnan(row.t_us):
                yield row


def compared_kernels(gpu: Gpu, rows: Sequence[KernelRow]) -> list[ComparedKernel]:
    """Time and power of each row beside ours."""
    predicted = predict(gpu, rows)
    found = []
    for row, t_us, power_w in zip(rows, predicted.t_us.tolist(), predicted.power_w.tolist(), strict=True):
        name, label = SERIES[row.kind], label_of(row)
        has_power = not (math.isnan(row.power_w) or math.isnan(power_w))  # that of collectives is not predicted
        power = Compared(name, label, row.power_w, power_w) if has_power else None
        found.append(ComparedKernel(row, Compared(name, label, row.t_us, t_us), power))
    return found


def label_of(row: KernelRow) -> str:
    """A row in a few words."""
    sizes = row.sizes
    if "N" in sizes:
        number_format = f"{row.number_format} " if row.number_format else ""
        return f"{number_format}{sizes['M']} x {sizes['N']} x {sizes['K']}"
    if "L" in sizes:
        return f"{sizes['B']} x {in_binary(sizes['L'])}, {sizes['Hq']}/{sizes['Hkv']} heads"
    return f"{row.kind} {in_binary(sizes['bytes'])}iB".replace("_", " ")


def in_binary(n: int) -> str:
    """A size in binary units where it is a multiple of them."""
    for size, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if n % size == 0:
            return f"{n // size}{letter}"
    return str(n)
