"""PAPI's headlines and their bands, and its two ratios of stacks: what is said of each, on few batches."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.experiments.papi_designs import ALIKE, SEED, PapiDesigns
from simulator.experiments.validate import remarks, tables
from simulator.experiments.validate_papi import PapiTargets, load_papi_targets
from simulator.experiments.validate_papi_band import (
    BandTargets,
    BandWorkload,
    Headline,
    OpenParameter,
    arithmetic,
    band_rows,
    geometric,
    headline_band,
    ratios,
)
from simulator.experiments.validate_papi_micro import micro_points
from simulator.experiments.validate_records import FAIL, MISSED, PASS, Band, Group, Point, rows_of

CREATIVE = "dolly_creative_writing"
GROUP = Group("g", "Title", "source", folded=False)


@pytest.fixture(scope="module")
def targets() -> PapiTargets:
    return load_papi_targets()


@pytest.fixture(scope="module")
def few(targets: PapiTargets) -> BandTargets:
    """Two batches, two passes of each, two parameters."""
    workload = BandWorkload(model="llama-65b", lengths=CREATIVE, points=[(4, 1), (16, 4)])
    parameters = [
        OpenParameter(name="alpha", ends=[{"system.scheduler.alpha": 0}, {"system.scheduler.alpha": 1e6}]),
        OpenParameter(name="memory of the GPUs", ends=[{"system.gpu": "A100a"}]),
    ]
    changes: dict[str, Any] = {"workloads": {"few": workload}, "parameters": parameters, "n_samples": 2}
    return targets.band.model_copy(update=changes)


@pytest.fixture(scope="module")
def designs(few: BandTargets) -> PapiDesigns:
    return PapiDesigns(few.config, few.context_step, few.n_samples)


def headline(**changes: Any) -> Headline:
    fields = {
        "figure": "8a, time", "name": "n", "of": "time", "design": "papi", "over": "a100-attacc", "workload": "few",
        "published": 1.8,
    }  # fmt: skip
    return Headline.model_validate({**fields, **changes})


def band(target: float, why: str = "") -> Band:
    return Band(GROUP, "8a", "n", target, 4.0, (3.0, 5.0), (2.0, 8.04), 1, "alpha: 3.0", why)


def test_the_verdict_says_whether_the_band_covers_the_number() -> None:
    assert [band(target).verdict for target in (1.9, 2.0, 4.0, 8.0, 8.1)] == [FAIL, PASS, PASS, PASS, FAIL]
    assert (band(11.1, "a reason").verdict, band(11.1, "a reason").note) == (MISSED, "a reason")
    assert (band(4.0, "a reason").verdict, band(4.0, "a reason").note) == (PASS, "")


def test_a_band_in_the_table_and_as_json() -> None:
    (row,) = rows_of([band(11.1, "peak rates")])
    ((_, table),) = tables([row])
    assert table.rows == [("8a: n", "11.1", "4.0", "3.0 to 5.0", "2.0 to 8.0", "alpha: 3.0", MISSED)]
    assert remarks([row]) == ["8a: n: peak rates"]
    assert row.as_object()["all_at_once"] == [2.0, 8.04]
    assert band(2.0).as_object()["verdict"] == PASS


def test_a_point_missed_for_a_known_reason() -> None:
    point = Point(GROUP, "c", "q", 2.9, 2.59, 0.29, 1, known="rows", known_tolerance=0.35)
    assert (point.verdict, point.note) == (MISSED, "rows")
    assert Point(GROUP, "c", "q", 2.9, 2.5, 0.29, 1, known="rows", known_tolerance=0.35).verdict == FAIL
    assert Point(GROUP, "c", "q", 2.9, 2.7, 0.29, 1, known="rows", known_tolerance=0.35).note == ""


def test_a_band_holds_ours_and_every_end(few: BandTargets, designs: PapiDesigns) -> None:
    one = headline_band(GROUP, headline(), few, designs)
    drawn = few.workloads["few"].drawn
    plain = ratios(headline(), designs, drawn, {})
    assert one.ours == arithmetic(plain)
    ends = [arithmetic(ratios(headline(), designs, drawn, sets)) for p in few.parameters for sets in p.ends]
    assert one.singly == (min(one.ours, geometric(plain), *ends), max(one.ours, geometric(plain), *ends))
    assert one.together[0] <= one.ours <= one.together[1]
    # Always on the GPUs, PAPI is A100+AttAcc but for its attention stacks.
    assert ends[0] == pytest.approx(1.0, abs=0.05)
    assert "alpha" in one.most


def test_the_share_of_links(few: BandTargets, designs: PapiDesigns) -> None:
    one = headline(of="link share", design="pim-only-papi", over=None, published=28.2)
    assert all(0 < share < 100 for share in ratios(one, designs, few.workloads["few"].drawn, {}))


def test_every_headline_names_a_workload_and_designs(targets: PapiTargets) -> None:
    named = {one.workload for one in targets.band.headlines}
    assert named <= set(targets.band.workloads)
    designs = PapiDesigns("papi.yaml", 64, 1)
    for parameter in targets.band.parameters:
        for sets in parameter.ends:
            design = next(name for name in ("papi", "attacc-only", "a100-hbm-pim") if _any(designs, name, sets))
            if not {SEED, ALIKE} & set(sets):
                assert designs.machine(design, "llama-65b", _own(designs, design, sets))


def test_a_reason_is_given_only_where_ours_is_not_covered(targets: PapiTargets) -> None:
    """Those of the paper's numbers that no rates of these machines give are few, and each says why."""
    reasons = {(one.figure, one.published) for one in targets.band.headlines if one.why}
    assert reasons == NOT_COVERED
    assert all(len(one.why) > 40 for one in targets.band.headlines if one.why)


NOT_COVERED = {("8a, time", 11.1), ("9a, time", 8.1), ("10b, time", 3.0)}


def test_the_two_ratios_of_stacks(targets: PapiTargets) -> None:
    fc, *attention = micro_points(targets.micro)
    assert fc.verdict in (PASS, MISSED)
    assert fc.ours == pytest.approx(2.59, abs=0.02)
    assert [point.verdict for point in attention] == [PASS] * 3
    wrong = targets.micro.model_copy(update={"fc": targets.micro.fc.model_copy(update={"published": 3.2})})
    assert next(micro_points(wrong)).verdict == FAIL


def test_rows_come_a_headline_each(few: BandTargets) -> None:
    quick = few.model_copy(update={"parameters": [], "headlines": [headline(), headline(of="energy", published=3.4)]})
    rows = list(band_rows(quick))
    assert [row.target for row in rows] == [1.8, 3.4]
    assert rows[0].together[1] == rows[0].ours


def _own(designs: PapiDesigns, design: str, sets: dict[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in sets.items() if designs.concerns(design, path)}


def _any(designs: PapiDesigns, design: str, sets: dict[str, Any]) -> bool:
    return bool(_own(designs, design, sets)) or bool({SEED, ALIKE} & set(sets))
