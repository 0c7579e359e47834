"""AttAcc beside GPUs alone, each with as many sequences as fit: throughput, energy, and what its two edges gain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from simulator.experiments.validate_records import Group, Point
from simulator.experiments.validate_runs import ConfiguredRuns

ATTACC = "dgx-attacc"
OTHERS = ("dgx", "dgx-large")
_N_OF_EDGES = 4  # contexts at which the edges' gains are taken
PIPELINE, COPROCESSING = "head pipeline", "co-processing"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BatchTargets(_Section):
    """Sequences that fit, by machine and total length."""

    title: str
    source: str
    model: str
    tolerance_frac: float
    limits: dict[str, dict[int, int]]


class LargestTargets(_Section):
    """What the public simulator gives at each machine's largest batch, by lengths `in/out`: tokens/s of machines, and
    ratios. Ours are of `n_samples` contexts of the decode."""

    title: str
    source: str
    model: str
    n_samples: int
    tolerance_frac: float
    lengths: dict[str, dict[str, float]]


class PaperClaim(_Section):
    """A number that the paper reaches at most, which of ours it is compared with, and what is not said of it."""

    name: str
    published: float
    of: str
    why: str


class PaperClaims(_Section):
    """What the paper claims."""

    title: str
    source: str
    claims: list[PaperClaim]


def batch_points(targets: BatchTargets, config: str, runs: ConfiguredRuns) -> Iterator[Point]:
    """Sequences that fit each machine."""
    group = Group("attacc_batches", targets.title, targets.source, folded=False)
    for variant, by_length in targets.limits.items():
        for total, published in by_length.items():
            ours = largest_batch(runs, config, targets.model, variant, total)
            tolerance = published * targets.tolerance_frac
            yield Point(group, variant, f"of {total:,} positions", published, ours, tolerance)


def largest_batch(runs: ConfiguredRuns, config: str, model: str, variant: str, total: int) -> int:
    """Sequences of `total` positions that fit a machine."""
    system = runs.system(config, {"system.variant": variant, "workload.model": model})
    return int(system.batch_limit(total))


def largest_points(targets: LargestTargets, config: str, runs: ConfiguredRuns) -> Iterator[Point]:
    """Throughputs at the largest batches, and their ratios."""
    group = Group("attacc_largest", targets.title, targets.source, folded=False)
    for lengths, numbers in targets.lengths.items():
        ours = at_largest(targets, config, runs, lengths)
        for name, published in numbers.items():
            point = Point.printed(group, lengths, _words(name), published, ours[name])
            yield replace(point, tolerance=max(point.tolerance, published * targets.tolerance_frac))


def at_largest(targets: LargestTargets, config: str, runs: ConfiguredRuns, lengths: str) -> dict[str, float]:
    """Tokens/s of each machine at its own largest batch, and AttAcc's throughput and energy over the others."""
    tokens_per_s, pj_per_token = {}, {}
    n_in, n_out = map(int, lengths.split("/"))
    for variant in (*OTHERS, ATTACC):
        batch = largest_batch(runs, config, targets.model, variant, n_in + n_out)
        query = runs.query(config, query_sets(targets, variant, n_in, n_out, batch))
        n_tokens = batch * query.n_steps
        tokens_per_s[variant] = n_tokens / (query.decode_ps * 1e-12)
        pj_per_token[variant] = query.decode_pj / n_tokens
    found = dict(tokens_per_s)
    for other in OTHERS:
        found[f"speed-up over {other}"] = tokens_per_s[ATTACC] / tokens_per_s[other]
        found[f"energy over {other}"] = pj_per_token[other] / pj_per_token[ATTACC]
    return found


def paper_points(claims: PaperClaims, largest: LargestTargets, config: str, runs: ConfiguredRuns) -> Iterator[Point]:
    """The most that ours reach of what the paper claims: reported, as the paper does not say where."""
    group = Group("attacc_paper", claims.title, claims.source, folded=False)
    ours: dict[str, float] = {}
    where: dict[str, str] = {}
    for lengths in largest.lengths:
        for found in (at_largest(largest, config, runs, lengths), edge_gains(largest, config, runs, lengths)):
            for name, value in found.items():
                if value > ours.get(name, 0.0):
                    ours[name], where[name] = value, lengths
    for claim in claims.claims:
        at = f"ours at {where[claim.of]}"
        yield Point.printed(group, claim.name, at, claim.published, ours[claim.of], claim.why)


def edge_gains(targets: LargestTargets, config: str, runs: ConfiguredRuns, lengths: str) -> dict[str, float]:
    """What the head pipeline gains at the largest batch, and co-processing after it."""
    n_in, n_out = map(int, lengths.split("/"))
    batch = largest_batch(runs, config, targets.model, ATTACC, n_in + n_out)
    sets = {**query_sets(targets, ATTACC, n_in, n_out, batch), "workload.context_step": max(1, n_out // _N_OF_EDGES)}
    plain, piped, both = (
        runs.query(config, {**sets, "system.head_pipeline": pipeline, "system.ff_coprocessing": shared}).decode_ps
        for pipeline, shared in ((False, False), (True, False), (True, True))
    )
    return {PIPELINE: plain / piped, COPROCESSING: piped / both}


def query_sets(targets: LargestTargets, variant: str, n_in: int, n_out: int, batch: int) -> dict[str, Any]:
    """The overrides of a run of equal queries."""
    return {
        "system.variant": variant,
        "workload.model": targets.model,
        "workload.prompt_tokens": n_in,
        "workload.output_tokens": n_out,
        "workload.batch": batch,
        "workload.context_step": max(1, n_out // targets.n_samples),
    }


def _words(name: str) -> str:
    return f"{name}, tokens/s" if name in (*OTHERS, ATTACC) else name
