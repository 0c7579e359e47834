"""`sim validate`: every number that a source gives for a machine, beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from simulator.contracts.results import Table
from simulator.experiments.validate_anda import anda_points
from simulator.experiments.validate_attacc import attacc_points
from simulator.experiments.validate_bitmod import bitmod_points
from simulator.experiments.validate_formats import formats_points
from simulator.experiments.validate_golden import golden_points
from simulator.experiments.validate_gpu import gpu_claims
from simulator.experiments.validate_m5 import m5_points
from simulator.experiments.validate_papi import papi_points
from simulator.experiments.validate_records import (
    FAIL,
    MISSED,
    NOT_CHECKED,
    AnyPoint,
    Band,
    Claim,
    Group,
    Point,
    Row,
    rows_of,
)
from simulator.experiments.validate_replays import replay_points
from simulator.experiments.validate_runs import Runs
from simulator.experiments.validate_systolic import systolic_points
from simulator.experiments.validate_targets import (
    Targets,
    check_name,
    kind_of,
    list_targets,
    load_targets,
    machine_of,
    path_of,
)
from simulator.experiments.validate_tiers import tier_points
from simulator.report.wording import take_apart

_POINTS: dict[str, Callable[[Path], Iterator[AnyPoint]]] = {
    "anda": anda_points, "attacc": attacc_points, "bitmod": bitmod_points, "formats": formats_points, "m5": m5_points,
    "papi": papi_points, "replays": replay_points, "systolic": systolic_points, "tiers": tier_points,
}  # fmt: skip
_UNSAID = ("throughput", "energy", "power")  # words that the unit says already


def validate(names: Sequence[str] = (), profiles: Path | None = None) -> list[Row]:
    """Rows of all targets of the given names (all, where none is given).

    `profiles` is the folder of published GPU profiles, by default where `gpu_profiles.reading` looks for them. Raises
    ConfigError for a name without targets.
    """
    chosen = list(dict.fromkeys(names or list_targets()))
    for name in chosen:
        check_name(name)
    kinds = {name: kind_of(path_of(name)) for name in chosen}
    machines = [machine for machine in dict.fromkeys(map(machine_of, chosen)) if not kind_of(path_of(machine))]
    loaded = {machine: load_targets(machine) for machine in machines}
    runs = {machine: Runs(targets) for machine, targets in loaded.items()}  # figures ask for the same runs again

    def points(name: str) -> Iterator[AnyPoint]:
        if kinds[name] == "gpu":
            return gpu_claims(path_of(name), profiles)
        if kinds[name] in _POINTS:
            return _POINTS[kinds[name]](path_of(name))
        machine = machine_of(name)
        if name == machine:
            return _points(loaded[name], runs[name])
        # Figures are measured with the runs of their machine, where its targets are runs.
        return _figure_points(name, loaded.get(machine), runs.get(machine))

    return [row for name in chosen for row in rows_of(points(name))]


def tables(rows: Sequence[Row]) -> list[tuple[str, Table]]:
    """The rows as tables with a title each; errors and tolerances are shown relative to the target."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.group.name, []).append(row)
    return [
        (
            f"{members[0].group.title} [{members[0].group.source}]",
            Table(_columns(members[0]), [_cells(row) for row in members]),
        )
        for members in grouped.values()
    ]


def remarks(rows: Sequence[Row]) -> list[str]:
    """What the tables cannot say: which numbers failed within rows of many, why some cannot be met, or checked."""
    said = [
        f"{row.name}: {point.quantity} is {_number(point.ours, point)}, published {_number(point.target, point)}"
        for row in rows
        for point in row.points
        if isinstance(point, Point) and point.verdict == FAIL and len(row.points) > 1
    ]
    notes = [row.worst.note for row in rows if row.verdict == NOT_CHECKED]
    explained = [row for row in rows if row.worst.note and row.verdict != NOT_CHECKED and _needs_words(row)]
    names = [row.worst.case if isinstance(row.worst, Claim) else row.name for row in explained]
    said += list(dict.fromkeys(f"{name}: {row.worst.note}" for name, row in zip(names, explained, strict=True)))
    return said + [f"not checked: {note}" for note in dict.fromkeys(notes)]


def _needs_words(row: Row) -> bool:
    """Whether a reader of the table must know the note of its row: a claim's names its worst rows, for when it
    fails."""
    return isinstance(row.worst, Point | Band) or row.verdict in (FAIL, MISSED)


def _figure_points(name: str, targets: Targets | None, runs: Runs | None) -> Iterator[Point]:
    # They import what is defined here.
    from simulator.experiments.figure_study import Study
    from simulator.experiments.validate_figures import figure_points

    return figure_points(name, Study(targets, runs))


def _points(targets: Targets, runs: Runs) -> Iterator[Point]:
    yield from golden_points(targets, runs)
    yield from _section_points(targets, runs)
    yield from _capacity_points(targets, runs)
    yield from _run_points(targets, runs)


def _run_points(targets: Targets, runs: Runs) -> Iterator[Point]:
    for listed in targets.groups:
        group = Group(listed.name, listed.title, listed.source, listed.folded)
        for case in listed.cases:
            record = runs.record(case.model, listed.scope, case.sets)
            for name, target in case.targets.items():
                value = runs.value(record, name)
                label = _label(targets, name)
                if isinstance(target, int) and isinstance(record.metrics.get(name), int):
                    yield Point(group, case.name, label, target, value, contradicts=case.contradicts)
                else:
                    yield Point.printed(group, case.name, label, target, value, case.contradicts)


def _section_points(targets: Targets, runs: Runs) -> Iterator[Point]:
    group = Group("sections", targets.sections.title, targets.sections.source)
    for case in targets.sections.cases:
        for part, cycles in case.cycles.items():
            record = runs.record(case.model, part, {"workload.context": case.context})
            yield Point(group, case.name, part, cycles, record.metrics["device_cycles"])


def _capacity_points(targets: Targets, runs: Runs) -> Iterator[Point]:
    group = Group("capacity", targets.capacity.title, targets.capacity.source)
    for case in targets.capacity.cases:
        ours = _facts(runs, case.model)
        for name, target in case.facts.items():
            yield Point.printed(group, case.name, name.replace("_", " "), target, ours[name])


def _facts(runs: Runs, label: str) -> dict[str, float]:
    """Where a model's blocks lie and what the machine holds."""
    system = runs.settings(label).system()
    device, placement = system.device.dram, system.placement
    organisation = device.config.organisation
    device_bytes = device.channel_bytes * organisation.n_channels
    columns_per_s = 1e12 / float(device.clock_ps * device.config.timing["n_ccd"])
    return {
        "channels_per_block": placement.n_channels,
        "blocks_per_device": placement.blocks_per_device,
        "devices_used": placement.n_devices_used,
        "rows_per_bank": system.block.rows.end,
        "channel_mib": device.channel_bytes / 2**20,
        "device_gib": device_bytes / 2**30,
        "machine_gib": device_bytes * system.config.n_devices / 2**30,
        "internal_tb_per_s": columns_per_s
        * organisation.burst_bytes * device.geometry.n_banks * organisation.n_channels / 1e12,
    }  # fmt: skip


def _label(targets: Targets, name: str) -> str:
    """A quantity in the few words that a table's row has room for."""
    if name in targets.values:
        return targets.values[name].label
    named = take_apart(name)
    words = [word for word in named.words.split() if word not in _UNSAID]
    if len(words) == len(named.words.split()):
        return f"{named.words} ({named.unit})" if named.unit else named.words
    return " ".join([*words, named.unit])


def _columns(row: Row) -> tuple[str, ...]:
    if isinstance(row.worst, Claim):
        return ("claim", "rows", "at most", "ours", "verdict")
    if isinstance(row.worst, Band):
        return ("target", "published", "ours", "one at a time", "all at once", "most by", "verdict")
    return ("target", "published", "ours", "error", "tolerance", "verdict")


def _cells(row: Row) -> tuple[str, ...]:
    worst, n_points = row.worst, len(row.points)
    if isinstance(worst, Claim):
        at_most, ours = ("-" if one is None else f"{one:.3g} {worst.unit}" for one in (worst.limit, worst.ours))
        return row.name, worst.rows, at_most, ours, row.verdict
    if isinstance(worst, Band):
        ends = (
            f"{low:.{worst.n_decimals}f} to {high:.{worst.n_decimals}f}" for low, high in (worst.singly, worst.together)
        )
        numbers = (f"{number:.{worst.n_decimals}f}" for number in (worst.target, worst.ours))
        return row.name, *numbers, *ends, worst.most, row.verdict
    error = "-" if not worst.target else _percent(worst.error / abs(worst.target), signed=True)
    tolerance = _percent(worst.tolerance / abs(worst.target)) if worst.tolerance and worst.target else "equal"
    if n_points == 1:
        return row.name, _number(worst.target, worst), _number(worst.ours, worst, 1), error, tolerance, row.verdict
    return row.name, f"{n_points:,} values", f"{row.n_met:,} met", error, tolerance, row.verdict


def _number(value: float, point: Point, more_decimals: int = 0) -> str:
    """A number with the decimals that its source prints, and some more where it was rounded."""
    return f"{value:,.{point.n_decimals + more_decimals if point.tolerance else 0}f}"


def _percent(fraction: float, *, signed: bool = False) -> str:
    if not fraction:
        return "0"
    return f"{fraction * 100:{'+' if signed else ''}.2g}%"
