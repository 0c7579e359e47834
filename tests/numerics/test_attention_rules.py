"""Rules of attention against their definitions, query by query."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.core.errors import ConfigError
from simulator.core.registry import list_kinds
from simulator.numerics import attention
from simulator.numerics.attention import LayerCall, attention_rule

RNG = np.random.default_rng(5)
QUERIES = RNG.normal(size=(4, 30, 8)).astype(np.float32)
KEYS, VALUES = RNG.normal(size=(2, 2, 37, 8)).astype(np.float32)
FIRST = 7


def _seen(kind: str, scores: np.ndarray, **fields: int) -> np.ndarray:
    """Which of the tokens so far a query of these scores attends to."""
    if kind == "top_k":
        return scores >= np.sort(scores)[-min(fields["k"], len(scores))]
    if kind == "window":
        return np.arange(len(scores)) >= len(scores) - fields["tokens"]
    return np.ones(len(scores), bool)


CASES: list[dict[str, Any]] = [
    {"kind": "dense"},
    {"kind": "top_k", "k": 1},
    {"kind": "top_k", "k": 9},
    {"kind": "top_k", "k": 100},
    {"kind": "window", "tokens": 1},
    {"kind": "window", "tokens": 12},
    {"kind": "window", "tokens": 100},
]


@pytest.mark.parametrize("rows", [1, 8, 256])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_its_definition(case: dict[str, Any], rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MAX_BLOCK_QUERIES", rows)
    found = attention_rule(**case).attend(LayerCall(0, FIRST), QUERIES, KEYS, VALUES)
    for head in range(4):
        for row in range(30):
            n_seen = FIRST + row + 1
            scores = KEYS[head // 2, :n_seen].astype(float) @ QUERIES[head, row] / np.sqrt(8)
            shares = np.where(_seen(scores=scores, **case), np.exp(scores - scores.max()), 0)
            expected = shares / shares.sum() @ VALUES[head // 2, :n_seen]
            assert np.allclose(found[head, row], expected, atol=1e-5)


def test_large_scores_do_not_overflow() -> None:
    found = attention_rule("dense").attend(LayerCall(0, 0), 1e4 * QUERIES, 1e4 * KEYS[:, :30], VALUES[:, :30])
    assert np.isfinite(found).all()


def test_all_rules_are_tested() -> None:
    assert {case["kind"] for case in CASES} == set(list_kinds(attention.RULES))


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("topk", {}, "unknown kind `topk`"),
        ("top_k", {"k": 0}, "k"),
        ("top_k", {}, "k"),
        ("window", {"token": 3}, "token"),
        ("dense", {"k": 3}, "k"),
    ],
)
def test_wrong_names_and_parameters(kind: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        attention_rule(kind, **fields)
