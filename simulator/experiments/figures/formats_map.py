"""What no paper shows: formats and datapaths on one model and one context, loss over energy times delay."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.format_machines import PHASES, FormatMachine, format_machines
from simulator.experiments.format_study import N_WINDOWS, WINDOW_TOKENS

RELATIVE, TIME, ENERGY = "{}: EDP over FP16's", "{}: us", "{}: uJ"


def measure(study: Study) -> list[Value]:
    """The loss of each machine's formats, and its energy-delay product relative to its family's FP16 baseline; times
    and energies beside them."""
    formats = study.formats
    reader = formats.own
    machines = list(format_machines(reader.checkpoint.shape, WINDOW_TOKENS))
    # Machines of the same weights one after the other: these are rounded once.
    losses = {name: formats.loss(reader, name) for name in sorted({one.formats for one in machines})}
    baselines: dict[str, FormatMachine] = {}
    for one in machines:
        baselines.setdefault(one.family, one)
    values = []
    for phase in PHASES:
        for one in machines:
            cost, base = one.costs[phase], baselines[one.family].costs[phase]
            numbers = {
                phase: losses[one.formats],
                RELATIVE.format(phase): cost.edp / base.edp,
                TIME.format(phase): cost.time_us,
                ENERGY.format(phase): cost.energy_uj,
            }
            series = f"{one.name} ({one.family})"
            values += [Value(panel, series, one.variant, number) for panel, number in numbers.items()]
    return values


FIGURE = Figure(
    name="formats-map",
    title="Formats and datapaths: loss against energy times delay",
    caption=(
        f"tiny-llama, a prompt of {WINDOW_TOKENS:,} tokens and a decode at that context, batch 1. Up: more loss "
        "than in FP16, evaluated in the formats that a machine computes with (linear near 0, logarithmic far away). "
        "Right: energy times delay over that of the family's own baseline, FP16 (28 nm) or FP-FP (16 nm). Lines go "
        "through the bits of weights (b) or of activations' mantissas (M). What is down and left is better."
    ),
    source="ours; machines as BitMoD and Anda (both HPCA'25) describe them",
    panels=(
        Panel(
            "prefill",
            "map",
            y="more loss (nats a token)",
            x="energy x delay / the baseline's",
            log_x=True,
            x_from=RELATIVE.format("prefill"),
        ),
        Panel("decode", "map", x="energy x delay / the baseline's", log_x=True, x_from=RELATIVE.format("decode")),
        *(Panel(name.format(phase), "hidden") for phase in PHASES for name in (RELATIVE, TIME, ENERGY)),
    ),
    runs={},
    measure=measure,
    cautions=(
        "The families are not to be compared along the axis: BitMoD's is 28 nm, 1 GHz, DDR4 and its baseline has FP16 "
        "weights; Anda's is 16 nm, 285 MHz, HBM2 and its baseline has INT4 weights already. Absolute times (us) and "
        "energies (uJ) are in the numbers.",
        "Here attention is most of the work, as the model is small: keys and values of 16 bits take BitMoD eight "
        "terms and Anda four passes, of 8 bits half as many; FP-FP takes either as it is. Hence the hollow points.",
        "Everything is ours: corrected accounting of both, attention and the output head included (docs/bitmod.md, "
        "docs/anda.md). The BitMoD family stores the output head in the weights' bits and is charged so; the loss is "
        "with the head as it is stored, in FP16.",
        f"Losses are of {N_WINDOWS} windows of {WINDOW_TOKENS:,} tokens of our own source: differences "
        "below 0.01 are noise. Cut activations lower the loss of this over-confident model (see anda-precision).",
        "ANT and OliVe are as BitMoD has them: one product a cycle whatever the width.",
    ),
    inches=(11.0, 5.4),
)
