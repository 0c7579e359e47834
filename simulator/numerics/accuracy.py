"""What formats and approximate attention do to a model's predictions: loss, and distance to the fp16 model.

A window of T tokens scores its last T - 1: the first is context only. Loss in nats per token, the mean over all
windows, which are of one length; log-sum-exp in float64. KL and agreement compare with the model as stored, dense, on
the same positions of the first windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.core.errors import WorkloadError
from simulator.numerics.attention import AttentionRule
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.format_names import FP16, SITES, ModelFormats
from simulator.numerics.generation import GreedyText, continued
from simulator.numerics.model_weights import WeightReport
from simulator.numerics.transformer import Transformer
from simulator.numerics.workers import workers

HEAD_ROWS = 256
"""Positions whose word scores are worked on at once: 8 MiB for a vocabulary of 8,192."""

_STORED_BITS = 16.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Distance to the fp16 model on its first `n_windows` windows.

    `loss` and `reference_loss` of both there; `kl_nats` the mean of KL(fp16 || this); `agreement_frac` the share of
    positions whose most likely next token is the same.
    """

    n_windows: int
    n_scored: int
    loss: float
    reference_loss: float
    kl_nats: float
    agreement_frac: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Predictions of a model in formats, on windows of `window_tokens` tokens."""

    model: str
    format: str
    attention: str
    window_tokens: int
    window_losses: tuple[float, ...]
    weights: WeightReport
    bits_per_activation: Mapping[str, float]
    bits_per_key: float
    bits_per_value: float
    comparison: Comparison | None = None
    greedy: GreedyText | None = None

    @property
    def n_windows(self) -> int:
        """Windows evaluated."""
        return len(self.window_losses)

    @property
    def n_scored(self) -> int:
        """Tokens predicted."""
        return self.n_windows * (self.window_tokens - 1)

    @property
    def loss(self) -> float:
        """Nats per token, all windows together."""
        return math.fsum(self.window_losses) / self.n_windows

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return perplexity(self.loss)


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is looked at beside the loss: windows compared with the fp16 model (0: none), and greedy text of so many
    tokens (0: none) after the first `prompt_tokens` of window 0."""

    reference_windows: int = 1
    prompt_tokens: int = 64
    greedy_tokens: int = 32


def perplexity(loss: float) -> float:
    """exp of a loss in nats, infinite where it is beyond what a float holds."""
    return math.exp(loss) if loss < 709 else math.inf


def evaluate(
    checkpoint: Checkpoint,
    formats: ModelFormats | None = None,
    windows: ArrayLike = (),
    *,
    attention: AttentionRule | None = None,
    scope: Scope | None = None,
    on_window: Callable[[int, float], None] | None = None,
) -> Accuracy:
    """Predictions on windows int[n_windows, T] of a checkpoint in formats.

    `on_window(n_done, loss)` is told after each window. Raises WorkloadError on windows that the model cannot take, on
    weights that are not finite, and where a format overflows so that a loss is none.
    """
    scope = scope or Scope()
    texts = _checked_windows(windows)
    model = Transformer(checkpoint, formats, attention)
    for text in texts:
        model.check(text)
    n_compared = min(scope.reference_windows, len(texts))
    reference = _reference(model) if n_compared or scope.greedy_tokens else None
    with workers() as pool:
        done = _scored(pool, model, reference, texts, n_compared, on_window)
        greedy = _greedy(pool, model, reference, texts[0], scope)
    return Accuracy(
        model=checkpoint.shape.name,
        format=model.formats.name,
        attention=model.attention.name,
        window_tokens=texts.shape[1],
        window_losses=tuple(one.loss for one in done),
        weights=model.weights.report,
        comparison=_comparison(done[:n_compared], texts.shape[1] - 1),
        greedy=greedy,
        **_bits(checkpoint, model.formats),
    )


def window_loss(model: Transformer, text: ArrayLike) -> float:
    """Mean loss in nats of a text int[T], of its last T - 1 tokens. Raises WorkloadError where it is not finite."""
    ids = np.asarray(text)
    hidden = model.hidden(ids)
    total = 0.0
    for rows in _row_blocks(len(ids) - 1):
        scores = model.head(hidden[rows])
        total += float(_losses(scores, ids[1:][rows], _log_sums(scores)).sum())
    return _finite(total / (len(ids) - 1), model)


@dataclass(frozen=True, slots=True)
class _Compared:
    """Of one window: both losses, mean KL, share of equal predictions."""

    loss: float
    reference_loss: float
    kl_nats: float
    agreement_frac: float


def _reference(model: Transformer) -> Transformer:
    """The fp16 model, with exact attention; the model itself where that is what it is."""
    if model.is_exact and replace(model.formats, name=FP16) == ModelFormats():
        return model
    return Transformer(model.checkpoint, weights=model.weights if model.formats.weights is None else None)


def _scored(
    pool: Executor,
    model: Transformer,
    reference: Transformer | None,
    texts: NDArray[np.int64],
    n_compared: int,
    on_window: Callable[[int, float], None] | None,
) -> list[_Compared]:
    """Every window's loss; of the first `n_compared` the distance to the reference too."""
    # All passes are queued at once, those of both models on a window beside each other.
    passes = [
        (pool.submit(model.hidden, text), pool.submit(reference.hidden, text))
        for text in texts[:n_compared]
        if reference is not None and reference is not model
    ]
    losses = [pool.submit(window_loss, model, text) for text in texts[len(passes) :]]
    done: list[_Compared] = []
    while passes or losses:
        if passes and reference is not None:
            ours, theirs = passes.pop(0)
            done.append(_compared(model, reference, texts[len(done)], ours.result(), theirs.result()))
        else:
            loss = losses.pop(0).result()
            done.append(_Compared(loss, loss, 0.0, 1.0))
        if on_window is not None:
            on_window(len(done), done[-1].loss)
    return done


def _compared(
    model: Transformer,
    reference: Transformer,
    text: NDArray[np.int64],
    hidden: NDArray[np.float32],
    reference_hidden: NDArray[np.float32],
) -> _Compared:
    """Both models on one window, from their last hidden states [T, hidden]."""
    sums = np.zeros(4)
    for rows in _row_blocks(len(text) - 1):
        targets = text[1:][rows]
        ours, theirs = model.head(hidden[rows]), reference.head(reference_hidden[rows])
        our_logs, their_logs = _log_sums(ours), _log_sums(theirs)
        sums[0] += _losses(ours, targets, our_logs).sum()
        sums[1] += _losses(theirs, targets, their_logs).sum()
        sums[2] += _divergence(theirs, ours, their_logs, our_logs).sum()
        sums[3] += (np.argmax(ours, axis=1) == np.argmax(theirs, axis=1)).sum()
    loss, reference_loss, kl_nats, agreement = sums / (len(text) - 1)
    return _Compared(_finite(float(loss), model), float(reference_loss), max(0.0, float(kl_nats)), float(agreement))


def _divergence(
    of: NDArray[np.float32], to: NDArray[np.float32], of_logs: NDArray[np.float64], to_logs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """KL(softmax(of) || softmax(to)) of each row of word scores, whose log-sums are given."""
    shares = np.exp(of - of_logs[:, None].astype(np.float32))
    # Shares that add up to one exactly keep two large terms from leaving a rest.
    mean_gap = np.einsum("ij,ij->i", shares, of - to, dtype=np.float64) / shares.sum(axis=1, dtype=np.float64)
    return np.asarray(mean_gap - (of_logs - to_logs))


def _row_blocks(n_rows: int) -> list[slice]:
    return [slice(first, min(first + HEAD_ROWS, n_rows)) for first in range(0, n_rows, HEAD_ROWS)]


def _log_sums(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithm of the sum of exponentials of each row, float64."""
    most = scores.max(axis=1, keepdims=True)
    shares = scores - most
    np.exp(shares, out=shares)
    return np.asarray(np.log(shares.sum(axis=1, dtype=np.float64)) + most[:, 0])


def _losses(
    scores: NDArray[np.float32], targets: NDArray[np.integer], log_sums: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(log_sums - scores[np.arange(len(targets)), targets])


def _finite(loss: float, model: Transformer) -> float:
    if not math.isfinite(loss):
        raise WorkloadError(
            f"the loss of {model.shape.name} in {model.formats.name!r} is {loss}: values went beyond a format's range",
            remedy="use a format of a wider range for the activations or the KV cache",
        )
    return loss


def _comparison(compared: list[_Compared], n_scored: int) -> Comparison | None:
    if not compared:
        return None
    n = len(compared)
    return Comparison(
        n_windows=n,
        n_scored=n * n_scored,
        loss=math.fsum(one.loss for one in compared) / n,
        reference_loss=math.fsum(one.reference_loss for one in compared) / n,
        kl_nats=math.fsum(one.kl_nats for one in compared) / n,
        agreement_frac=math.fsum(one.agreement_frac for one in compared) / n,
    )


def _greedy(
    pool: Executor, model: Transformer, reference: Transformer | None, text: NDArray[np.int64], scope: Scope
) -> GreedyText | None:
    """Both models' continuations of the text's beginning, as long as the context allows."""
    n_prompt = min(scope.prompt_tokens, len(text), model.shape.max_context - scope.greedy_tokens)
    if scope.greedy_tokens == 0 or reference is None or n_prompt < 1:
        return None
    models = [model] if reference is model else [model, reference]
    found = list(pool.map(lambda one: continued(one, text[:n_prompt], scope.greedy_tokens), models))
    return GreedyText(n_prompt, found[0], found[-1])


def _bits(checkpoint: Checkpoint, formats: ModelFormats) -> dict[str, Any]:
    """Bits of values of the matrices' inputs by site, of keys and of values, metadata included."""
    shape = checkpoint.shape
    widths = dict(zip(SITES, (shape.hidden, shape.q_dim, shape.hidden, shape.ffn), strict=True))
    activations = {
        site: _STORED_BITS if (own := formats.activations.get(site)) is None else own.bits_per_value(widths[site])
        for site in SITES
    }
    kv = [_STORED_BITS if one is None else one.bits_per_value(shape.head_dim) for one in (formats.keys, formats.values)]
    return {"bits_per_activation": activations, "bits_per_key": kv[0], "bits_per_value": kv[1]}


def _checked_windows(windows: ArrayLike) -> NDArray[np.int64]:
    texts = np.asarray(windows)
    if texts.ndim != 2 or texts.shape[0] < 1 or texts.shape[1] < 2 or texts.dtype.kind not in "iu":
        raise WorkloadError(
            f"windows are {texts.dtype}{list(texts.shape)}", remedy="give at least one window of at least two token ids"
        )
    return texts.astype(np.int64)
