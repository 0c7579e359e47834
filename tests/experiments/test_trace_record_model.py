"""`sim trace record-model`: its folder, which is read where it should be, and what is refused before the model runs."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.config import tree_of
from simulator.core.errors import ConfigError, SimulatorError, WorkloadError
from simulator.experiments.access_settings import bound_access_settings, with_trace
from simulator.experiments.settings import load_run_tree
from simulator.experiments.trace_record_manifest import MEANINGS
from simulator.experiments.trace_record_model import plan_model_recording, record_model
from simulator.workload.access_reading import read_accesses
from simulator.workload.accesses import AccessStream
from simulator.workload.llm_accesses.attention_hits import AttentionHits
from simulator.workload.llm_accesses.config import LlmAccessConfig
from simulator.workload.llm_accesses.stream import llm_stream
from tests.numerics.checkpoints import random_checkpoint

# A key of 32 elements is a line; the last group of 64 channels of the FFN is half full.
SHAPE = {
    "num_hidden_layers": 3, "vocab_size": 97, "max_position_embeddings": 160, "head_dim": 32, "hidden_size": 64,
    "intermediate_size": 96,
}  # fmt: skip
Sim = Callable[..., Any]
WINDOW, STEPS, K = 100, 12, 9


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    return random_checkpoint(folder / "random", **SHAPE), random_tokens(folder / "ids.npy")


def random_tokens(path: Path) -> Path:
    np.save(path, np.random.default_rng(9).integers(0, 97, 400).astype(np.uint16))
    return path


def options(inputs: tuple[Path, Path], out: Path, *more: object) -> tuple[object, ...]:
    shape = ("--window-tokens", WINDOW, "--steps", STEPS, "--windows", 2, "--first-window", 1)
    return ("trace", "record-model", inputs[0], "--tokens", inputs[1], *shape, "--out", out, *more)


def of_records(stream: AccessStream) -> tuple[np.ndarray, np.ndarray]:
    chunks = list(stream.chunks())
    return np.concatenate([c.line for c in chunks]), np.concatenate([c.is_write for c in chunks])


def assert_same(found: AccessStream, expected: AccessStream) -> None:
    for one, other in zip(of_records(found), of_records(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.request_starts, expected.request_starts)
    for name in ("n_pages", "lines_per_record", "regions"):
        assert getattr(found, name) == getattr(expected, name)


def test_the_folder(inputs: tuple[Path, Path], tmp_path: Path, sim: Sim) -> None:
    out = tmp_path / "recorded"
    outcome = sim(*options(inputs, out, "--top-k", K, "--json"))
    assert (outcome.code, outcome.err) == (0, "")
    summary = json.loads(outcome.out)
    assert summary["run_dir"] == str(out)
    assert summary["metrics"]["n_steps"] == 2 * STEPS

    manifest = json.loads((out / "manifest.json").read_text())
    assert (
        sorted(manifest["files"])
        == sorted(MEANINGS)
        == sorted({path.name for path in out.iterdir()} - {"manifest.json"})
    )
    for name, about in manifest["files"].items():
        assert about["sha256"] == hashlib.sha256((out / name).read_bytes()).hexdigest()
    assert {Path(path).name for path in manifest["checksums"]} == {"config.json", "model.safetensors", "ids.npy"}
    assert manifest["windows"] == {"first": 1, "n": 2, "tokens_each": WINDOW}
    assert manifest["command"][1:3] == ["trace", "record-model"]
    with np.load(out / "attention_hits.npz") as archive:
        assert sorted(archive) == sorted(MEANINGS["attention_hits.npz"])
        assert archive["positions"].shape == (3, 2, 2 * STEPS, K)
    activations = list(csv.DictReader((out / "activations.csv").open()))
    assert [(row["layer"], row["site"]) for row in activations[3:5]] == [("0", "d"), ("1", "qkv")]
    assert {row["n_values"] for row in activations if row["site"] == "d"} == {str(2 * WINDOW * 96)}
    assert list(activations[0])[-1] == "gap_16_frac"

    told = json.loads(sim("trace", "info", out / "kv_accesses.npz", "--json").out)
    # In each step, layer and head so many positions of two sequences, of keys and values of a line each.
    per_layer = STEPS * 2 * 2 * K * 2
    assert told["metrics"]["n_reads"] == 3 * per_layer
    assert told["metrics"]["n_writes"] == 3 * STEPS * 2 * 2 * 2
    assert told["metrics"]["n_requests"] == STEPS
    assert told["breakdown"]["reads_by_region"] == {f"kv.layer{layer}": per_layer for layer in range(3)}


def test_a_stream_of_recorded_attention_is_the_recorded_trace(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    shape = {"window_tokens": WINDOW, "n_steps": STEPS, "n_windows": 2, "tokens": str(inputs[1])}
    folders = [tmp_path / name for name in ("a", "b", "dense")]
    for folder, top_k in zip(folders, (K, K, None), strict=True):
        record_model(plan_model_recording(str(inputs[0]), **shape, top_k=top_k, out=folder))  # type: ignore[arg-type]
    for name in ("attention_hits.npz", "kv_accesses.npz", "activations.csv"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    run = LlmAccessConfig(
        model=str(inputs[0]), parts=("kv",), batch=2, prompt_tokens=WINDOW - STEPS, n_steps=STEPS,
        attention="recorded", hits=str(folders[0] / "attention_hits.npz"),
    )  # fmt: skip
    assert_same(read_accesses(folders[0] / "kv_accesses.npz"), llm_stream(run))
    # The dense folder holds all positions that there are, of which the first few are those recorded before.
    hits = AttentionHits.read(folders[2] / "attention_hits.npz")
    assert hits.k == WINDOW
    np.testing.assert_array_equal(
        hits.positions[..., :K], AttentionHits.read(folders[0] / "attention_hits.npz").positions
    )
    dense = run.model_copy(update={"attention": "dense"})
    assert_same(read_accesses(folders[2] / "kv_accesses.npz"), llm_stream(dense))


def test_a_machine_is_given_the_same_by_either(
    inputs: tuple[Path, Path], tmp_path: Path, sim: Sim, repo_root: Path
) -> None:
    assert sim(*options(inputs, tmp_path / "a", "--top-k", K, "--format", "kv8")).code == 0
    config, hits = repo_root / "hw_configs" / "m5.yaml", tmp_path / "a" / "attention_hits.npz"
    run = {
        "model": str(inputs[0]), "parts": ["kv"], "batch": 2, "prompt_tokens": WINDOW - STEPS, "n_steps": STEPS,
        "attention": "recorded", "hits": str(hits),
    }  # fmt: skip
    tree = load_run_tree(config, {"workload.repeat": 1})
    traced = bound_access_settings(with_trace(tree, str(tmp_path / "a" / "kv_accesses.npz"), "auto"), config)
    live = bound_access_settings(
        tree.with_section("workload", tree_of({"kind": "accesses", "llm": run}, where="x")), config
    )
    assert live.workload_name == "random-recorded"
    (one, _), (other, checksums) = traced.stream(), live.stream()
    assert_same(one, other)
    assert one.clock is not None
    assert other.clock is not None
    assert (one.clock.unit, one.clock.at(np.arange(9)).tolist()) == ("ps", other.clock.at(np.arange(9)).tolist())
    assert checksums == {str(hits): hashlib.sha256(hits.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    ("keys", "kind", "place", "cause"),
    [
        ({"checkpoint": "none"}, WorkloadError, "CHECKPOINT", "no checkpoint 'none'"),
        ({"tokens": "none"}, WorkloadError, "--tokens", "no file of tokens"),
        ({"n_steps": WINDOW}, WorkloadError, "--steps", "100 steps of texts of 100 tokens"),
        ({"n_windows": 5}, WorkloadError, "--windows", "5 windows of 100 tokens"),
        ({"window_tokens": 161}, WorkloadError, "--window-tokens", "161 tokens, and random has 160"),
        ({"format_name": "int99_wide"}, ConfigError, "--format", "no number format"),
    ],
)
def test_what_cannot_be_is_told_first(
    inputs: tuple[Path, Path], tmp_path: Path, keys: dict[str, Any], kind: type[SimulatorError], place: str, cause: str
) -> None:
    given = {"checkpoint": str(inputs[0]), "tokens": str(inputs[1]), "window_tokens": WINDOW, "n_steps": STEPS, **keys}
    with pytest.raises(kind, match=cause) as caught:
        plan_model_recording(out=tmp_path / "out", **given)
    assert str(caught.value.where) == place


def test_nothing_is_left_of_what_failed(
    inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = {"window_tokens": WINDOW, "n_steps": STEPS, "tokens": str(inputs[1])}
    plan = plan_model_recording(str(inputs[0]), **shape, out=tmp_path / "out")  # type: ignore[arg-type]
    bad = replace(plan, texts=np.full_like(plan.texts, 97))
    with pytest.raises(WorkloadError, match="token 97"):
        record_model(bad)
    monkeypatch.setattr("simulator.experiments.trace_record_model.csv_text", lambda table: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        record_model(plan)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="holds files already"):
        plan_model_recording(str(inputs[0]), **shape, out=tmp_path / "full")  # type: ignore[arg-type]


def test_heads_that_are_no_lines_are_refused(tmp_path: Path) -> None:
    narrow = random_checkpoint(tmp_path / "narrow", **{**SHAPE, "head_dim": 16})
    tokens = str(random_tokens(tmp_path / "ids.npy"))
    with pytest.raises(WorkloadError, match="no whole number of 64-byte lines") as caught:
        plan_model_recording(str(narrow), tokens=tokens, n_steps=5, top_k=4)
    assert caught.value.where == str(narrow / "config.json")


@pytest.mark.thorough
def test_tiny_llama_by_default(tmp_path: Path, sim: Sim) -> None:
    outcome = sim("trace", "record-model", "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    metrics = json.loads(outcome.out)["metrics"]
    assert metrics["n_records"] == 6 * sum(2 * context for context in range(1793, 2049)) + 6 * 256 * 2
    assert metrics["folder_bytes"] < 2 << 20
    rows = list(csv.DictReader((tmp_path / "out" / "attention.csv").open()))
    found = [round(float(row["effective_tokens"])) for row in rows]
    assert found == pytest.approx([264, 108, 38, 28, 29, 79], abs=1)
