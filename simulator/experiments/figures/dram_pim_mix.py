"""Host traffic and PIM in one GDDR6-AiM channel: what each costs the other, by who goes first."""

from __future__ import annotations

from simulator.devices.dram_pim import DramPim
from simulator.experiments.figure_data import Figure, Panel, Replay, Value
from simulator.experiments.figure_study import Study

PART = "parts/dram/gddr6_aim_host.yaml"
POLICIES = {"PIM first": "pim_first", "host first": "host_first", "alternate": "alternate"}
OFFERED_GB_PER_S = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
REQUESTS_PER_GB_PER_S = 8000  # a quarter of a millisecond
PIM = {"pim.share": 0.3, "pim.launches": 0, "pim.rows": 32}
HOST = {"trace": "random", "read_frac": 0.67, "arrivals": "poisson"}
_LATENCY, _SLOWDOWN, _OFFERED = "host's reads", "PIM's launches", "offered"


def replay_of(policy: str, gb_per_s: float) -> Replay:
    """A run of one policy at one rate of the host."""
    n_requests = int(gb_per_s * REQUESTS_PER_GB_PER_S)
    return Replay(PART, {"policy": policy, "offered_gb_per_s": gb_per_s, "n_requests": n_requests, **HOST, **PIM})


RUNS = {
    f"{label}, {gb_per_s:g} GB/s": replay_of(policy, gb_per_s)
    for label, policy in POLICIES.items()
    for gb_per_s in OFFERED_GB_PER_S
}


def measure(study: Study) -> list[Value]:
    """A curve per policy over the rate at which the host offers requests, and one of the host without PIM."""
    values = []
    for label in POLICIES:
        for gb_per_s in OFFERED_GB_PER_S:
            run = RUNS[f"{label}, {gb_per_s:g} GB/s"]
            device: DramPim = study.part(run)
            outcome = device.outcome("synthetic", run.seed)
            at = f"{gb_per_s:g} GB/s"
            values.append(Value(_SLOWDOWN, label, at, outcome.pim_slowdown))
            series = {label: outcome.timing.host}
            if label == "alternate":
                series["no PIM"] = outcome.host_alone
            for name, timing in series.items():
                latency_ns = float(outcome.latencies(timing).cyc.mean()) * outcome.tick_ns
                values.append(Value(_LATENCY, name, at, latency_ns))
                values.append(Value(_OFFERED, name, at, gb_per_s))
    return values


FIGURE = Figure(
    name="dram-pim-mix",
    title="Host traffic and PIM in one GDDR6-AiM channel",
    caption=(
        "Left: mean time of a host read from its offer to its data. Right: time of a PIM launch (a matrix-vector "
        "product of 32 rows in all banks, 4 us alone), relative to PIM alone. Random host requests, a third of them "
        "writes, at random times; launches so often that PIM alone is busy for 30 % of the time. Alternate: 32 "
        "requests, then 4 rows."
    ),
    source="this simulator; no published numbers",
    panels=(
        Panel(_LATENCY, "curves", y="read latency (ns)", x="host requests offered (GB/s)", x_from=_OFFERED, log_y=True),
        Panel(_SLOWDOWN, "curves", y="PIM time / alone", x="host requests offered (GB/s)", x_from=_OFFERED, log_y=True),
        Panel(_OFFERED, "hidden"),
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        "Where a side starves (PIM under `host first` from 2 GB/s on) its time grows with the length of the run, here "
        "a quarter of a millisecond.",
        "Without PIM the channel takes about 6.8 GB/s of such requests: row changes bind them, not its 32 GB/s.",
    ),
    inches=(7.16, 2.6),
)
