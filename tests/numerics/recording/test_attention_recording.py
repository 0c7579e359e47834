"""What is recorded of attention: by definition, by a decode, and by the values measured on the shared model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.numerics.attention import attention_rule
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.observer import Observer
from simulator.numerics.recording.attention import TOP_SIZES, AttentionRecorder, repeated_frac
from simulator.numerics.recording.observers import Observers
from simulator.numerics.transformer import Transformer
from simulator.workload.tokens import TokenFile
from tests.numerics.checkpoints import random_checkpoint

T, STEPS, K = 150, 60, 7
SHAPE = {"num_hidden_layers": 3, "vocab_size": 97, "max_position_embeddings": 160}


class Everything(Observer):
    """Keeps all probabilities of the texts, float64[layer][head, query, key]."""

    def __init__(self, shape: Any) -> None:
        self.texts: list[np.ndarray] = []
        self._empty = np.zeros((shape.n_layers, shape.n_heads, T, T))

    def begin(self, tokens: np.ndarray, first: int) -> None:
        self.texts.append(self._empty.copy())

    def attention(self, layer: int, first_query: int, first_key: int, scores: Any, probabilities: Any) -> None:
        n_queries, n_keys = probabilities.shape[1:]
        rows, columns = slice(first_query, first_query + n_queries), slice(first_key, first_key + n_keys)
        self.texts[-1][layer, :, rows, columns] = probabilities


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    return Transformer(Checkpoint.open(random_checkpoint(tmp_path_factory.mktemp("random"), **SHAPE)))


def texts(n: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 97, (n, T))


def test_it_is_what_the_words_say(model: Transformer) -> None:
    shape = model.shape
    recorder, everything = AttentionRecorder(shape, 2, T, STEPS, K), Everything(shape)
    for text in texts(2):
        model.observed(Observers(recorder, everything)).hidden(text)
    assert recorder.context.tolist() == [*range(T - STEPS + 1, T + 1)] * 2
    assert recorder.window.tolist() == [0] * STEPS + [1] * STEPS
    rep = shape.n_heads // shape.n_kv_heads
    for step in (0, 1, STEPS - 1, STEPS, 2 * STEPS - 1):
        query = T - STEPS + step % STEPS
        for layer in range(shape.n_layers):
            rows = everything.texts[step // STEPS][layer, :, query, : query + 1]
            for head, row in enumerate(rows):
                assert recorder.recent_mass[layer, head, step] == pytest.approx(row[-64:].sum(), rel=1e-5)
                entropy = -sum(p * np.log(p) for p in row if p > 0)
                assert recorder.effective_tokens[layer, head, step] == pytest.approx(np.exp(entropy), rel=1e-4)
                for place, size in enumerate(TOP_SIZES):
                    top = np.sort(row)[::-1][:size].sum()
                    assert recorder.top_mass[layer, head, step, place] == pytest.approx(top, rel=1e-5)
            for kv_head in range(shape.n_kv_heads):
                summed = rows[kv_head * rep : (kv_head + 1) * rep].sum(axis=0)
                heaviest = np.argsort(-summed, kind="stable")[:K]
                assert recorder.positions[layer, kv_head, step].tolist() == heaviest.tolist()
                assert recorder.mass[layer, kv_head, step] == pytest.approx(summed[heaviest].sum() / rep, rel=1e-5)


def test_a_decode_records_what_the_forward_pass_does(model: Transformer) -> None:
    (text,) = texts(1)
    whole, decoded = (AttentionRecorder(model.shape, 1, T, 5, K) for _ in range(2))
    model.observed(whole).hidden(text)
    stepping = model.observed(decoded)
    cache = stepping.cache(T)
    stepping.hidden(text[: T - 5], cache)
    for token in text[T - 5 :]:
        stepping.hidden(np.array([token]), cache)
    assert decoded.positions.tolist() == whole.positions.tolist()
    for name, values in whole.members().items():
        np.testing.assert_allclose(decoded.members()[name], values, rtol=1e-4)


def test_what_has_no_probability_is_not_there(model: Transformer) -> None:
    (text,) = texts(1)
    short = AttentionRecorder(model.shape, 1, 10, 9, 12)
    model.observed(short).hidden(text[:10])
    counts = (short.positions >= 0).sum(axis=3)
    assert (counts == np.arange(2, 11)).all()
    assert short.mass == pytest.approx(np.ones_like(short.mass), rel=1e-5)
    windowed = AttentionRecorder(model.shape, 1, T, 20, 12)
    rule = attention_rule("window", tokens=5)
    Transformer(model.checkpoint, attention=rule, observer=windowed, weights=model.weights).hidden(text)
    back = windowed.context[:, None] - 1 - np.sort(windowed.positions, axis=3)[..., -5:]
    assert (np.sort(back, axis=3) == np.arange(5)).all()
    assert (np.sort(windowed.positions, axis=3)[..., :-5] == -1).all()


def test_positions_that_come_again() -> None:
    positions = np.array([[[[0, 1, 2], [1, 2, 3], [9, -1, -1], [9, 3, -1]]]], np.int32)
    assert repeated_frac(positions, np.array([0, 0, 1, 1], np.int32)) == pytest.approx(np.array([[3 / 5]]))
    assert np.isnan(repeated_frac(positions, np.arange(4, dtype=np.int32))).all()


# numerics.md 5.1. Its numbers are those of every fourth of the last 512 steps: no other subset gives all their digits.
SMALL_LLAMA = {
    "effective_tokens": (2788, 295, 61, 91, 47, 42, 86, 117),
    "recent_mass": (0.043, 0.313, 0.779, 0.722, 0.779, 0.502, 0.603, 0.537),
    "top_64": (0.143, 0.616, 0.879, 0.850, 0.896, 0.897, 0.842, 0.805),
    "top_256": (0.269, 0.837, 0.967, 0.948, 0.973, 0.970, 0.952, 0.933),
}


@pytest.mark.thorough
def test_small_llama_as_measured(shared_dir: Path) -> None:
    model = Transformer(Checkpoint.open(shared_dir / "models" / "small-llama"))
    recorder = AttentionRecorder(model.shape, 1, 4096, 512, 64)
    model.observed(recorder).hidden(TokenFile.read(shared_dir / "models" / "eval_tokens.npy").tokens[:4096])
    members = recorder.members()
    members.update(top_64=members["top_mass"][..., 0], top_256=members["top_mass"][..., 1])
    for name, printed in SMALL_LLAMA.items():
        found = members[name][:, :, ::4].mean(axis=(1, 2), dtype=np.float64)
        assert np.round(found, 0 if name == "effective_tokens" else 3).tolist() == pytest.approx(printed, abs=1e-9), (
            name
        )
