"""Golden rows of replays: each row of a table as one `sim replay`, its columns beside ours."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.contracts.results import RunRecord
from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ModelFault
from simulator.experiments.replay import SYNTHETIC, plan_replay
from simulator.experiments.validate_records import Group, Point
from simulator.workload.catalog import data_directory


class ReplayTargets(BaseModel):
    """A table of synthetic replays, and what its columns are.

    `part_by` names the column that chooses among `parts`; `sets` are columns that are overrides, beside those of
    `always`, and `seed` the seed's. `equal`, `hexadecimal` and `printed` map columns of results to where a record has
    them: a sum of paths, each `metrics.name` or `breakdown.part`; what a record does not have counts as 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["replays"]
    file: str
    title: str
    source: str
    case: str
    part_by: str
    parts: dict[str, str]
    sets: list[str]
    always: dict[str, Any]
    seed: str
    equal: dict[str, str]
    hexadecimal: dict[str, str]
    printed: dict[str, str]


def load_replay_targets(path: Path) -> ReplayTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), ReplayTargets, ignore=())


def replay_points(path: Path) -> Iterator[Point]:
    """Every result of every row of the table that a file of targets names, beside ours; a group per part."""
    targets = load_replay_targets(path)
    with (path.parent / targets.file).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for name in targets.parts:
        group = Group(name.lower(), f"{name}: {targets.title}", targets.source)
        for row in rows:
            if row[targets.part_by] == name:
                yield from row_points(group, row, targets, replayed(row, targets))


def replayed(row: Mapping[str, str], targets: ReplayTargets) -> RunRecord:
    """Our record of a row, through what is behind `sim replay`."""
    part = data_directory("hw_configs") / targets.parts[row[targets.part_by]]
    sets = [f"{name}={row[name]}" for name in targets.sets]
    sets += [f"{name}={str(value).lower()}" for name, value in targets.always.items()]
    return plan_replay(part, SYNTHETIC, sets=sets, seed=int(row[targets.seed])).perform()


def row_points(group: Group, row: Mapping[str, str], targets: ReplayTargets, record: RunRecord) -> Iterator[Point]:
    """The results of a row beside a record's; empty cells are passed over."""
    case = row[targets.case]
    for column, path in targets.equal.items():
        if row[column]:
            yield Point(group, case, column, int(row[column]), _number(record, path))
    for column, path in targets.hexadecimal.items():
        yield Point(group, case, column, int(row[column], 16), int(str(_at(record, path)), 16))
    for column, path in targets.printed.items():
        if row[column]:
            yield Point.printed(group, case, column, row[column], _number(record, path))


def _number(record: RunRecord, path: str) -> int | float:
    total: int | float = 0
    for one in path.split(" + "):
        value = _at(record, one)
        if isinstance(value, str):
            raise ModelFault(f"{one} of a replay is {value!r}, not a number")
        total += value
    return total


def _at(record: RunRecord, path: str) -> int | float | str:
    section, _, name = path.partition(".")
    return record.metrics.get(name, 0) if section == "metrics" else record.breakdown.get(section, {}).get(name, 0)
