"""Validation of number formats: what is looked at and what is said to be left, and that verdicts follow the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pytest

from simulator.experiments.formats_targets import FormatTargets, load_format_targets
from simulator.experiments.held_out_models import HeldOutModels
from simulator.experiments.validate_formats import formats_points, golden_values, suite_points, text_points
from simulator.experiments.validate_formats_papers import ordering_points, search_points
from simulator.experiments.validate_records import FAIL, MISSED, NOT_CHECKED, PASS, REPORTED
from simulator.experiments.validate_targets import FOLDER
from simulator.numerics.format_names import model_formats
from simulator.numerics.model_weights import WeightReport

PATH = FOLDER / "formats.yaml"


@pytest.fixture(scope="module")
def targets() -> FormatTargets:
    return load_format_targets()


class Recited(HeldOutModels):
    """A study whose losses and errors are the targets, more by `off`; it says that everything is there."""

    def __init__(self, targets: FormatTargets, off: float = 0.0) -> None:
        super().__init__(Path("nowhere"))
        self.targets, self.off = targets, off

    def path(self, model: str) -> Path:
        return Path("nowhere") / model

    def missing(self, model: str) -> str:
        return ""

    def loss(self, model: str, formats: str, windows: Iterable[int]) -> float:
        at, n_windows = self.targets.models.index(model), len(list(windows))
        for suite in (self.targets.weights, self.targets.activations, self.targets.kv):
            for row in suite.rows:
                if row.format == formats and suite.n_windows[at] == n_windows:
                    return math.log(row.ppl[at]) + self.off
        return math.log(self.targets.text.longer.formats[formats]) + self.off

    def weights(self, model: str, formats: str) -> WeightReport:
        at = self.targets.models.index(model)
        (row,) = [row for row in self.targets.weights.rows if row.format == formats]
        golden = golden_values(FOLDER / self.targets.golden)
        given = golden.get((self.targets.weights.suite, model, row.case, "all layers' 7 projections"), {})
        assert row.error is not None
        error = given.get("rel_sq_err", row.error[at]) * (1 + self.off)
        return WeightReport(1, 4.0, error, dict(enumerate(row.picks[at])) if row.picks else {})


def suite_verdicts(targets: FormatTargets, off: float, *, everything: bool = True) -> dict[str, int]:
    golden, study = golden_values(FOLDER / targets.golden), Recited(targets, off)
    chosen = None if everything else targets.sample.weights
    found: dict[str, int] = {}
    for point in suite_points(targets, targets.weights, golden, study, chosen):
        found[point.verdict] = found.get(point.verdict, 0) + 1
    return found


def test_every_format_of_the_table_is_compared(targets: FormatTargets) -> None:
    n_formats, n_picks = len(targets.weights.rows), 2 * 2 * 4
    assert suite_verdicts(targets, 0.0) == {PASS: 2 * 2 * n_formats + n_picks}
    n_left = n_formats - len(targets.sample.weights)
    sampled = suite_verdicts(targets, 0.0, everything=False)
    assert sampled == {PASS: 2 * 2 * n_formats + n_picks - n_left, NOT_CHECKED: 1}


def test_golden_rows_and_printed_ones_agree(targets: FormatTargets) -> None:
    """A row of the golden table that no format of ours reads would pass unseen."""
    golden = golden_values(FOLDER / targets.golden)
    cases = {row.case for row in targets.weights.rows}
    assert {key[2] for key in golden if key[0] == targets.weights.suite} <= cases
    kv = {row.case for row in targets.kv.rows}
    assert {key[2] for key in golden if key[0] == targets.kv.suite} <= kv
    activations = {row.case for row in targets.activations.rows}
    others = {key[2] for key in golden if key[0] == targets.activations.suite} - activations
    assert all("control" in case for case in others)


def test_a_loss_or_an_error_that_is_off_fails(targets: FormatTargets) -> None:
    found = suite_verdicts(targets, 0.0006)
    # Losses of all, errors where the golden table has digits enough; not those that are printed to six decimals.
    assert found[FAIL] > 2 * len(targets.weights.rows)
    assert suite_verdicts(targets, 0.0004)[PASS] > 2 * len(targets.weights.rows)


def test_noise_of_rounded_activations_is_known_and_bounded(targets: FormatTargets) -> None:
    golden = golden_values(FOLDER / targets.golden)

    def verdicts(off: float) -> dict[str, str]:
        points = suite_points(targets, targets.activations, golden, Recited(targets, off), None)
        return {point.case: point.verdict for point in points}

    assert set(verdicts(0.0).values()) == {PASS}
    assert verdicts(0.002)["anda_m5"] == MISSED
    assert verdicts(0.002)["anda_m13"] == verdicts(0.007)["anda_m5"] == FAIL


def test_all_names_are_formats(targets: FormatTargets) -> None:
    rows = [row for suite in (targets.weights, targets.activations, targets.kv) for row in suite.rows]
    names = {row.format for row in rows} | set(targets.text.longer.formats) | set(targets.searches.found_ppl)
    assert {model_formats(name).name for name in names} == names
    weights = {row.format for row in targets.weights.rows}
    asked = {name for row in targets.orderings.rows if row.of == "weights" for name in (row.better, row.worse)}
    assert asked <= weights
    assert {name for row in targets.orderings.free.rows for name in (row.format, row.over)} <= weights


def test_orderings_that_do_not_hold_are_missed_with_a_reason(targets: FormatTargets) -> None:
    claims = list(ordering_points(targets, Recited(targets), everything=True))
    assert {claim.verdict for claim in claims} == {PASS, MISSED}
    missed = {claim.case for claim in claims if claim.verdict == MISSED}
    assert missed == {
        *(f"{model}: bitmod_3b < bitmod_3b_ea" for model in targets.models), "tiny-llama: bitmod_4b < bitmod_4b_ea",
        *(f"{model}: int4_asym < {other}" for model in targets.models for other in ("mx_fp4", "fp4")),
        "tiny-llama: qoq_w4 < int4_asym", *(f"{model}: anda_m13 < anda_m7" for model in targets.models),
        "tiny-llama: int6_sym over fp16",
    }  # fmt: skip
    assert all(claim.note for claim in claims if claim.verdict == MISSED)
    without = [row.model_copy(update={"known": ""}) for row in targets.orderings.rows]
    orderings = targets.orderings.model_copy(update={"rows": without})
    changed = targets.model_copy(update={"orderings": orderings})
    assert FAIL in {claim.verdict for claim in ordering_points(changed, Recited(targets), everything=True)}


def test_a_clone_alone_checks_weights_of_its_own_model(targets: FormatTargets, tmp_path: Path) -> None:
    few = targets.weights.model_copy(
        update={"rows": [row for row in targets.weights.rows if row.format == "int4_asym"]}
    )
    golden = golden_values(FOLDER / targets.golden)
    points = list(suite_points(targets, few, golden, HeldOutModels(tmp_path), None))
    assert [point.verdict for point in points] == [PASS, NOT_CHECKED, NOT_CHECKED]
    assert all("../shared/models" in point.note for point in points[1:])


def test_a_run_calibrates_on_the_windows_of_the_reference(targets: FormatTargets, shared_dir: Path) -> None:
    """By the defaults of accuracy runs: windows 16 to 23 of tiny-llama, window 8 of small-llama."""
    study = HeldOutModels(shared_dir / "models")
    for model, (first, n_windows) in zip(targets.models, targets.searches.calibration, strict=True):
        calibration = study.search_settings(model).subject().calibration
        width = calibration.shape[1]
        assert study.tokens is not None
        expected = study.tokens.tokens[first * width : (first + n_windows) * width]
        assert calibration.reshape(-1).tolist() == expected.tolist()


def test_a_window_of_the_text(targets: FormatTargets, shared_dir: Path) -> None:
    study = HeldOutModels(shared_dir / "models")
    assert study.loss("tiny-llama", "fp16", [0]) == pytest.approx(2.6229, abs=0.0005)


@pytest.mark.thorough
def test_a_default_run(shared_dir: Path) -> None:
    points = list(formats_points(PATH, HeldOutModels(shared_dir / "models")))
    assert [point.case for point in points if point.verdict == FAIL] == []
    assert {point.group.name for point in points if point.verdict == REPORTED} == {"formats_speed"}


@pytest.mark.thorough
def test_searches_of_both_models(targets: FormatTargets, shared_dir: Path) -> None:
    points = list(search_points(targets, HeldOutModels(shared_dir / "models"), everything=True))
    assert {point.verdict for point in points} <= {PASS, MISSED}
    assert all("%" in point.quantity or "anda" in point.quantity for point in points if point.verdict == MISSED)


@pytest.mark.thorough
def test_all_windows_of_the_text(targets: FormatTargets, shared_dir: Path) -> None:
    golden = golden_values(FOLDER / targets.golden)
    points = list(text_points(targets, golden, HeldOutModels(shared_dir / "models"), everything=True))
    assert {point.verdict for point in points} == {PASS}
