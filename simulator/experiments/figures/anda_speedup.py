"""Anda's comparison of systems: speed over FP-FP, and speed for the area; means, and model by model."""

from __future__ import annotations

from simulator.experiments.figure_anda_study import BARS, MODEL_NAMES, MODELS, SCOPE, TOLERANCES, chosen, gain, geomeans
from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study

SPEED, AREA, BY_MODEL = "speed-up", "speed-up for the area", "Anda, by model"
MEAN = "geometric mean"


def measure(study: Study) -> list[Value]:
    """Geometric means of every design over nine models, and Anda's speed-up on each."""
    gains = {name: geomeans(*bar) for name, bar in BARS.items() if name != "FP-FP"}
    return [
        *(Value(SPEED, MEAN, name, one.speed) for name, one in gains.items()),
        *(Value(AREA, MEAN, name, one.speed_per_area, is_judged=False) for name, one in gains.items()),
        *(
            Value(BY_MODEL, tolerance.replace("%", " %"), MODEL_NAMES[model], one.speed)
            for tolerance in TOLERANCES
            for model in MODELS
            for one in [gain("anda", model, chosen(model, tolerance))]
        ),
    ]


FIGURE = Figure(
    name="anda-speedup",
    title="Anda's speed-up over FP-FP",
    caption=(
        "Left and middle: geometric means over nine models, ours as bars and the paper's as diamonds. Right: ours by "
        "model, of which the paper prints no numbers, with the mantissas of either tolerance."
    ),
    source="Anda (HPCA'25), system comparison",
    panels=(
        Panel(SPEED, "bars", y="over FP-FP", reference=1.0, breadth=6.0),
        Panel(AREA, "bars", reference=1.0, breadth=6.0),
        Panel(BY_MODEL, "bars", reference=1.0, labelled=False, breadth=8.0),
    ),
    runs={},
    measure=measure,
    cautions=(
        SCOPE,
        "Anda's speed is 1.9 % below the paper's for both tolerances: its law, 16 / (M + 1), gives no more.",
        "Speed-ups are met within 2.5 %. Those for the area have no tolerance; Anda's are 3.5 % low.",
    ),
    inches=(11.0, 3.0),
)
