"""CENT, what it costs: a controller, a machine, an hour."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import Study

CONTROLLER, MACHINE, PARTS, HOUR = "controller", "machine", "parts of the machine", "an hour"
RUNS = {"70B": Run("70B")}
GPUS = "4 GPUs"


def measure(study: Study) -> list[Value]:
    """Dollars of a controller by what they are paid for, of both machines by part, and of an hour of each."""
    chip, gpu = study.cost.controller(), study.gpu
    n_devices = study.runs.n_devices("70B")
    values = [
        Value(CONTROLLER, "USD", name, usd)
        for name, usd in (
            ("die", chip.die_usd), ("package", chip.package_usd), ("NRE", chip.nre_usd), ("total", chip.total_usd),
        )
    ]  # fmt: skip
    parts = study.cost.machine_usd()
    values += [
        Value(MACHINE, "USD", "CENT", sum(parts.values())),
        Value(MACHINE, "USD", GPUS, sum(gpu.machine_usd.values()), is_baseline=True),
        *(Value(PARTS, name, "CENT", usd) for name, usd in parts.items()),
        *(Value(PARTS, name, GPUS, usd, is_baseline=True) for name, usd in gpu.machine_usd.items()),
    ]
    power_w = study.metric(RUNS["70B"], "power_w")
    own, rented = study.cost.usd_per_h(n_devices), study.cost.usd_per_h(n_devices, "rental")
    return [
        *values,
        Value(HOUR, "stated", "CENT", own),
        Value(HOUR, "stated", GPUS, gpu.usd_per_h_of("70B"), is_baseline=True),
        Value(HOUR, "derived", "CENT", study.derived_usd_per_h("70B", power_w)),
        Value(HOUR, "derived", GPUS, study.derived_gpu_usd_per_h("70B"), is_baseline=True),
        Value(HOUR, "rented", "CENT", rented),
        Value(HOUR, "rented", GPUS, gpu.rental_usd_per_h, is_baseline=True),
    ]


FIGURE = Figure(
    name="cent-cost",
    title="What the machine costs",
    caption="A controller made three million times; a machine of 32 devices beside one of 4 GPUs; an hour of each.",
    source="CENT (ASPLOS'25), cost model",
    panels=(
        Panel(CONTROLLER, "bars", y="USD"),
        Panel(MACHINE, "bars", y="USD"),
        Panel(HOUR, "bars", y="USD an hour"),
        Panel(PARTS, "hidden"),
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        "`stated` dollars of an hour are constants of the repository (its parts are not given): the row holds by "
        "construction. `derived` is the machine's price over three years and electricity at an assumed "
        "0.127 dollars a kWh.",
        "The parts of the machine are printed as whole dollars, and sum to 14,872 where the paper has 14,873.",
    ),
    inches=(7.16, 2.5),
)
