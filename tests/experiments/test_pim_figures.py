"""Figures of PAPI and AttAcc: what they show is what the machines give."""

from __future__ import annotations

import pytest

from simulator.experiments.figure import load_figure
from simulator.experiments.figure_attacc_study import LARGEST, MODEL
from simulator.experiments.figure_data import DrawnRun, Value
from simulator.experiments.figure_page import command_of
from simulator.experiments.figure_papi_study import CREATIVE, grid, mean_values, published_mean
from simulator.experiments.figure_study import Study
from simulator.experiments.validate_attacc_largest import largest_batch
from simulator.experiments.validate_runs import ConfiguredRuns


@pytest.fixture(scope="module")
def study() -> Study:
    return Study()


def by_key(values: list[Value]) -> dict[tuple[str, str, str], Value]:
    return {value.key: value for value in values}


def test_largest_batches_are_the_limits_of_the_machines() -> None:
    runs = ConfiguredRuns()
    for lengths, batches in LARGEST.items():
        total = sum(map(int, lengths.split("/")))
        for variant, batch in batches.items():
            assert largest_batch(runs, "attacc.yaml", MODEL, variant, total) == batch, (lengths, variant)


def test_the_command_of_a_drawn_batch() -> None:
    (drawn,) = grid("llama-65b", CREATIVE, (4,), (2,))
    words = command_of(DrawnRun("papi", drawn), {})
    assert words == (
        "sim run hw_configs/papi.yaml --set system.design=papi --set workload.model=llama-65b --set "
        "workload.lengths=dolly_creative_writing --set workload.batch=4 --set serving.speculation_length=2"
    )


def test_means_are_over_the_same_batches() -> None:
    first, second = grid("llama-65b", CREATIVE, (4, 16), (1,))
    ratios = {("papi", first): 8.0, ("attacc-only", first): 4.0, ("papi", second): 2.0, ("attacc-only", second): 4.0}
    over_base, _, over_attacc, geometric = mean_values("p", ratios, "papi", ("a100-attacc", "attacc-only"), "8a")
    assert (over_base.ours, over_attacc.ours, geometric.ours) == (5.0, 1.25, 1.0)
    assert (over_base.published, over_attacc.published) == (1.8, 11.1)
    assert over_base.verdict == "reported"
    assert published_mean("8a", "papi", "nothing") == (None, 0)


def test_a_pass_without_gpus_is_made_of_its_parts(study: Study) -> None:
    values = by_key(list(load_figure("papi-12").measure(study)))
    panel = "time of a pass"
    weights = [values[panel, "weights", name].ours for name in ("AttAcc-only", "PIM-only PAPI")]
    attention = [values[panel, "attention", name].ours for name in ("AttAcc-only", "PIM-only PAPI")]
    assert weights[0] > 1.5 * weights[1]
    assert attention[0] < attention[1]


def test_papi_falls_back_to_the_gpus_as_requests_rise(study: Study) -> None:
    values = by_key(list(load_figure("papi-10a").measure(study)))
    papi = [values["speed-up", "PAPI", str(batch)].ours for batch in (4, 8, 16, 32, 64, 128)]
    assert papi == sorted(papi, reverse=True)
    assert papi[-1] > 1
