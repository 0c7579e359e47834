"""The batching engine against a twin that moves sequence by sequence, and what must hold whatever the requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.contracts.results import StepResult
from simulator.contracts.tasks import Task, TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, MappingError, ModelFault, Position, WorkloadError
from simulator.devices.scheduling import schedule
from simulator.serving.batching import BatchingEngine
from simulator.serving.batching_results import BatchingResult
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.capacity import KvCapacity
from simulator.serving.requests import Requests
from simulator.workload.batch import Batch, Sequence
from tests.serving.machines import BatchMachine, latency_ps, rule_sets, streams

DEFAULT = BatchingRules()


@dataclass
class Course:
    """What the twin says of a request: when it was taken up, and when each of its output tokens came."""

    start_ps: int
    tokens_ps: list[int] = field(default_factory=list)
    energy_pj: float = 0.0


def twin(requests: Requests, rules: BatchingRules, room: int | None) -> tuple[dict[int, Course], list[list[Sequence]]]:
    """Iteration by iteration: take up, compute, hand out tokens. Returns courses by row, and every batch."""
    prompt, output, arrival = (
        column.tolist() for column in (requests.prompt_tokens, requests.output_tokens, requests.arrival_ps)
    )
    waiting = sorted(range(len(requests)), key=lambda row: (arrival[row], requests.ids[row]))
    running: list[int] = []
    courses: dict[int, Course] = {}
    batches: list[list[Sequence]] = []
    now = 0
    while waiting or running:
        if not running and arrival[waiting[0]] > now:
            now = arrival[waiting[0]]
        new: list[int] = []
        while waiting and arrival[waiting[0]] <= now and len(running) + len(new) < rules.max_num_seqs:
            row = waiting[0]
            held = sum(prompt[other] + output[other] for other in running + new)
            tokens = sum(prompt[other] for other in [*new, row]) + (len(running) if rules.prefill == "mixed" else 0)
            if room is not None and held + prompt[row] + output[row] > room:
                break
            if new and tokens > rules.max_num_batched_tokens:
                break
            new.append(waiting.pop(0))
            courses[row] = Course(now)
        decoding = list(running) if rules.prefill == "mixed" or not new else []
        batch = {row: Sequence(1, prompt[row] + len(courses[row].tokens_ps)) for row in decoding}
        batch |= {row: Sequence(prompt[row], prompt[row]) for row in new}
        took = latency_ps(list(batch.values()))
        now += took
        for row, sequence in batch.items():
            courses[row].tokens_ps.append(now)
            courses[row].energy_pj += took * sequence.new_tokens / sum(other.new_tokens for other in batch.values())
        running = [row for row in running + new if len(courses[row].tokens_ps) < output[row]]
        batches.append(list(batch.values()))
    return courses, batches


def served(
    requests: Requests, rules: BatchingRules = DEFAULT, room: int | None = None, **machine: int
) -> BatchingResult:
    capacity = None if room is None else KvCapacity(room, 3)
    return BatchingEngine(BatchMachine(**machine), rules, capacity, idle_power_w=0.25).run(requests)


@given(streams(), rule_sets, st.none() | st.integers(12, 30))
def test_the_engine_is_its_twin(requests: Requests, rules: BatchingRules, room: int | None) -> None:
    result = served(requests, rules, room)
    courses, batches = twin(requests, rules, room)
    rows = range(len(requests))
    assert result.start_ps.tolist() == [courses[row].start_ps for row in rows]
    assert result.first_token_ps.tolist() == [courses[row].tokens_ps[0] for row in rows]
    assert result.finish_ps.tolist() == [courses[row].tokens_ps[-1] for row in rows]
    assert result.tokens_pj.tolist() == pytest.approx([courses[row].energy_pj for row in rows])
    gaps = Counter(gap for course in courses.values() for gap in np.diff(course.tokens_ps).tolist())
    assert dict(zip(result.token_gaps.values.tolist(), result.token_gaps.counts.tolist(), strict=True)) == gaps
    iterations = result.iterations
    assert iterations.n_sequences.tolist() == [len(batch) for batch in batches]
    assert iterations.n_tokens.tolist() == [sum(one.new_tokens for one in batch) for batch in batches]
    ran = [result.costs.batches[step] for step in iterations.step.tolist()]
    assert [Counter(dict(batch.runs)) for batch in ran] == [Counter(batch) for batch in batches]


@given(streams(), rule_sets, st.none() | st.integers(12, 30), st.integers(1, 4))
def test_what_always_holds(requests: Requests, rules: BatchingRules, room: int | None, context_step: int) -> None:
    result = served(requests, rules, room, context_step=context_step)
    iterations = result.iterations
    # Tokens: every prompt token once, and of the output tokens all but the one that the prompt gives.
    assert iterations.prompt_tokens.sum() == requests.prompt_tokens.sum()
    assert iterations.n_decodes.sum() == (requests.output_tokens - 1).sum()
    assert iterations.n_prompts.sum() == len(requests)
    assert len(result.token_gaps) == (requests.output_tokens - 1).sum()
    # First come, first served; nobody before its arrival, one iteration at a time, at most so many sequences.
    order = list(requests.queue_order())
    assert (np.diff(result.start_ps[order]) >= 0).all()
    assert (result.start_ps >= requests.arrival_ps).all()
    assert (iterations.start_ps[1:] >= iterations.end_ps[:-1]).all()
    assert (iterations.n_sequences <= rules.max_num_seqs).all()
    many = iterations.n_prompts > 1
    in_force = iterations.n_tokens if rules.prefill == "mixed" else iterations.prompt_tokens
    assert (in_force[many] <= rules.max_num_batched_tokens).all()
    if rules.prefill == "separate":
        assert not ((iterations.n_prompts > 0) & (iterations.n_decodes > 0)).any()
    if room is not None:
        assert result.kv is not None
        assert result.kv.peak_tokens <= room
    # Energy: every step once, and the idle power where none runs.
    assert result.tokens_pj.sum() == pytest.approx(iterations.energy_pj.sum())
    idle_ps = result.makespan_ps - iterations.busy_ps
    assert result.energy_pj == pytest.approx(iterations.busy_ps + 0.25 * idle_ps)
    assert idle_ps >= 0
    times, tokens = iterations.tokens_over_time()
    assert (np.diff(times) > 0).all()
    assert tokens[-1] == 0
    spans = np.diff(times)
    assert (tokens[:-1] * spans).sum() == (iterations.n_tokens * (iterations.end_ps - iterations.start_ps)).sum()


@given(streams(), rule_sets, st.none() | st.integers(12, 30), st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(requests, rules, room, random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(requests)))
    random.shuffle(order)
    permuted = Requests.of(
        requests.arrival_ps[order], requests.prompt_tokens[order], requests.output_tokens[order], requests.ids[order]
    )
    one, other = served(requests, rules, room), served(permuted, rules, room)
    assert one.finish_ps[order].tolist() == other.finish_ps.tolist()
    assert one.first_token_ps[order].tolist() == other.first_token_ps.tolist()
    assert one.iterations.n_tokens.tolist() == other.iterations.n_tokens.tolist()


def test_one_request_by_hand() -> None:
    result = served(Requests.of([50], [7], [3]))
    prefill, second, third = 100 + 70 + 7, 100 + 10 + 8, 100 + 10 + 9
    assert result.start_ps.tolist() == [50]
    assert result.first_token_ps.tolist() == [50 + prefill]
    assert result.finish_ps.tolist() == [50 + prefill + second + third]
    assert result.ttft_ps.tolist() == [prefill]
    assert result.tpot_ps.tolist() == [(second + third) / 2]
    metrics = result.metrics()
    assert metrics["n_iterations"] == 3
    assert metrics["busy_frac"] == 1.0
    assert metrics["batch_sequences_mean"] == 1.0
    assert metrics["batch_tokens_max"] == 7
    assert "offered_load_frac" not in metrics
    assert result.energy_pj == prefill + second + third
    assert result.table().columns == (
        "id", "arrival_ms", "prompt_tokens", "output_tokens", "queueing_ms", "ttft_ms", "tpot_ms", "e2e_ms",
        "finish_ms", "energy_mj",
    )  # fmt: skip


def test_a_long_prompt_goes_alone_and_stalls_nobody_for_ever() -> None:
    rules = BatchingRules(max_num_seqs=8, max_num_batched_tokens=10)
    result = served(Requests.of([0, 0, 0, 0], [4, 50, 4, 4], [9, 1, 1, 1]), rules)
    assert result.iterations.n_prompts[:3].tolist() == [1, 1, 2]
    assert result.iterations.n_tokens[:3].tolist() == [4, 51, 9]


def test_separate_prompts_stall_running_sequences() -> None:
    requests = Requests.of([0, 120], [3, 5], [3, 2])
    mixed, separate = served(requests), served(requests, BatchingRules(prefill="separate"))
    assert mixed.iterations.n_decodes.tolist() == [0, 1, 2]
    assert separate.iterations.n_decodes.tolist() == [0, 0, 2, 1]
    assert separate.token_gaps.values[-1] > mixed.token_gaps.values[-1]


def test_steps_are_asked_for_once() -> None:
    machine = BatchMachine(context_step=8)
    requests = Requests.of([0] * 40, [9] * 40, [24] * 40)
    result = BatchingEngine(machine, BatchingRules(max_num_seqs=4)).run(requests)
    assert len(machine.asked) == result.metrics()["n_distinct_steps"] < len(result.iterations) / 20
    assert result.step_counts().sum() == len(result.iterations)


def test_what_can_never_fit_is_refused_before_the_first_step() -> None:
    machine = BatchMachine()
    requests = Requests.of([0, 1], [5, 40], [5, 3], ids=[4, 9], where=lambda row: Position("trace.csv", row + 2))
    with pytest.raises(MappingError, match=r"request 9 is too long even for an empty machine: 43 .* 20 fit") as caught:
        BatchingEngine(machine, capacity=KvCapacity(20, 100)).run(requests)
    assert caught.value.missing_bytes == 2300
    assert "trace.csv:3" in str(caught.value)
    assert machine.asked == []
    reported = BatchingEngine(machine, capacity=KvCapacity(20, 100, "report")).run(requests)
    assert reported.kv is not None
    assert reported.kv.overshoot_tokens == 33


def test_a_full_machine_makes_all_wait_behind_the_first() -> None:
    # The second does not fit beside the first; the third would, and waits all the same.
    result = served(Requests.of([0, 1, 2], [5, 10, 1], [9, 5, 1]), room=20)
    assert result.start_ps[1] == result.finish_ps[0]
    assert result.start_ps[2] == result.start_ps[1]


@pytest.mark.parametrize("rules", [{"max_num_seqs": 0}, {"max_num_batched_tokens": 0}, {"prefill": "chunked"}])
def test_impossible_rules(rules: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        BatchingRules(**rules)  # type: ignore[arg-type]


def test_impossible_machines() -> None:
    with pytest.raises(ConfigError, match="idle power"):
        BatchingEngine(BatchMachine(), idle_power_w=-1.0)

    class Timeless(BatchMachine):
        def step(self, batch: Batch) -> StepResult:
            plan = schedule(TaskGraph([Task("step", "machine", 0)]))
            return StepResult(0, 0, 1, plan, EnergyLedger(), 1.0)

    with pytest.raises(ModelFault, match="takes 0 ps"):
        BatchingEngine(Timeless()).run(Requests.of([0], [1], [1]))


def test_what_a_step_raises_arrives_whole() -> None:
    class Full(BatchMachine):
        def step(self, batch: Batch) -> StepResult:
            raise MappingError("no room", where="system.device", remedy="buy more", missing_bytes=7)

    with pytest.raises(MappingError, match="no room") as raised:
        BatchingEngine(Full()).run(Requests.of([0], [4], [2]))
    assert (raised.value.where, raised.value.remedy, raised.value.missing_bytes) == ("system.device", "buy more", 7)


def test_more_time_than_64_bits_hold_is_refused() -> None:
    class Slow(BatchMachine):
        def step(self, batch: Batch) -> StepResult:
            plan = schedule(TaskGraph([Task("step", "machine", 1 << 61)]))
            return StepResult(1 << 61, 1 << 61, 1, plan, EnergyLedger({}, ()), 1.0)

    with pytest.raises(WorkloadError, match=r"106\.75 days"):
        BatchingEngine(Slow()).run(Requests.of([0], [4], [9]))
