"""Latency against bandwidth of one channel of every DRAM standard."""

from __future__ import annotations

from simulator.devices.dram_load import loaded_latency
from simulator.experiments.figure_data import Figure, Panel, Replay, Value
from simulator.experiments.figure_study import Study

STANDARDS = {"DDR4": "ddr4", "DDR5": "ddr5", "LPDDR5": "lpddr5", "GDDR6": "gddr6", "HBM2": "hbm2", "HBM3": "hbm3"}
TRAFFIC = {
    "random reads": {"trace": "random", "read_frac": 1.0},
    "random, a third writes": {"trace": "random", "read_frac": 0.67},
    "stream of reads": {"trace": "stream", "read_frac": 1.0},
}
N_REQUESTS = 20_000
_BANDWIDTH = "bandwidth, "

RUNS = {
    f"{traffic}, {standard}": Replay(f"parts/dram/{stem}.yaml", {**sets, "n_requests": N_REQUESTS})
    for traffic, sets in TRAFFIC.items()
    for standard, stem in STANDARDS.items()
}


def measure(study: Study) -> list[Value]:
    """A curve per standard; its points are named by the offered share of what saturates the channel."""
    values = []
    for traffic in TRAFFIC:
        for standard in STANDARDS:
            run = RUNS[f"{traffic}, {standard}"]
            for point in loaded_latency(study.part(run), seed=run.seed):
                at = f"{point.load_frac:.0%}"
                values.append(Value(_BANDWIDTH + traffic, standard, at, point.achieved_gb_per_s))
                values.append(Value(traffic, standard, at, point.latency_mean_ns))
    return values


FIGURE = Figure(
    name="dram-loaded-latency",
    title="Latency of a DRAM channel under load",
    caption=(
        "Mean time of a read from its offer to its data, against the bandwidth achieved by one channel. Requests come "
        "at random times, at 5 to 94 % of the rate at which the channel takes no more; the commands measure that rate."
    ),
    source="this simulator; no published numbers",
    panels=tuple(
        panel
        for traffic in TRAFFIC
        for panel in (
            Panel(traffic, "curves", y="read latency (ns)", x="bandwidth (GB/s)", x_from=_BANDWIDTH + traffic),
            Panel(_BANDWIDTH + traffic, "hidden"),
        )
    ),
    runs=RUNS,
    measure=measure,
    cautions=(
        "One channel each: a stack of HBM has 8 or 16 of them, a DIMM of DDR5 two.",
        "Near saturation the mean depends on the number of requests: queues take long to reach their steady length.",
    ),
    inches=(7.16, 2.6),
)
