"""Rows are kept as they come: the CSV, going on with it, and a run of the plan with a timer that is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GEMM = {"kind": "gemm", "M": 1, "N": 4096, "K": 1024}
IDLE = {"kind": "idle"}
HEADER = "B,D,Hkv,Hq,K,L,M,N,backend,bytes,gbps,kind,power_w,t_us,tflops\n"
GEMM_LINE = ",,,,1024,,1,4096,,,1.5,gemm,nan,2.5,0.25\n"
GEMM_RESULTS = {"t_us": 2.5, "power_w": math.nan, "gbps": 1.5, "tflops": 0.25}


class FakeBench:
    """Takes what each kind is to do."""

    def __init__(self, **by_kind: Callable[[], dict[str, Any]]) -> None:
        self._by_kind = by_kind
        self.n_recovered = 0

    def measure(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, **self._by_kind[row["kind"]]()}

    def recover(self) -> None:
        self.n_recovered += 1


def table(out: Path, **options: bool) -> Any:
    from gpu_measuring.rows import KERNELS
    from gpu_measuring.table import MeasuredTable

    return MeasuredTable(out, KERNELS, **options)


def raising(error: BaseException) -> Callable[[], dict[str, Any]]:
    def call() -> dict[str, Any]:
        raise error

    return call


def run(plan: list[dict[str, Any]], bench: FakeBench, rows: Any) -> Any:
    from gpu_measuring.session import measure_all

    return measure_all(plan, bench, rows, say=lambda line: None)


def test_the_file_is_whole_at_the_end_only(tmp_path: Path) -> None:
    out, rows = tmp_path / "sub" / "a.csv", table(tmp_path / "sub" / "a.csv")
    rows.add({**GEMM, **GEMM_RESULTS})
    assert not out.exists()
    assert rows.part.read_text() == HEADER + GEMM_LINE
    rows.finish()
    assert out.read_text() == HEADER + GEMM_LINE
    assert [path.name for path in out.parent.iterdir()] == ["a.csv"]


def test_an_earlier_file_is_refused_or_replaced_or_resumed(tmp_path: Path) -> None:
    from gpu_measuring.errors import MeasuringError

    out = tmp_path / "a.csv"
    rows = table(out)
    rows.add({**GEMM, **GEMM_RESULTS})
    rows.close()
    with pytest.raises(MeasuringError, match=r"a\.csv\.part holds an earlier run: --resume"):
        table(out)
    assert not table(out, force=True).has(GEMM)
    resumed = table(out, resume=True)
    assert resumed.has(GEMM)
    assert not resumed.has({**GEMM, "M": 2})
    resumed.add({**IDLE, "power_w": 50.0})
    resumed.finish()
    assert out.read_text() == HEADER + GEMM_LINE + ",,,,,,,,,,,idle,50.0,,\n"
    with pytest.raises(MeasuringError, match=r"a\.csv holds an earlier run"):
        table(out)


def test_a_line_cut_short_is_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    (tmp_path / "a.csv.part").write_text(HEADER + GEMM_LINE + ",,,,,,,,,,,idle,5")
    rows = table(out, resume=True)
    assert (len(rows), rows.has(IDLE)) == (1, False)
    rows.add({**IDLE, "power_w": 50.0})
    rows.finish()
    assert out.read_text() == HEADER + GEMM_LINE + ",,,,,,,,,,,idle,50.0,,\n"


@pytest.mark.parametrize("text", ["", "B,D,Hk"])
def test_a_header_cut_short_starts_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv.part").write_text(text)
    assert len(table(tmp_path / "a.csv", resume=True)) == 0


def test_a_file_of_another_mode_is_not_resumed(tmp_path: Path) -> None:
    from gpu_measuring.errors import MeasuringError

    (tmp_path / "a.csv").write_text("model,phase,B,L,t_ms,power_w\n")
    with pytest.raises(MeasuringError, match="not the columns of kernels"):
        table(tmp_path / "a.csv", resume=True)


def test_a_rank_that_does_not_write(tmp_path: Path) -> None:
    rows = table(tmp_path / "a.csv", writes=False)
    rows.add({**GEMM, **GEMM_RESULTS})
    rows.finish()
    assert rows.has(GEMM)
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_fails_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gpu_measuring.errors import RowSkipped

    bench = FakeBench(gemm=raising(RowSkipped("out of memory on this card")), idle=lambda: {"power_w": 50.0})
    outcome = run([GEMM, IDLE], bench, table(tmp_path / "a.csv"))
    reason = "out of memory on this card"
    assert outcome.skipped == [{"row": "gemm M=1 N=4096 K=1024", "reason": reason}]
    assert (outcome.n_measured, outcome.interrupted, bench.n_recovered) == (1, False, 1)
    assert capsys.readouterr().err == f"warning: gemm M=1 N=4096 K=1024 skipped: {reason}\n"
    assert (tmp_path / "a.csv").read_text() == HEADER + ",,,,,,,,,,,idle,50.0,,\n"


def test_an_interruption_keeps_the_rows_and_the_run_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    bench = FakeBench(gemm=lambda: GEMM_RESULTS, idle=raising(KeyboardInterrupt()))
    outcome = run([GEMM, IDLE], bench, table(out))
    assert outcome.interrupted
    assert not out.exists()
    assert (tmp_path / "a.csv.part").read_text() == HEADER + GEMM_LINE
    bench = FakeBench(gemm=raising(AssertionError("measured twice")), idle=lambda: {"power_w": 50.0})
    outcome = run([GEMM, IDLE], bench, table(out, resume=True))
    assert (outcome.n_measured, outcome.n_resumed, outcome.interrupted) == (1, 1, False)
    assert out.read_text() == HEADER + GEMM_LINE + ",,,,,,,,,,,idle,50.0,,\n"


def test_a_file_of_measurements_is_a_plan(tmp_path: Path) -> None:
    from gpu_measuring.rows import COLLECTIVES, KERNELS
    from gpu_measuring.shapes import read_shapes

    (tmp_path / "a.csv").write_text(HEADER + GEMM_LINE + ",,,,,,,,,,,idle,50.0,,\n")
    assert read_shapes(tmp_path / "a.csv", KERNELS) == ([GEMM, IDLE], [])
    (tmp_path / "b.csv").write_text("kind,world,bytes\nall_reduce,4,4096.0\ntp_decode,4,\n")
    rows, warnings = read_shapes(tmp_path / "b.csv", COLLECTIVES)
    assert rows == [{"kind": "all_reduce", "world": 4, "bytes": 4096}]
    assert warnings == [f"{tmp_path / 'b.csv'}:3: tp_decode is not measured by this program"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("M,N,K\n1,2,3\n", r":1: no column 'kind'"),
        ("kind,M,N,K\ngem,1,2,3\n", r":2: no kind 'gem' among the kernels"),
        ("kind,M,N,K\ngemm,1,2,3\ngemm,1,2,\n", r":3: gemm needs K as a whole number of at least 1, not ''"),
        ("kind,M,N,K\ngemm,1.5,2,3\n", r":2: gemm needs M"),
        ("kind,M,N,K\ngemm,nan,2,3\n", r":2: gemm needs M"),
        ("kind,M,N,K\ngemm,inf,2,3\n", r":2: gemm needs M"),
        ("kind,M,N,K\ngemm,0,2,3\n", r":2: gemm needs M"),
    ],
)
def test_a_wrong_plan_is_refused(text: str, words: str, tmp_path: Path) -> None:
    from gpu_measuring.errors import MeasuringError
    from gpu_measuring.rows import KERNELS
    from gpu_measuring.shapes import read_shapes

    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(MeasuringError, match=words):
        read_shapes(tmp_path / "a.csv", KERNELS)
