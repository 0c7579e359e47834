"""What a user can get wrong with AttAcc, through the command line: exit code, the key that is meant, and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import simulator

QUERY = {"workload.prompt_tokens": 64, "workload.output_tokens": 3}
ATTENTION = {"workload.scope": "attention", "workload.context": 2048}


@pytest.fixture
def refused(refusal_of: Callable[..., str]) -> Callable[..., str]:
    """Run what must be refused with an exit code, and give what was said."""

    def call(code: int, sets: dict[str, object], config: str | Path = "attacc") -> str:
        return refusal_of(config, code, sets)

    return call


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"system.n_gpus": 7}, ("system.n_gpus", "96 heads are not divisible by 7 GPUs", "leave 5 of them", "6 or 8")),
        ({"system.n_gpus": 7, "system.variant": "dgx"}, ("not divisible by 7 GPUs",)),
        ({"system.n_gpus": 16, "workload.model": "opt-66b"}, ("72 heads are not divisible by 16", "12 or 18")),
        ({"system.n_gpus": 97}, ("system.n_gpus", "96 heads on 97 GPUs leave none for one of them", "corrected")),
        ({"workload.model": "mixtral-8x7b"}, ("workload.model", "has experts", "dense")),
        ({"workload.batch": 1000, "workload.prompt_tokens": 2048, "system.capacity": "enforce"},
         ("workload.batch", "1,000 sequences", "overfill the memory", "fit", "system.capacity=report")),
        ({"workload.batch": 4000, "workload.prompt_tokens": 2048, "system.accounting": "corrected"},
         ("workload.batch", "overfill the memory")),
        ({"system.n_gpus": 2, "system.accounting": "corrected"}, ("workload.model", "weights of gpt3-175b overfill")),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_machine(
    refused: Callable[..., str], sets: dict[str, object], words: tuple[str, ...]
) -> None:
    said = refused(4, {**QUERY, **sets})
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"system.variant": "dgx-atacc"}, ("system.variant", "did you mean `dgx-attacc`?")),
        ({"system.varient": "dgx"}, ("did you mean `variant`?",)),
        ({"system.gpu": "A100b"}, ("system.gpu", "no GPU `A100b`", "did you mean")),
        ({"system.gpu": "a100A"}, ("did you mean `A100a`?",)),
        ({"system.placement": "bnk"}, ("system.placement", "did you mean `bank`?")),
        ({"system.placement": "bank-group"}, ("system.placement",)),
        ({"system.accounting": "correct"}, ("did you mean `corrected`?",)),
        ({"system.capacity": "enforced"}, ("did you mean `enforce`?",)),
        ({"system.detail": "ful"}, ("did you mean `full`?",)),
        ({"system.n_gpus": 0}, ("system.n_gpus", "above 0")),
        ({"system.n_gpus": -8}, ("system.n_gpus", "above 0")),
        ({"system.n_gpus": 7.5}, ("system.n_gpus", "whole number")),
        ({"system.stacks_per_gpu": 0}, ("system.stacks_per_gpu", "above 0")),
        ({"system.head_pipeline": "maybe"}, ("system.head_pipeline",)),
        ({"system.power_limit": 3}, ("system.power_limit",)),
        ({"workload.batch": 10**6}, ("workload.batch", "at most 65536")),
        ({"workload.batch": 0}, ("workload.batch", "above 0")),
        ({"workload.output_tokens": 0}, ("workload.output_tokens", "above 0")),
        ({"workload.prompt_tokens": -1}, ("workload.prompt_tokens",)),
        ({"workload.bytes_per_element": 3}, ("workload.bytes_per_element", "1 or 2")),
        ({"workload.bytes_per_element": 0}, ("workload.bytes_per_element", "1 or 2")),
        ({"system.stack.power_budget": "enfore"}, ("power_budget", "did you mean `enforce`?")),
        ({"system.stack.units_per_place": 2}, ("units_per_place", "mm2 more than the die's 121", "96")),
        ({"system.stack.units_per_place": 1.5}, ("1.5 units for a bank cannot be built",)),
        ({"system.stack.unit_clock": "0 Hz"}, ("unit_clock",)),
        ({"system.stack.n_channels": 0}, ("n_channels", "above 0")),
        ({"system.stack.dram.org": "HBM3_8Gb_8h"}, ("dram", "did you mean")),
    ],
)  # fmt: skip
def test_what_is_no_choice(refused: Callable[..., str], sets: dict[str, object], words: tuple[str, ...]) -> None:
    said = refused(2, {**QUERY, **sets})
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("code", "sets", "words"),
    [
        (2, {"workload.context": "null"}, ("workload.context", "needs a context")),
        (2, {"workload.context": 0}, ("workload.context", "above 0")),
        (2, {"workload.context": 2 << 20}, ("workload.context", "at most 1048576")),
        (2, {"workload.head_dim": 0}, ("workload.head_dim", "above 0")),
        (2, {"workload.head_dim": 100_000}, ("workload.head_dim", "at most 4096")),
        (2, {"workload.heads_per_stack": 0}, ("workload.heads_per_stack", "above 0")),
        (2, {"workload.heads_per_stack": 100_000}, ("workload.heads_per_stack", "at most 65536")),
        (2, {"workload.bytes_per_element": 3}, ("workload.bytes_per_element", "1 or 2")),
        (3, {"workload.scope": "attentio"}, ("workload.scope", "no scope `attentio`", "attention")),
        (3, {"workload.scope": "block"}, ("no scope `block`",)),
        (4, {"workload.context": 1 << 20, "workload.heads_per_stack": 64, "system.capacity": "enforce"},
         ("workload.context", "64 heads of 1,048,576 positions overfill a stack by 17,179,869,184 bytes")),
    ],
)  # fmt: skip
def test_attention_that_cannot_be(
    refused: Callable[..., str], code: int, sets: dict[str, object], words: tuple[str, ...]
) -> None:
    said = refused(code, {**ATTENTION, **sets})
    for word in words:
        assert word in said


def test_power_above_an_enforced_budget(refused: Callable[..., str], repo_root: Path) -> None:
    budget = {"system.stack.energy.power.budget": "20 W"}
    said = refused(2, {**ATTENTION, **budget, "system.stack.power_budget": "enforce"})
    assert "power_budget" in said
    assert "W above its budget of 20 W" in said
    said = refused(2, {**QUERY, **budget, "system.stack.power_budget": "enforce"})
    assert "do not enforce the budget" in said
    reported = simulator.run(
        repo_root / "hw_configs" / "attacc.yaml", {**ATTENTION, **budget, "workload.heads_per_stack": 64}
    )
    assert reported.metrics["power_budget_w"] == 20
    assert reported.metrics["power_w"] > 20


def test_attention_above_an_enforced_budget_away_from_banks(refused: Callable[..., str]) -> None:
    sets = {"system.placement": "bg", "system.stack.energy.power.budget": "5 W", "system.stack.power_budget": "enforce"}
    said = refused(2, {**ATTENTION, "workload.heads_per_stack": 64, **sets})
    assert "of a stack" in said
    assert "more than its budget" in said


def test_shipped_stacks_are_within_their_budget_even_unlimited(repo_root: Path) -> None:
    sets = {**ATTENTION, "workload.heads_per_stack": 64, "system.stack.power_budget": "enforce"}
    for limit in (True, False):
        run = simulator.run(repo_root / "hw_configs" / "attacc.yaml", {**sets, "system.power_limit": limit})
        assert run.metrics["power_w"] < run.metrics["power_budget_w"] == 116


def test_heads_that_do_not_divide_are_rounded_up_as_corrected(repo_root: Path) -> None:
    """Without a comparison to the accounting that has no place for them."""
    sets = {**QUERY, "system.accounting": "corrected"}
    config = repo_root / "hw_configs" / "attacc.yaml"
    seven, eight = (simulator.run(config, {**sets, "system.n_gpus": n}) for n in (7, 8))
    assert seven.metrics["prefill_ms"] > eight.metrics["prefill_ms"]
    assert simulator.run(config, {**sets, "system.n_gpus": 97}).metrics["prefill_ms"] > 0


def test_attention_alone_asks_no_gpu(repo_root: Path) -> None:
    config = repo_root / "hw_configs" / "attacc.yaml"
    seven, eight = (
        simulator.run(config, {**ATTENTION, "system.n_gpus": n, "workload.heads_per_stack": 16}) for n in (7, 8)
    )
    assert seven.metrics == eight.metrics


@pytest.mark.parametrize("sets", [
    {**QUERY, "workload.batch": 2000, "workload.prompt_tokens": 2048},
    {**QUERY, "system.n_gpus": 2},
    {**ATTENTION, "workload.context": 1 << 20, "workload.heads_per_stack": 64},
])  # fmt: skip
def test_what_is_only_reported_is_said(repo_root: Path, sets: dict[str, object]) -> None:
    run = simulator.run(repo_root / "hw_configs" / "attacc.yaml", sets)
    assert any("overfill" in note and "goes on as if they fitted" in note for note in run.notes)


def test_a_file_is_blamed_at_its_line(refused: Callable[..., str], repo_root: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    base = repo_root / "hw_configs" / "attacc.yaml"
    config.write_text(f"extends: {base}\nsystem:\n  n_gpus: none\n", encoding="utf-8")
    assert "mine.yaml:3:11: " in refused(2, QUERY, config)
