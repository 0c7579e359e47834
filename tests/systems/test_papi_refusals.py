"""What a user can get wrong with PAPI, through the command line: exit code, the key that is meant, and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simulator

from .test_attacc_refusals import refused

__all__ = ["refused"]
QUERY = {
    "workload.lengths": "null", "workload.prompt_tokens": 32, "workload.output_tokens": 2, "workload.batch": 4,
    "workload.overrides.n_layers": 2,
}  # fmt: skip
Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"system.scheduler.alpha": -1}, ("system.scheduler.alpha", "-1", "at least 0")),
        ({"system.scheduler.alpha": ".nan"}, ("system.scheduler.alpha", "not a finite number")),
        ({"system.scheduler.alpha": "nan"}, ("system.scheduler.alpha", "not a number")),
        ({"system.scheduler.alpha": ".inf"}, ("not a finite number",)),
        ({"system.scheduler.alfa": 3}, ("did you mean `alpha`?",)),
        ({"system.scheduler.switch": "-1 us"}, ("system.scheduler.switch", "at least 0")),
        ({"system.scheduler.switch": 3}, ("system.scheduler.switch", "no unit")),
        ({"system.design": "pappi"}, ("system.design", "did you mean `papi`?")),
        ({"system.design": "a100-atacc"}, ("did you mean `a100-attacc`?",)),
        ({"system.gpu": "A101"}, ("system.gpu", "did you mean `A100`?")),
        ({"system.fc_unit": "gpux"}, ("system.fc_unit", "did you mean `gpu`?")),
        ({"system.fc_unit": "pim", "system.design": "a100-attacc"}, ("fc_unit", "cannot run on `pim`", "it has gpu")),
        ({"system.fc_unit": "dynamic", "system.design": "attacc-only"}, ("cannot run on `dynamic`", "it has pim")),
        ({"system.n_fc_stacks": 0}, ("system.n_fc_stacks", "above 0")),
        ({"system.n_attention_stacks": 0}, ("system.n_attention_stacks", "above 0")),
        ({"system.n_gpus": 0}, ("system.n_gpus", "above 0")),
        ({"system.designs.papi.fc_stack": "fc_pimm"}, ("did you mean `fc_pim`?",)),
        ({"system.fc_link.n_ports": 0}, ("system.fc_link.n_ports", "above 0")),
        ({"system.fc_link.bandwidth": "0 GB/s"}, ("system.fc_link.bandwidth", "above 0")),
        ({"system.attention_link.latency": "-1 us"}, ("system.attention_link.latency",)),
        ({"system.stacks.fc_pim.power_budget": "enforce"}, ("power_budget", "W above its budget of 116 W", "reuse")),
        ({"system.stacks.fc_pim.units_per_place": 16}, ("units_per_place", "mm2")),
        ({"serving.speculation_length": 17}, ("serving.speculation_length", "at most 16")),
        ({"serving.speculation_length": 0}, ("serving.speculation_length", "above 0")),
        ({"workload.bytes_per_element": 3}, ("workload.bytes_per_element", "1 or 2")),
        ({"workload.batch": 10**6}, ("workload.batch", "at most 65536")),
        ({"workload.scope": "attention"}, ("workload.context", "needs a context")),
        ({"workload.lengths": "dolly_creative_writing"}, ("prompt_tokens", "workload.lengths=null")),
    ],
)  # fmt: skip
def test_what_is_no_choice(refused: Refused, sets: dict[str, object], words: tuple[str, ...]) -> None:
    said = refused(2, {**QUERY, **sets}, "papi")
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("code", "sets", "words"),
    [
        (4, {"workload.batch": 60_000, "workload.prompt_tokens": 65_536},
         ("workload.batch", "overfill the attention stacks", "system.n_attention_stacks")),
        (4, {"workload.model": "mixtral-8x7b"}, ("workload.model", "has experts")),
        (4, {"system.n_fc_stacks": 1, "workload.overrides.n_layers": 80},
         ("workload.model", "overfill", "system.n_fc_stacks")),
    ],
)  # fmt: skip
def test_what_does_not_fit(refused: Refused, code: int, sets: dict[str, object], words: tuple[str, ...]) -> None:
    said = refused(code, {**{key: value for key, value in QUERY.items() if key not in sets}, **sets}, "papi")
    for word in words:
        assert word in said


def test_lengths_that_there_are_not(refused: Refused) -> None:
    said = refused(3, {"workload.lengths": "dolly_creative_writin"}, "papi")
    assert "did you mean `dolly_creative_writing`?" in said


def test_weights_that_do_not_fit_are_only_reported(repo_root: Path) -> None:
    sets = {**QUERY, "workload.lengths": None, "workload.overrides.n_layers": 80, "system.n_fc_stacks": 1}
    run = simulator.run(repo_root / "hw_configs" / "papi.yaml", {**sets, "system.capacity": "report"})
    assert any("overfill" in note and "goes on as if they fitted" in note for note in run.notes)
    assert run.metrics["max_batch"] == 0


def test_a_step_beside_drawn_lengths(refused: Refused) -> None:
    said = refused(2, {"workload.phase": "decode", "workload.context": 64}, "papi")
    assert "set workload.lengths=null" in said


def test_attention_that_no_stack_holds(refused: Refused) -> None:
    sets: dict[str, Any] = {"workload.lengths": "null", "workload.scope": "attention", "workload.context": 1 << 20}
    said = refused(4, {**sets, "workload.heads_per_stack": 64}, "papi")
    assert "overfill a stack" in said
