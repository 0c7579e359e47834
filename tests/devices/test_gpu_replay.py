"""Kernel files through `sim replay` on a GPU part."""

from __future__ import annotations

import csv
import gzip
import json
import math
import shutil
from pathlib import Path

import pytest

from simulator.core.errors import ConfigError, WorkloadError
from simulator.devices.gpu import Gpu
from simulator.devices.gpu_kernel_rows import PREDICTED, KernelRow, read_kernels
from simulator.devices.gpu_replay import predict, replay_kernels
from simulator.experiments.replay import load_device

ROOT = Path(__file__).resolve().parents[2]
PART = ROOT / "hw_configs" / "parts" / "gpu_h200.yaml"
MEASURED = ROOT / "simulator" / "experiments" / "targets" / "h200"
FORMATS = ("bf16", "fp8", "int8", "w4a16")
GEMM = "kind,M,N,K,t_us\n"
ATTENTION = "kind,B,Hq,Hkv,D,L,backend\n"


@pytest.fixture(scope="module")
def gpu() -> Gpu:
    return load_device(PART)[1]


def written(folder: Path, text: str, name: str = "kernels.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def one(gpu: Gpu, folder: Path, text: str) -> float:
    file = read_kernels(written(folder, text), gpu.config.formats)
    return float(predict(gpu, file.rows).t_us[0])


def test_columns_in_any_order_and_what_nobody_knows_is_carried(gpu: Gpu, tmp_path: Path) -> None:
    text = "\ufeffnote,t_us,N,kind,K,M\r\n\r\nmine,,4096,gemm,4096.0,16\r\n"
    record = replay_kernels(gpu, written(tmp_path, text))
    table = record.tables["predictions"]
    assert table.columns == ("note", "t_us", "N", "kind", "K", "M", *PREDICTED)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["note"], row["t_us"], row["K"]) == ("mine", "", "4096.0")
    assert row["roof"] == "memory bandwidth"
    kernel = gpu.kernels.gemm(16, 4096, 4096)
    assert row["predicted_t_us"] == gpu.run([[(kernel, 1.0)]]).time_ps[0] / 1e6
    assert math.isnan(row["error_frac"])
    assert record.breakdown["error"] == {}


def test_a_kernel_runs_at_the_clock_that_its_own_power_leaves(gpu: Gpu) -> None:
    sizes = {"M": 4096, "N": 8192, "K": 8192}
    small = KernelRow("gemm", "gemm", {"M": 1, "N": 8192, "K": 8192})
    alone = predict(gpu, [KernelRow("gemm", "gemm", sizes)])
    among = predict(gpu, [small, KernelRow("gemm", "gemm", sizes), small])
    assert among.t_us[1] == alone.t_us[0]
    assert alone.roof == ["power limit"]
    assert alone.power_w[0] == pytest.approx(700, rel=1e-6)
    assert among.power_w[0] < 600


def test_back_ends_are_kernels(gpu: Gpu, tmp_path: Path) -> None:
    row = "attn_decode,32,32,32,128,4096,"
    times = {name: one(gpu, tmp_path, f"{ATTENTION}{row}{name}\n") for name in ("", "cudnn", "flash", "bmm", "math")}
    assert times[""] == times["cudnn"] < times["bmm"] == times["math"] < times["flash"]
    prompt = "attn_prefill,1,32,8,128,4096,"
    assert one(gpu, tmp_path, f"{ATTENTION}{prompt}flash\n") > one(gpu, tmp_path, f"{ATTENTION}{prompt}cudnn\n")


def test_the_default_back_end_is_a_key_of_the_part(tmp_path: Path) -> None:
    row = f"{ATTENTION}attn_decode,32,32,32,128,4096,\n"
    set_default = load_device(PART, ("replay.decode_kernel=matmul",))[1]
    assert one(set_default, tmp_path, row) == one(set_default, tmp_path, row.replace(",\n", ",bmm\n"))


def test_two_streams_save_what_the_part_says(gpu: Gpu, tmp_path: Path) -> None:
    both = one(gpu, tmp_path, "kind,M,B,L\nattn_prefill_plus_decode,2048,32,4096\n")
    prompt = one(gpu, tmp_path, f"{ATTENTION}attn_prefill,1,32,8,128,2048,\n")
    tokens = one(gpu, tmp_path, f"{ATTENTION}attn_decode,32,32,8,128,4096,\n")
    # One group: the board averages its power over both, so that neither need be capped as when alone.
    assert 0.9 * 0.94 * (prompt + tokens) < both <= 0.94 * (prompt + tokens) * (1 + 1e-9)


def test_two_launches_of_a_row_run_one_after_the_other(gpu: Gpu, tmp_path: Path) -> None:
    launch_us = gpu.config.launches.elementwise_ps / 1e6
    assert 2 * launch_us < one(gpu, tmp_path, "kind,M,N\nsilu_mul,1,64\n") < 2.01 * launch_us


@pytest.mark.parametrize(
    ("file", "kind", "mean", "p95"),
    [
        ("h200_kernels", "gemm", 0.055, 0.14),
        ("h200_kernels", "attn_decode", 0.05, 0.13),
        ("h200_kernels", "attn_prefill", 0.07, 0.18),
        ("h200_extra", "gemm_fp8", 0.10, 0.25),
        ("h200_extra", "gemm_int8", 0.10, 0.25),
        ("h200_extra", "gemm_w4a16_g128", 0.10, 0.25),
        ("h200_tp4", "all_reduce", 0.15, 0.30),
        ("h200_tp4", "all_gather", 0.15, 0.30),
    ],
)
def test_the_measured_rows_are_met(gpu: Gpu, file: str, kind: str, mean: float, p95: float) -> None:
    error = replay_kernels(gpu, str(MEASURED / f"{file}.csv")).breakdown["error"]
    assert float(error[f"{kind}_mean_frac"]) <= mean
    assert float(error[f"{kind}_p95_frac"]) <= p95


def test_copies_above_a_megabyte_are_met(gpu: Gpu) -> None:
    file = read_kernels(str(MEASURED / "h200_extra.csv"), FORMATS)
    rows = [one for one in file.rows if one.family.endswith("_pinned") and one.sizes["bytes"] > 1 << 20]
    predicted = predict(gpu, rows).t_us
    assert len(rows) >= 12
    assert all(abs(t_us / row.t_us - 1) < 0.05 for t_us, row in zip(predicted, rows, strict=True))


def test_whole_steps_are_passed_over_with_a_note(gpu: Gpu) -> None:
    record = replay_kernels(gpu, str(MEASURED / "h200_tp4.csv"))
    assert record.metrics["n_rows"] - record.metrics["n_predicted"] == 3
    assert "3 rows are whole steps" in record.notes[0]


def test_every_kind_of_the_extra_file_is_predicted(gpu: Gpu) -> None:
    record = replay_kernels(gpu, str(MEASURED / "h200_extra.csv"))
    assert record.metrics["n_predicted"] == record.metrics["n_rows"] == 133
    assert record.breakdown["error"]["launch_and_sync_n"] == 1


def test_idle_has_a_power_and_no_time(gpu: Gpu, tmp_path: Path) -> None:
    record = replay_kernels(gpu, written(tmp_path, "kind,t_us,power_w\nidle,,123.0\n"))
    assert record.breakdown["power_error"]["idle_mean_frac"] == pytest.approx(0.0, abs=1e-9)
    assert "no time was measured" in record.headlines[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["the file is empty"]),
        ("\n \n", ["the file is empty"]),
        (GEMM, ["no kernels below the header"]),
        ("M,N,K\n1,2,3\n", [":1:", "`kind` is missing"]),
        ("model,phase,B,L,t_ms\n", [":1:", "`kind` is missing", "sim run"]),
        ("kind,M,N\ngemm,1,2\n", [":1:", "`K` is missing", "line 2", "M, N, K"]),
        ("kind,M,N,k\ngemm,1,2,3\n", ["`K` is missing", "rename `k`"]),
        ("kind,M,M\ngemm,1,2\n", [":1:8:", "second column `M`"]),
        (GEMM + "gem,1,2,3,4\n", [":2:1:", "no kind 'gem'", "did you mean `gemm`"]),
        (GEMM + "gemm_fp9,1,2,3,4\n", [":2:1:", "no format 'fp9'", "did you mean `fp8`"]),
        (GEMM + "gemm,1,2,3\n", [":2:", "4 cells under 5 columns"]),
        (GEMM + "gemm,1,2,3,4,5\n", [":2:", "6 cells under 5 columns"]),
        (GEMM + "gemm,1,,3,4\n", [":2:8:", "`N` is empty"]),
        (GEMM + "gemm,1,nan,3,4\n", [":2:8:", "`N` is 'nan'"]),
        (GEMM + "gemm,1,inf,3,4\n", [":2:8:", "`N` is 'inf'"]),
        (GEMM + "gemm,1,-2,3,4\n", [":2:8:", "`N` is '-2'"]),
        (GEMM + "gemm,1,0,3,4\n", [":2:8:", "`N` is 0"]),
        (GEMM + "gemm,1,2.5,3,4\n", [":2:8:", "`N` is '2.5'"]),
        (GEMM + "gemm,1,many,3,4\n", [":2:8:", "`N` is 'many'"]),
        (GEMM + "gemm,1,1_000,3,4\n", [":2:8:", "`N` is '1_000'"]),
        (GEMM + "gemm,1,99999999999999999999,3,4\n", [":2:8:", "whole number from 1"]),
        (GEMM + "gemm,1,2,3,nan\n", [":2:12:", "`t_us` is nan"]),
        (GEMM + "gemm,1,2,3,-4\n", [":2:12:", "`t_us` is -4"]),
        (GEMM + "gemm,1,2,3,fast\n", [":2:12:", "`t_us` is 'fast'"]),
        (GEMM + "gemm,1,2,3,1e999\n", [":2:12:", "finite"]),
        (GEMM + '"gemm",1,2,3,soon\n', [":2:14:", "'soon'"]),
        (GEMM + '\ngemm,1,2,3,4\ngemm,1,2,"3\n4",5\n', [":4:", "end of the line"]),
        (GEMM + 'gemm,1,2,3,"4\n', [":2:"]),
        (ATTENTION + "attn_decode,1,32,5,128,99,\n", [":2:18:", "5 key-value heads do not divide 32"]),
        (ATTENTION + "attn_decode,1,32,8,128,99,flsh\n", [":2:27:", "no attention back end 'flsh'", "`flash`"]),
        (ATTENTION + f"attn_prefill,1,8,8,128,{1 << 40},\n", ["a prompt of 1099511627776", "at most 16777216"]),
        ("kind,M,B,L,Hq,Hkv\nattn_prefill_plus_decode,8,1,9,7,\n", [":2:1:", "give both, or neither"]),
        ("kind,bytes,world\nall_reduce,8,1\n", [":2:14:", "1 GPUs"]),
        ("kind,bytes,world\nall_reduce,8,999999\n", ["2 to 4096"]),
    ],
)
def test_what_is_refused(gpu: Gpu, tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(WorkloadError) as refused:
        gpu.replay(written(tmp_path, text), 1)
    assert all(word in str(refused.value) for word in ("kernels.csv", *words)), str(refused.value)


def test_bytes_that_are_no_text_are_refused(gpu: Gpu, tmp_path: Path) -> None:
    path = tmp_path / "kernels.csv"
    path.write_bytes(b"kind,M\n\xff\xfe,1\n")
    with pytest.raises(WorkloadError, match="not UTF-8"):
        gpu.replay(path, 1)


@pytest.mark.parametrize(
    ("row", "words"),
    [("all_reduce,8,2", "no fabric"), ("h2d_pinned,8,2", "no link to a host")],
)
def test_what_a_part_lacks_is_refused(tmp_path: Path, row: str, words: str) -> None:
    config = load_device(PART)[1].config.model_copy(update={"fabric": None, "host_link": None})
    with pytest.raises(ConfigError, match=words) as refused:
        Gpu(config).replay(written(tmp_path, f"kind,bytes,world\n{row}\n"), 1)
    assert "kernels.csv:2" in str(refused.value)


def test_gzip_and_a_file_that_was_written_by_a_replay(gpu: Gpu, tmp_path: Path) -> None:
    plain = replay_kernels(gpu, str(MEASURED / "h200_kernels.csv"))
    packed = tmp_path / "kernels.csv.gz"
    with gzip.open(packed, "wb") as stream:
        stream.write((MEASURED / "h200_kernels.csv").read_bytes())
    assert replay_kernels(gpu, str(packed)).breakdown == plain.breakdown
    from simulator.report.records import csv_text

    again = written(tmp_path, csv_text(plain.tables["predictions"]), "predictions.csv")
    assert replay_kernels(gpu, again).tables["predictions"].columns == plain.tables["predictions"].columns
    assert replay_kernels(gpu, again).breakdown == plain.breakdown


def test_the_command_writes_predictions_beside_the_rows(sim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(MEASURED / "h200_kernels.csv", tmp_path)
    outcome = sim("replay", str(PART), "h200_kernels.csv", "--out", "run", "--json")
    assert outcome.code == 0, outcome.err
    error = json.loads(outcome.out)["breakdown"]["error"]
    with (tmp_path / "run" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    with (tmp_path / "h200_kernels.csv").open() as stream:
        given = list(csv.DictReader(stream))
    assert [{name: row[name] for name in given[0]} for row in rows] == given
    deviations = [abs(float(row["error_frac"])) for row in rows if row["kind"] == "gemm"]
    assert sum(deviations) / len(deviations) == pytest.approx(error["gemm_mean_frac"])
    assert (tmp_path / "run" / "report.html").exists()


def test_many_rows_are_predicted(gpu: Gpu, tmp_path: Path) -> None:
    sizes = "\n".join(f"gemm,{1 + i % 4096},{1024 + i},{4096 + i % 7},{10 + i % 9}" for i in range(20_000))
    path = written(tmp_path, f"{GEMM}{sizes}\n")
    assert replay_kernels(gpu, path).metrics["n_predicted"] == 20_000
