"""Squared errors and picks of special values on the two trained models' matrices, against reference figures."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from simulator.numerics.format_names import format_named

CASES = {
    "INT8-sym-perchannel": "int8_sym_channel",
    "INT6-sym-g128": "int6_sym",
    "INT4-asym-g128": "int4_asym",
    "INT4-sym-g128": "int4_sym",
    "INT3-asym-g128": "int3_asym",
    "INT3-sym-g128": "int3_sym",
    "FP4-basic-g128": "fp4",
    "FP3-basic-g128": "fp3",
    "MX-FP4-g32": "mx_fp4",
    "QoQ-W4-prog-g128": "qoq_w4",
    **{
        f"BitMoD-{bits}b{kind}-g128{scale}": f"bitmod_{bits}b{kind}{scale}".replace("-", "_").lower()
        for bits in (3, 4)
        for kind, scale in [("", ""), ("-ER", ""), ("-EA", ""), ("", "-int8scale"), ("", "-int4scale")]
    },
}
# All rows of reference/numerics.md, section 2, to its six decimals: tiny-llama, small-llama.
TABLE = {
    "int8_sym_channel": (0.000053, 0.000060),
    "int6_sym": (0.000717, 0.000715),
    "bitmod_4b": (0.009608, 0.009621),
    "bitmod_4b_int8scale": (0.009612, 0.009628),
    "bitmod_4b_er": (0.009972, 0.009976),
    "bitmod_4b_ea": (0.011540, 0.011549),
    "mx_fp4": (0.013034, 0.013527),
    "fp4": (0.011900, 0.011901),
    "qoq_w4": (0.010399, 0.010413),
    "int4_asym": (0.010250, 0.010237),
    "int4_sym": (0.014064, 0.014022),
    "bitmod_3b_ea": (0.038861, 0.038830),
    "bitmod_3b": (0.038276, 0.038269),
    "bitmod_3b_int8scale": (0.038280, 0.038277),
    "bitmod_3b_int4scale": (0.039915, 0.040680),
    "bitmod_3b_er": (0.047979, 0.047902),
    "int3_asym": (0.047128, 0.047043),
    "fp3": (0.057662, 0.057579),
    "int3_sym": (0.076582, 0.076373),
}
# Groups that choose +ER, -ER, +EA, -EA.
PICKS = {
    "bitmod_4b": ([13962, 12490, 4308, 4568], [73295, 64197, 23570, 23258]),
    "bitmod_3b": ([2742, 2847, 14615, 15124], [13893, 13898, 78474, 78055]),
}
MODELS = ("tiny-llama", "small-llama")


@cache
def matrices(folder: Path) -> list[NDArray[np.float32]]:
    """All projections of all layers."""
    tensors = [item for file in sorted(folder.glob("*.safetensors")) for item in load_file(file).items()]
    return [tensor.astype(np.float32) for name, tensor in tensors if re.fullmatch(r".*_proj\.weight", name)]


@cache
def golden_errors(repo_root: Path, model: str) -> dict[str, float]:
    """Squared errors by name of the format."""
    with (repo_root / "simulator/experiments/targets/numerics_golden.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == model and row["metric"] == "rel_sq_err"]
    return {CASES[row["case"]]: float(row["value"]) for row in rows if row["case"] in CASES}


def check(name: str, model: str, folder: Path, repo_root: Path) -> None:
    fmt = format_named(name)
    off = total = 0.0
    picks = np.zeros(4, np.int64)
    for matrix in matrices(folder):
        found = fmt.quantize(matrix)
        off += float(((fmt.dequantize(found).astype(np.float64) - matrix) ** 2).sum())
        total += float((matrix.astype(np.float64) ** 2).sum())
        if name in PICKS:
            picks += np.bincount(found.extra["special"].reshape(-1), minlength=4)
    at = MODELS.index(model)
    assert off / total == pytest.approx(TABLE[name][at], abs=0.51e-6)
    if name in golden_errors(repo_root, model):
        assert off / total == pytest.approx(golden_errors(repo_root, model)[name], rel=1e-6)
    if name in PICKS:
        np.testing.assert_allclose(picks, PICKS[name][at], atol=3)


@pytest.mark.parametrize("name", ["fp4", "mx_fp4", "bitmod_4b", "bitmod_3b", "bitmod_3b_int4scale", "qoq_w4"])
def test_tiny_llama(name: str, repo_root: Path) -> None:
    check(name, "tiny-llama", repo_root / "workloads" / "checkpoints" / "tiny-llama", repo_root)


@pytest.mark.thorough
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("model", MODELS)
def test_all_formats_on_both_models(model: str, name: str, repo_root: Path, shared_dir: Path) -> None:
    check(name, model, shared_dir / "models" / model, repo_root)


def test_golden_rows_are_all_known(repo_root: Path) -> None:
    for model in MODELS:
        assert set(golden_errors(repo_root, model)) <= set(TABLE)
        assert len(golden_errors(repo_root, model)) >= 9
