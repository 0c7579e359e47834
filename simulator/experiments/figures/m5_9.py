"""M5, figure 9: performance of migration policies over leaving every page in CXL memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from simulator.experiments.figure_data import Figure, Panel, Value
from simulator.experiments.figure_m5_study import SECOND_HAND, SOURCE, TRACES, over_traces
from simulator.experiments.figure_study import Study
from simulator.experiments.m5_study import EVERY_POLICY, RECORDS, M5Study, TierCase, speedups
from simulator.experiments.m5_targets import load_m5_targets
from simulator.experiments.validate_m5_policies import NAMES

THREAD, WAITING, VARIANTS = "migration thread", "every move waited for", "M5's variants, thread"
CASES = {THREAD: TierCase(policies=EVERY_POLICY), WAITING: TierCase(blocking_frac=1.0)}
SHOWN = ("on_touch", "anb", "damon", "m5_hpt", "m5_stop", "oracle")
NOMINATORS = ("m5_hpt", "m5_hwt", "m5_both", "m5_stop")
BOUND = "bound"


def measure(study: Study) -> list[Value]:
    """Speed-up by trace and policy on both machines, and of all variants of M5 on the first."""
    m5, values = study.m5, []
    for panel, case in CASES.items():
        values += _series(m5, panel, case, SHOWN)
        values += over_traces(m5, panel, BOUND, partial(_bound, m5, case), geometric=True)
    return values + _series(m5, VARIANTS, CASES[THREAD], NOMINATORS)


def _series(m5: M5Study, panel: str, case: TierCase, policies: Sequence[str]) -> list[Value]:
    gains, values = load_m5_targets().performance.gains, []
    for policy in policies:
        published = 1 + gains[policy] if policy in gains else None
        of_trace = partial(_speedup, m5, case, policy)
        values += over_traces(m5, panel, NAMES[policy], of_trace, published, geometric=True)
    return values


def _speedup(m5: M5Study, case: TierCase, policy: str, trace: str) -> float:
    return speedups(m5.run(trace, case))[policy]


def _bound(m5: M5Study, case: TierCase, trace: str) -> float | None:
    times = {one.policy: one for one in m5.run(trace, case).runs}
    bound_ps = times["oracle"].bound_ps
    return times["no_migration"].time_ps / bound_ps if bound_ps else None


FIGURE = Figure(
    name="m5-9",
    title="Performance of migration policies",
    caption=(
        "Times as fast as without migration; DDR holds 3/8 of the pages, a move takes 54 us. Left and right: a "
        "migration thread moves pages and a tenth of a move blocks the program (moves within faults block in full). "
        f"Middle: all of it blocks. The mean is geometric. {SECOND_HAND}"
    ),
    source=SOURCE.format(9),
    panels=(
        Panel(THREAD, "bars", y="speed-up over no migration", reference=1.0, labelled=False, breadth=8.0),
        Panel(WAITING, "bars", reference=1.0, labelled=False, breadth=8.0),
        Panel(VARIANTS, "bars", reference=1.0, labelled=False, breadth=5.0),
    ),
    runs={},
    measure=measure,
    cautions=(
        f"The first {RECORDS:,} records of each trace, once; periods=scaled and quantum_records=256. In full: `sim run "
        "hw_configs/m5.yaml --trace TRACE --set workload.repeat=1 --set system.periods=scaled`.",
        "The paper's averages are context, not targets: footprints of 8 GB for minutes and 20 threads there, 35 to 110 "
        "MiB for half a second and one thread here, on which a move of 54 us seldom pays.",
        "The oracle is the best plan found with foresight, the bound a time that no plan can beat.",
        TRACES,
    ),
    inches=(13.5, 3.8),
)
