"""PAPI, figure 11: its stacks without GPUs against AttAcc's, decode only."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_papi_study import (
    CAUTIONS,
    CREATIVE,
    at,
    grid,
    published_mean,
    ratios_to,
    runs_of,
)
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_papi_band import arithmetic, geometric

PANEL, SERIES = "speed-up", "PIM-only PAPI over AttAcc-only"
OURS, THEIRS = "pim-only-papi", "attacc-only"
GRID = grid("llama-65b", CREATIVE)
PRINTED = {"4/1": "least", "64/4": "most"}


def measure(study: Study) -> list[Value]:
    """Speed-up at each batch, and both means."""
    ratios = ratios_to(study, THEIRS, (OURS,), GRID, "decode")
    values = []
    for (_, drawn), ratio in ratios.items():
        place = at(drawn)
        number, n_decimals = published_mean("11", OURS, THEIRS, PRINTED[place]) if place in PRINTED else (None, 0)
        values.append(Value(PANEL, SERIES, place, ratio, number, n_decimals=n_decimals, is_judged=False))
    number, n_decimals = published_mean("11", OURS, THEIRS, "creative")
    own = list(ratios.values())
    values.append(Value(PANEL, SERIES, "mean", arithmetic(own), number, n_decimals=n_decimals, is_judged=False))
    return [*values, Value(PANEL, SERIES, "geomean", geometric(own))]


FIGURE = Figure(
    name="papi-11",
    title="PAPI's stacks without GPUs over AttAcc's",
    caption=(
        "Decode time of AttAcc-only over that of PIM-only PAPI, LLaMA-65B, creative writing, by requests / "
        "speculation length. The paper prints the ends and the mean."
    ),
    source="PAPI (ASPLOS'25), figure 11",
    panels=(Panel(PANEL, "bars", y="speed-up", x="requests / speculation", reference=1.0),),
    runs=runs_of((OURS, THEIRS), GRID),
    measure=measure,
    cautions=(
        *CAUTIONS,
        "Norms and activations, which nobody says where these designs have them, take 7 us each here, as on a GPU: "
        "with short contexts that is most of a pass on either.",
    ),
    inches=(3.5, 2.9),
)
