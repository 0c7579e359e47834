"""The measuring program's command line on a machine without PyTorch or without a card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODES = ([], ["--extra"], ["--collectives"], ["--steps"])


def measure(*arguments: str | Path) -> int:
    """The program's exit code, in this process."""
    from gpu_measuring.command import main

    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("option", ["--help", "--list", "--dry-run"])
def test_it_starts_without_torch(option: str, repo_root: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    ran = subprocess.run(
        [sys.executable, str(repo_root / "scripts" / "measure_gpu.py"), option],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "attn_decode" in ran.stdout or option == "--help"


@pytest.mark.parametrize("mode", MODES)
def test_a_dry_run_prints_the_rows(mode: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert measure("--dry-run", *mode) == 0
    whole = capsys.readouterr()
    assert measure("--dry-run", "--quick", *mode) == 0
    quick = capsys.readouterr()
    lines, quick_lines = whole.out.splitlines(), quick.out.splitlines()
    assert whole.err == f"{len(lines)} rows\n"
    assert 0 < len(quick_lines) < len(lines)
    assert len(set(lines)) == len(lines)


def test_the_shapes_of_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure("--dry-run", "--kinds", "gemm,idle") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13 * 13 + 1
    assert "gemm M=4096 N=8192 K=28672" in lines
    assert lines[-1] == "idle"


def test_the_list_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    from gpu_measuring.rows import MODES

    assert measure("--list") == 0
    printed = capsys.readouterr().out
    assert all(kind.name in printed and kind.meaning in printed for mode in MODES for kind in mode.kinds)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--out FILE.csv is missing"),
        (["--out", "my_gpu.json"], "not a .csv"),
        (["--kinds", "gem"], "no kind 'gem' among the kernels: copy, read, gemm"),
        (["--extra", "--kinds", "gemm"], "no kind 'gemm' among the extra"),
        (["--seconds", "-1"], "--seconds takes 0 to 600"),
        (["--seconds", "nan"], "--seconds takes 0 to 600"),
        (["--shapes", "nowhere.csv"], "nowhere.csv"),
        (["--compare", "nowhere.csv", "--out", "a.csv"], "nowhere.csv"),
    ],
)
def test_a_wrong_call_is_refused(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert measure(*arguments) == 2
    assert words in capsys.readouterr().err


def test_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert measure("--out", tmp_path / "my_gpu.csv") == 2
    assert "PyTorch cannot be imported" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_cuda(torch: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.cuda.is_available.return_value = False
    assert measure("--out", tmp_path / "my_gpu.csv") == 2
    assert "PyTorch 2.9 sees no CUDA card" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_collectives_need_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert measure("--collectives", "--out", tmp_path / "links.csv") == 2
    assert "torchrun --nproc-per-node=4" in capsys.readouterr().err


def test_a_finished_file_is_compared_without_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gpu_measuring.rows import KERNELS
    from gpu_measuring.table import MeasuredTable

    monkeypatch.setitem(sys.modules, "torch", None)
    for name, t_us in (("mine.csv", 11.0), ("given.csv", 10.0)):
        table = MeasuredTable(tmp_path / name, KERNELS)
        table.add({"kind": "gemm", "M": 1, "N": 2, "K": 3, "t_us": t_us, "power_w": float("nan")})
        table.finish()
    given = tmp_path / "given.csv"
    assert measure("--out", tmp_path / "mine.csv", "--resume", "--shapes", given, "--compare", given) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == ["gemm", "t_us", "1", "10.0%", "+10.0%", "+10.0%"]


def test_another_card_does_not_resume(torch: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gpu_measuring.rows import KERNELS
    from gpu_measuring.table import MeasuredTable

    table = MeasuredTable(tmp_path / "my_gpu.csv", KERNELS)
    table.add({"kind": "idle", "power_w": 50.0})
    table.close()
    (tmp_path / "my_gpu.json").write_text(json.dumps({"gpu": "Another"}))
    assert measure("--out", tmp_path / "my_gpu.csv", "--resume", "--seconds", "0") == 2
    assert "names a Another, but this card is a Stand-in" in capsys.readouterr().err
