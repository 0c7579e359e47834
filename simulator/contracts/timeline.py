"""Timelines: what ran where and when, as nested slices on tracks, and counters beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_Number = TypeVar("_Number", bound=np.generic)

NO_ARGUMENT = -1
"""An argument that a slice does not have."""


@dataclass(frozen=True, slots=True)
class Track:
    """A row of a timeline: a resource of a system, or a slot of an engine. Tracks of equal `group` stand together."""

    group: str
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Slices as columns: where (`track` int32[n]), what (`name` int32[n]), `start_ps` and `end_ps` int64[n].

    Slices of one track nest: two of them are apart or one holds the other; of two with the same extent the one that is
    declared first holds the other. `arguments` int64[n] by name tell more of each; NO_ARGUMENT where there is nothing
    to tell.
    """

    track: NDArray[np.int32]
    name: NDArray[np.int32]
    start_ps: NDArray[np.int64]
    end_ps: NDArray[np.int64]
    arguments: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.start_ps)


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """A number over time: from `time_ps` int64[n] (rising) on it is `value` int64[n]."""

    track: Track
    unit: str
    time_ps: NDArray[np.int64]
    value: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A whole timeline. `names` and `tracks` are what the slices' columns index; `details` are words by slice name."""

    tracks: tuple[Track, ...]
    names: tuple[str, ...]
    slices: Slices
    details: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    counters: tuple[Counter, ...] = ()


class TimelineDraft:
    """Collects slices, a batch or a single one at a time, and gives the timeline."""

    def __init__(self) -> None:
        self._tracks: dict[Track, int] = {}
        self._names: dict[str, int] = {}
        self._batches: list[Slices] = []
        self._counters: list[Counter] = []
        self._details: dict[str, Mapping[str, str]] = {}

    def track(self, group: str, name: str) -> int:
        """Number of a track; tracks are shown in the order in which they are first named."""
        return self._tracks.setdefault(Track(group, name), len(self._tracks))

    def names(self, names: Iterable[str]) -> NDArray[np.int32]:
        """Numbers of slice names, int32[n]."""
        return np.array([self._names.setdefault(name, len(self._names)) for name in names], np.int32)

    def add(
        self,
        track: ArrayLike,
        name: ArrayLike,
        start_ps: ArrayLike,
        end_ps: ArrayLike,
        arguments: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Append slices; each column is an array or one number for all. They nest as `Slices` says."""
        columns = np.broadcast_arrays(*(np.atleast_1d(column) for column in (track, name, start_ps, end_ps)))
        told = {
            key: np.broadcast_to(np.asarray(value, np.int64), columns[2].shape)
            for key, value in (arguments or {}).items()
        }
        self._batches.append(
            Slices(
                columns[0].astype(np.int32), columns[1].astype(np.int32), columns[2].astype(np.int64),
                columns[3].astype(np.int64), told,
            )
        )  # fmt: skip

    def add_one(self, track: int, name: str, start_ps: int, end_ps: int, **arguments: int) -> None:
        """Append one slice."""
        self.add(track, self.names([name]), start_ps, end_ps, arguments)

    def add_counter(self, group: str, name: str, unit: str, time_ps: ArrayLike, value: ArrayLike) -> None:
        """Append a counter of `unit`."""
        counter = Counter(Track(group, name), unit, np.asarray(time_ps, np.int64), np.asarray(value, np.int64))
        self._counters.append(counter)

    def detail(self, name: str, words: Mapping[str, str]) -> None:
        """Say more, in words, of every slice of this name."""
        self._details[name] = words

    def timeline(self) -> Timeline:
        """Everything collected so far."""
        keys = dict.fromkeys(key for batch in self._batches for key in batch.arguments)
        absent = [np.full(len(batch), NO_ARGUMENT, np.int64) for batch in self._batches]
        slices = Slices(
            track=_joined([batch.track for batch in self._batches], np.int32),
            name=_joined([batch.name for batch in self._batches], np.int32),
            start_ps=_joined([batch.start_ps for batch in self._batches], np.int64),
            end_ps=_joined([batch.end_ps for batch in self._batches], np.int64),
            arguments={
                key: _joined(
                    [
                        batch.arguments.get(key, nothing)
                        for batch, nothing in zip(self._batches, absent, strict=True)
                    ],
                    np.int64,
                )
                for key in keys
            },
        )  # fmt: skip
        return Timeline(tuple(self._tracks), tuple(self._names), slices, dict(self._details), tuple(self._counters))


def _joined(columns: Sequence[NDArray[_Number]], dtype: type[_Number]) -> NDArray[_Number]:
    return np.concatenate(columns) if columns else np.empty(0, dtype)
