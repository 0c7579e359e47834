"""What papers say of formats, on two trained models: Anda's search, orderings, what costs nothing, and how long an
evaluation takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from simulator.experiments.api import run
from simulator.experiments.formats_targets import FormatTargets, FreeRow, Ordering, SearchRow, Speed
from simulator.experiments.held_out_models import HeldOutModels
from simulator.experiments.validate_records import Claim, Group, Point
from simulator.workload.catalog import data_directory

_SITES = ("qkv", "o", "u", "d")
_SEARCH_LEFT = "not in a default run: 14 to 29 evaluations, minutes each search"
_ORDER_LEFT = "a default run has too few formats of small-llama"


# --- Anda's search


def search_points(targets: FormatTargets, study: HeldOutModels, *, everything: bool) -> Iterator[Point | Claim]:
    """The windows that a run calibrates on by itself, perplexities there, and what its search finds."""
    asked = targets.searches
    group = Group("formats_search", asked.title, targets.source)
    rest = Group("formats_search_rest", f"{asked.title}: the rest", targets.source, folded=False)
    for at, model in enumerate(targets.models):
        if why := study.missing(model):
            yield Claim(rest, model, "tuple", 0.0, None, "", "", why)
            continue
        yield from _calibration_points(targets, group, at, study)
        for row in asked.rows:
            if row.model == model:
                if everything or (model, row.tolerance) in targets.sample.searches:
                    yield from _found_points(targets, group, row, at, study)
                else:
                    case = f"{model}, {100 * row.tolerance:g}%"
                    yield Claim(rest, case, "tuple", 0.0, None, "", "", _SEARCH_LEFT)


def _calibration_points(targets: FormatTargets, group: Group, at: int, study: HeldOutModels) -> Iterator[Point]:
    model, asked = targets.models[at], targets.searches
    first, n_windows = asked.calibration[at]
    assert study.tokens is not None
    calibration = study.search_settings(model).subject().calibration
    width = calibration.shape[1]
    wanted = study.tokens.tokens[first * width : (first + n_windows) * width].reshape(n_windows, width)
    case = f"{model}: calibration windows"
    yield Point(group, case, "how many", n_windows, len(calibration))
    yield Point(group, case, "tokens in place", wanted.size, int((calibration == wanted).sum()))
    if at == 1:
        for name, ppl in asked.found_ppl.items():
            ours = study.loss(model, name, range(first, first + n_windows))
            yield Point(
                group, case, name, math.log(ppl), ours, targets.loss_tolerance, 4, known=asked.known,
                known_tolerance=asked.by,
            )  # fmt: skip


def _found_points(
    targets: FormatTargets, group: Group, row: SearchRow, at: int, study: HeldOutModels
) -> Iterator[Point]:
    asked = targets.searches
    sets = study.search_sets(row.model, asked.n_windows[at], row.tolerance)
    found = run(data_directory("hw_configs") / "anda.yaml", sets, workload="accuracy")
    case = f"{row.model}, {100 * row.tolerance:g}%"
    for site, bits in zip(_SITES, row.mantissas, strict=True):
        yield Point(group, case, f"mantissa of {site}", bits, float(found.breakdown["mantissas"].get(site, 0)))
    yield Point.printed(group, case, "saving", row.saving, found.metrics["bops_saving"])
    yield Point(group, case, "evaluations", row.n_iterations, found.metrics["n_iterations"])
    for quantity, percent, name in (
        ("increase on calibration, %", row.calibration_pct, "calibration_increase_frac"),
        ("increase, %", row.pct, "perplexity_increase_frac"),
    ):
        point = Point.printed(group, case, quantity, percent, 100 * found.metrics.get(name, math.nan))
        yield replace(
            point, tolerance=100 * asked.increase_tolerance, known=asked.known, known_tolerance=100 * asked.by
        )


# --- orderings


def ordering_points(targets: FormatTargets, study: HeldOutModels, *, everything: bool) -> Iterator[Claim]:
    """Differences of losses of which papers say that they are negative, or next to nothing."""
    asked = targets.orderings
    group = Group("formats_orderings", asked.title, "papers as named", folded=False)
    free = Group("formats_free", asked.free.title, "papers as named", folded=False)
    for at, model in enumerate(targets.models):
        for row in asked.rows:
            pair = (row.better, row.worse)
            claim = Claim(
                group, f"{model}: {row.better} < {row.worse}", row.paper, 0.0, None, row.paper, "nats", row.known
            )
            yield _measured(targets, study, row, claim, at, pair, everything=everything)
        for over in asked.free.rows:
            pair = (over.format, over.over)
            case = f"{model}: {over.format} over {over.over}"
            claim = Claim(free, case, over.paper, over.most, None, over.paper, "nats", over.known)
            yield _measured(targets, study, over, claim, at, pair, everything=everything)


def _measured(
    targets: FormatTargets, study: HeldOutModels, row: Ordering | FreeRow, claim: Claim, at: int,
    pair: tuple[str, str], *, everything: bool,
) -> Claim:  # fmt: skip
    """The claim with the difference of the losses, or with what it lacks."""
    model = targets.models[at]
    of = row.of if isinstance(row, Ordering) else "weights"
    sampled = targets.sample.weights if of == "weights" else targets.sample.activations
    if why := study.missing(model) or ("" if everything or at == 0 or set(pair) <= set(sampled) else _ORDER_LEFT):
        return replace(claim, note=why)
    suite = targets.weights if of == "weights" else targets.activations
    first, second = (study.loss(model, name, range(suite.n_windows[at])) for name in pair)
    return replace(claim, ours=first - second, known=row.by if row.known else None)


# --- speed


def speed_claim(asked: Speed, study: HeldOutModels) -> Claim:
    """Seconds to round a model and to evaluate windows of it: reported, as it depends on the machine and on who else
    works there."""
    group = Group("formats_speed", f"An evaluation in at most {asked.most_s:g} s on two cores", "asked", folded=False)
    case = f"{asked.model} in {asked.format}, {asked.n_windows} windows"
    if why := study.missing(asked.model):
        return Claim(group, case, "time", None, None, "", "s", why)
    cost = study.timed(asked.model, asked.format, asked.n_windows)
    return Claim(group, case, "time", None, cost.wall_s, f"{cost.cpu_s:.0f} s of processors", "s")
