"""Every kind of row is measured on a PyTorch that only counts time: no card is needed to find a slip."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

OPTIONS = {
    "kernels": ["--quick", "--kinds", "copy,read,gemm,attn_decode,attn_prefill,rmsnorm,silu_mul"],
    "extra": [
        *("--quick", "--extra", "--kinds"),
        "h2d_pinned,d2h_pinned,launch_graph_small_kernel,gemm_fp8,gemm_int8,gemm_w4a16_g128",
    ],
    "collectives": ["--quick", "--collectives"],
    "steps": ["--steps", "--shapes", "steps.csv"],
}
STEPS = """model,phase,B,L
llama2-7b:2,decode,4,512
llama2-70b:2,decode,4,512
llama2-70b:2,prefill,2,512
"""


@pytest.fixture(autouse=True)
def _short(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_measuring import card, collectives, timing

    # What a row costs here is calls of the stand-in: few buffers exceed a small cache, few calls fill a graph.
    torch.cuda.get_device_properties.return_value.L2_cache_size = 4 << 20
    monkeypatch.setattr(timing, "WARM_S", 0.0)
    monkeypatch.setattr(timing, "REPEAT_S", 0.0)
    monkeypatch.setattr(timing, "MAX_CALLS", 4)
    monkeypatch.setattr(collectives, "REPEAT_S", 0.0)
    monkeypatch.setattr(collectives, "GRAPH_S", 1e-4)
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(card, "power_source", lambda uuid: None)
    monkeypatch.setattr(card, "board_facts", lambda uuid: {})


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.thorough) if mode == "kernels" else mode for mode in OPTIONS]
)
def test_every_kind(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gpu_measuring.command import main

    monkeypatch.chdir(tmp_path)
    Path("steps.csv").write_text(STEPS)
    out = tmp_path / "my_gpu.csv"
    assert main(["--out", str(out), "--seconds", "0", *OPTIONS[mode]]) == 0
    assert capsys.readouterr().err == ""
    with out.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) >= 3
    for row in rows:
        assert float(row.get("t_us") or row["t_ms"]) > 0
        assert math.isnan(float(row.get("power_w") or "nan"))
    about = json.loads((tmp_path / "my_gpu.json").read_text())
    assert (about["gpu"], about["mode"], about["whole"], about["skipped"]) == ("Stand-in", mode, True, [])
