"""Power of a measured GPU's board: kernels and whole steps against the meter, and what the limit does to a product."""

from __future__ import annotations

from dataclasses import replace

from simulator.devices.gpu import Gpu
from simulator.experiments.figure_data import AnyRun, Figure, Panel, Replay, Value
from simulator.experiments.figure_gpu_study import (
    kernels_as_runs,
    kernels_of,
    measured_value,
    steps_as_runs,
    swept,
)
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_gpu_kernels import ComparedKernel
from simulator.experiments.validate_gpu_measured import Compared
from simulator.experiments.validate_gpu_steps import POWER, compared_steps

BOARD, WATTS, RATE, TOKENS = "power of a board", "power of a product", "its rate", "tokens of a product"
N_OUTPUTS, N_INPUTS = 12288, 4096
LIMITED, UNLIMITED = "with the limit", "without it"
_KERNELS, _STEPS = kernels_as_runs(), steps_as_runs()
WITHOUT = Replay(next(iter(_KERNELS.values())).part, {"board_limit": "2 kW"}, trace=next(iter(_KERNELS.values())).trace)
RUNS: dict[str, AnyRun] = {
    **_KERNELS,
    "without the limit": WITHOUT,
    **{step.label: run for step, run in _STEPS.items()},
}


def measure(study: Study) -> list[Value]:
    """Watts of a board beside the meter's, and what a matrix product draws and reaches, with the limit and without."""
    gpu, kernels = kernels_of(study)
    values = [measured_value(BOARD, one.power) for one in kernels if one.power is not None]
    records = {step: study.record(run) for step, run in _STEPS.items()}
    for step, row in zip(records, compared_steps(records)[POWER], strict=True):
        # A board's share: the limit is each board's.
        share = Compared(f"{step.phase} steps", row.label, row.measured / step.n_gpus, row.ours / step.n_gpus)
        values.append(measured_value(BOARD, share))
    product = {one.row.sizes["M"]: one for one in kernels if _is_product(one)}
    values += _curves(LIMITED, gpu, product)
    return values + _curves(UNLIMITED, study.part(WITHOUT), {})


def _curves(series: str, gpu: Gpu, product: dict[int, ComparedKernel]) -> list[Value]:
    """Watts and operations a second of the product over its tokens, measured ones beside them."""
    values = []
    for m, t_us, power_w in swept(gpu, N_OUTPUTS, N_INPUTS):
        flops_per_us = 2e-6 * m * N_OUTPUTS * N_INPUTS
        value = Value(WATTS, series, str(m), power_w, n_decimals=1, is_judged=False)
        rate = Value(RATE, series, str(m), flops_per_us / t_us, n_decimals=1, is_judged=False)
        one = product.get(m)
        if one is not None and one.power is not None:
            value = replace(value, published=one.power.measured)
            rate = replace(rate, published=flops_per_us / one.time.measured)
        values += [value, rate, Value(TOKENS, series, str(m), float(m))]
    return values


def _is_product(one: ComparedKernel) -> bool:
    sizes = one.row.sizes
    return one.row.kind == "gemm" and (sizes["N"], sizes["K"]) == (N_OUTPUTS, N_INPUTS)


FIGURE = Figure(
    name="gpu-power",
    title="Power of an H200",
    caption=(
        "Left: our power of a board over the measured one, kernels that repeat by themselves and whole steps; the band "
        f"is 10 % wide on either side. Middle and right: power and rate of a matrix product of {N_OUTPUTS:,} outputs "
        f"and {N_INPUTS:,} inputs, 16-bit, with the board's limit of 700 W and without. Diamonds are measured."
    ),
    source="measured on H200 SXM for this simulator (targets/h200)",
    panels=(
        Panel(BOARD, "parity", y="ours (W)", x="measured (W)"),
        Panel(WATTS, "achieved", y="W", x="tokens", x_from=TOKENS, log_x=True),
        Panel(RATE, "achieved", y="TFLOP/s", x="tokens", x_from=TOKENS, log_x=True, log_y=True),
        Panel(TOKENS, "hidden"),
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        "The meter reads up to 738 W, above the limit of 700 W that the board keeps on average: its noise is 3 to 4 %.",
    ),
    inches=(7.16, 2.7),
)
