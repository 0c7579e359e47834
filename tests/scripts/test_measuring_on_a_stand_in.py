"""Every kind of row is measured on a PyTorch that only counts time: no card is needed to find a slip."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

QUICK = {
    "kernels": ["--kinds", "copy,read,gemm,attn_decode,attn_prefill,rmsnorm,silu_mul"],
    "extra": [
        "--extra",
        "--kinds",
        "h2d_pinned,d2h_pinned,launch_graph_small_kernel,gemm_fp8,gemm_int8,gemm_w4a16_g128",
    ],
    "steps": ["--steps"],
}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_measuring import card, timing

    monkeypatch.setattr(timing, "WARM_S", 0.0)
    monkeypatch.setattr(card, "power_source", lambda uuid: None)
    monkeypatch.setattr(card, "board_facts", lambda uuid: {})


@pytest.mark.parametrize("mode", QUICK)
def test_every_kind(mode: str, torch: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gpu_measuring.command import main

    out = tmp_path / "my_gpu.csv"
    assert main(["--out", str(out), "--quick", "--seconds", "0", *QUICK[mode]]) == 0
    assert capsys.readouterr().err == ""
    with out.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) >= 3
    for row in rows:
        assert float(row.get("t_us") or row["t_ms"]) > 0
        assert math.isnan(float(row.get("power_w") or "nan"))
    about = json.loads((tmp_path / "my_gpu.json").read_text())
    assert (about["gpu"], about["mode"], about["whole"], about["skipped"]) == ("Stand-in", mode, True, [])
