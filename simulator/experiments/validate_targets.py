"""Published results as data: the files of `targets`, read here and nowhere else, and by `sim validate` only."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.core.spelling import did_you_mean
from simulator.experiments.validate_records import Number

FOLDER = Path(__file__).parent / "targets"
FIGURES = "_figures"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Section):
    """A value that is no metric by itself: the sum of `add` less `subtract`, times `times`, over `over` (paths)."""

    label: str
    add: list[str]
    subtract: list[str] = []
    times: float = 1.0
    over: str | None = None


class RunCase(_Section):
    """One run and the numbers that a source gives for it; `contradicts` says why these cannot be met."""

    name: str
    model: str
    sets: dict[str, Any] = {}
    contradicts: str = ""
    targets: dict[str, Number]


class RunGroup(_Section):
    """Runs of one scope whose results one table gives."""

    name: str
    title: str
    source: str
    scope: Literal["query", "token", "block"]
    folded: bool = True
    cases: list[RunCase]


class SectionCase(_Section):
    """Device cycles of parts of a block at a context."""

    name: str
    model: str
    context: int
    cycles: dict[str, int]


class Sections(_Section):
    """Cycles of parts of blocks."""

    title: str
    source: str
    cases: list[SectionCase]


class CapacityCase(_Section):
    """Where a model lies, and what holds it."""

    name: str
    model: str
    facts: dict[str, Number]


class Capacity(_Section):
    """Facts of organisation and capacity."""

    title: str
    source: str
    cases: list[CapacityCase]


class Golden(_Section):
    """The table of golden rows: its file, and a title per category."""

    file: str
    titles: dict[str, str]
    source: str
    published_source: str


class Lines(_Section):
    """Lines of an instruction trace, `times` times; {i} counts from 0, {bank} is the count modulo 16 banks."""

    lines: list[str]
    times: int = 1

    def text(self) -> list[str]:
        """The lines written out."""
        return [line.format(i=index, bank=index % 16) for index in range(self.times) for line in self.lines]


class Targets(_Section):
    """A file of targets: the configuration they are about, models by label, and numbers by how they are measured."""

    config: str
    models: dict[str, dict[str, Any]]
    values: dict[str, Value]
    groups: list[RunGroup]
    sections: Sections
    capacity: Capacity
    golden: Golden
    micro: dict[str, list[Lines]]
    micro_cycles: dict[str, int]


def list_targets(folder: Path = FOLDER) -> list[str]:
    """Names of what can be validated."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def machine_of(name: str) -> str:
    """Whose runs the targets of a name are about: `cent_figures` are numbers of figures of `cent`."""
    return name.removesuffix(FIGURES)


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """The file of the targets of a name."""
    return folder / f"{name}.yaml"


def kind_of(path: Path) -> str:
    """What a file of targets holds: `replays`, `figures`, `gpu`, a machine; without, runs' numbers."""
    return str(load_part(path).get("kind", ""))


def check_name(name: str, folder: Path = FOLDER) -> None:
    """Raise ConfigError, with the nearest name, where there are no targets of a name."""
    if name not in list_targets(folder):
        raise ConfigError(
            f"there are no targets {name!r}", where="sim validate", remedy=did_you_mean(name, list_targets(folder))
        )


def load_targets(name: str, folder: Path = FOLDER) -> Targets:
    """The targets of a name. Raises ConfigError for an unknown name, or at the place of what is wrong in the file."""
    check_name(name, folder)
    return bind(load_part(path_of(name, folder)), Targets)


def golden_rows(targets: Targets, folder: Path = FOLDER) -> list[dict[str, str]]:
    """The golden table, a mapping per row; cells that do not apply are empty."""
    with (folder / targets.golden.file).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
