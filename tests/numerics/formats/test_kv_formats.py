"""Formats of the KV cache: each token of each head has its own scale and zero point, stored in a word."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.core.errors import ConfigError
from simulator.numerics.format_names import format_names, model_formats
from simulator.numerics.number_format import NumberFormat

HEAD_DIM = 64


def of(name: str) -> tuple[NumberFormat, NumberFormat]:
    formats = model_formats(name)
    assert formats.keys is not None
    assert formats.values is not None
    return formats.keys, formats.values


@pytest.mark.parametrize(("name", "share"), [("kv8", 0.53), ("k8v4", 0.41), ("kv4", 0.28)])
def test_share_of_fp16(name: str, share: float) -> None:
    bits = [one.bits_per_value(HEAD_DIM) for one in of(name)]
    assert round(sum(bits) / 32, 2) == share


def test_four_bytes_beside_the_codes_of_a_head() -> None:
    assert [one.bits_per_value(HEAD_DIM) * HEAD_DIM for one in of("k8v4")] == [64 * 8 + 32, 64 * 4 + 32]
    assert of("kv4_sym")[0].bits_per_value(HEAD_DIM) * HEAD_DIM == 64 * 4 + 16


@pytest.mark.parametrize("bits", [8, 4, 3])
def test_definitions(bits: int) -> None:
    heads = np.random.default_rng(1).standard_normal((30, HEAD_DIM)).astype(np.float32)
    exact = heads.astype(np.float64)
    least, most = exact.min(axis=1, keepdims=True), exact.max(axis=1, keepdims=True)
    scale = (most - least) / (2**bits - 1)
    zero = np.clip(np.rint(-least / scale), 0, 2**bits - 1)
    expected = (np.clip(np.rint(exact / scale) + zero, 0, 2**bits - 1) - zero) * scale
    assert (of(f"kv{bits}")[0].rounded(heads) == expected.astype(np.float32)).all()
    scale = np.abs(exact).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    expected = np.clip(np.rint(exact / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * scale
    assert (of(f"kv{bits}_sym")[1].rounded(heads) == expected.astype(np.float32)).all()


def test_only_what_is_named_changes() -> None:
    formats = model_formats("k8v16")
    assert (formats.weights, dict(formats.activations), formats.values) == (None, {}, None)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("kv1", "'kv1': `bits` = 1"),
        ("anda_m5-5-5-17", "'anda_m5-5-5-17': `mantissa` = 17"),
        ("act_kv8", "there is no number format 'kv8' for 'act_kv8'"),
    ],
)
def test_refusals_name_what_was_written(name: str, cause: str) -> None:
    with pytest.raises(ConfigError) as refused:
        model_formats(name)
    assert cause in str(refused.value)
    assert "`kv8`" not in str(refused.value.remedy)


def test_every_listed_name_is_one() -> None:
    for name in format_names():
        assert model_formats(name).name == name
