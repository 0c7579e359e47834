"""Static batches, and machines that place their work: what the engine does between iterations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, ModelFault
from simulator.serving.batching import BatchingEngine
from simulator.serving.batching_results import BatchingResult
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.capacity import KvCapacity
from simulator.serving.requests import Requests
from simulator.serving.speculation import Speculation
from simulator.workload.batch import Batch
from tests.serving.machines import BatchMachine, streams

static_rules = st.builds(BatchingRules, st.integers(1, 5), st.integers(1, 12), batching=st.just("static"))


def served(
    requests: Requests, rules: BatchingRules, room: int | None = None, speculation: Speculation | None = None
) -> BatchingResult:
    capacity = None if room is None else KvCapacity(room, 3)
    return BatchingEngine(BatchMachine(), rules, capacity, 0.25, speculation or Speculation()).run(requests)


@given(streams(), static_rules, st.none() | st.integers(12, 30), st.sampled_from([1, 3]))
def test_a_batch_runs_to_its_end(requests: Requests, rules: BatchingRules, room: int | None, length: int) -> None:
    result = served(requests, rules, room, Speculation(length))
    iterations = result.iterations
    is_prefill = iterations.n_prompts > 0
    assert not (is_prefill & (iterations.n_decodes > 0)).any()
    # All of a batch is prefilled before its first pass, and its sequences only become fewer.
    rlp = iterations.n_decodes
    for index in range(1, len(iterations)):
        if not is_prefill[index] and not is_prefill[index - 1]:
            assert rlp[index] <= rlp[index - 1]
    # A prompt goes only when nothing runs but members of its own batch, whose prompts went just before.
    firsts = np.flatnonzero(is_prefill & ~np.concatenate(([False], is_prefill[:-1])))
    for first in firsts.tolist():
        begins = iterations.start_ps[first]
        assert not ((result.start_ps < begins) & (result.finish_ps > begins)).any()
    assert iterations.n_sequences.max() <= rules.max_num_seqs
    many = iterations.n_prompts > 1
    assert (iterations.prompt_tokens[many] <= rules.max_num_batched_tokens).all()
    assert iterations.given_tokens.sum() == (requests.output_tokens - 1).sum()
    assert iterations.n_prompts.sum() == len(requests)
    if room is not None:
        assert result.kv is not None
        assert result.kv.peak_tokens <= room
    order = list(requests.queue_order())
    assert (np.diff(result.start_ps[order]) >= 0).all()
    assert result.tokens_pj.sum() == pytest.approx(iterations.energy_pj.sum())


@given(streams())
def test_a_batch_of_one_is_the_same_either_way(requests: Requests) -> None:
    one = served(requests, BatchingRules(1, batching="static"))
    other = served(requests, BatchingRules(1))
    assert one.finish_ps.tolist() == other.finish_ps.tolist()
    assert one.iteration_table().rows == other.iteration_table().rows


def test_nobody_joins_a_batch_that_runs() -> None:
    requests = Requests.of([0, 0, 1, 2], [4, 4, 4, 4], [2, 9, 2, 2])
    result = served(requests, BatchingRules(2, batching="static"))
    rows = result.iteration_table().rows
    columns = result.iteration_table().columns
    rlp = [row[columns.index("rlp")] for row in rows]
    assert rlp == [0, 2, *([1] * 7), 0, 2]
    assert [row[columns.index("n_prompts")] for row in rows] == [2, *([0] * 8), 2, 0]
    assert [row[columns.index("tokens")] for row in rows] == [2, 2, *([1] * 7), 2, 2]
    assert [row[columns.index("finished")] for row in rows] == [0, 1, *([0] * 6), 1, 0, 2]
    assert result.start_ps[2] == result.start_ps[3] == result.finish_ps[1]
    metrics = result.metrics()
    took = [float(row[columns.index("time_ms")]) for row in rows]  # type: ignore[arg-type]
    assert metrics["prefill_time_s"] == pytest.approx((took[0] + took[9]) / 1e3)
    assert metrics["decode_time_s"] == pytest.approx((sum(took) - took[0] - took[9]) / 1e3)
    assert metrics["decode_ms_per_step"] == pytest.approx(metrics["decode_time_s"] * 1e3 / 9)
    assert metrics["time_per_token_ms"] == pytest.approx(metrics["decode_time_s"] * 1e3 / 11)


def test_prompts_beyond_an_iteration_go_before_the_first_pass() -> None:
    result = served(Requests.of([0] * 4, [6] * 4, [3] * 4), BatchingRules(4, 13, batching="static"))
    assert result.iterations.n_prompts.tolist() == [2, 2, 0, 0]
    assert result.iterations.n_decodes.tolist() == [0, 0, 4, 4]


def test_a_mode_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="batching is 'dynamic'"):
        BatchingRules(batching="dynamic")  # type: ignore[arg-type]


class PlacingMachine(BatchMachine):
    """Runs up to four tokens of decodes on one unit, and more of them, and prompts, on another."""

    switch_ps = 1000

    def placement(self, batch: Batch) -> str:
        return "near" if not batch.prompts and batch.new_tokens <= 4 else "far"


def test_a_switch_takes_its_time_and_the_idle_power() -> None:
    requests = Requests.of([0] * 6, [5] * 6, [2, 2, 4, 4, 4, 6])
    rules = BatchingRules(6, batching="static")
    plain = BatchingEngine(BatchMachine(), rules, idle_power_w=0.25).run(requests)
    result = BatchingEngine(PlacingMachine(), rules, idle_power_w=0.25).run(requests)
    columns, rows = result.iteration_table().columns, result.iteration_table().rows
    assert [row[columns.index("placement")] for row in rows] == ["far", "far", "near", "near", "near", "near"]
    assert (result.iterations.took_ps - plain.iterations.took_ps).tolist() == [0, 0, 1000, 0, 0, 0]
    assert (result.iterations.energy_pj - plain.iterations.energy_pj).tolist() == pytest.approx([0, 0, 250, 0, 0, 0])
    assert result.metrics()["n_switches"] == 1
    assert result.metrics()["makespan_s"] == pytest.approx(plain.metrics()["makespan_s"] + 1e-9)
    assert "n_switches" not in plain.metrics()
    several = BatchingEngine(PlacingMachine(), rules, speculation=Speculation(2)).run(requests)
    tokens = several.iterations.n_decodes * several.iterations.most_brought
    placed = [row[columns.index("placement")] for row in several.iteration_table().rows]
    assert tokens.tolist()[1:] == [12, 8, 1]
    assert several.iterations.brought_tokens.tolist()[1:] == [10, 5, 1]  # some bring the one that they still need
    assert placed == ["far", "far", "far", "near"]


def test_a_switch_takes_no_negative_time() -> None:
    machine = PlacingMachine()
    machine.switch_ps = -1  # type: ignore[misc]
    with pytest.raises(ModelFault, match="another unit"):
        BatchingEngine(machine).run(Requests.of([0], [1], [1]))
