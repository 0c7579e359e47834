"""The forward pass against a plain one in float64, its hooks, and decoding with a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.numerics.accuracy import window_loss
from simulator.numerics.attention import attention_rule
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.format_names import SITES, ModelFormats, format_named, model_formats
from simulator.numerics.generation import continued
from simulator.numerics.observer import Observer
from simulator.numerics.transformer import Transformer
from tests.numerics.checkpoints import SMALL, random_checkpoint, random_tensors, write_checkpoint
from tests.twins import transformer as twin

TEXT = np.random.default_rng(1).integers(0, SMALL["vocab_size"], 40)
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "grouped": {},
    "every head its own keys": {"num_key_value_heads": 4},
    "one key head": {"num_key_value_heads": 1},
    "own head": {"tie_word_embeddings": False},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "qwen2": {"model_type": "qwen2", "rope_theta": 1e6},
    "qwen3": {"model_type": "qwen3"},
    "llama3 positions": {"rope_scaling": LLAMA3, "rope_theta": 500.0},
    "linear positions": {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    "sliding window": {"model_type": "mistral", "sliding_window": 7},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint.open(random_checkpoint(tmp_path_factory.mktemp("small")))


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_equals_the_plain_forward_pass(tmp_path: Path, overrides: dict[str, Any]) -> None:
    config = {**SMALL, **overrides}
    tensors = random_tensors(config, seed=3)
    model = Transformer(Checkpoint.open(write_checkpoint(tmp_path, config, tensors)))
    expected = twin.logits(tensors, config, TEXT.tolist())
    assert np.abs(model.logits(TEXT) - expected).max() < 2e-5 * np.abs(expected).max()
    log_shares = expected - np.log(np.exp(expected).sum(axis=1, keepdims=True))
    assert window_loss(model, TEXT) == pytest.approx(-log_shares[np.arange(39), TEXT[1:]].mean(), abs=1e-6)


def test_scores_from_a_position_on(small: Checkpoint) -> None:
    model = Transformer(small)
    assert np.array_equal(model.logits(TEXT, first=30), model.logits(TEXT)[30:])


@pytest.mark.parametrize("formats", ["fp16", "int4_asym_g8+kv4"])
@pytest.mark.parametrize("rule", [None, {"kind": "top_k", "k": 5}, {"kind": "window", "tokens": 6}])
def test_decoding_equals_the_whole_text(small: Checkpoint, formats: str, rule: dict[str, Any] | None) -> None:
    attention = None if rule is None else attention_rule(**rule)
    model = Transformer(small, model_formats(formats), attention)
    whole = model.logits(TEXT)
    cache = model.cache(len(TEXT))
    steps = [model.head(model.hidden(TEXT[:20], cache)), *(model.head(model.hidden([t], cache)) for t in TEXT[20:])]
    assert np.allclose(np.concatenate(steps), whole, atol=2e-4 * np.abs(whole).max())
    assert cache.length == len(TEXT)


def test_blocks_do_not_change_attention(small: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [Transformer(small, attention=rule) for rule in (None, attention_rule("window", tokens=6))]
    whole = [model.logits(TEXT) for model in models]
    monkeypatch.setattr("simulator.numerics.attention.BLOCK_SCORES", 7 * 2 * len(TEXT))
    for model, expected in zip(models, whole, strict=True):
        assert np.allclose(model.logits(TEXT), expected, atol=1e-5)


def test_weights_are_rounded_once_and_shared(small: Checkpoint) -> None:
    model = Transformer(small, ModelFormats("w", weights=format_named("int4_sym_g8")))
    weight = small.tensor("model.layers.1.mlp.down_proj.weight")
    assert np.array_equal(model.weights.layers[1].down.weight, format_named("int4_sym_g8").rounded(weight))
    assert np.array_equal(model.weights.embedding, small.tensor("model.embed_tokens.weight"))
    assert 0.001 < model.weights.report.rel_sq_error < 0.05
    assert model.weights.report.bits_per_weight == 4 + 16 / 8
    other = model.with_activations({"d": format_named("int8_sym_channel")})
    assert other.weights is model.weights
    assert not np.array_equal(other.logits(TEXT), model.logits(TEXT))


def test_the_report_weighs_matrices_by_their_size(small: Checkpoint) -> None:
    report = Transformer(small, model_formats("int4_sym_channel")).weights.report
    n_bits = sum(4 * m.size + 16 * len(m) for m in map(small.tensor, small.matrices))
    assert report.bits_per_weight == pytest.approx(n_bits / report.n_weights)


class Recorder(Observer):
    """Keeps copies of all it sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.blocks: list[tuple[int, int, int, np.ndarray, np.ndarray]] = []
        self.kv: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.inputs_of: dict[tuple[int, str], np.ndarray] = {}

    def begin(self, tokens: np.ndarray, first: int) -> None:
        self.seen.append(("begin", len(tokens), first))

    def inputs(self, layer: int, site: str, values: np.ndarray) -> None:
        self.seen.append((layer, site))
        self.inputs_of[layer, site] = values.copy()

    def keys_values(self, layer: int, first: int, keys: np.ndarray, values: np.ndarray) -> None:
        self.seen.append((layer, "kv"))
        self.kv[layer] = keys.copy(), values.copy()

    def attention(self, layer: int, first_query: int, first_key: int, scores: Any, probabilities: Any) -> None:
        self.seen.append((layer, "attention"))
        self.blocks.append((layer, first_query, first_key, scores.copy(), probabilities.copy()))


def test_an_observer_sees_all_and_changes_nothing(small: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.numerics.attention.MAX_BLOCK_QUERIES", 16)
    model = Transformer(small)
    recorder = Recorder()
    assert np.array_equal(model.observed(recorder).logits(TEXT), model.logits(TEXT))
    attention = [(0, "attention")] * 3
    assert recorder.seen[:8] == [("begin", 40, 0), (0, "qkv"), (0, "kv"), *attention, (0, "o"), (0, "u")]
    assert {site for _, site in recorder.inputs_of} == set(SITES)
    assert recorder.inputs_of[0, "d"].shape == (40, 40)
    outputs = np.zeros((4, 40, 8))
    for layer, first_query, first_key, scores, shares in recorder.blocks:
        assert first_key == 0
        n_queries, n_keys = scores.shape[1:]
        assert n_keys == first_query + n_queries
        later = np.arange(n_keys) > first_query + np.arange(n_queries)[:, None]
        assert np.all(np.isneginf(scores) == later)
        assert np.all(shares[:, later] == 0)
        assert np.allclose(shares.sum(axis=2), 1, atol=1e-5)
        if layer == 0:
            values = recorder.kv[0][1][:, :n_keys].repeat(2, axis=0)
            outputs[:, first_query : first_query + n_queries] = shares @ values
    assert np.allclose(outputs.transpose(1, 0, 2).reshape(40, 32), recorder.inputs_of[0, "o"], atol=1e-5)


def test_keys_and_values_enter_in_their_format(small: Checkpoint) -> None:
    plain, coarse = Recorder(), Recorder()
    Transformer(small, observer=plain).logits(TEXT)
    Transformer(small, model_formats("k8v4"), observer=coarse).logits(TEXT)
    for name, expected, found in zip(
        ("int8_asym_channel", "int4_asym_channel"), plain.kv[0], coarse.kv[0], strict=True
    ):
        assert np.array_equal(found, format_named(name).rounded(expected.reshape(-1, 8)).reshape(expected.shape))


def test_the_likeliest_text_is_that_of_whole_passes(small: Checkpoint) -> None:
    model = Transformer(small)
    text = TEXT[:10].tolist()
    for token in continued(model, TEXT[:10], 6):
        assert token == int(np.argmax(model.logits(text)[-1]))
        text.append(token)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([0, 50], "token 50 at place 1 is not of the 50"),
        ([-1], "token -1 at place 0"),
        ([0.5], "float64"),
        ([], "tokens are"),
        ([[1]], "tokens are"),
        (np.zeros(65, np.int64), "65 tokens are more than the context"),
    ],
)
def test_texts_that_the_model_cannot_take(small: Checkpoint, tokens: Any, message: str) -> None:
    with pytest.raises(WorkloadError, match=message) as raised:
        Transformer(small).logits(tokens)
    assert raised.value.remedy


def test_a_cache_that_is_full(small: Checkpoint) -> None:
    model = Transformer(small)
    cache = model.cache(4)
    model.hidden(TEXT[:4], cache)
    with pytest.raises(WorkloadError, match="the cache holds 4 tokens, not 5"):
        model.hidden(TEXT[:1], cache)
    with pytest.raises(WorkloadError, match="more than the context"):
        continued(model, TEXT, 30)


def test_another_rule_within_a_sliding_window_only(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(random_checkpoint(tmp_path, model_type="mistral", sliding_window=8))
    model = Transformer(checkpoint, attention=attention_rule("top_k", k=50))
    assert np.allclose(model.logits(TEXT[:8]), Transformer(checkpoint).logits(TEXT[:8]), atol=1e-5)
    with pytest.raises(WorkloadError, match="attends to 8 tokens at most, and the rule 'top_k'"):
        model.logits(TEXT)
