"""Speculative decoding: courses of single requests, the engine that follows them, and what drafting costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.contracts.results import StepResult
from simulator.contracts.tasks import Task, TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError
from simulator.devices.scheduling import schedule
from simulator.serving import batching
from simulator.serving.batching import BatchingEngine
from simulator.serving.batching_results import BatchingResult
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.batching_state import SeveralTokens
from simulator.serving.requests import Requests
from simulator.serving.speculation import Speculation, drafted
from simulator.workload.batch import Batch, Sequence
from tests.serving.machines import BatchMachine, rule_sets, streams

speculations = st.builds(
    Speculation, st.integers(2, 5), st.sampled_from([0.0, 0.3, 0.8, 1.0]), st.sampled_from(["expected", "sampled"])
)


def served(requests: Requests, speculation: Speculation, rules: BatchingRules | None = None) -> BatchingResult:
    return BatchingEngine(BatchMachine(), rules or BatchingRules(), speculation=speculation).run(requests)


@given(speculations, st.integers(1, 60), st.integers(0, 9))
def test_a_course_gives_every_token_once(speculation: Speculation, output_tokens: int, request_id: int) -> None:
    course = speculation.course(output_tokens, request_id)
    assert course.given.sum() == output_tokens - 1
    assert ((course.given >= 1) & (course.given <= course.new) & (course.new <= speculation.length)).all()
    # A pass brings as many tokens as it may, and no more than are left.
    left = output_tokens - 1 - course.given_before
    assert course.new.tolist() == np.minimum(left, speculation.length).tolist()
    again = speculation.course(output_tokens, request_id)
    assert again.given.tolist() == course.given.tolist()


@pytest.mark.parametrize("length", [1, 2, 4, 7])
@pytest.mark.parametrize("model", ["expected", "sampled"])
def test_all_accepted_is_one_pass_in_so_many(length: int, model: str) -> None:
    for output_tokens in (1, 2, 8, 9, 100):
        course = Speculation(length, 1.0, model).course(output_tokens)  # type: ignore[arg-type]
        assert len(course) == math.ceil((output_tokens - 1) / length)
        assert course.given.tolist() == course.new.tolist()


@pytest.mark.parametrize("model", ["expected", "sampled"])
@pytest.mark.parametrize("length", [2, 4, 8])
@pytest.mark.parametrize("acceptance", [0.0, 0.5, 0.8])
def test_the_mean_is_that_of_the_geometric_series(acceptance: float, length: int, model: str) -> None:
    speculation = Speculation(length, acceptance, model)  # type: ignore[arg-type]
    mean = (1 - acceptance**length) / (1 - acceptance)
    assert speculation.mean_given(length) == pytest.approx(mean)
    course = speculation.course(40_001)
    tolerance = 2e-3 if model == "expected" else 0.03
    assert 40_000 / len(course) == pytest.approx(mean, rel=tolerance)


def test_draws_are_of_the_seed_and_the_request() -> None:
    first = Speculation(4, 0.6, "sampled", seed=1)
    given = first.course(200, 3).given.tolist()
    assert given != first.course(200, 4).given.tolist()
    assert given != Speculation(4, 0.6, "sampled", seed=2).course(200, 3).given.tolist()


@given(streams(), rule_sets, speculations)
def test_what_always_holds(requests: Requests, rules: BatchingRules, speculation: Speculation) -> None:
    result = served(requests, speculation, rules)
    iterations = result.iterations
    assert iterations.given_tokens.sum() == (requests.output_tokens - 1).sum()
    assert iterations.prompt_tokens.sum() == requests.prompt_tokens.sum()
    assert len(result.token_gaps) == (requests.output_tokens - 1).sum()
    assert (iterations.brought_tokens >= iterations.given_tokens).all()
    assert (iterations.given_tokens >= iterations.n_decodes).all()
    assert (iterations.brought_tokens <= iterations.n_decodes * iterations.most_brought).all()
    assert result.tokens_pj.sum() == pytest.approx(iterations.energy_pj.sum())
    ran = [result.costs.batches[step] for step in iterations.step.tolist()]
    assert [batch.new_tokens for batch in ran] == iterations.n_tokens.tolist()
    # No context exceeds what the request reserved, and the last token's is prompt + output - 1.
    longest = max(sequence.context for batch in ran for sequence, _ in batch.runs)
    assert longest == (requests.prompt_tokens + np.maximum(requests.output_tokens - 1, 0)).max()
    mean_gap = (result.finish_ps - result.first_token_ps).sum()
    assert mean_gap == (result.token_gaps.values * result.token_gaps.counts).sum()


@given(streams(), rule_sets)
def test_one_token_in_a_pass_is_decoding(requests: Requests, rules: BatchingRules) -> None:
    """The class of several tokens, made to bring one, is the engine of single tokens to the last bit."""
    plain = served(requests, Speculation(), rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "SingleTokens", lambda rows: SeveralTokens(rows, Speculation()))
        other = served(requests, Speculation(), rules)
    for name in ("start_ps", "first_token_ps", "finish_ps"):
        assert getattr(plain, name).tolist() == getattr(other, name).tolist()
    assert plain.tokens_pj.tolist() == pytest.approx(other.tokens_pj.tolist())
    assert plain.iteration_table().rows == other.iteration_table().rows


@given(streams(), rule_sets)
def test_more_tokens_in_a_pass_take_fewer_passes(requests: Requests, rules: BatchingRules) -> None:
    alone = Requests.of([0], requests.prompt_tokens[:1], requests.output_tokens[:1])
    passes = [int((served(alone, Speculation(k), rules).iterations.n_decodes > 0).sum()) for k in (1, 2, 4)]
    assert passes == [math.ceil((int(alone.output_tokens[0]) - 1) / k) for k in (1, 2, 4)]
    finishes = [served(requests, Speculation(k, 1.0), rules).iterations.n_decodes.sum() for k in (1, 2, 4)]
    assert finishes[0] >= finishes[1] >= finishes[2]


def test_one_request_by_hand() -> None:
    """7 tokens in, 6 out, 4 verified in a pass: the first comes with the prompt, then 4, then the last one."""
    result = served(Requests.of([50], [7], [6]), Speculation(4))
    prefill, four, last = 100 + 70 + 7, 100 + 40 + 11, 100 + 10 + 12
    assert result.first_token_ps.tolist() == [50 + prefill]
    assert result.finish_ps.tolist() == [50 + prefill + four + last]
    ran = [result.costs.batches[step].runs for step in result.iterations.step.tolist()]
    assert ran == [((Sequence(7, 7), 1),), ((Sequence(4, 11), 1),), ((Sequence(1, 12), 1),)]
    assert dict(zip(result.token_gaps.values.tolist(), result.token_gaps.counts.tolist(), strict=True)) == {
        0: 3, four: 1, last: 1,
    }  # fmt: skip
    metrics = result.metrics()
    assert metrics["tokens_verified_mean"] == metrics["tokens_given_mean"] == 2.5


def test_a_draft_comes_before_its_pass() -> None:
    plain = served(Requests.of([0], [7], [6]), Speculation(4))
    speculation = Speculation(4, draft_ps=1000, draft_pj=5.0)
    engine = BatchingEngine(BatchMachine(), idle_power_w=0.25, speculation=speculation)
    result = engine.run(Requests.of([0], [7], [6]))
    took, before = result.iterations.took_ps, plain.iterations.took_ps
    assert (took - before).tolist() == [0, 3000, 0]  # nothing to guess for the last token
    extra = result.iterations.energy_pj - plain.iterations.energy_pj
    assert extra.tolist() == pytest.approx([0.0, 15.0 + 0.25 * 3000, 0.0])


def test_a_draft_is_a_task_that_all_others_wait_for() -> None:
    class Forked(BatchMachine):
        def step(self, batch: Batch) -> StepResult:
            tasks = [Task("a", "x", 10), Task("b", "y", 30), Task("c", "x", 5, (0, 1)), Task("d", "y", 7)]
            plan = schedule(TaskGraph(tasks))
            return StepResult(plan.makespan_ps, plan.makespan_ps, 1, plan, EnergyLedger({"work": 1.0}), 1.0)

    machine, batch = Forked(), Batch.decode(9, 2, 3)
    assert drafted(machine, Speculation(3)) is machine
    assert drafted(machine, Speculation(1, draft_ps=5)) is machine
    before, step = machine.step(batch), drafted(machine, Speculation(3, draft_ps=50)).step(batch)
    assert step.latency_ps == before.latency_ps + 100 == step.schedule.makespan_ps
    again = schedule(step.schedule.tasks)
    assert again.start_ps.tolist() == step.schedule.start_ps.tolist()
    assert again.end_ps.tolist() == step.schedule.end_ps.tolist()
    assert again.critical_path == step.schedule.critical_path
    assert step.schedule.operator_ps()["draft_model"] == 100
    prompts = drafted(machine, Speculation(3, draft_ps=50)).step(Batch.prefill(9, 2))
    assert prompts.latency_ps == before.latency_ps


@pytest.mark.parametrize(
    "wrong",
    [{"length": 0}, {"length": 17}, {"acceptance": -0.1}, {"acceptance": 1.1}, {"model": "guess"}, {"draft_ps": -1}],
)
def test_impossible_speculation(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"serving\."):
        Speculation(**wrong)  # type: ignore[arg-type]
