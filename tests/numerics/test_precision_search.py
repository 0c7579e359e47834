"""Anda's bit operations and its search: the paper's tuples and traces, our own traces, and what a search may not do."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.numerics.bit_operations import (
    Mantissas,
    bit_operations,
    bit_operations_saving,
    checked_mantissas,
    mac_weights,
    mean_mantissa,
)
from simulator.numerics.precision_search import SearchResult, search_precision
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelSpec

TARGETS = Path(__file__).resolve().parents[2] / "simulator" / "experiments" / "targets"
OPT_WEIGHTS = (3, 1, 4, 4)
GQA_WEIGHTS = (8, 4, 22, 11)
OPT_125M = "4444- 5555- 6666- 7777+ 7767+ 7757- 7766+ 7756- 7765+ 7755-"


def rows(name: str, suite: str) -> Iterator[dict[str, str]]:
    with (TARGETS / name).open(newline="", encoding="utf-8") as file:
        yield from (row for row in csv.DictReader(file) if row["suite"] == suite)


def marked(trace: str, reference: float, tolerance: float) -> Callable[[Mantissas], float]:
    """A model whose perplexities are just within the tolerance where a trace says +, and just beyond it elsewhere."""
    marks = {tuple(map(int, visit[:-1])): visit[-1] for visit in trace.split()}

    def perplexity(mantissas: Mantissas) -> float:
        assert mantissas in marks, f"{mantissas} is not in the trace"
        return reference * (1 + tolerance) * (1 - 1e-9 if marks[mantissas] == "+" else 1 + 1e-9)

    return perplexity


def followed(trace: str, weights: tuple[int, int, int, int], tolerance: float, most: int) -> SearchResult:
    return search_precision(
        marked(trace, 20.0, tolerance), 20.0, weights, tolerance=tolerance, max_iterations=most
    )  # fmt: skip


# --- bit operations


def test_savings_are_those_of_the_golden_rows() -> None:
    n = 0
    for row in rows("datapath_golden.csv", "anda_bops"):
        found = dict(re.findall(r"([\w/()+]+)=([\d.]+)", row["aux"]))
        mantissas = checked_mantissas([int(found[f"M{module}"]) for module in ("qkv", "o", "u", "d")])
        weights = mac_weights(load_model(row["workload"].lower()))
        assert mean_mantissa(mantissas, weights) == pytest.approx(float(found["mean_M"]), abs=1e-4)
        assert bit_operations_saving(mantissas, weights) == pytest.approx(float(found["bops_saving_calc"]), abs=1e-4)
        assert bit_operations_saving(mantissas, weights) == pytest.approx(float(found["bops_saving_paper"]), abs=0.01)
        n += 1
    assert n >= 20


def test_sixteen_bits_save_nothing_and_a_product_has_sixty_four() -> None:
    assert bit_operations((16, 16, 16, 16), (1, 0, 0, 0)) == 64
    assert bit_operations_saving((16, 16, 16, 16), OPT_WEIGHTS) == 1
    assert bit_operations_saving((13, 13, 13, 13), OPT_WEIGHTS) == pytest.approx(1.23, abs=0.005)


def test_weights_count_shared_heads_gates_and_chosen_experts() -> None:
    shape = {"n_layers": 2, "hidden": 256, "n_heads": 4, "head_dim": 64, "vocab": 100, "max_context": 128}
    grouped = ModelSpec("grouped", n_kv_heads=2, ffn=704, **shape)  # type: ignore[arg-type]
    assert [one / (256 * 256) for one in mac_weights(grouped)] == [2, 1, 5.5, 2.75]
    plain = ModelSpec("plain", n_kv_heads=4, ffn=1024, gated=False, **shape)  # type: ignore[arg-type]
    assert [one / (256 * 256) for one in mac_weights(plain)] == [3, 1, 4, 4]
    experts = ModelSpec(
        "experts", n_kv_heads=4, ffn=0, n_experts=8, n_experts_per_token=2, expert_ffn=128, n_shared_experts=1, **shape
    )  # type: ignore[arg-type]
    assert [one / (256 * 256) for one in mac_weights(experts)] == [3, 1, 3, 1.5]


@pytest.mark.parametrize(
    ("mantissas", "words"),
    [((0, 8, 8, 8), "qkv has 0"), ((8, 8, 8, 17), "d has 17"), ((8, 8, 8), "3 mantissas"), ((8,) * 5, "5 mantissas")],
)
def test_mantissas_that_cannot_be(mantissas: tuple[int, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked_mantissas(mantissas)


# --- the search


def test_the_trace_of_the_paper() -> None:
    found = followed(OPT_125M, OPT_WEIGHTS, 0.01, 10)
    assert found.trace == OPT_125M
    assert (found.best, found.n_iterations) == ((7, 7, 6, 5), 10)
    assert "mantissas 7765 (qkv, o, u, d)" in found.in_words


def golden_traces() -> list[tuple[str, str, float]]:
    found = [
        (row["model"], row["value"], float(re.findall(r"tol=([\d.]+)", row["params"])[0]))
        for row in rows("numerics_golden.csv", "anda_search")
        if row["metric"] == "trace"
    ]
    assert found
    return found


@pytest.mark.parametrize(("model", "trace", "tolerance"), golden_traces())
def test_the_traces_on_our_models(model: str, trace: str, tolerance: float) -> None:
    found = followed(trace, GQA_WEIGHTS, tolerance, 32)
    assert found.trace == trace
    given = {
        row["metric"]: row["value"]
        for row in rows("numerics_golden.csv", "anda_search")
        if row["model"] == model and row["params"].startswith(f"tol={tolerance:g};")
    }
    assert "/".join(map(str, found.best or ())) == given["tuple_qkv_o_u_d"]
    assert found.n_iterations == int(given["iterations"])
    assert found.saving == pytest.approx(float(given["bops_saving"]), abs=1e-4)


def test_nothing_within_the_tolerance_is_said() -> None:
    found = search_precision(lambda bits: 30.0 + sum(bits), 20.0, OPT_WEIGHTS, tolerance=0.01)
    assert (found.best, found.saving, found.n_iterations) == (None, 1.0, 10)
    assert "none of 10 tuples" in found.in_words
    assert "the nearest, 4444, has 46" in found.in_words


def test_no_number_is_outside_of_every_tolerance() -> None:
    found = search_precision(lambda bits: float("nan"), 20.0, OPT_WEIGHTS, tolerance=1.0)
    assert found.best is None
    assert "none of" in found.in_words


def test_the_best_is_the_last_one_accepted_where_more_bits_are_worse() -> None:
    """The cheapest tuple within the tolerance has fewer bits than some that are not: nothing is taken for granted."""
    found = search_precision(lambda bits: 19.0 if max(bits) <= 6 else 25.0, 20.0, OPT_WEIGHTS, tolerance=0.001)
    assert found.trace.startswith("4444+ 4434+")
    assert found.best is not None
    assert bit_operations(found.best, OPT_WEIGHTS) < bit_operations((4, 4, 4, 4), OPT_WEIGHTS)
    assert min(found.best) >= 1


@given(seed=st.integers(0, 10**6), tolerance=st.floats(0, 0.1), most=st.integers(1, 40))
def test_what_holds_of_every_search(seed: int, tolerance: float, most: int) -> None:
    """No tuple twice, never more evaluations than allowed, and each best cheaper than the one before."""

    def perplexity(bits: Mantissas) -> float:
        return 10.0 + (hash((seed, bits)) % 1000 - 500) / 500

    found = search_precision(perplexity, 10.0, GQA_WEIGHTS, tolerance=tolerance, max_iterations=most)
    visited = [visit.mantissas for visit in found.visits]
    assert len(set(visited)) == len(visited) <= most
    accepted = [visit for visit in found.visits if visit.accepted]
    assert all(visit.perplexity <= 10 * (1 + tolerance) for visit in accepted)
    costs = [bit_operations(visit.mantissas, GQA_WEIGHTS) for visit in accepted]
    assert costs == sorted(set(costs), reverse=True)
    assert found.best == (accepted[-1].mantissas if accepted else None)


@pytest.mark.parametrize(
    ("reference", "tolerance", "most"), [(0.0, 0.1, 3), (float("nan"), 0.1, 3), (9.0, -0.1, 3), (9.0, 0.1, 0)]
)
def test_searches_that_cannot_be(reference: float, tolerance: float, most: int) -> None:
    with pytest.raises(ConfigError):
        search_precision(lambda bits: 9.0, reference, OPT_WEIGHTS, tolerance=tolerance, max_iterations=most)
