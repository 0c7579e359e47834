"""AttAcc and GPUs alone by the batch: how many sequences fit, throughput, and time of a decode step."""

from __future__ import annotations

from simulator.experiments.figure_attacc_study import LARGEST, MACHINES, MODEL, query_run
from simulator.experiments.figure_data import AnyRun, ConfiguredRun, Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_attacc import load_attacc_targets

FITS, RATE, STEP = "sequences that fit", "decode throughput", "decode step"
BATCH = "batch"
LENGTHS, N_SAMPLES = "2048/2048", 16
TOTALS = (256, 512, 1024, 2176, 4096)
SLO_MS = 30.0
_MACHINES = {variant: ConfiguredRun("attacc.yaml", {"system.variant": variant, "workload.model": MODEL})
             for variant in MACHINES}  # fmt: skip
_QUERIES = {
    (variant, batch): query_run(variant, LENGTHS, batch, N_SAMPLES)
    for variant, most in LARGEST[LENGTHS].items()
    for batch in (*(n for n in (1, 2, 4, 8, 16, 32) if n < most), most)
}
RUNS: dict[str, AnyRun] = {
    **_MACHINES,
    **{f"{variant}, batch {batch}": run for (variant, batch), run in _QUERIES.items()},
}


def measure(study: Study) -> list[Value]:
    """Largest batches over total lengths, tokens/s and ms of a step over the batch."""
    published = load_attacc_targets().batches.limits
    values = []
    for variant, run in _MACHINES.items():
        system = study.system(run)
        for total in TOTALS:
            number = published[variant].get(total)
            fits, name = float(system.batch_limit(total)), MACHINES[variant]
            values.append(Value(FITS, name, str(total), fits, number, is_judged=False))
    for (variant, batch), run in _QUERIES.items():
        query, name, at = study.query(run), MACHINES[variant], str(batch)
        step_ms = query.decode_ps / query.n_steps / 1e9
        values.append(Value(RATE, name, at, batch / step_ms * 1e3))
        values += [Value(STEP, name, at, step_ms), Value(BATCH, name, at, float(batch))]
    return values


FIGURE = Figure(
    name="attacc-batch",
    title="AttAcc and GPUs alone by the batch",
    caption=(
        "GPT-3 175B. Left: sequences that fit by prompt and output tokens together, with batches of the paper's "
        f"results (diamonds). Middle and right: throughput and time of a decode step for {LENGTHS}, each machine up "
        f"to its largest batch. Dashed: {SLO_MS:.0f} ms, an objective that the paper takes."
    ),
    source="AttAcc (ASPLOS'24): batches 54, 101, 854; PAPI (ASPLOS'25) quotes 18, 282 and 854",
    panels=(
        Panel(FITS, "lines", y="sequences", x="positions of a sequence", log_y=True),
        Panel(RATE, "curves", y="tokens/s", x="batch", x_from=BATCH, log_x=True, log_y=True),
        Panel(STEP, "curves", y="ms", x="batch", x_from=BATCH, log_x=True, reference=SLO_MS),
        Panel(BATCH, "hidden"),
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        f"Decodes are at {N_SAMPLES} contexts of each run.",
        "DGX-Large and DGX + AttAcc hold as many sequences; DGX is DGX-Large up to the batch that it has room for.",
    ),
    inches=(7.16, 2.7),
)
