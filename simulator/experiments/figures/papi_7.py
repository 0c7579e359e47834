"""PAPI, figure 7: what a stack's energy goes into, and its power by the reuse of its columns."""

from __future__ import annotations

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_papi import load_papi_targets
from simulator.experiments.validate_papi_power import PER_CENT, READINGS, power_points, stack_power

SHARES, REUSE = "energy of 1P1B", "reuse"
DRAM, COMPUTE = "DRAM access", "computation"
UNITS_PER_BANK = (0.5, 1, 2, 4)


def measure(study: Study) -> list[Value]:
    """Shares of energy at the published reuses, and watts of each design over the reuse, in both readings."""
    targets = load_papi_targets().power
    config = targets.config()
    values = []
    for point, reuse in zip(power_points(targets), targets.shares.published_pct, strict=False):
        at = f"reuse {reuse}"
        values.append(
            Value(SHARES, DRAM, at, point.ours, point.target, point.tolerance, point.n_decimals),
        )
        values.append(Value(SHARES, COMPUTE, at, PER_CENT - point.ours, n_decimals=1))
    for column_rate, panel in READINGS.items():
        for units_per_bank in UNITS_PER_BANK:
            for reuse in targets.swept:
                power = stack_power(config, units_per_bank, reuse, column_rate)
                values.append(Value(panel, power.design, str(reuse), power.power_w))
    designs = dict.fromkeys(value.series for value in values if value.panel != SHARES)
    return values + [Value(REUSE, name, str(reuse), float(reuse)) for name in designs for reuse in targets.swept]


FIGURE = Figure(
    name="papi-7",
    title="Energy and power of a stack with processing units",
    caption=(
        "Left: shares of the energy of a 1P1B stack. Middle and right: power while all banks stream, by the tokens "
        "that each column serves, of the banks that the area allows (1,024; 768 from two units a bank on). In the "
        "middle columns come as fast as units ask, as PAPI seems to have it; right no faster than a bank gives them, "
        "each 3.08 ns. Dashed: the budget of 116 W."
    ),
    source="PAPI (ASPLOS'25), figure 7",
    panels=(
        Panel(SHARES, "bars", y="%"),
        *(
            Panel(panel, "curves", y="W", x="reuse", x_from=REUSE, log_x=True, log_y=True, reference=116.0)
            for panel in READINGS.values()
        ),
        Panel(REUSE, "hidden"),
    ),
    runs={},
    measure=measure,
    cautions=(
        "PAPI has 1P1B above 116 W at a reuse of 1. With AttAcc's energies it is 99.5 W in the one reading, 48.6 W in "
        "the other.",
        "Energy of transfers between units and buffer die is left out: PAPI does not print how much moves.",
    ),
    inches=(7.16, 2.7),
)
