"""Accuracy runs: their metrics, Anda's search, comparison, sweeps, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import simulator
from simulator.core.errors import ConfigError, SimulatorError, WorkloadError
from simulator.experiments.run import plan_run
from simulator.numerics.accuracy import evaluate
from simulator.numerics.checkpoint import Checkpoint
from simulator.numerics.format_names import model_formats
from tests.numerics.checkpoints import SMALL, random_tensors, write_checkpoint

BITMOD, ANDA = "hw_configs/bitmod.yaml", "hw_configs/anda.yaml"
CONFIG = {**SMALL, "head_dim": 8, "hidden_size": 64, "intermediate_size": 128}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A random model of two layers, and tokens for it: 6 windows of 64."""
    folder = tmp_path_factory.mktemp("model")
    write_checkpoint(folder / "random", CONFIG, random_tensors(CONFIG))
    np.save(folder / "tokens.npy", np.random.default_rng(1).integers(0, 50, 6 * 64).astype(np.uint16))
    return {
        "workload.checkpoint": str(folder / "random"),
        "workload.tokens": str(folder / "tokens.npy"),
        "workload.n_windows": 3,
        "workload.calibration_first": 3,
        "workload.calibration_windows": 2,
        "workload.greedy_tokens": 4,
        "workload.prompt_tokens": 8,
    }


def tokens_of(sets: dict[str, object], windows: slice) -> np.ndarray:
    return np.load(str(sets["workload.tokens"])).reshape(6, 64)[windows]


def test_a_run_gives_what_the_model_does_in_that_format(sets: dict[str, object]) -> None:
    run = simulator.run(BITMOD, {**sets, "workload.format": "int4_asym+kv8"}, workload="accuracy")
    checkpoint = Checkpoint.open(str(sets["workload.checkpoint"]))
    ours = evaluate(checkpoint, model_formats("int4_asym+kv8"), tokens_of(sets, slice(0, 3)))
    assert run.metrics["loss"] == pytest.approx(ours.loss, abs=1e-6)
    assert run.metrics["perplexity"] == pytest.approx(np.exp(ours.loss), rel=1e-6)
    assert run.metrics["bits_per_weight"] == pytest.approx(ours.weights.bits_per_weight)
    assert run.metrics["kl_nats"] > 0
    assert run.metrics["n_scored_tokens"] == 3 * 63
    assert run.record.breakdown["bits_per_value"]["keys"] == pytest.approx(8 + 32 / 8)


def test_the_machines_own_format_is_that_of_its_datapath(sets: dict[str, object]) -> None:
    wider = {**sets, "system.datapath": "olive", "system.weight_bits": 4, "system.kv_bits": 16}
    own = simulator.run(BITMOD, wider, workload="accuracy")
    named = simulator.run(BITMOD, {**sets, "workload.format": "olive4"}, workload="accuracy")
    assert own.metrics == named.metrics
    assert any("stands for olive4" in note for note in own.record.notes)


def test_stored_weights_have_no_distance_to_themselves(sets: dict[str, object]) -> None:
    run = simulator.run(BITMOD, {**sets, "workload.format": "fp16"}, workload="accuracy")
    assert run.metrics["kl_nats"] == 0
    assert run.metrics["same_next_token_frac"] == 1
    assert run.metrics["same_text_tokens"] == 4


def test_anda_searches_on_other_windows_than_it_scores(sets: dict[str, object]) -> None:
    run = simulator.run(ANDA, {**sets, "system.tolerance": 0.05}, workload="accuracy")
    mantissas = run.record.breakdown["mantissas"]
    assert set(mantissas) == {"qkv", "o", "u", "d"}
    name = "anda_m" + "-".join(str(bits) for bits in mantissas.values())
    checkpoint = Checkpoint.open(str(sets["workload.checkpoint"]))
    found = evaluate(checkpoint, model_formats(f"int4_asym+{name}"), tokens_of(sets, slice(3, 5)))
    before = evaluate(checkpoint, model_formats("int4_asym+act_fp16"), tokens_of(sets, slice(3, 5)))
    assert found.perplexity == pytest.approx(run.metrics["calibration_perplexity"], rel=1e-5)
    assert before.perplexity == pytest.approx(run.metrics["calibration_reference_perplexity"], rel=1e-5)
    assert found.perplexity <= before.perplexity * 1.05
    assert run.metrics["bops_saving"] > 1
    assert len(run.tables["search"]) == run.metrics["n_iterations"]


def test_designs_without_planes_have_their_own_mantissas(sets: dict[str, object]) -> None:
    run = simulator.run(ANDA, {**sets, "system.design": "figna_m8"}, workload="accuracy")
    named = simulator.run(ANDA, {**sets, "workload.format": "int4_asym+anda_m8"}, workload="accuracy")
    assert run.metrics == named.metrics


def test_a_default_directory_is_that_of_the_model_and_the_text(sets: dict[str, object], tmp_path: Path) -> None:
    other = tmp_path / "other.npy"
    np.save(other, np.zeros(6 * 64, np.uint16))
    first = plan_run(BITMOD, workload="accuracy", sets=sets).default_directory
    assert plan_run(BITMOD, workload="accuracy", sets=sets).default_directory == first
    changed = plan_run(BITMOD, workload="accuracy", sets={**sets, "workload.tokens": str(other)}).default_directory
    assert changed != first


def test_runs_of_one_text_are_compared(sets: dict[str, object], tmp_path: Path, sim) -> None:
    for name in ("int4_asym", "fp16"):
        simulator.run(BITMOD, {**sets, "workload.format": name}, workload="accuracy", out=tmp_path / name)
    simulator.run(BITMOD, {**sets, "workload.n_windows": 2}, workload="accuracy", out=tmp_path / "less")
    both = sim("compare", str(tmp_path / "fp16"), str(tmp_path / "int4_asym"))
    assert both.code == 0
    assert "perplexity" in both.out
    refused = sim("compare", str(tmp_path / "fp16"), str(tmp_path / "less"))
    assert (refused.code, "n_windows is 3 against 2" in " ".join(refused.err.split())) == (3, True)
    assert sim("explain", str(tmp_path / "fp16")).code == 2


def test_a_sweep_runs_formats(sets: dict[str, object], tmp_path: Path) -> None:
    sweep = tmp_path / "formats.yaml"
    plain = {"config": BITMOD, "workload": "accuracy", "set": sets, "axes": {"workload.format": ["fp16", "fp3"]}}
    sweep.write_text(json.dumps(plain | {"metrics": ["loss", "kl_nats"]}))
    found = simulator.sweep(sweep, out=tmp_path / "out").table
    assert list(found["kl_nats"] > 0) == [False, True]


@pytest.mark.parametrize(
    ("changed", "kind", "cause"),
    [
        ({"workload.format": "bitmod_5b"}, ConfigError, "no number format 'bitmod_5b'"),
        ({"workload.format": "anda_m17"}, ConfigError, "anda_m17"),
        ({"workload.checkpoint": "tiny-lama"}, WorkloadError, "tiny-llama"),
        ({"workload.tokens": "own_sauce"}, WorkloadError, "own_source"),
        ({"workload.n_windows": 7}, WorkloadError, "are 6 windows"),
        ({"workload.window_tokens": 65}, WorkloadError, "has 64 positions"),
        ({"workload.attention": "sparse"}, ConfigError, "unknown kind `sparse`"),
        ({"workload.attention": {"kind": "top_k"}}, ConfigError, "k"),
        ({"workload.context": 64}, ConfigError, "context"),
        ({"system.kv_bits": 1}, ConfigError, "system: 'kv1'"),
        ({"system.weight_bits": 2}, ConfigError, "system.weight_bits: the datapath BitMoD names no number format"),
        ({"system.datapaths.bitmod.number_formats.four": "fp4"}, ConfigError, "'four' is no number of bits"),
        ({"workload.greedy_tokens": -1}, ConfigError, "workload.greedy_tokens. = -1"),
    ],
)
def test_what_cannot_be_run_is_refused(
    sets: dict[str, object], changed: dict[str, object], kind: type[SimulatorError], cause: str
) -> None:
    with pytest.raises(kind, match=cause):
        simulator.run(BITMOD, {**sets, **changed}, workload="accuracy")


def test_other_systems_and_options_are_refused(sets: dict[str, object]) -> None:
    with pytest.raises(WorkloadError, match="does not run workloads of kind `accuracy`"):
        plan_run("hw_configs/cent.yaml", workload="accuracy")
    with pytest.raises(ConfigError, match="file of tokens"):
        plan_run(BITMOD, workload="accuracy", sets=sets, trace="requests.csv")
    with pytest.raises(ConfigError, match="no operators to draw"):
        plan_run(BITMOD, workload="accuracy", sets=sets).perform(timeline=True)


def test_weights_that_no_format_has_name_their_section(sets: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"system.weight: 'int1_asym_g128'"):
        simulator.run(ANDA, {**sets, "system.weight.bits": 1}, workload="accuracy")


def test_no_text_for_a_search_is_said(sets: dict[str, object]) -> None:
    kept = {name: value for name, value in sets.items() if not name.startswith("workload.calibration")}
    with pytest.raises(WorkloadError, match="none left for a search"):
        simulator.run(ANDA, kept, workload="accuracy")
