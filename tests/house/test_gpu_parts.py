"""Every GPU part that the project ships: bound, within its data sheet, and honest about what was assumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.parameters import parameters
from simulator.devices.gpu import Gpu
from simulator.experiments.calibrate_parameters import MAX_PARAMETERS
from simulator.experiments.settings import load_settings

PARTS = (
    "gpu_a100_40", "gpu_a100_80", "gpu_a100a", "gpu_a30", "gpu_a6000", "gpu_h100", "gpu_h200", "gpu_rtx4090",
    "gpu_rtxpro6000", "gpu_t4",
)  # fmt: skip
CONFIGS = (
    "gpu_2xh200_tp2", "gpu_2xrtxpro6000_tp2", "gpu_4xa100_tp4", "gpu_4xh200_pp4", "gpu_4xh200_tp4", "gpu_8xh100_tp8",
    "gpu_a100_40", "gpu_a100_80", "gpu_a100a", "gpu_a30", "gpu_a6000", "gpu_h100", "gpu_h200", "gpu_rtx4090", "gpu_t4",
)  # fmt: skip
OF_FABRIC = ("fabric", "collectives", "host_link")
# Time of an all-reduce by card, cards, bytes: Vidur's profiles (DGX) and LLMServingSim's device file (PCIe).
ALL_REDUCES_US = (
    ("gpu_a100_80", 2, 49_807_360, 333.0),
    ("gpu_a100_80", 4, 49_807_360, 462.0),
    ("gpu_a100_80", 8, 49_807_360, 513.0),
    ("gpu_h100", 2, 49_807_360, 187.0),
    ("gpu_h100", 4, 12_124_160, 75.0),
    ("gpu_h100", 8, 31_064_064, 187.0),
    ("gpu_rtxpro6000", 2, 64 << 10, 14.8),
    ("gpu_rtxpro6000", 2, 20 << 20, 587.1),
)


def part_path(name: str, root: Path) -> str:
    return str(root / "hw_configs" / "parts" / f"{name}.yaml")


def device(name: str, root: Path, *sets: str) -> Gpu:
    return Gpu(bind(load_part(part_path(name, root), sets=sets), Gpu.Config))


def test_every_card_is_listed(repo_root: Path) -> None:
    found = {path.stem for path in (repo_root / "hw_configs" / "parts").glob("gpu_*.yaml")}
    assert found - {"gpu_base", "gpu_system"} == set(PARTS)
    assert {path.stem for path in (repo_root / "hw_configs").glob("gpu_*.yaml")} == set(CONFIGS)


@pytest.mark.parametrize("name", PARTS)
def test_what_is_assumed_has_a_range_and_the_data_sheet_has_none(name: str, repo_root: Path) -> None:
    for parameter in parameters(load_part(part_path(name, repo_root))):
        own = not parameter.path.startswith(OF_FABRIC)
        if parameter.kind == "assumed" and own:
            assert parameter.range is not None, parameter.path
        if parameter.kind in ("datasheet", "standard"):
            assert parameter.range is None, parameter.path


@pytest.mark.parametrize("name", PARTS)
def test_no_more_is_fitted_than_was_promised(name: str, repo_root: Path) -> None:
    """Links and collectives aside, which belong to fabric and library: one fit of theirs serves many cards."""
    fitted = [
        one
        for one in parameters(load_part(part_path(name, repo_root)))
        if one.kind == "fitted" and not one.path.startswith(OF_FABRIC)
    ]
    assert len(fitted) <= MAX_PARAMETERS, [one.path for one in fitted]
    assert all(one.source and one.range for one in fitted)


@pytest.mark.parametrize("name", PARTS)
def test_memory_alone_leaves_room_under_the_board_limit(name: str, repo_root: Path) -> None:
    """A clock that has nothing to give up to streaming would fall to the floor of the model."""
    gpu = device(name, repo_root)
    kernel = gpu.kernels.stream(1e10, writes=False)
    run = gpu.run([[(kernel, 1.0)]])
    power_w = gpu.config.energies.active_mw / 1e3 + gpu.dynamic_pj(kernel, 1.0)[0] / run.time_ps[0]
    assert run.ratios[0] == 1.0
    assert power_w < gpu.config.board_limit_mw / 1e3


@pytest.mark.parametrize("name", PARTS)
def test_no_product_beats_the_data_sheet(name: str, repo_root: Path) -> None:
    gpu = device(name, repo_root)
    config = gpu.config
    for number_format, form in config.formats.items():
        for tokens in (1, 64, 1024, 8192):
            kernel = gpu.kernels.gemm(tokens, 8192, 8192, number_format)
            time_ps = gpu.run([[(kernel, 1.0)]]).time_ps[0]
            assert kernel.flops / time_ps <= form.peak_tflops
            assert kernel.dram_bytes / time_ps * 1e3 <= config.bandwidth_gb_per_s


@pytest.mark.parametrize(("name", "low", "high"), [("gpu_a100_80", 0.9, 0.94), ("gpu_h100", 0.66, 0.74)])
def test_energies_by_process_leave_the_measured_rates(name: str, low: float, high: float, repo_root: Path) -> None:
    """277 to 293 of an A100's 312 TFLOPS were measured; an H200, whose chip an H100 has, keeps 0.69 to 0.72."""
    gpu = device(name, repo_root, "formats.bf16.matmul_frac=0.95")
    kernel = gpu.kernels.gemm(4096, 8192, 8192)
    rate = kernel.flops / gpu.run([[(kernel, 1.0)]]).time_ps[0]
    assert low <= rate / gpu.config.formats["bf16"].peak_tflops <= high


@pytest.mark.parametrize(("name", "n_cards", "n_bytes", "measured_us"), ALL_REDUCES_US)
def test_all_reduces_as_published(name: str, n_cards: int, n_bytes: int, measured_us: float, repo_root: Path) -> None:
    time_ps = device(name, repo_root).collectives(n_cards).time_ps("all_reduce", n_bytes)
    assert time_ps / 1e6 == pytest.approx(measured_us, rel=0.15)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_system_runs_as_it_stands(name: str, phase: str, sim: Any, repo_root: Path, tmp_path: Path) -> None:
    sets = ("--set", f"workload.phase={phase}", "--set", "workload.context=512", "--json", "--no-report")
    outcome = sim("run", repo_root / "hw_configs" / f"{name}.yaml", *sets, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    metrics = json.loads(outcome.out)["metrics"]
    system = load_settings(str(repo_root / "hw_configs" / f"{name}.yaml")).system(1)
    assert 0 < metrics["power_w"] <= system.n_gpus * system.config.device.board_limit_mw / 1e3 * 1.001
    assert metrics["throughput_tokens_per_s"] > 0


def test_a_model_too_large_for_one_card_is_refused_with_its_bytes(sim: Any, repo_root: Path, tmp_path: Path) -> None:
    config = repo_root / "hw_configs" / "gpu_a100_80.yaml"
    outcome = sim("run", config, "--set", "workload.model=llama2-70b", "--out", tmp_path / "run")
    assert outcome.code == 4
    assert "llama2-70b on NVIDIA A100 SXM4 80 GB overfill a GPU by 54," in outcome.err
