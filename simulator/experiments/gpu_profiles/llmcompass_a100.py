"""LLMCompass's A100: fp16 matrix products, layer norm, softmax and GELU, timed from the host.

Measured: the median wall-clock time around one PyTorch call and `synchronize`, so every row holds the launch from the
host: 30 to 50 us that no kernel model has (LLMCompass subtracts nothing either). The smallest rows are that and nothing
else; where kernels alone are compared, take those of 40 us or more for GEMMs, or add a host launch.

Files have no header. `matmul_A100.csv`: M, N, K, time with `ms`, rate with `Tflops`; M is the rows (tokens), which the
square weights leave open but 2MNK / time, checked line by line, does not contradict. `layernorm_A100.csv`,
`softmax_A100.csv`: M, N, 10^9 elements/s; `gelu_A100.csv`: elements, 10^9 elements/s; each reads and writes 2 bytes per
element. Nothing is dropped: 20 GEMMs, 22 + 22 + 20 others. Not read: whole layers (`transformer*.csv`, whose lines
bear no name), die areas, and the MI210.

The files do not say which A100. GELU reaches 1,561 GB/s, more than the 1,555 of a 40 GB card, and GEMM 293 TFLOPS, 0.94
of the peak, more than the 300 W of a PCIe card sustain: an 80 GB SXM.

Source: PrincetonUniversity/LLMCompass (commit 2e015fd2), `ae/figure5/*/real_hardware`, licence BSD-3.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simulator.experiments.gpu_profiles.rows import ELEMENT_BYTES, Elementwise, Gemm, GpuProfile, Kernel, ProfileRow
from simulator.experiments.gpu_profiles.table import headerless

NAME = "llmcompass_a100"
FOLDER = "llmcompass_real_hw"
_GPU = "a100_80"
_RATE_TOLERANCE = 0.01


def read(folder: Path) -> GpuProfile:
    """Rows of the four A100 files in `folder`; WorkloadError, with file and line, on text not as published."""
    return GpuProfile(
        NAME,
        (
            *_gemms(folder / "matmul_A100.csv"),
            *_elementwise(folder / "layernorm_A100.csv", "layernorm", ("M", "N")),
            *_elementwise(folder / "softmax_A100.csv", "softmax", ("M", "N")),
            *_elementwise(folder / "gelu_A100.csv", "gelu", ("elements",)),
        ),
    )


def _gemms(path: Path) -> Iterator[ProfileRow]:
    for line in headerless(path, ("M", "N", "K", "time", "rate")):
        gemm = Gemm(*(line.count(name, least=1) for name in ("M", "N", "K")))
        measured_us = 1e3 * line.positive("time", unit="ms")
        stated = line.positive("rate", unit="Tflops")
        achieved = gemm.flops / measured_us * 1e-6
        if abs(achieved / stated - 1) > _RATE_TOLERANCE:
            raise line.error(f"2MNK over the time is {achieved:.4g} Tflops, but the line says {stated:.4g}")
        yield _row("matmul {} x {} x {}".format(*gemm.columns().values()), gemm, measured_us)


def _elementwise(path: Path, name: str, sizes: tuple[str, ...]) -> Iterator[ProfileRow]:
    for line in headerless(path, (*sizes, "rate")):
        n_elements = 1
        for size in sizes:
            n_elements *= line.count(size, least=1)
        label = " x ".join((f"{name} {line.text(sizes[0])}", *(line.text(size) for size in sizes[1:])))
        yield _row(label, Elementwise(2 * ELEMENT_BYTES * n_elements, name), n_elements / line.positive("rate") * 1e-3)


def _row(label: str, kernel: Kernel, measured_us: float) -> ProfileRow:
    return ProfileRow(NAME, _GPU, label, (kernel,), measured_us)
