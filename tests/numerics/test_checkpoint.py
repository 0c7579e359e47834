"""Checkpoints: found, read lazily in every type, and refused where they cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from simulator.core.errors import WorkloadError
from simulator.numerics import model_weights
from simulator.numerics.checkpoint import Checkpoint, find_checkpoint
from simulator.numerics.rotary import Rotary
from simulator.numerics.safetensors_file import INDEX, StoredTensor
from simulator.numerics.transformer import Transformer
from tests.numerics.checkpoints import SMALL, random_checkpoint, random_tensors, write_checkpoint, write_raw

K_PROJ = "model.layers.1.self_attn.k_proj.weight"
NORM = "model.norm.weight"


def test_the_built_in_model() -> None:
    checkpoint = Checkpoint.open(find_checkpoint("tiny-llama"))
    assert (checkpoint.shape.n_layers, checkpoint.shape.hidden, checkpoint.shape.vocab) == (6, 256, 8192)
    assert checkpoint.shape.n_params == sum(int(np.prod(tensor.shape)) for tensor in checkpoint.stored.values())
    assert len(checkpoint.matrices) == 6 * 7
    assert checkpoint.norm_eps == 1e-5
    assert checkpoint.rotary == Rotary(10000.0)
    assert checkpoint.stored_bits(K_PROJ) == 16
    assert checkpoint.tensor(K_PROJ).dtype == np.float32


def test_a_checkpoint_by_path_and_by_name(tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "own")
    assert find_checkpoint(folder) == find_checkpoint(folder / "config.json") == folder
    with pytest.raises(WorkloadError, match="no checkpoint 'tiny-lama'") as raised:
        find_checkpoint("tiny-lama")
    assert "did you mean `tiny-llama`" in str(raised.value)


def test_sharded_equals_one_file(tmp_path: Path) -> None:
    one, three = (Checkpoint.open(random_checkpoint(tmp_path / str(n), n_files=n)) for n in (1, 3))
    assert {tensor.file for tensor in three.stored.values()} == set((tmp_path / "3").glob("*.safetensors"))
    for name in one.stored:
        assert np.array_equal(one.tensor(name), three.tensor(name))


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_types(tmp_path: Path, dtype: str) -> None:
    tensors = random_tensors(SMALL, dtype=np.float32)
    stored = {}
    for name, values in tensors.items():
        content = values.tobytes() if dtype == "F32" else (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        stored[name] = (dtype, values.shape, content)
    write_checkpoint(tmp_path, SMALL, {NORM: tensors[NORM]})
    write_raw(tmp_path / "model.safetensors", stored)
    checkpoint = Checkpoint.open(tmp_path)
    mask = np.uint32(0xFFFF0000 if dtype == "BF16" else 0xFFFFFFFF)
    for name, values in tensors.items():
        assert np.array_equal(checkpoint.tensor(name), (values.view(np.uint32) & mask).view(np.float32))
    assert checkpoint.stored_bits(NORM) == (16 if dtype == "BF16" else 32)


def test_nothing_is_read_before_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    values = StoredTensor.values
    monkeypatch.setattr(StoredTensor, "values", lambda self: read.append(self.name) or values(self))
    checkpoint = Checkpoint.open(random_checkpoint(tmp_path))
    checkpoint.tensor(NORM)
    assert read == [NORM]


def _without(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        save_file({k: v for k, v in random_tensors(SMALL).items() if k != name}, folder / "model.safetensors")

    return change


def _with(name: str, values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        save_file({**random_tensors(SMALL), name: values}, folder / "model.safetensors")

    return change


def _of_type(dtype: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        stored = {name: ("F16", v.shape, v.tobytes()) for name, v in random_tensors(SMALL).items()}
        stored[K_PROJ] = (dtype, (16, 24), bytes(16 * 24))
        write_raw(folder / "model.safetensors", stored)

    return change


def _torn(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _config(**overrides: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({**SMALL, **overrides}))

    return change


def _absent_shard(folder: Path) -> None:
    random_checkpoint(folder, n_files=3)
    (folder / "model-00002-of-00003.safetensors").unlink()


def _wrong_index(folder: Path) -> None:
    random_checkpoint(folder, n_files=3)
    content = json.loads((folder / INDEX).read_text())
    content["weight_map"][K_PROJ] = "model-00001-of-00003.safetensors"
    (folder / INDEX).write_text(json.dumps(content))


def _index(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / INDEX).write_text(text) and None


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "there is no config.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no safetensors file"),
    "missing tensor": (_without(K_PROJ), f"tensor '{K_PROJ}' is missing"),
    "missing head": (_config(tie_word_embeddings=False), "'lm_head.weight' is missing"),
    "wrong shape": (
        _with(K_PROJ, np.zeros((24, 16), np.float16)),
        rf"model.safetensors: tensor '{K_PROJ}' is \[24, 16\], and config.json says \[16, 24\]",
    ),
    "one layer too many": (_config(num_hidden_layers=1), r"tensor 'model.layers.1.\S+ is none that the model"),
    "bias unasked for": (
        _with("model.layers.0.self_attn.q_proj.bias", np.zeros(32, np.float16)),
        "q_proj.bias' is none that the model of config.json has",
    ),
    "I8": (_of_type("I8"), f"tensor '{K_PROJ}' has type I8"),
    "F8": (_of_type("F8_E4M3"), f"tensor '{K_PROJ}' has type F8_E4M3"),
    "torn": (_torn, "model.safetensors: cannot read the tensors"),
    "no safetensors": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cannot read the tensors"),
    "absent shard": (_absent_shard, "the file 'model-00002-of-00003.safetensors' of the index is missing"),
    "wrong index": (_wrong_index, f"tensor '{K_PROJ}' is not in 'model-00001-of-00003.safetensors'"),
    "index no JSON": (_index("{"), r"model.safetensors.index.json:1:2: not JSON"),
    "index without map": (_index("{}"), "has no 'weight_map'"),
    "index outside": (_index('{"weight_map": {"a": "../b"}}'), "the index has 'a' in '../b'"),
    "GPT-2": (
        lambda folder: (folder / "config.json").write_text(
            '{"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 1, "n_positions": 8, "vocab_size": 9, '
            '"activation_function": "gelu_new"}'
        ),
        "model_type 'gpt2' is not evaluated",
    ),
    "GELU": (_config(hidden_act="gelu"), "activation 'gelu' is not evaluated"),
    "quantised": (_config(quantization_config={"bits": 4}), "quantised already"),
    "odd heads": (_config(head_dim=7), "a head has 7 elements"),
    "yarn": (_config(rope_scaling={"rope_type": "yarn", "factor": 4}), "scaling 'yarn' are not modelled"),
    "no factor": (_config(rope_scaling={"rope_type": "linear"}), "'factor' is None"),
    "index of an endless name": (_index(f'{{"weight_map": {{"a": "{"x" * 5000}"}}}}'), "the index has 'a' in 'x+$"),
    "theta": (_config(rope_theta=-1), "'rope_theta' is -1"),
    "theta beyond a float": (_config(rope_theta=10**400), "'rope_theta' is 10+$"),
    "factor next to none": (_config(rope_scaling={"type": "linear", "factor": 5e-324}), "'factor' is 5e-324"),
    "width beyond all": (_config(hidden_size=10**400), r"'hidden_size' is 10+\n.* to 16777216"),
    "part of a head": (_config(partial_rotary_factor=0.5), "turn a part of each head"),
    "eps": (_config(rms_norm_eps="small"), "'rms_norm_eps' is 'small'"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_when_opened(tmp_path: Path, change: Callable[[Path], Any], message: str) -> None:
    folder = random_checkpoint(tmp_path)
    change(folder)
    with pytest.raises(WorkloadError) as raised:
        Checkpoint.open(folder)
    assert raised.value.exit_code == 3
    assert str(folder) in str(raised.value.where)
    assert raised.value.remedy
    assert re.search(message, str(raised.value), re.MULTILINE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    tensors = random_tensors(SMALL)
    tensors[K_PROJ][3, 5] = value
    checkpoint = Checkpoint.open(write_checkpoint(tmp_path, SMALL, tensors))
    message = rf"model.safetensors: tensor '{K_PROJ}' has 1 values that are not finite, the first at \[3, 5\]"
    with pytest.raises(WorkloadError, match=message):
        Transformer(checkpoint)


def test_a_model_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint.open(random_checkpoint(tmp_path))
    monkeypatch.setattr(model_weights, "memory_bytes", lambda: 4 * checkpoint.shape.n_params - 1)
    with pytest.raises(WorkloadError, match="in float32; this machine has"):
        Transformer(checkpoint)


def test_an_unknown_tensor() -> None:
    with pytest.raises(WorkloadError, match=r"did you mean `model.norm.weight`"):
        Checkpoint.open(find_checkpoint("tiny-llama")).tensor("model.norm.weigh")
