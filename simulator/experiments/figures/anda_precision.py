"""Anda's mantissas on a model of ours: perplexity by bits, and what its search tries and finds."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.format_study import N_WINDOWS, WINDOW_TOKENS, FormatStudy, Reader
from simulator.numerics.bit_operations import bit_operations_saving
from simulator.numerics.precision_search import written

BITS, FEW, SEARCH, SAVING = "perplexity by mantissa bits", "4 bits", "search, tolerance 0.1 %", "bit operations saved"
WEIGHTS = "int4_asym"
TOLERANCE = 0.001
SERIES = {
    "FP16 weights": ("fp16", ""),
    "INT4 weights": (WEIGHTS, ""),
    "FP16 weights, rounded": ("fp16", "_nearest"),
}
UNIFORM = range(4, 14)
ROUNDED = range(4, 9)


def measure(study: Study) -> list[Value]:
    """Perplexity over that with FP16 activations for equal mantissas everywhere, and for the tuples of the search."""
    formats = study.formats
    reader = formats.own
    return [*_uniform(formats, reader), *_searched(formats, reader)]


def _uniform(formats: FormatStudy, reader: Reader) -> list[Value]:
    values = []
    for series, (weights, how) in SERIES.items():
        reference = formats.perplexity(reader, f"{weights}+act_fp16")
        for bits in ROUNDED if how else UNIFORM:
            ratio = formats.perplexity(reader, f"{weights}+anda_m{bits}{how}") / reference
            values.append(Value(FEW if bits == UNIFORM[0] else BITS, series, str(bits), ratio))
    return values


def _searched(formats: FormatStudy, reader: Reader) -> list[Value]:
    """Candidates in the order of the search; the last one accepted is what it finds."""
    found = formats.search(reader, WEIGHTS, TOLERANCE)
    values = []
    for visit in found.visits:
        series = "found" if visit == found.best_visit else "accepted" if visit.accepted else "refused"
        at = written(visit.mantissas)
        values += [
            Value(SEARCH, series, at, visit.perplexity / found.reference),
            Value(SAVING, series, at, bit_operations_saving(visit.mantissas, found.weights)),
        ]
    return values


FIGURE = Figure(
    name="anda-precision",
    title="Anda's mantissas on tiny-llama",
    caption=(
        "Left: perplexity over that with FP16 activations, the same mantissa in all four modules; below 1 cutting the "
        "activations makes the model better, which rounding them does not. Four bits, in the numbers, are far above. "
        "Right: what the adaptive search tries on INT4 weights, mantissas of qkv, o, u, d by the bit operations saved."
    ),
    source="Anda (HPCA'25), precision search, on our model",
    panels=(
        Panel(BITS, "lines", y="perplexity / with FP16 activations", x="mantissa bits", reference=1.0, labelled=False),
        Panel(SEARCH, "points", x="times fewer bit operations", reference=1.0 + TOLERANCE, x_from=SAVING),
        Panel(FEW, "hidden"),
        Panel(SAVING, "hidden"),
    ),
    runs={},
    measure=measure,
    cautions=(
        f"tiny-llama on {N_WINDOWS} windows of {WINDOW_TOKENS:,} tokens of our own source; the search on "
        "one other window. The paper searches on 128. Fully: `sim run hw_configs/anda.yaml --workload accuracy`.",
        "Perplexity is not monotonic in the bits. A small model is over-confident on strange text; cut activations are "
        "smaller and cool its output. The search takes what this gives, so that it saves more than on the paper's "
        "models (1.8 to 3.1 times at 0.1 %), and what it finds need not hold on other text.",
    ),
    inches=(9.0, 3.4),
)
