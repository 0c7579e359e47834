"""Number formats on two trained models: losses, errors and picks beside those of independent code, and orderings of
papers."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from simulator.experiments.formats_targets import FormatRow, FormatTargets, Suite, load_format_targets
from simulator.experiments.held_out_models import HeldOutModels
from simulator.experiments.validate_formats_papers import ordering_points, search_points, speed_claim
from simulator.experiments.validate_records import Claim, Group, Point

SPECIAL_NAMES = ("+ER", "-ER", "+EA", "-EA")
_HALF_OF_THE_LAST_DIGIT = 0.51e-6
_LEFT = "a sample of small-llama in a default run; all of it by `formats_points(everything=True)`, an hour on two cores"
Golden = dict[tuple[str, str, str, str], dict[str, float]]


def formats_points(
    path: Path, study: HeldOutModels | None = None, *, everything: bool = False
) -> Iterator[Point | Claim]:
    """Every number of a file of targets beside ours, as far as models and tokens are there.

    All of the model that comes with the project, and unless `everything` is asked for a sample of the larger one.
    """
    targets = load_format_targets(path)
    study = HeldOutModels() if study is None else study
    golden = golden_values(path.parent / targets.golden)
    sample = targets.sample
    speed = speed_claim(targets.speed, study)  # first: what is measured later is kept
    for suite, chosen in (
        (targets.weights, sample.weights), (targets.activations, sample.activations), (targets.kv, sample.kv)
    ):  # fmt: skip
        yield from suite_points(targets, suite, golden, study, None if everything else chosen)
    yield from text_points(targets, golden, study, everything=everything)
    yield from search_points(targets, study, everything=everything)
    yield from ordering_points(targets, study, everything=everything)
    yield speed


def golden_values(path: Path) -> Golden:
    """Numbers of the golden table by suite, model, case and parameters, by metric; text is left out."""
    found: Golden = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            try:
                value = float(row["value"])
            except ValueError:
                continue
            key = (row["suite"], row["model"], row["case"], row["params"])
            found.setdefault(key, {})[row["metric"]] = value
    return found


# --- suites of formats


def suite_points(
    targets: FormatTargets, suite: Suite, golden: Golden, study: HeldOutModels, chosen: Sequence[str] | None
) -> Iterator[Point | Claim]:
    """Each format's loss on both models, the error of its weights and the special values picked.

    Of the second model only losses of formats that are `chosen`, where some are.
    """
    group = Group(f"formats_{suite.suite}", suite.title, targets.source)
    for at, model in enumerate(targets.models):
        left = []
        for row in suite.rows:
            if study.path(model) and row.error is not None:
                yield from _weight_points(targets, group, row, at, golden, study)
            if study.missing(model) or (at == 1 and chosen is not None and row.format not in chosen):
                left.append(row.format)
                continue
            n_windows = suite.n_windows[at]
            params = _params(row, n_windows, targets.context[at])
            given = golden.get((suite.suite, model, row.case, params), {})
            target = given.get("loss", math.log(row.ppl[at]))
            ours = study.loss(model, row.format, range(n_windows))
            known = suite.known if row.by else ""
            yield Point(
                group, row.format, f"{model}: loss", target, ours, targets.loss_tolerance, 4,
                known=known, known_tolerance=row.by,
            )  # fmt: skip
        if left:
            why = study.missing(model) or _LEFT
            rest = Group(f"{group.name}_rest", f"{suite.title}: the rest", targets.source, folded=False)
            yield Claim(rest, f"{model}: {len(left)} formats", "loss", targets.loss_tolerance, None, "", "nats", why)


def _params(row: FormatRow, n_windows: int, context: int) -> str:
    """How the golden table names what a loss was measured on."""
    windows = f"windows 0-{n_windows - 1} x {context}"
    if row.error is not None:
        return windows
    return f"{'W INT4-asym-g128' if row.format.startswith('int4_asym+') else 'W FP16'}; {windows}"


def _weight_points(
    targets: FormatTargets, group: Group, row: FormatRow, at: int, golden: Golden, study: HeldOutModels
) -> Iterator[Point]:
    """Squared error over squared weights, and how many groups picked each special value."""
    assert row.error is not None
    model, report = targets.models[at], study.weights(targets.models[at], row.format)
    given = golden.get((targets.weights.suite, model, row.case, "all layers' 7 projections"), {})
    target = given.get("rel_sq_err", row.error[at])
    tolerance = targets.error_frac * target if given else _HALF_OF_THE_LAST_DIGIT * (target > 0)
    yield Point(group, row.format, f"{model}: squared error", target, report.rel_sq_error, tolerance, 9)
    if row.picks is not None:
        for pick, (name, count) in enumerate(zip(SPECIAL_NAMES, row.picks[at], strict=True)):
            ours = report.special_picks.get(pick, 0)
            yield Point(group, row.format, f"{model}: groups with {name}", count, ours, targets.picks_tolerance)


# --- all windows of the text


def text_points(
    targets: FormatTargets, golden: Golden, study: HeldOutModels, *, everything: bool
) -> Iterator[Point | Claim]:
    """The models as stored on each window whose loss is given and on all, and the larger one's formats on eight."""
    text = targets.text
    group = Group("formats_text", text.title, targets.source)
    for at, model in enumerate(targets.models):
        if why := study.missing(model):
            yield Claim(_rest(group, targets), model, "loss", targets.loss_tolerance, None, "", "nats", why)
            continue
        sampled = at == 1 and not everything
        n_windows = targets.weights.n_windows[at] if sampled else text.n_windows[at]
        for window in range(n_windows):
            given = golden.get((text.suite, model, "FP16", f"window {window}"))
            if given is not None:
                ours = study.loss(model, "fp16", [window])
                yield Point(group, model, f"window {window}", given["loss"], ours, targets.loss_tolerance, 4)
        if sampled:
            n_left = text.n_windows[at] - n_windows
            yield Claim(
                _rest(group, targets), f"{model}: {n_left} windows", "loss", targets.loss_tolerance, None, "",
                "nats", _LEFT,
            )  # fmt: skip
        else:
            target, ours = math.log(text.ppl[at]), study.loss(model, "fp16", range(n_windows))
            yield Point(group, model, f"all {n_windows} windows", target, ours, targets.loss_tolerance, 4)
    model, longer = targets.models[1], text.longer
    if not study.missing(model):
        for name, ppl in longer.formats.items():
            if everything or name in targets.sample.longer:
                ours = study.loss(model, name, range(longer.n_windows))
                case = f"{model}, {longer.n_windows} windows"
                yield Point(group, case, name, math.log(ppl), ours, targets.loss_tolerance, 4)


def _rest(group: Group, targets: FormatTargets) -> Group:
    return Group(f"{group.name}_rest", "The models as stored: the rest", targets.source, folded=False)
