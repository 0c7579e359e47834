"""Whole steps of models on measured GPUs: time against the measured time, and where ours goes."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_gpu_study import measured_value, steps_as_runs
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_gpu_steps import TIME, compared_steps

STEP, ROOFS = "time of a step", "what bounds it"
ORDER = ("memory bandwidth", "power limit", "compute", "launch latency", "link", "link latency", "cache bandwidth")
_RUN_OF = steps_as_runs()
RUNS = {step.label: run for step, run in _RUN_OF.items()}


def measure(study: Study) -> list[Value]:
    """Times beside the measured ones; and the share of the measured time that each roof takes in ours."""
    alike = list(dict.fromkeys(step.series for step in _RUN_OF))
    steps = sorted(_RUN_OF, key=lambda step: (alike.index(step.series), step.batch, step.context))
    records = {step: study.record(_RUN_OF[step]) for step in steps}
    values = [measured_value(STEP, row) for row in compared_steps(records)[TIME]]
    shares = {
        (roof, step): float(time_ms) / step.time_ms
        for step, record in records.items()
        for roof, time_ms in record.breakdown["time_by_roof_ms"].items()
    }
    roofs = sorted({roof for roof, _ in shares}, key=lambda roof: (ORDER.index(roof) if roof in ORDER else 99, roof))
    values += [
        Value(ROOFS, roof, step.label, shares[roof, step])
        for step in records
        for roof in roofs
        if shares.get((roof, step), 0.0) > 0
    ]
    return values


FIGURE = Figure(
    name="gpu-end-to-end",
    title="Steps of Llama-2 on H200",
    caption=(
        "Left: our time of a decode step or a prefill over the measured one; the band is 10 % wide on either side. "
        "Right: the same as a share of the measured time, by what bounds the kernels that it goes to. Nothing was "
        "fitted on these steps."
    ),
    source="measured on H200 SXM for this simulator (targets/h200)",
    panels=(
        Panel(STEP, "parity", y="ours (ms)", x="measured (ms)", log_x=True, log_y=True),
        Panel(ROOFS, "rows", x="share of the measured time", reference=1.0),
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        "Models without shared keys ran FlashAttention-2 on one GPU, which leaves keys unsplit at large batch: those "
        "decode steps are bound by the padded rows of its tiles, and by the power limit.",
        "70B:8 is eight of the layers, TP2 forty of them on two GPUs, TP4 all on four, tensor parallel.",
    ),
    inches=(7.16, 5.2),
)
