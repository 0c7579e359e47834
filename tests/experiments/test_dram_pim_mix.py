"""The figure of host traffic beside PIM shows what each policy promises."""

from __future__ import annotations

import pytest

from simulator.experiments.figure import load_figure
from simulator.experiments.figure_data import Measured
from simulator.experiments.figure_study import Study
from simulator.experiments.figures.dram_pim_mix import OFFERED_GB_PER_S, POLICIES

FIGURE = load_figure("dram-pim-mix")


@pytest.fixture(scope="module")
def curves() -> dict[str, dict[str, list[float]]]:
    """Values of every panel by series, in the order of the offered rates."""
    measured = Measured(FIGURE, tuple(FIGURE.measure(Study())))
    return {
        panel.name: {
            series: [value.ours for value in measured.of_panel(panel.name) if value.series == series]
            for series in dict.fromkeys(value.series for value in measured.of_panel(panel.name))
        }
        for panel in FIGURE.panels
    }


def test_every_policy_has_its_curves(curves: dict[str, dict[str, list[float]]]) -> None:
    latency, slowdown, offered = curves.values()
    assert list(slowdown) == list(POLICIES)
    assert list(latency) == [*POLICIES, "no PIM"] == list(offered)
    assert all(one == list(OFFERED_GB_PER_S) for one in offered.values())


def test_who_goes_first_pays_least(curves: dict[str, dict[str, list[float]]]) -> None:
    latency, slowdown, _ = curves.values()
    assert max(slowdown["PIM first"]) < 1.02
    for at in range(len(OFFERED_GB_PER_S)):
        assert latency["no PIM"][at] < 1.005 * latency["host first"][at]
        assert latency["host first"][at] < latency["alternate"][at] < latency["PIM first"][at]
        assert slowdown["PIM first"][at] < slowdown["alternate"][at] < slowdown["host first"][at]
    # PIM starves behind a busy host, which then notices nothing of it.
    assert slowdown["host first"][-1] > 20
    assert latency["host first"][-1] == pytest.approx(latency["no PIM"][-1], rel=0.01)
