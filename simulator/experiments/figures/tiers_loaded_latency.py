"""Latency under load of memory tiers: measured, with an assumed shape, and made from our DRAM and link."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_tiers import added_pct, load_tier_targets, one_channel
from simulator.memory.tiers.latency_curve import LatencyCurve

DDR, CXL, OVER_IDLE = "DDR5", "CXL memory", "DDR5 over idle"
_LOAD, _BANDWIDTH = "load, ", "bandwidth, "
_LIGHTEST = 0.01  # of the peak, in an idle memory's place
SERIES = {
    DDR: {
        "Sapphire Rapids": ("parts/tiers/ddr5_spr.yaml", True),
        "Alder Lake": ("parts/tiers/alder_lake_ddr5.yaml", True),
        "ours": ("parts/tiers/ddr5_model.yaml", False),
    },
    CXL: {
        "Sapphire Rapids (shape assumed)": ("parts/tiers/cxl_spr.yaml", False),
        "M5's testbed (shape assumed)": ("parts/tiers/cxl_m5.yaml", False),
        "ours": ("parts/tiers/cxl_model.yaml", False),
    },
}


def measure(study: Study) -> list[Value]:
    """Each curve's points, over its own peak; and ours at the loads at which a channel was measured."""
    del study  # curves are no runs
    values = []
    for panel, parts in SERIES.items():
        for series, (part, is_baseline) in parts.items():
            curve = one_channel(part)
            for share, gb_per_s in _points(curve):
                at, ns = f"{share:.1%}", curve.at(gb_per_s)
                values.append(Value(panel, series, at, ns, is_baseline=is_baseline))
                values.append(Value(_LOAD + panel, series, at, 100 * share))
                values.append(Value(_BANDWIDTH + panel, series, at, gb_per_s))
    return values + _over_idle()


def _points(curve: LatencyCurve) -> list[tuple[float, float]]:
    """Shares of the peak and GB/s of a curve's points; a load of nothing is drawn as a light one."""
    peak = curve.peak_gb_per_s
    return [(max(one / peak, _LIGHTEST), max(one, _LIGHTEST * peak)) for one in curve.gb_per_s.tolist()]


def _over_idle() -> list[Value]:
    targets = load_tier_targets()
    ours, measured = one_channel(targets.ddr), one_channel(targets.measured)
    values = []
    for gb_per_s, latency_ns in zip(measured.gb_per_s[1:].tolist(), measured.latency_ns[1:].tolist(), strict=True):
        share = gb_per_s / targets.read_peak_gb_per_s
        theirs, at = 100 * (latency_ns / measured.idle_ns - 1), f"{share:.1%}"
        values += [
            Value(OVER_IDLE, "ours", at, added_pct(ours, share), theirs, n_decimals=1, is_judged=False),
            Value(_LOAD + OVER_IDLE, "ours", at, 100 * share),
        ]
    return values


FIGURE = Figure(
    name="tiers-loaded-latency",
    title="Latency of memory tiers under load",
    caption=(
        "Read latency against the bandwidth asked for, in per cent of each memory's own peak. Left: measured DDR5 "
        "(grey), and ours: random reads on the simulated DRAM, and 58 ns of the processor. Middle: CXL memory with the "
        "measured DDR channel's shape (assumed), and ours: simulated DDR4 behind a CXL 2.0 link. Right: what load adds "
        "to the idle latency, ours beside Sapphire Rapids."
    ),
    source="Intel MLC logs in the artifact of CXLMemSim (arXiv 2303.06153); M5 (ASPLOS'25)",
    panels=(
        Panel(DDR, "curves", y="read latency (ns)", x="load (%)", x_from=_LOAD + DDR),
        Panel(CXL, "curves", y="read latency (ns)", x="load (%)", x_from=_LOAD + CXL),
        Panel(OVER_IDLE, "achieved", y="added (%)", x="load (%)", x_from=_LOAD + OVER_IDLE, log_y=True),
        *(Panel(_LOAD + name, "hidden") for name in (DDR, CXL, OVER_IDLE)),
        *(Panel(_BANDWIDTH + name, "hidden") for name in (DDR, CXL)),
    ),
    runs={},
    measure=measure,
    cautions=(
        "No curve of a CXL memory was measured: idle latency and peak were, its shape is DDR's.",
        "The idle latency of our DDR5 is fitted (the processor's 58 ns); that of our CXL memory is not.",
        "At its peak ours has the latency of 164 reads in flight a channel, as many as were measured.",
        "Nothing was measured between 51 and 98 % load of Sapphire Rapids: latency bends upwards there, as on Alder "
        "Lake and in ours, so that the straight line lies above it. A load of nothing is drawn at 1 %.",
    ),
    inches=(7.16, 2.6),
)
