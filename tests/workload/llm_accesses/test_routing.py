"""Experts of a step: how many, how skewed, how sticky."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.workload.llm_accesses.config import model_of
from simulator.workload.llm_accesses.layout import layer_sizes
from simulator.workload.llm_accesses.routing import Routing
from simulator.workload.llm_accesses.stream import llm_stream
from simulator.workload.operators import ExpertLinear
from tests.workload.llm_accesses.small_runs import EXPERTS, moe, records, regions_of, step_bytes


def routing(skew: float = 0.0, stickiness: float = 0.0, n_layers: int = 4) -> Routing:
    return Routing(n_layers, 64, 6, skew, stickiness, np.random.default_rng(11))


@pytest.mark.parametrize("tokens", [1, 4, 16, 64])
def test_uniform_routing_is_the_closed_form(tokens: int) -> None:
    router = routing()
    distinct = [len(experts) for _ in range(200) for experts in router.step(np.arange(tokens))]
    expected = ExpertLinear(tokens, 1, 1, 64, 6, 16, 16).expected_active_experts
    assert expected == pytest.approx(64 * (1 - (1 - 6 / 64) ** tokens))
    assert np.mean(distinct) == pytest.approx(expected, abs=max(4 * np.std(distinct) / 28, 1e-9))


def uses(router: Routing, n_steps: int = 300, tokens: int = 4) -> np.ndarray:
    """Steps in which each expert of layer 0 is read, most used first."""
    counts = np.zeros(64)
    for _ in range(n_steps):
        counts[router.step(np.arange(tokens))[0]] += 1
    return np.sort(counts)[::-1]


def test_skew_concentrates() -> None:
    shares = [uses(routing(skew))[:8].sum() / uses(routing(skew)).sum() for skew in (0.0, 0.7, 1.5)]
    assert shares[0] < 0.16
    assert shares[0] < 0.75 * shares[1]
    assert shares[1] < 0.75 * shares[2]
    fewer = [uses(routing(skew)).sum() for skew in (0.0, 0.7, 1.5)]
    assert fewer[0] > fewer[1] > fewer[2]


def test_layers_have_orders_of_their_own() -> None:
    router = routing(1.5)
    counts = np.zeros((4, 64))
    for _ in range(200):
        for layer, experts in enumerate(router.step(np.arange(4))):
            counts[layer, experts] += 1
    assert len(set(counts.argmax(axis=1).tolist())) > 1


@pytest.mark.parametrize("stickiness", [0.0, 0.4, 1.0])
def test_sticky_tokens_repeat(stickiness: float) -> None:
    router = routing(stickiness=stickiness)
    before, same = None, []
    for _ in range(300):
        now = router.step(np.array([0]))
        if before is not None:
            same += [len(np.intersect1d(a, b)) / 6 for a, b in zip(before, now, strict=True)]
        before = now
    assert np.mean(same) == pytest.approx(stickiness + (1 - stickiness) * 6 / 64, abs=0.03)


def test_a_new_sequence_repeats_nothing() -> None:
    router = routing(stickiness=1.0)
    first = router.step(np.array([0]))[0]
    assert router.step(np.array([0]))[0].tolist() == first.tolist()
    assert router.step(np.array([1]))[0].tolist() != first.tolist()


def test_prompts_reach_nearly_all_experts() -> None:
    assert all(len(experts) == 64 for experts in routing().prompt(3000, np.random.default_rng(1)))
    assert all(len(experts) == 6 for experts in routing().prompt(1, np.random.default_rng(1)))


def test_a_stream_reads_whole_experts_and_the_shared_ones() -> None:
    run = moe(parts=("experts",), overrides={**EXPERTS, "n_shared_experts": 1}, n_steps=20)
    sizes = layer_sizes(model_of(run))
    stream = llm_stream(run)
    line, is_write = records(stream)
    assert not is_write.any()
    assert stream.request_starts is not None
    # An expert has 3 x 256 x 128 x 2 B = 48 pages.
    assert sizes.expert == 48 * 4096
    for first, end in zip(stream.request_starts, [*stream.request_starts[1:], stream.n_records], strict=True):
        names = regions_of(stream, line[first:end])
        read = {name: names.count(name) for name in set(names)}
        assert set(read.values()) == {48}
        for layer in range(3):
            of_layer = [name for name in read if f"layer{layer}." in name]
            assert f"experts.layer{layer}.shared" in of_layer
            assert 3 <= len(of_layer) <= 3 * 2 + 1


def test_attention_does_not_change_the_routing() -> None:
    alone = step_bytes(llm_stream(moe(parts=("experts",), prefill=True)))
    together = step_bytes(llm_stream(moe(lines_per_record=1)), region="experts")
    assert alone == together
