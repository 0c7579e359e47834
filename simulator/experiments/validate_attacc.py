"""AttAcc: runs of its public simulator, and what its paper prints, beside ours."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.validate_attacc_largest import (
    BatchTargets,
    LargestTargets,
    PaperClaims,
    batch_points,
    largest_points,
    paper_points,
)
from simulator.experiments.validate_gpu_measured import Compared, worst
from simulator.experiments.validate_records import Claim, Group, Point
from simulator.experiments.validate_runs import ConfiguredRuns
from simulator.experiments.validate_targets import FOLDER

COUNTS = ("n_mac", "n_softmax", "n_mvgb", "n_mvsb", "n_wrgb")
WHOLE = {
    "prefill": ("prefill_ms", "prefill_ms"),
    "decode step": ("decode_ms_per_step", "decode_ms_per_step"),
    "energy of a decode step": ("decode_energy_mJ_per_step", "energy_mj_per_step"),
}
"""What is compared of a whole query: the table's column, and our metric."""

_PLACEMENTS = {"bank": "beside banks", "bg": "beside bank groups", "buffer": "on the buffer die"}
_EVERY = "every run"
Row = Mapping[str, str]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Golden(_Section):
    """The table of runs of the public simulator, and how far we may be off, in per cent."""

    file: str
    source: str
    stack_title: str
    stack_pct: float
    whole_title: str
    whole_pct: float
    stale: str
    stale_context_step: int


class AttaccTargets(_Section):
    """A file of targets of kind `attacc`."""

    kind: Literal["attacc"]
    config: str
    models: dict[str, str]
    golden: Golden
    batches: BatchTargets
    largest: LargestTargets
    paper: PaperClaims


def load_attacc_targets(path: Path = FOLDER / "attacc.yaml") -> AttaccTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), AttaccTargets, ignore=())


def attacc_points(path: Path) -> Iterator[Point | Claim]:
    """Every number of a file of targets beside ours."""
    targets, runs = load_attacc_targets(path), ConfiguredRuns()
    with (path.parent / targets.golden.file).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    yield from stack_claims(targets, rows, runs)
    yield from whole_claims(targets, rows, runs)
    yield from batch_points(targets.batches, targets.config, runs)
    yield from largest_points(targets.largest, targets.config, runs)
    yield from paper_points(targets.paper, targets.largest, targets.config, runs)


def stack_claims(targets: AttaccTargets, rows: Sequence[Row], runs: ConfiguredRuns) -> Iterator[Claim]:
    """Cycles of one stack's attention by where its units are, and all counts of commands."""
    golden = targets.golden
    group = Group("attacc_stack", golden.stack_title, golden.source, folded=False)
    cycles: dict[str, list[Compared]] = {}
    counts: list[Compared] = []
    for row in rows:
        if not row["heads_per_stack"] or row["pim_cache"] != "fresh":
            continue
        series = f"units {_PLACEMENTS[row['placement']]}" + ("" if row["power_limit"] == "1" else ", no power limit")
        for context, published in zip(row["kv_len_L"].split("|"), row["ram_cycles"].split("|"), strict=True):
            record = runs.record(targets.config, _stack_sets(row, int(context)))
            label = row["case"] if "|" not in row["kv_len_L"] else f"{row['case']} at {context}"
            ours = record.metrics["pim_cycles"]
            cycles.setdefault(series, []).append(Compared(series, label, float(published), float(ours)))
        commands = record.breakdown["commands"]
        for name in COUNTS:
            if row[name]:
                ours_n = float(commands[name])
                counts.append(Compared(_EVERY, f"{row['case']} {name}", float(row[name]), ours_n))
    for series, compared in cycles.items():
        yield _claim(group, f"cycles, {series}", compared, golden.stack_pct)
    differing = [one for one in counts if one.ours != one.measured]
    note = "; ".join(f"{one.label} is {one.ours:,.0f}, not {one.measured:,.0f}" for one in differing)
    words = f"{len(counts):,} counts"
    yield Claim(group, "commands, every kind", "that differ", 0.0, float(len(differing)), words, "counts", note)


def whole_claims(targets: AttaccTargets, rows: Sequence[Row], runs: ConfiguredRuns) -> Iterator[Claim]:
    """Times and energy of whole queries by machine; where the tool's own attention is stale, ours is only reported."""
    golden = targets.golden
    group = Group("attacc_queries", golden.whole_title, golden.source, folded=False)
    found: dict[tuple[str, str], list[Compared]] = {}
    for row in rows:
        if row["kind"] != "end_to_end":
            continue
        stale = row["pim_cache"] == "shipped"
        sets = whole_sets(targets, row)
        if stale:
            sets["workload.context_step"] = golden.stale_context_step
        ours = query_metrics(runs, targets.config, sets)
        machine = row["system"] + (", stale cache" if stale else "")
        for name, (column, metric) in WHOLE.items():
            compared = Compared(machine, row["case"], float(row[column]), ours[metric])
            found.setdefault((machine, name), []).append(compared)
    for (machine, name), several in found.items():
        stale = machine.endswith("stale cache")
        yield _claim(group, f"{machine}: {name}", several, None if stale else golden.whole_pct, golden.stale * stale)


def query_metrics(runs: ConfiguredRuns, config: str, sets: Mapping[str, Any]) -> dict[str, float]:
    """Times in ms, energy in mJ and rates of equal queries that run together."""
    query = runs.query(config, sets)
    return {
        "prefill_ms": query.prefill_ps / 1e9,
        "decode_ms_per_step": query.decode_ps / query.n_steps / 1e9,
        "energy_mj_per_step": query.decode_pj / query.n_steps / 1e9,
    }


def whole_sets(targets: AttaccTargets, row: Row) -> dict[str, Any]:
    """The overrides that make a row's run."""
    sets: dict[str, Any] = {
        "system.variant": row["system"],
        "system.gpu": row["gpu"],
        "system.n_gpus": int(row["n_gpu"]),
        "workload.model": targets.models[row["model"]],
        "workload.prompt_tokens": int(row["lin"]),
        "workload.output_tokens": int(row["lout"]),
        "workload.batch": int(row["batch"]),
        "workload.bytes_per_element": int(row["bytes_per_elem"]),
    }
    if row["system"] == "dgx-attacc":
        sets |= {
            "system.placement": row["placement"],
            "system.power_limit": row["power_limit"] == "1",
            "system.ff_coprocessing": row["ff_coproc"] == "1",
            "system.head_pipeline": row["head_pipeline"] == "1",
        }
    return sets


def _stack_sets(row: Row, context: int) -> dict[str, Any]:
    return {
        "workload.scope": "attention",
        "workload.heads_per_stack": int(row["heads_per_stack"]),
        "workload.head_dim": int(row["d_head"]),
        "workload.context": context,
        "workload.bytes_per_element": int(row["bytes_per_elem"]),
        "system.placement": row["placement"],
        "system.power_limit": row["power_limit"] == "1",
    }


def _claim(group: Group, case: str, rows: Sequence[Compared], limit: float | None, why: str = "") -> Claim:
    """The largest error of some rows, and which has it."""
    furthest = max(rows, key=lambda row: abs(row.error))
    words = f"{len(rows)}, worst {furthest.label} {furthest.error:+.2f} %"
    return Claim(group, case, "max", limit, abs(furthest.error), words, note=why or worst(rows))
