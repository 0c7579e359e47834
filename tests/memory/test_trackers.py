"""Trackers beside their plain twins, read by read: any size, any counters, however the stream is cut."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.core.errors import ConfigError
from simulator.kernels.exact_counts import INDICES_PER_LINE, count_keys
from simulator.memory.trackers.accuracy import Accuracy
from simulator.memory.trackers.algorithms import Exact
from simulator.memory.trackers.config import TrackerConfig
from simulator.memory.trackers.key_space import KeySpace
from simulator.memory.trackers.picks import Reads
from simulator.memory.trackers.tracker import Tracker
from tests.twins import trackers as twins

NO_WEIGHT = np.empty(0, np.int64)

lines = st.builds(
    lambda seed, n, span, skew: (np.random.default_rng(seed).integers(0, span, n) ** skew % (1 << 32)).astype(
        np.uint32
    ),
    st.integers(0, 2**32 - 1),
    st.integers(1, 400),
    st.sampled_from((3, 40, 3000, 1 << 20)),
    st.sampled_from((1, 2, 3)),
)
sketches = st.builds(
    lambda n_hashes, lg_width, k, bits, overflow, update, is_modulo: {
        "n_hashes": n_hashes,
        "n_counters": n_hashes * ((1 << lg_width) + (3 if is_modulo else 0)),
        "k": min(k, n_hashes << lg_width),
        "counter_bits": bits,
        "overflow": overflow,
        "update": update,
        "hash": "h3_modulo" if is_modulo else "h3",
    },
    st.sampled_from((1, 2, 3, 4, 4, 4, 7)),
    st.sampled_from((0, 2, 5, 9, 17)),
    st.sampled_from((1, 2, 5, 25)),
    st.sampled_from((None, 1, 2, 4, 14)),
    st.sampled_from(("wrap", "saturate")),
    st.sampled_from(("plain", "plain", "conservative")),
    st.booleans(),
)


def twin_of(config: TrackerConfig) -> Any:
    """The plain tracker of the same set-up."""
    if config.algorithm == "cm":
        return twins.CountMin(
            config.n_hashes,
            config.n_columns,
            config.k,
            config.counter_bits,
            config.overflow,
            config.update == "conservative",
            config.hash == "h3_modulo",
            config.hash_seed,
        )
    if config.algorithm == "ss":
        return twins.SpaceSaving(config.n_counters, config.k)
    if config.algorithm == "first_touch":
        return twins.FirstTouch(config.k)
    return twins.Exact(config.k, config.counter_bits, config.read_residues)


def queries(tracker: Tracker, line: NDArray[np.uint32], cuts: list[int], **more: Any) -> list[tuple[int, list]]:
    """Number and picks of every query, the stream cut at some places."""
    time_ps = more.pop("time_ps", None)
    found = []
    for first, end in zip([0, *cuts], [*cuts, len(line)], strict=True):
        times = None if time_ps is None else time_ps[first:end]
        seen = tracker.observe_queries(line[first:end], times, **more)
        for row, n in enumerate(seen.picks.n.tolist()):
            picked = zip(seen.picks.key[row, :n].tolist(), seen.picks.estimate[row, :n].tolist(), strict=True)
            found.append((int(seen.query[row]), list(picked)))
    return found


def cuts_of(data: st.DataObject, n: int) -> list[int]:
    return sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))


@given(line=lines, sketch=sketches, period=st.sampled_from((1, 7, 50, 150)), data=st.data())
@settings(max_examples=80, deadline=None)
def test_count_min_equals_its_twin(line: Any, sketch: dict, period: int, data: st.DataObject) -> None:
    config = TrackerConfig(algorithm="cm", key="word", epoch_reads=period, **sketch)
    expected = twins.by_count(twin_of(config), line, period)
    assert queries(Tracker(config), line, cuts_of(data, len(line))) == list(enumerate(expected))


@given(line=lines, n=st.sampled_from((1, 2, 5, 30)), period=st.sampled_from((1, 40, 200)), data=st.data())
@settings(max_examples=60, deadline=None)
def test_space_saving_equals_its_twin(line: Any, n: int, period: int, data: st.DataObject) -> None:
    config = TrackerConfig(algorithm="ss", key="word", n_counters=n, k=data.draw(st.integers(1, n)), epoch_reads=period)
    expected = twins.by_count(twin_of(config), line, period)
    assert queries(Tracker(config), line, cuts_of(data, len(line))) == list(enumerate(expected))


@given(
    line=lines,
    algorithm=st.sampled_from(("exact", "first_touch")),
    bits=st.sampled_from((None, 1, 4)),
    with_residues=st.booleans(),
    k=st.sampled_from((1, 5, 25)),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_exact_counts_and_first_touches_equal_their_twins(
    line: Any, algorithm: Any, bits: int | None, with_residues: bool, k: int, data: st.DataObject
) -> None:
    config = TrackerConfig(
        algorithm=algorithm, key="word", k=k, counter_bits=bits, read_residues=with_residues, epoch_reads=60
    )
    expected = twins.by_count(twin_of(config), line, 60)
    assert queries(Tracker(config), line, cuts_of(data, len(line))) == list(enumerate(expected))


@given(
    seed=st.integers(0, 2**32 - 1),
    n_lines=st.sampled_from((2, 16, 64)),
    period=st.sampled_from((1, 5, 100, 333)),
    algorithm=st.sampled_from(("cm", "cm", "ss", "exact", "first_touch")),
    key=st.sampled_from(("page", "word")),
    more=st.sampled_from((
        {},
        {"counter_bits": 3, "overflow": "wrap"},
        {"counter_bits": 5, "overflow": "saturate"},
        {"update": "conservative"},
        {"counter_bits": 4, "update": "conservative"},
    )),
    data=st.data(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_record_of_several_lines_is_as_many_reads(
    seed: int, n_lines: int, period: int, algorithm: Any, key: Any, more: dict, data: st.DataObject
) -> None:
    page = np.random.default_rng(seed).integers(0, 20, 60).astype(np.uint32)
    line = page * np.uint32(64)
    config = TrackerConfig(algorithm=algorithm, key=key, n_counters=64, k=3, epoch_reads=period, **more)
    single = (line[:, None] + np.arange(n_lines, dtype=np.uint32)).ravel()
    expected = queries(Tracker(config), single, [])
    assert queries(Tracker(config), line, cuts_of(data, len(line)), lines_per_record=n_lines) == expected
    keys = single >> 6 if key == "page" else single
    assert expected == list(enumerate(twins.by_count(twin_of(config), keys, period)))


@given(
    gaps=st.lists(st.sampled_from((0, 0, 1, 900, 2500, 5000, 40_000)), min_size=1, max_size=200),
    period_ps=st.sampled_from((2500, 30_000)),
    interval=st.integers(1, 4),
    depth=st.integers(1, 5),
    mhz=st.sampled_from((Fraction(400), Fraction(333), Fraction(1000, 3))),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_the_queue_drops_and_periods_end_as_in_the_twin(
    gaps: list[int], period_ps: int, interval: int, depth: int, mhz: Fraction, data: st.DataObject
) -> None:
    time_ps = np.cumsum(np.array(gaps, np.int64))
    line = np.random.default_rng(len(gaps)).integers(0, 9, len(gaps)).astype(np.uint32)
    config = TrackerConfig(
        algorithm="exact",
        key="word",
        k=5,
        epoch_ps=period_ps,
        fifo_depth=depth,
        update_interval_cyc=interval,
        clock_hz=mhz * 10**6,
    )
    kept = np.array(twins.through_queue(time_ps.tolist(), config.clock_hz, interval, depth))
    tracker = Tracker(config)
    found = queries(tracker, line, cuts_of(data, len(line)), time_ps=time_ps)
    # Dropped reads move time on, so the twin sees them as keys that none is.
    plain = twin_of(config)
    plain.read = lambda key, read=plain.read: read(key) if key >= 0 else None
    expected = twins.by_time(plain, np.where(kept, line.astype(np.int64), -1), time_ps.tolist(), period_ps)
    assert found == expected
    assert tracker.n_dropped == np.count_nonzero(~kept)
    assert tracker.n_arrived == len(line)


@given(line=lines, k=st.sampled_from((1, 4)), n=st.sampled_from((4, 16)), dense=st.sampled_from((1, 1 << 24)))
@settings(max_examples=40, deadline=None)
def test_scores_equal_the_twin(line: Any, k: int, n: int, dense: int) -> None:
    period = max(1, len(line) // 3)
    tracker = Tracker(TrackerConfig(algorithm="ss", key="word", n_counters=n, k=k, epoch_reads=period))
    accuracy = Accuracy(k)
    accuracy._keys = KeySpace(dense)
    for part in np.array_split(line, 2):
        seen = tracker.observe_queries(part)
        accuracy.judge(seen.arrived, seen.picks)
    picks = twins.by_count(twins.SpaceSaving(n, k), line, period)
    expected = twins.score(line.tolist(), picks, period, k)
    for name, value in expected.items():
        found = getattr(accuracy, "n_epochs" if name == "epochs" else name)
        assert found == pytest.approx(value, abs=1e-12)


def test_periods_change_while_the_tracker_runs() -> None:
    tracker = Tracker(TrackerConfig(algorithm="exact", key="word", k=1, epoch_reads=100))
    line = np.zeros(30, np.uint32)
    assert not len(tracker.observe(line).key)
    tracker.set_period(reads=20)
    assert tracker.observe(line).estimate.tolist() == [30, 20]
    tracker.set_period(period_ps=1000)
    with pytest.raises(ConfigError, match="nothing says when reads come"):
        tracker.observe(line)
    for wrong in ({}, {"reads": 5, "period_ps": 5}, {"reads": 0}):
        with pytest.raises(ConfigError, match="a period of"):
            tracker.set_period(**wrong)


def test_small_counters_are_low_by_up_to_15_without_their_residues() -> None:
    line = np.repeat(np.arange(21, dtype=np.uint32), np.arange(1, 400, 19))
    config = TrackerConfig(
        algorithm="exact", key="word", k=21, counter_bits=4, read_residues=False, epoch_reads=len(line)
    )
    reports = Tracker(config).observe(line)
    found = dict(zip(reports.key.tolist(), reports.estimate.tolist(), strict=True))
    low = [n - found[key] for key, n in enumerate(range(1, 400, 19))]
    assert min(low) >= 0
    assert max(low) == 15


def test_sixteen_wrapped_counters_fill_a_line() -> None:
    config = TrackerConfig(algorithm="exact", key="word", counter_bits=4, epoch_reads=1 << 20)
    exact = Exact(config)
    for n_wraps in (INDICES_PER_LINE - 1, 1):
        key = np.zeros(16 * n_wraps, np.uint32)
        exact.track(Reads(key, NO_WEIGHT, NO_WEIGHT))
        assert exact.n_lines == (n_wraps == 1)


@example(n=1 << 20)
@given(n=st.integers(1, 50))
@settings(max_examples=10, deadline=None)
def test_keys_are_numbered_in_order_of_first_appearance(n: int) -> None:
    rng = np.random.default_rng(n)
    keys = rng.integers(0, 1 << 32, n, np.uint32)
    space = KeySpace(most_dense=10)
    index = np.concatenate([space.indexes(part) for part in np.array_split(np.concatenate([keys, keys]), 3)])
    assert np.array_equal(space.keys(index), np.concatenate([keys, keys]))
    assert space.size == len(np.unique(keys)) == int(index.max()) + 1


def test_plain_counts() -> None:
    keys = np.array([3, 0, 3], np.uint32)
    counts = np.zeros(4, np.uint32)
    count_keys(keys, counts)
    assert counts.tolist() == [1, 0, 0, 2]
