"""AttAcc and GPUs alone, each at its own largest batch: decode throughput and energy."""

from __future__ import annotations

from simulator.experiments.figure_attacc_study import LARGEST, MACHINES, query_run
from simulator.experiments.figure_data import AnyRun, Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_attacc import load_attacc_targets

RATE, ENERGY = "decode throughput", "energy of a token"
N_SAMPLES = 32
_RUNS = {
    (lengths, variant): query_run(variant, lengths, batch, N_SAMPLES)
    for lengths, batches in LARGEST.items()
    for variant, batch in batches.items()
}
RUNS: dict[str, AnyRun] = {f"{variant} {lengths}": run for (lengths, variant), run in _RUNS.items()}


def measure(study: Study) -> list[Value]:
    """Tokens/s and mJ a token of each machine at each pair of lengths; the public simulator's tokens/s beside them."""
    published = load_attacc_targets().largest.lengths
    rates, energies = [], []
    for (lengths, variant), run in _RUNS.items():
        query = study.query(run)
        n_tokens = query.n_queries * query.n_steps
        name = MACHINES[variant]
        rate = n_tokens / (query.decode_ps * 1e-12)
        rates.append(Value(RATE, name, lengths, rate, published[lengths].get(variant), is_judged=False))
        energies.append(Value(ENERGY, name, lengths, query.decode_pj / n_tokens / 1e9, n_decimals=1))
    return rates + energies


FIGURE = Figure(
    name="attacc-throughput",
    title="AttAcc and GPUs alone, each at its largest batch",
    caption=(
        "GPT-3 175B, by prompt / output length: decode tokens/s and energy of as many sequences as each machine has "
        "room for: "
        + "; ".join(f"{lengths}: {', '.join(map(str, by.values()))}" for lengths, by in LARGEST.items())
        + ". Diamonds: the public simulator, its attention from the cache that comes with it."
    ),
    source="the public AttAcc simulator (the paper's bars are not printed; it claims up to 4.84x and 2.48x)",
    panels=(Panel(RATE, "bars", y="tokens/s"), Panel(ENERGY, "bars", y="mJ / token")),
    runs=RUNS,
    measure=measure,
    cautions=(
        f"Decodes are at {N_SAMPLES} contexts of each run.",
        "The batches are those that fit by our count of bytes; the tool takes 54 and 854 where we have 53 and 850.",
    ),
    inches=(7.16, 2.7),
)
