"""Kernels of a measured GPU: time against the measured time, and what products and attention reach of the roofs."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_gpu_study import kernels_as_runs, kernels_of, measured_value, swept
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_gpu_kernels import ComparedKernel

TIME, PRODUCTS, ATTENTION = "time of a kernel", "matrix products", "decode attention"
TOKENS, MOVED = "tokens of matrix products", "bytes of decode attention"
SHAPES = ((57344, 8192), (12288, 4096), (1024, 4096))
RUNS = kernels_as_runs()


def measure(study: Study) -> list[Value]:
    """Times beside the measured ones, and rates of three shapes of matrix products and of decode attention."""
    gpu, kernels = kernels_of(study)
    values = [measured_value(TIME, one.time) for one in _unlike(kernels)]
    for n, k in SHAPES:
        measured = {one.row.sizes["M"]: one.time.measured for one in kernels if _is_product(one, n, k)}
        for m, t_us, _ in swept(gpu, n, k):
            tflops_us = 2e-6 * m * n * k
            theirs = tflops_us / measured[m] if m in measured else None
            values.append(_value(PRODUCTS, f"{n:,} x {k:,}", str(m), tflops_us / t_us, theirs))
            values.append(Value(TOKENS, f"{n:,} x {k:,}", str(m), float(m)))
    for one in sorted(kernels, key=lambda one: _kv_bytes(one)):
        if one.row.kind == "attn_decode":
            series, n_bytes = f"batch {one.row.sizes['B']}", _kv_bytes(one)
            ours, theirs = (n_bytes / t_us * 1e-3 for t_us in (one.time.ours, one.time.measured))
            values.append(_value(ATTENTION, series, one.time.label, ours, theirs))
            values.append(Value(MOVED, series, one.time.label, n_bytes / 1e6))
    return values


def _unlike(kernels: list[ComparedKernel]) -> list[ComparedKernel]:
    """Kernels whose series and label differ: host copies of one size in both directions are one point."""
    return list({(one.time.series, one.time.label): one for one in kernels}.values())


def _is_product(one: ComparedKernel, n: int, k: int) -> bool:
    return one.row.kind == "gemm" and (one.row.sizes["N"], one.row.sizes["K"]) == (n, k)


def _kv_bytes(one: ComparedKernel) -> float:
    sizes = one.row.sizes
    return 4.0 * sizes["B"] * sizes["Hkv"] * sizes["D"] * sizes["L"] if one.row.kind == "attn_decode" else 0.0


def _value(panel: str, series: str, at: str, ours: float, theirs: float | None) -> Value:
    return Value(panel, series, at, ours, theirs, n_decimals=1, is_judged=False)


FIGURE = Figure(
    name="gpu-kernels",
    title="Kernels of an H200",
    caption=(
        "Left: our time of each kernel over the measured one; the band is 10 % wide on either side. Middle: operations "
        "a second of matrix products of 16-bit weights (outputs x inputs) over the tokens. Right: bytes of keys and "
        "values a second that decode attention reads. Lines are ours, diamonds measured."
    ),
    source="measured on H200 SXM for this simulator (targets/h200)",
    panels=(
        Panel(TIME, "parity", y="ours (us)", x="measured (us)", log_x=True, log_y=True),
        Panel(PRODUCTS, "achieved", y="TFLOP/s", x="tokens", x_from=TOKENS, log_x=True, log_y=True),
        Panel(ATTENTION, "achieved", y="GB/s", x="keys and values (MB)", x_from=MOVED, log_x=True),
        Panel(TOKENS, "hidden"),
        Panel(MOVED, "hidden"),
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        "The part's efficiencies of 16-bit products, attention and collectives were fitted on some of these rows, and "
        "those of int8 and w4a16 (PyTorch's own kernels) read from a few. `sim validate gpu` tells them from the rest.",
    ),
    inches=(7.16, 2.7),
)
