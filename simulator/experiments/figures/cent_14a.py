"""CENT, figure 14a: decoding throughput of the largest model as contexts grow."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import Study

# Half-way through 3,584 decoded tokens that end at the context: what the paper takes for the mean of the query.
MIDPOINTS = {"4K": 2304, "8K": 6400, "16K": 14592, "32K": 30976}
RUNS = {ends: Run("70B", "block", {"workload.context": context}) for ends, context in MIDPOINTS.items()}


def measure(study: Study) -> list[Value]:
    """Tokens per second of both machines, and ours over the GPUs'."""
    values = []
    for case, (ends, run) in zip(study.group("long_context").cases, RUNS.items(), strict=True):
        ours = study.case_value("decoding", "CENT", ends, study.group("long_context"), case, "throughput_tokens_per_s")
        assert dict(case.sets) == dict(run.sets)
        theirs = study.gpu.decode_tokens_per_s[ends]
        values += [
            ours,
            Value("decoding", "GPU", ends, theirs, is_baseline=True),
            Value("CENT over GPU", "decode", ends, ours.ours / theirs),
        ]
    return values


FIGURE = Figure(
    name="cent-14a",
    title="Decoding at long contexts, 70B",
    caption="Tokens per second half-way through 3,584 decoded tokens whose context ends at 4K to 32K.",
    source="CENT (ASPLOS'25), figure 14a",
    panels=(
        Panel("decoding", "lines", y="tokens/s", x="context at the end", log_y=True),
        Panel("CENT over GPU", "bars", y="throughput over GPU", x="context at the end", reference=1.0),
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        "One context in the middle stands for all of them.",
        "Keys and values of 80 queries at these contexts do not fit in the machine's memory; the published accounting "
        "goes on as if they did.",
    ),
    inches=(7.16, 2.5),
)
