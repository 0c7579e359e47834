"""CENT, table of both machines: GPUs as measured, and CENT as simulated."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Run, Value
from simulator.experiments.figure_study import MODELS, PHASES, Study, mapped, phase_metric

PANEL = "both machines"
RUNS = {
    **{f"{label} pp": Run(label) for label in MODELS},
    **{f"{label} tp": mapped(label, "tp") for label in MODELS},
}


def measure(study: Study) -> list[Value]:
    """A row per quantity, a column per model and machine."""
    values = []
    for label in MODELS:
        gpu, run = study.gpu.models[label], RUNS[f"{label} pp"]
        rows = [
            ("latency of a lone query (s)", gpu.query_latency_s, study.metric(RUNS[f"{label} tp"], "query_latency_s"))
        ]
        for phase in PHASES:
            rate = study.metric(run, phase_metric(phase, "throughput_tokens_per_s"))
            rows.append((f"{phase} (tokens/s)", gpu.tokens_per_s[phase], rate))
        rows += [
            (f"{phase} (W)", gpu.watts[phase], study.metric(run, phase_metric(phase, "power_w"))) for phase in PHASES
        ]
        for phase in PHASES:
            energy_mj = study.metric(run, phase_metric(phase, "energy_mj_per_token"))
            rows.append((f"{phase} (tokens/J)", gpu.tokens_per_joule[phase], 1e3 / energy_mj))
        for name, theirs, ours in rows:
            values.append(Value(PANEL, name, f"{label} GPU", theirs, is_baseline=True))
            values.append(Value(PANEL, name, f"{label} CENT", ours))
    return values


FIGURE = Figure(
    name="cent-gpus",
    title="GPUs as measured, CENT as simulated",
    caption="Queries of 512 tokens in and 3,584 out. A lone query is batch 1 on GPUs and tensor parallel on CENT; "
    "rates are batch 128 on 1, 2 and 4 GPUs, and a full pipeline on 8, 20 and 32 CENT devices.",
    source="CENT repository: GPU measurements of its authors (A100 80 GB, vLLM)",
    panels=(Panel(PANEL, "table"),),
    runs=RUNS,
    measure=measure,
    cautions=("The GPUs' numbers are measurements of the paper's authors; no GPU is modelled here.",),
    inches=(7.16, 3.0),
)
