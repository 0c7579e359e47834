"""A tracker as a memory controller holds it: addresses of reads go in, and at every query its hot keys come out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError
from simulator.kernels import input_fifo
from simulator.memory.tiers.policy import HotReports
from simulator.memory.trackers.algorithms import ALGORITHMS
from simulator.memory.trackers.config import Key, TrackerConfig
from simulator.memory.trackers.picks import Counts, Keys, Picks, Reads

_PS_PER_S = 10**12


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What became of reads: those that arrived, with the queries among them; what each query picked; and its number,
    `query` int64[q], counted from the start (queries of periods without a read are not listed)."""

    arrived: Reads
    picks: Picks
    query: Counts

    def reports(self) -> HotReports:
        """The picks one after the other."""
        picks = self.picks
        is_there = np.arange(picks.key.shape[1])[None, :] < picks.n[:, None]
        return HotReports(picks.key[is_there], picks.estimate[is_there], np.repeat(self.query, picks.n))


class Tracker:
    """A hot-page or a hot-word tracker: input queue, algorithm, and queries that reset it.

    Reads alone are shown to it, as line ids (page id x 64 + word). Its state goes on from call to call, so that it does
    not matter how a stream is cut into calls. Where times are given, and there is an input queue, reads that find it
    full are dropped; periods in reads count those that arrive, dropped or not.
    Not modelled: the queue's own latency, by which a read is counted after it has arrived.
    Source: M5's register-transfer code.
    """

    def __init__(self, config: TrackerConfig, key: Key | None = None) -> None:
        chosen = key or config.key
        if chosen == "both":
            raise ConfigError("one tracker has one key", where="key", remedy="say page or word")
        self.key: Key = chosen
        self.config = config
        self.n_arrived = self.n_updates = self.n_queries = 0
        self.kernel_cpu_s = 0.0
        self._algorithm = ALGORITHMS[config.algorithm](config)
        self._epoch_reads, self._epoch_ps = config.epoch_reads, config.epoch_ps
        self._n_since_query = self._since_ps = 0
        self._fifo = np.zeros(input_fifo.N_STATE, np.int64)

    @property
    def n_dropped(self) -> int:
        """Reads that found the input queue full."""
        return self.n_arrived - self.n_updates

    def set_period(self, reads: int | None = None, period_ps: int | None = None) -> None:
        """Query every so many reads, or every so much time, from the last query on. Raises ConfigError for both, none,
        or a period of nothing."""
        chosen = [one for one in (reads, period_ps) if one is not None]
        if len(chosen) != 1 or chosen[0] < 1:
            raise ConfigError(
                f"a period of reads={reads}, period_ps={period_ps}",
                where="set_period",
                remedy="give one of them, from 1",
            )
        self._epoch_reads, self._epoch_ps = reads, period_ps

    def observe(
        self, line: NDArray[np.uint32], time_ps: NDArray[np.int64] | None = None, *, lines_per_record: int = 1
    ) -> HotReports:
        """Show the tracker reads: line ids uint32[n] with their times in ps, int64[n], which do not fall.

        Returns the keys that it reported, with estimates and the number of the query. A record may stand for
        `lines_per_record` consecutive lines of one page. Raises ConfigError for a period of time without times.
        """
        return self.observe_queries(line, time_ps, lines_per_record=lines_per_record).reports()

    def observe_queries(
        self, line: NDArray[np.uint32], time_ps: NDArray[np.int64] | None = None, *, lines_per_record: int = 1
    ) -> Observed:
        """As `observe`, with the reads and the queries among them, by which picks can be judged."""
        fifo_works = time_ps is not None and self.config.fifo_depth is not None
        key, weight, time_of = self._keys(line, time_ps, lines_per_record, one_by_one=fifo_works)
        if self._epoch_ps is not None:
            arrived, query = self._queries_by_time(key, weight, time_of, self._epoch_ps)
        else:
            arrived, query = self._queries_by_count(key, weight, lines_per_record if len(weight) else 1)
        taken = arrived
        if fifo_works and time_of is not None:
            taken = self._through_queue(arrived, time_of)
        n_reads = _n_reads(arrived)
        self.n_arrived += n_reads
        self.n_updates += n_reads if taken is arrived else len(taken.key)
        begun = time.process_time()
        picks = self._algorithm.track(taken)
        self.kernel_cpu_s += time.process_time() - begun
        return Observed(arrived, picks, query)

    def _keys(
        self, line: NDArray[np.uint32], time_ps: NDArray[np.int64] | None, n_lines: int, *, one_by_one: bool
    ) -> tuple[Keys, Counts, NDArray[np.int64] | None]:
        """Keys, how many reads each stands for (empty: one), and their times."""
        line = np.ascontiguousarray(line, np.uint32)
        none = np.empty(0, np.int64)
        if n_lines == 1:
            return (line >> np.uint32(6) if self.key == "page" else line), none, time_ps
        if self.key == "page" and not one_by_one:
            return line >> np.uint32(6), np.full(len(line), n_lines, np.int64), time_ps
        lines: Keys = np.ravel(line[:, None] + np.arange(n_lines, dtype=np.uint32)[None, :]).astype(np.uint32)
        times = None if time_ps is None else np.repeat(time_ps, n_lines)
        return (lines >> np.uint32(6) if self.key == "page" else lines), none, times

    def _queries_by_count(self, key: Keys, weight: Counts, n_lines: int) -> tuple[Reads, Counts]:
        """Queries every so many reads; a record of several reads is cut where one falls into it."""
        assert self._epoch_reads is not None
        n_reads = len(key) * n_lines
        # A period made shorter than what has gone by ends at once.
        to_next = max(0, self._epoch_reads - self._n_since_query)
        cut = np.arange(to_next, n_reads + 1, self._epoch_reads, dtype=np.int64)
        query = self.n_queries + np.arange(len(cut), dtype=np.int64)
        self.n_queries += len(cut)
        self._n_since_query = n_reads - int(cut[-1]) if len(cut) else self._n_since_query + n_reads
        if n_lines == 1:
            return Reads(key, weight, cut), query
        starts = np.union1d(np.arange(0, n_reads, n_lines), cut[cut < n_reads])
        weights = np.diff(starts, append=n_reads)
        return Reads(key[starts // n_lines], weights, np.searchsorted(starts, cut)), query

    def _queries_by_time(
        self, key: Keys, weight: Counts, time_ps: NDArray[np.int64] | None, period_ps: int
    ) -> tuple[Reads, Counts]:
        """Queries every so much time: before the first read at or after it. Periods without a read report nothing."""
        if time_ps is None:
            raise ConfigError(
                "the tracker is queried by time, and nothing says when reads come",
                where="epoch",
                remedy="set epoch=null and epoch_reads, or arrivals to trace or even",
            )
        number = (np.ascontiguousarray(time_ps, np.int64) - self._since_ps) // period_ps
        before = np.concatenate([np.zeros(1, np.int64), number[:-1]])
        ends = np.flatnonzero(number > before)
        query = self.n_queries + before[ends]
        if len(number):
            self.n_queries += int(number[-1])
            self._since_ps += int(number[-1]) * period_ps
        return Reads(key, weight, ends), query

    def _through_queue(self, arrived: Reads, time_ps: NDArray[np.int64]) -> Reads:
        """The reads that the input queue does not drop."""
        assert self.config.fifo_depth is not None
        kept = np.empty(len(arrived.key), np.bool_)
        clock = self.config.clock_hz / _PS_PER_S
        n_kept = input_fifo.fill_kept(
            np.ascontiguousarray(time_ps, np.int64),
            clock.numerator,
            clock.denominator,
            self.config.update_interval_cyc,
            self.config.fifo_depth,
            self._fifo,
            kept,
        )
        if n_kept == len(kept):
            return arrived
        n_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
        return Reads(arrived.key[kept], arrived.weight, n_before[arrived.ends])


def _n_reads(reads: Reads) -> int:
    return int(reads.weight.sum()) if len(reads.weight) else len(reads.key)
