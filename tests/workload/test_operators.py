"""Operators of a step against closed forms written from the definition of a transformer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import WorkloadError
from simulator.workload.batch import Batch, Sequence
from simulator.workload.catalog import list_models, load_model
from simulator.workload.model import ModelSpec
from simulator.workload.operators import (
    AttentionScore,
    Collective,
    ExpertLinear,
    KvAppend,
    Linear,
    LmHead,
    Softmax,
    attended_pairs,
    attended_positions,
    operators,
)


def by_name(model: ModelSpec, batch: Batch) -> dict[str, object]:
    return {use.name: use.operator for use in operators(model, batch)}


def pairs_by_counting(new_tokens: int, context: int, window: int | None) -> int:
    """One loop over the new tokens, one over the positions: the definition."""
    total = 0
    for query in range(context - new_tokens, context):
        for key in range(context):
            if key <= query and (window is None or query - key < window):
                total += 1
    return total


@given(new=st.integers(1, 30), before=st.integers(0, 30), window=st.none() | st.integers(1, 70))
def test_pairs_equal_a_count(new: int, before: int, window: int | None) -> None:
    sequence = Sequence(new, before + new)
    assert attended_pairs((sequence,), window) == pairs_by_counting(new, before + new, window)


@given(new=st.integers(1, 30), before=st.integers(0, 30), window=st.none() | st.integers(1, 70))
def test_positions_equal_a_count(new: int, before: int, window: int | None) -> None:
    context = before + new
    touched = {
        key for query in range(before, context) for key in range(query + 1) if window is None or query - key < window
    }
    assert attended_positions(Sequence(new, context), window) == len(touched)


def test_a_decode_step_attends_to_context_or_window() -> None:
    assert attended_pairs((Sequence(1, 5000),)) == 5000
    assert attended_pairs((Sequence(1, 5000),), window=4096) == 4096
    assert attended_positions(Sequence(1, 5000), 4096) == 4096


@pytest.mark.parametrize("name", list_models())
def test_weight_bytes_of_all_operators_are_the_models(name: str) -> None:
    model = load_model(name)
    uses = operators(model, Batch.decode(16))
    total = sum(use.weight_bytes for use in uses)
    if model.tied_embeddings:
        total -= model.vocab * model.hidden * model.weight_bits // 8
    assert total == model.weight_bytes


@pytest.mark.parametrize("name", list_models())
def test_decode_matrix_flops_are_two_per_active_weight(name: str) -> None:
    model = load_model(name)
    uses = operators(model, Batch.decode(16))
    flops = sum(use.flops for use in uses if isinstance(use.operator, Linear | ExpertLinear | LmHead))
    n_inner = 3 if model.gated else 2
    width = model.ffn + (model.n_experts_per_token + model.n_shared_experts) * model.expert_ffn
    per_layer = 2 * model.hidden * (model.q_dim + model.kv_dim) + n_inner * model.hidden * width
    assert flops == 2 * (model.n_layers * per_layer + model.hidden * model.vocab)


def test_llama2_70b_decode_by_hand() -> None:
    found = by_name(load_model("llama2-70b"), Batch.decode(4096, n_sequences=2))
    assert found["q_proj"] == Linear(2, 8192, 8192, 16, 16)
    assert found["k_proj"] == Linear(2, 8192, 1024, 16, 16)
    assert found["o_proj"] == Linear(2, 8192, 8192, 16, 16)
    assert found["gate_proj"] == Linear(2, 8192, 28672, 16, 16)
    assert found["down_proj"] == Linear(2, 28672, 8192, 16, 16)
    score = found["attention_score"]
    assert isinstance(score, AttentionScore)
    assert score.flops == 2 * 2 * 64 * 128 * 4096
    assert score.kv_bytes == 2 * 4096 * 8 * 128 * 2
    softmax = found["softmax"]
    assert isinstance(softmax, Softmax)
    assert softmax.flops == 5 * 2 * 64 * 4096
    append = found["kv_append"]
    assert isinstance(append, KvAppend)
    assert 80 * append.kv_bytes == 2 * load_model("llama2-70b").kv_bytes_per_token
    head = found["lm_head"]
    assert isinstance(head, LmHead)
    assert (head.tokens, head.weight_bytes, head.flops) == (2, 8192 * 32000 * 2, 2 * 2 * 8192 * 32000)


def test_layers_stand_once_with_their_count() -> None:
    uses = operators(load_model("llama2-7b"), Batch.prefill(128))
    assert {use.repeat for use in uses} == {1, 32}
    assert [use.name for use in uses if use.repeat == 1] == ["embedding", "final_norm", "lm_head"]
    assert len({use.name for use in uses}) == len(uses)


def test_prefill_flops_are_close_to_two_per_weight_and_token() -> None:
    model = load_model("llama2-7b")
    flops = sum(use.flops for use in operators(model, Batch.prefill(512)))
    block_weights = model.n_params - 2 * model.vocab * model.hidden
    assert flops == pytest.approx(2 * block_weights * 512, rel=0.05)


def test_order_follows_the_computation() -> None:
    names = [use.name for use in operators(load_model("qwen3-32b"), Batch.decode(10))]
    assert names == [
        "embedding", "attention_norm", "q_proj", "k_proj", "v_proj", "qk_norm", "rope", "kv_append", "attention_score",
        "softmax", "attention_output", "o_proj", "ffn_norm", "gate_proj", "up_proj", "activation", "down_proj",
        "final_norm", "lm_head",
    ]  # fmt: skip


def test_an_ungated_network_has_no_gate_and_learned_positions_no_rotation() -> None:
    names = {use.name for use in operators(load_model("opt-6.7b"), Batch.decode(10))}
    assert "gate_proj" not in names
    assert "rope" not in names
    assert "position_embedding" in names


def test_a_parallel_block_with_one_norm_has_one() -> None:
    names = {use.name for use in operators(load_model("phi-2"), Batch.decode(10))}
    assert "attention_norm" in names
    assert "ffn_norm" not in names


def test_experts_route_and_stay() -> None:
    found = by_name(load_model("mixtral-8x7b"), Batch.decode(10, n_sequences=3))
    up = found["up_proj"]
    assert isinstance(up, ExpertLinear)
    assert up.flops == 2 * 3 * 2 * 4096 * 14336
    assert up.weight_bytes == 8 * up.expert_bytes == 8 * 4096 * 14336 * 2
    assert up.expected_active_experts == pytest.approx(8 * (1 - 0.75**3))
    assert "router" in found
    assert "gate_proj" in found


def test_shared_experts_are_one_dense_network() -> None:
    model = load_model("mixtral-8x7b").replace(n_shared_experts=2)
    found = by_name(model, Batch.decode(10))
    assert found["shared_up_proj"] == Linear(1, 4096, 2 * 14336, 16, 16)
    total = sum(use.weight_bytes for use in operators(model, Batch.decode(10)))
    assert total == model.weight_bytes


def test_a_window_bounds_what_decode_reads() -> None:
    model = load_model("llama2-7b").replace(sliding_window=1024)
    score = by_name(model, Batch.decode(4000))["attention_score"]
    assert isinstance(score, AttentionScore)
    assert score.n_pairs == 1024
    assert score.kv_bytes == 1024 * 4096 * 2


def test_verifying_guesses_scores_every_new_token() -> None:
    batch = Batch((Sequence(5, 100), Sequence(1, 7), Sequence(40, 100), Sequence(9, 9)))
    head = {use.name: use.operator for use in operators(load_model("llama2-7b"), batch)}["lm_head"]
    assert isinstance(head, LmHead)
    assert head.tokens == 5 + 1 + 1 + 1  # of a prompt and of a chunk of one the last


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=5), st.sampled_from(list_models())
)
def test_flops_add_up_over_sequences(shapes: list[tuple[int, int]], name: str) -> None:
    model = load_model(name)
    sequences = tuple(Sequence(new, new + before) for new, before in shapes)
    together = sum(use.flops for use in operators(model, Batch(sequences)))
    apart = sum(use.flops for sequence in sequences for use in operators(model, Batch((sequence,))))
    assert together == apart


def test_a_collective_counts_its_additions() -> None:
    assert Collective("all_reduce", 1024, 8).flops == 7 * 512
    assert Collective("all_gather", 1024, 8).flops == 0


def test_batches_that_cannot_be() -> None:
    with pytest.raises(WorkloadError, match="no sequence"):
        operators(load_model("llama2-7b"), Batch(()))
    with pytest.raises(WorkloadError, match="2,050 learned positions"):
        operators(load_model("opt-6.7b"), Batch.decode(4096))
    with pytest.raises(WorkloadError):
        Sequence(2, 1)
