"""DAMON records: `damo report raw`, or the tracepoint damon_aggregated as tracefs and `perf script` print it.

A record is a region, start to end, and in how many of a window's samplings (20 of 5 ms in 100 ms, as the kernel comes)
its sampled page was found accessed. DAMON takes all pages of a region for alike, and so each is accessed that often.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from simulator.workload.access_damon import Regions, damon_stream
from simulator.workload.access_file import AccessFile, AccessHead
from simulator.workload.access_text import text_blocks
from simulator.workload.accesses import PAGE_BYTES, AccessStream

_WINDOW_PS = 100 * 10**9
_TRACEPOINT = re.compile(
    r"(?:.*?\s(\d+)\.(\d{1,9}):\s+)?(?:damon:)?damon_aggregated:\s+target_id=(\d+)\s+nr_regions=(\d+)\s+"
    r"(-?\d+)-(-?\d+):\s+(\d+)(?:\s+-?\d+)?",
    re.ASCII,
)
_REGION = re.compile(r"\s*([0-9a-f]+)-([0-9a-f]+)\s*\([^)]*\)\s*:?\s*(\d+)(?:\s+-?\d+)?", re.ASCII)
_KEY = re.compile(r"\s*(base_time_absolute|monitoring_(?:start|end|duration)|target_id|nr_regions):\s*(.*)", re.ASCII)
_PASSED_OVER = re.compile(r"\s*(#.*)?|.*\bdamos_\w+:.*|.*\bdamon_monitor_intervals_tune:.*")
_TIME_PS = {"ns": 10**3, "us": 10**6, "ms": 10**9, "s": 10**12, "m": 60 * 10**12, "h": 3600 * 10**12}
_TIME = re.compile(r"([\d,]+)(?:\.(\d+))?\s*(ns|us|ms|s|m|h|d)?", re.ASCII)
_MAX_COUNT = 1 << 20


def matches(head: AccessHead) -> bool:
    """Whether the first line that is no comment is a tracepoint of DAMON, or of what `damo report raw` prints."""
    line = next((line for line in head.lines() if not _PASSED_OVER.fullmatch(line)), "")
    return bool(_TRACEPOINT.fullmatch(line.rstrip()) or _KEY.fullmatch(line) or _REGION.fullmatch(line.rstrip()))


def read(file: AccessFile) -> AccessStream:
    """A stream that has every page accessed as often as its region's record says, made at every pass."""
    windows = _windows(file)
    return damon_stream(file, [window.regions(file) for window in windows])


@dataclass(slots=True)
class _Window:
    """One aggregation as read: when it ended (and began, where that is told), and its regions."""

    end_ps: int | None
    start_ps: int | None = None
    n_regions: int = 0
    found: list[tuple[int, int, int]] = field(default_factory=list)

    def regions(self, file: AccessFile) -> Regions:
        """Its regions in order of address."""
        if self.start_ps is None or self.end_ps is None:
            raise file.error("the records have no times", "give the output of damo report raw, or of perf script")
        return Regions(self.start_ps, self.end_ps, tuple(sorted(one for one in self.found if one[2])))


def _windows(file: AccessFile) -> list[_Window]:
    """All aggregations, in order, each with its times."""
    reader = _Reader(file)
    for number, text in _lines(file):
        reader.add(number, text)
    windows = [window for window in reader.windows if window.found]
    if not windows:
        raise file.empty()
    # A tracepoint comes at the end of its window, which began with the end of the one before.
    first, gap = windows[0], _WINDOW_PS
    ends = [window.end_ps for window in windows if window.end_ps is not None]
    if len(ends) > 1 and ends[1] > ends[0]:
        gap = ends[1] - ends[0]
    last_end = (first.end_ps if first.end_ps is not None else _WINDOW_PS) - gap
    for window in windows:
        if window.end_ps is None:
            window.end_ps = last_end + _WINDOW_PS
        if window.start_ps is None:
            window.start_ps = last_end
        last_end = window.end_ps
    return windows


def _lines(file: AccessFile) -> Iterable[tuple[int, str]]:
    for block in text_blocks(file):
        text = block.text_lines()
        yield from enumerate(text, start=block.first_line)


class _Reader:
    """Lines to windows."""

    def __init__(self, file: AccessFile) -> None:
        self._file = file
        self._target: str | None = None
        self._start_ps: int | None = None
        self.windows: list[_Window] = []

    def add(self, number: int, text: str) -> None:
        """One line of the file. Raises WorkloadError for what is no line of DAMON."""
        found = _TRACEPOINT.fullmatch(text)
        if found:
            self._tracepoint(number, text, found)
        elif found := _KEY.fullmatch(text):
            self._key(number, found[1], found[2].strip())
        elif found := _REGION.fullmatch(text):
            if not self.windows:
                raise self._file.error("a region before any window", "begin with monitoring_start", number)
            self._region(number, text, int(found[1], 16), int(found[2], 16), int(found[3]))
        elif not _PASSED_OVER.fullmatch(text):
            said = f"{text.strip()[:40]!r} is no record of DAMON"
            raise self._file.error(said, "give the output of damo report raw, or of perf script", number, 1)

    def _tracepoint(self, number: int, text: str, found: re.Match[str]) -> None:
        second, fraction, target, n_regions, start, end, count = found.groups()
        time_ps = None if second is None else int(second) * 10**12 + int(fraction.ljust(12, "0"))
        self._check_target(number, target)
        window = self.windows[-1] if self.windows else None
        if window is None or len(window.found) >= window.n_regions:
            if window is not None and None not in (time_ps, window.end_ps) and (time_ps or 0) < (window.end_ps or 0):
                raise self._file.error("time runs backwards", "put the records in order of time", number)
            self.windows.append(_Window(time_ps, n_regions=int(n_regions)))
        self._region(number, text, int(start), int(end), int(count))

    def _key(self, number: int, key: str, value: str) -> None:
        if key == "target_id":
            self._check_target(number, value)
        elif key == "monitoring_start":
            self._start_ps = self._time_ps(number, value)
        elif key == "monitoring_end":
            end_ps = self._time_ps(number, value)
            start_ps = self._start_ps if self._start_ps is not None else max(0, end_ps - _WINDOW_PS)
            last_ps = (self.windows[-1].start_ps or 0) if self.windows else start_ps
            if end_ps < start_ps or start_ps < last_ps:
                raise self._file.error("time runs backwards", "put the records in order of time", number)
            self.windows.append(_Window(end_ps, start_ps))
            self._start_ps = None

    def _region(self, number: int, text: str, start: int, end: int, count: int) -> None:
        column = 1 + max(text.find(f"{start:d}-"), text.find(f"{start:x}-"), 0)
        if start < 0 or end < 0:
            raise self._file.error("a region has a negative address", "addresses are 0 to 2^64 - 1", number, column)
        if end <= start:
            raise self._file.error("a region ends where it begins, or before", "mend the line", number, column)
        if end > 1 << 64:
            raise self._file.error("a region ends above 2^64", "addresses are 0 to 2^64 - 1", number, column)
        if count > _MAX_COUNT:
            raise self._file.error(f"{count:,} accesses in a window", "a window has some 20 samplings", number)
        self.windows[-1].found.append((start // PAGE_BYTES, -(-end // PAGE_BYTES), count))

    def _check_target(self, number: int, target: str) -> None:
        if self._target is not None and target != self._target:
            said = f"records of two targets, {self._target} and {target}, whose addresses would mix"
            raise self._file.error(said, f"keep the records of one: grep target_id={self._target}", number)
        self._target = target

    def _time_ps(self, number: int, text: str) -> int:
        """A time such as `8 m 59.809 s`, `104.599 ms` or a bare number of nanoseconds."""
        parts = list(_TIME.finditer(text))
        if not parts or _TIME.sub("", text).strip():
            raise self._file.error(f"{text[:40]!r} is no time", "write it as 8 m 59.809 s, or in ns", number)
        return sum(_parts_ps(parts))


def _parts_ps(parts: list[re.Match[str]]) -> Iterator[int]:
    for part in parts:
        whole, fraction, unit = part.groups()
        scale = 86_400 * 10**12 if unit == "d" else _TIME_PS[unit or "ns"]
        digits = (fraction or "0")[:15]
        yield int(whole.replace(",", "") or "0") * scale + int(digits) * scale // 10 ** len(digits)
