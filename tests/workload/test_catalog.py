"""Models by name: every id of the design, aliases, files, and errors that point at the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.config import load_part
from simulator.core.errors import SimulatorError, WorkloadError
from simulator.workload.catalog import data_directory, list_models, load_model

IDS = [
    "llama2-7b",
    "llama2-13b",
    "llama2-70b",
    "llama3-8b",
    "llama3-70b",
    "llama3.1-8b",
    "llama-7b",
    "llama-13b",
    "llama-30b",
    "llama-65b",
    "opt-1.3b",
    "opt-2.7b",
    "opt-6.7b",
    "opt-13b",
    "opt-30b",
    "opt-66b",
    "opt-175b",
    "gpt3-66b",
    "gpt3-175b",
    "qwen2-7b",
    "qwen3-32b",
    "qwen3-30b-a3b",
    "mixtral-8x7b",
    "phi-2",
    "yi-6b",
]

SHAPE = """n_layers: 2
hidden: 64
n_heads: 4
n_kv_heads: 2
head_dim: 16
ffn: 128
vocab: 100
max_context: 256
"""


def test_every_id_of_the_design_loads() -> None:
    assert set(list_models()) >= set(IDS)
    for name in list_models():
        assert load_model(name).name == name


def test_every_model_says_where_it_is_from() -> None:
    for name in list_models():
        tree = load_part(str(data_directory("workloads") / "models" / f"{name}.yaml"))
        assert len(tree.get("source")) > 10


def test_aliases_are_unique_and_lead_to_their_model() -> None:
    seen: dict[str, str] = {}
    for name in list_models():
        tree = load_part(str(data_directory("workloads") / "models" / f"{name}.yaml"))
        for alias in tree.get("aliases", []):
            assert alias not in seen
            seen[alias] = name
            assert load_model(alias).name == name
    assert seen["meta-llama/Llama-2-70b-hf"] == "llama2-70b"
    assert load_model("META-LLAMA/llama-2-70B-hf").name == "llama2-70b"


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(WorkloadError, match="did you mean `llama2-70b`") as caught:
        load_model("llama2_70b")
    assert caught.value.exit_code == 3


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SHAPE + "source: me\nbiases: [qkv]\nvocab_note: x\n")
    with pytest.raises(WorkloadError, match=r"mine.yaml:11:1.*no field 'vocab_note'"):
        load_model(path)
    path.write_text(SHAPE + "source: me\nbiases: [qkv]\n")
    model = load_model(path)
    assert (model.name, model.biases) == ("mine", ("qkv",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SHAPE.replace("n_heads: 4", "n_heads: four"), r"mine.yaml:3:10.*n_heads is 'four'"),
        (SHAPE.replace("n_kv_heads: 2", "n_kv_heads: 3"), r"mine.yaml:4:13.*cannot share 3"),
        (SHAPE.replace("hidden: 64\n", ""), r"mine.yaml.*no 'hidden'"),
        (SHAPE + "hidden: 64\n", r"mine.yaml:9:1.*duplicate"),
        (SHAPE + "gated: yes\n", r"mine.yaml:9:8.*gated is 'yes'"),
        (SHAPE + "name: other\n", r"mine.yaml:9:1.*no field 'name'"),
        (SHAPE + "n_layer: 3\n", r"did you mean 'n_layers'"),
        ("- 1\n", r"mine.yaml"),
        ("", r"mine.yaml.*empty"),
        ("a: [\n", r"mine.yaml"),
        (SHAPE + "sliding_window: .nan\n", r"mine.yaml:9"),
    ],
)
def test_bad_files_name_the_line_and_exit_with_3(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(WorkloadError, match=message) as caught:
        load_model(path)
    assert caught.value.exit_code == 3
    assert caught.value.remedy


def test_missing_files(tmp_path: Path) -> None:
    for name in ("absent.yaml", "absent.json"):
        with pytest.raises(WorkloadError) as caught:
            load_model(tmp_path / name)
        assert caught.value.exit_code == 3


def exit_code_of_loading(reference: str | Path) -> int:
    """0 where there is such a model, else the code of the error; what is no SimulatorError fails the test."""
    try:
        load_model(reference)
    except SimulatorError as error:
        return error.exit_code
    return 0


@settings(max_examples=200, deadline=None)
@given(name=st.text(max_size=30))
def test_any_name_gives_a_model_or_an_error(name: str) -> None:
    assert exit_code_of_loading(name) in (0, 3)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200), at=st.integers(0, len(SHAPE)))
def test_any_text_gives_a_model_or_an_error(text: str, at: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(SHAPE[:at] + text + SHAPE[at:], encoding="utf-8", errors="surrogatepass")
    assert exit_code_of_loading(path) in (0, 3)


@pytest.mark.parametrize(
    ("name", "model"), [("GPT-175B", "gpt3-175b"), ("LLAMA-65B", "llama-65b"), ("OPT-66B", "opt-66b")]
)
def test_names_of_attaccs_simulator(name: str, model: str) -> None:
    assert load_model(name).name == model


def test_a_checkpoint_that_comes_along_is_a_model() -> None:
    model = load_model("tiny-llama")
    assert (model.name, model.n_layers, model.hidden, model.max_context) == ("tiny-llama", 6, 256, 2048)
