"""Statistics of activations by their definitions, text by text or all at once."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.numerics.recording.activations import GAPS, ActivationRecorder, SiteStatistics
from simulator.workload.model import ModelSpec

WIDTH = 160  # two groups of 64 and one of 32


def shape() -> ModelSpec:
    return ModelSpec(
        name="a", n_layers=2, hidden=WIDTH, n_heads=5, n_kv_heads=5, head_dim=32, ffn=WIDTH, gated=True, vocab=9,
        tied_embeddings=True, position="rope", max_context=99,
    )  # fmt: skip


def values(seed: int) -> np.ndarray:
    """Normal values with outlier channels, zeros, some too small for fp16, and some subnormal in it."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((90, WIDTH)) + 0.2
    found[:, 7] *= 40
    found[:, 64:128] *= 2.0 ** rng.integers(-22, 1, 64)
    found[:30, 128:] *= 2.0**-16
    found[rng.random(found.shape) < 0.01] = 0
    return found.astype(np.float32)


def lost_by_definition(texts: list[np.ndarray], m: int) -> float:
    """Share of the values, not zero in fp16, of which m bits under a shared exponent leave nothing."""
    n = n_lost = 0
    for text in texts:
        halves = text.astype(np.float16).astype(np.float64)
        for row in halves:
            for first in range(0, WIDTH, 64):
                group = np.abs(row[first : first + 64])
                if not group.any():
                    continue
                exponent = max(-14, int(np.floor(np.log2(group.max()))))
                kept = np.trunc(group / 2.0 ** (exponent - m + 1))
                n += int((group > 0).sum())
                n_lost += int(((group > 0) & (kept == 0)).sum())
    return n_lost / n


def recorded(texts: list[np.ndarray]) -> SiteStatistics:
    recorder = ActivationRecorder(shape())
    for text in texts:
        for layer in range(2):
            for site in ("qkv", "o", "u", "d"):
                recorder.inputs(layer, site, text * np.float32(1 + layer))  # type: ignore[arg-type]
    found = recorder.statistics()
    assert [(one.layer, one.site) for one in found[:5]] == [(0, "qkv"), (0, "o"), (0, "u"), (0, "d"), (1, "qkv")]
    assert found[4].rms == pytest.approx(2 * found[0].rms)
    return found[0]


def test_they_are_what_the_words_say() -> None:
    texts = [values(1), values(2) * np.float32(3)]
    found, every = recorded(texts), np.concatenate(texts).astype(np.float64)
    assert found.n_values == every.size
    assert found.mean == pytest.approx(every.mean())
    assert found.rms == pytest.approx(np.sqrt((every**2).mean()))
    assert found.absmax == np.abs(every).max()
    far = sum((np.abs(text - text.mean(dtype=float)) > 6 * text.std(dtype=float)).sum() for text in texts)
    assert far > 0
    assert found.beyond_6_sigma_frac == far / every.size
    channels = np.abs(every).max(axis=0)
    assert found.channel_ratio == pytest.approx(channels.max() / np.median(channels))
    assert found.zero_frac == (every.astype(np.float16) == 0).mean()
    assert list(found.gap_frac) == pytest.approx([lost_by_definition(texts, m) for m in GAPS], abs=1e-12)


def test_nothing_but_zeros_and_more_than_fp16() -> None:
    none = recorded([np.zeros((3, WIDTH), np.float32)])
    assert (none.zero_frac, none.rms, none.gap_frac) == (1.0, 0.0, (0.0,) * 16)
    assert np.isnan(none.channel_ratio)
    large = np.ones((1, WIDTH), np.float32)
    large[0, 0] = 1e6
    # 65,504 has exponent 15: all others of its group are 15 below, those of other groups 0.
    assert recorded([large]).gap_frac[14] == 63 / WIDTH
    assert recorded([large]).gap_frac[15] == 0
