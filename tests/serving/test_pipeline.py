"""The pipeline engine against twins that play it request by request and rotation by rotation."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, MappingError, ModelFault, Position
from simulator.serving.capacity import KvCapacity
from simulator.serving.costs import TokenCosts
from simulator.serving.pipeline import PipelineEngine, serve
from simulator.serving.policies import POLICIES, Independent
from simulator.serving.requests import Requests
from simulator.serving.results import ServingResult

Course = tuple[int, int, list[int]]  # start, slot, the times at which its output tokens came out
MAX_TOKENS = 6


def independent_twin(requests: Requests, latency_ps: list[int], n_slots: int, limit: int | None) -> dict[int, Course]:
    """Requests one after the other: each takes its slot as soon as one is free and its context fits."""
    courses: dict[int, Course] = {}
    running: list[tuple[int, int, int]] = []
    now = 0
    for row in queue(requests):
        prompt, total = int(requests.prompt_tokens[row]), int(requests.total_tokens[row])
        now = max(now, int(requests.arrival_ps[row]))
        while True:
            while running and running[0][0] <= now:
                heapq.heappop(running)
            held = sum(tokens for _, _, tokens in running)
            if len(running) < n_slots and (limit is None or held + total <= limit):
                break
            now = running[0][0]
        slot = min(set(range(n_slots)) - {used for _, used, _ in running})
        token_times = [now + sum(latency_ps[:context]) for context in range(prompt + 1, total + 1)]
        courses[row] = (now, slot, token_times)
        heapq.heappush(running, (token_times[-1], slot, total))
    return courses


def slowest_stage_twin(requests: Requests, latency_ps: list[int], n_slots: int, limit: int | None) -> dict[int, Course]:
    """Rotation by rotation: admit, turn once, give every slot its token."""
    courses: dict[int, Course] = {}
    waiting = queue(requests)
    slots: dict[int, list[int]] = {}  # slot: [row, context of its next token]
    now = 0
    while waiting or slots:
        if not slots:
            now = max(now, int(requests.arrival_ps[waiting[0]]))
        while waiting and len(slots) < n_slots and requests.arrival_ps[waiting[0]] <= now:
            held = sum(int(requests.total_tokens[row]) for row, _ in slots.values())
            if limit is not None and held + requests.total_tokens[waiting[0]] > limit:
                break
            slot = min(set(range(n_slots)) - set(slots))
            slots[slot] = [waiting.pop(0), 1]
            courses[slots[slot][0]] = (now, slot, [])
        now += max(latency_ps[context - 1] for _, context in slots.values())
        for slot, (row, context) in list(slots.items()):
            if context > requests.prompt_tokens[row]:
                courses[row][2].append(now)
            slots[slot][1] += 1
            if context == requests.total_tokens[row]:
                del slots[slot]
    return courses


def queue(requests: Requests) -> list[int]:
    return sorted(range(len(requests)), key=lambda row: (requests.arrival_ps[row], requests.ids[row]))


TWINS = {"independent": independent_twin, "slowest_stage": slowest_stage_twin}


def assert_equal_courses(result: ServingResult, courses: dict[int, Course]) -> None:
    n = len(result.requests)
    assert result.start_ps.tolist() == [courses[row][0] for row in range(n)]
    assert result.slot.tolist() == [courses[row][1] for row in range(n)]
    assert result.first_token_ps.tolist() == [courses[row][2][0] for row in range(n)]
    assert result.finish_ps.tolist() == [courses[row][2][-1] for row in range(n)]
    gaps = Counter(int(gap) for _, _, times in courses.values() for gap in np.diff(times))
    assert dict(zip(result.token_gaps.values.tolist(), result.token_gaps.counts.tolist(), strict=True)) == gaps


@st.composite
def streams(draw: st.DrawFn) -> Requests:
    """A few short requests, many of them arriving at one time, with ids in no order."""
    lengths = st.integers(1, MAX_TOKENS)
    rows = draw(st.lists(st.tuples(st.integers(0, 40), lengths, lengths), min_size=1, max_size=14))
    ids = draw(st.permutations(range(len(rows))))
    return Requests.of(*np.array(rows).T, ids=ids)


latencies = st.lists(st.integers(1, 9), min_size=2 * MAX_TOKENS, max_size=2 * MAX_TOKENS)
limits = st.none() | st.integers(2 * MAX_TOKENS, 5 * MAX_TOKENS)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=250, deadline=None)
@given(requests=streams(), latency_ps=latencies, n_slots=st.integers(1, 5), limit=limits)
def test_equals_the_twin(
    policy: str, requests: Requests, latency_ps: list[int], n_slots: int, limit: int | None
) -> None:
    capacity = None if limit is None else KvCapacity(limit, bytes_per_token=3)
    result = PipelineEngine(TokenCosts.of(latency_ps), n_slots, policy, capacity).run(requests)
    assert_equal_courses(result, TWINS[policy](requests, latency_ps, n_slots, limit))
    if result.kv is not None and limit is not None:
        assert result.kv.peak_tokens <= limit
        assert result.kv.overshoot_tokens == result.kv.overshoot_bytes == 0


@pytest.mark.parametrize(("policy", "n"), [("independent", 1500), ("slowest_stage", 150)])
@pytest.mark.parametrize("gap_s", [0.3, 3.0])
def test_equals_the_twin_on_a_long_stream(policy: str, n: int, gap_s: float, stream: Callable[..., Requests]) -> None:
    requests = stream(n, gap_s * 1e12, scale=0.2)
    contexts = np.arange(1, requests.total_tokens.max() + 1)
    latency_ps = (55_000_000_000 + 6_800_000 * (contexts // 16 * 16)).tolist()
    result = PipelineEngine(TokenCosts.of(latency_ps), 8, policy).run(requests)
    assert_equal_courses(result, TWINS[policy](requests, latency_ps, 8, None))


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=60, deadline=None)
@given(requests=streams(), latency_ps=latencies, n_slots=st.integers(1, 3), order=st.data())
def test_order_of_rows_is_irrelevant(
    policy: str, requests: Requests, latency_ps: list[int], n_slots: int, order: st.DataObject
) -> None:
    rows = np.array(order.draw(st.permutations(range(len(requests)))))
    shuffled = Requests.of(
        requests.arrival_ps[rows], requests.prompt_tokens[rows], requests.output_tokens[rows], requests.ids[rows]
    )
    engine = PipelineEngine(TokenCosts.of(latency_ps), n_slots, policy, idle_power_w=2.0)
    plain, other = engine.run(requests), engine.run(shuffled)
    for column in ("start_ps", "first_token_ps", "finish_ps", "slot"):
        assert (getattr(plain, column)[rows] == getattr(other, column)).all()
    assert plain.metrics() == pytest.approx(other.metrics())


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=60, deadline=None)
@given(requests=streams(), latency_ps=latencies, n_slots=st.integers(1, 5))
def test_what_holds_of_every_run(policy: str, requests: Requests, latency_ps: list[int], n_slots: int) -> None:
    result = PipelineEngine(TokenCosts.of(latency_ps), n_slots, policy).run(requests)
    held = result.finish_ps - result.start_ps
    assert (result.queueing_ps >= 0).all()
    assert (held >= result.service_ps).all()
    assert len(result.token_gaps) == (requests.output_tokens - 1).sum()
    assert result.n_tokens == (requests.prompt_tokens + requests.output_tokens).sum()
    assert result.served_load_frac <= result.slot_utilisation_frac <= 1
    for slot in range(n_slots):
        mine = np.flatnonzero(result.slot == slot)
        mine = mine[np.argsort(result.start_ps[mine])]
        assert (result.start_ps[mine][1:] >= result.finish_ps[mine][:-1]).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_request_alone_takes_the_sum_of_its_costs(policy: str) -> None:
    latency_ps = [5, 1, 4, 2, 8, 3]
    result = PipelineEngine(TokenCosts.of(latency_ps), 3, policy).run(Requests.of([100], [2], [3]))
    assert result.e2e_ps.tolist() == [5 + 1 + 4 + 2 + 8]
    assert result.ttft_ps.tolist() == [5 + 1 + 4]
    assert result.tpot_ps.tolist() == [(2 + 8) / 2]
    assert (result.token_gaps.values.tolist(), result.token_gaps.counts.tolist()) == ([2, 8], [1, 1])
    assert result.makespan_ps == 20


def test_slowest_stage_admits_between_rotations() -> None:
    # The first request's tokens take 10 each; the second arrives in its second rotation and waits for the third.
    requests = Requests.of([0, 11], [1, 1], [3, 1])
    result = PipelineEngine(TokenCosts.of([10, 10, 10, 10]), 2, "slowest_stage").run(requests)
    assert result.start_ps.tolist() == [0, 20]
    assert result.finish_ps.tolist() == [40, 40]
    at_the_boundary = PipelineEngine(TokenCosts.of([10, 10, 10, 10]), 2, "slowest_stage").run(
        Requests.of([0, 10], [1, 1], [3, 1])
    )
    assert at_the_boundary.start_ps.tolist() == [0, 10]


def test_long_idle_stretches_and_long_requests_are_jumped_over(stream: Callable[..., Requests]) -> None:
    n_tokens = 200_000
    requests = Requests.of([0, 10**15], [n_tokens // 2] * 2, [n_tokens // 2] * 2)
    result = PipelineEngine(TokenCosts.of([7] * n_tokens), 2, "slowest_stage").run(requests)
    assert result.e2e_ps.tolist() == [7 * n_tokens] * 2


def test_capacity_makes_requests_wait_in_their_order() -> None:
    # 9 positions: the second request (8) does not fit beside the first (4), and the third (2) stays behind it.
    requests = Requests.of([0, 1, 2], [2, 4, 1], [2, 4, 1])
    engine = PipelineEngine(TokenCosts.of([10] * 8), 3, capacity=KvCapacity(9, 100))
    assert engine.run(requests).start_ps.tolist() == [0, 40, 120]
    reported = PipelineEngine(TokenCosts.of([10] * 8), 3, capacity=KvCapacity(9, 100, "report")).run(requests)
    assert reported.start_ps.tolist() == [0, 1, 2]
    assert reported.kv is not None
    assert (reported.kv.peak_tokens, reported.kv.overshoot_tokens, reported.kv.overshoot_bytes) == (14, 5, 500)
    assert reported.metrics()["kv_overshoot_bytes"] == 500


def test_room_given_back_at_a_time_is_room_at_that_time() -> None:
    requests = Requests.of([0, 20], [1, 1], [1, 1])
    result = PipelineEngine(TokenCosts.of([10, 10]), 2, capacity=KvCapacity(2, 1)).run(requests)
    assert result.start_ps.tolist() == [0, 20]
    assert result.kv is not None
    assert result.kv.peak_tokens == 2


def test_a_request_that_can_never_fit_is_named() -> None:
    requests = Requests.of([0, 1, 2], [2, 40, 50], [2, 4, 4], where=lambda row: Position("trace.csv", row + 2))
    engine = PipelineEngine(TokenCosts.of([10] * 54), 3, capacity=KvCapacity(10, 100))
    with pytest.raises(MappingError) as fault:
        engine.run(requests)
    assert fault.value.missing_bytes == (44 - 10) * 100
    assert fault.value.exit_code == 4
    assert str(fault.value).startswith("trace.csv:3: request 1 is too long even for an empty machine: 44 KV positions")
    PipelineEngine(TokenCosts.of([10] * 54), 3, capacity=KvCapacity(10, 100, "report")).run(requests)


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"policy": "slowest_stag"}, "did you mean slowest_stage"),
        ({"n_slots": 0}, "0 slots"),
        ({"idle_power_w": -1.0}, "idle power is -1.0 W"),
        ({"idle_power_w": float("nan")}, "idle power is nan W"),
    ],
)
def test_impossible_engines_are_refused(settings_: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PipelineEngine(**{"costs": TokenCosts.of([1, 1]), "n_slots": 1, **settings_})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="capacity is 'off'"):
        KvCapacity(1, 1, "off")  # type: ignore[arg-type]


def test_a_pipeline_that_stands_still_says_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(Independent):
        def leave(self, now_ps: int) -> list[tuple[int, int]]:
            return []

    monkeypatch.setattr("simulator.serving.pipeline.POLICIES", {"independent": Forgetful})
    engine = PipelineEngine(TokenCosts.of([5, 5]), 1)
    with pytest.raises(
        ModelFault, match="stands still at 10 ps: request 1 waits for a slot or room, 1 slots are taken, 2"
    ):
        engine.run(Requests.of([0, 0], [1, 1], [1, 1]))


def test_a_table_that_ends_early_is_a_fault() -> None:
    with pytest.raises(ModelFault, match="end at context 3, and a request needs 4"):
        PipelineEngine(TokenCosts.of([1, 1, 1]), 1).run(Requests.of([0], [2], [2]))


@pytest.mark.parametrize("policy", POLICIES)
def test_serve_asks_a_system_once_per_key(policy: str, system: object, stream: Callable[..., Requests]) -> None:
    requests = stream(40, 1e12)
    result = serve(system, requests, policy=policy, idle_power_w=10.0)  # type: ignore[arg-type]
    assert result.n_slots == 4
    asked = system.asked  # type: ignore[attr-defined]
    # One more to learn the number of slots.
    assert sorted(asked) == [1, *range(1, int(requests.total_tokens.max()) + 1, 128)]
    expected = sum(
        2.0 * -(-context // 128) * 128 + 5.0
        for total in requests.total_tokens.tolist()
        for context in range(1, total + 1)
    )
    assert result.energy_pj == pytest.approx(expected + 10.0 * result.makespan_ps)


def test_serve_refuses_before_it_asks(system: object) -> None:
    with pytest.raises(MappingError):
        serve(system, Requests.of([0], [5], [5]), capacity=KvCapacity(9, 1))  # type: ignore[arg-type]
    assert system.asked == []  # type: ignore[attr-defined]
