"""`sim calibrate gpu`: parts refitted to measured kernels."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.core.binding import bind
from simulator.core.config import ConfigTree, load_part
from simulator.core.errors import ConfigError, WorkloadError
from simulator.devices.gpu import Gpu
from simulator.devices.gpu_config import GpuConfig
from simulator.devices.gpu_kernel_rows import KernelRow, read_kernels
from simulator.devices.gpu_replay import predict
from simulator.experiments.calibrate import FLAT, Fit, fit, held_out
from simulator.experiments.calibrate_command import Calibration, calibrate_gpu
from simulator.experiments.calibrate_parameters import MAX_PARAMETERS, parameters_of
from simulator.experiments.calibrate_rows import FitRows
from simulator.experiments.calibrate_search import least

ROOT = Path(__file__).resolve().parents[2]
PART = ROOT / "hw_configs" / "parts" / "gpu_h200.yaml"
MEASURED = ROOT / "simulator" / "experiments" / "targets" / "h200" / "h200_kernels.csv"
TRUTH = {
    "bandwidths.gemm_frac": 0.78,
    "launches.gemm": "7.5 us",
    "bandwidths.attention_frac": 0.9,
    "launches.attention_decode": "9 us",
    "attention.prefill_frac": 0.5,
    "attention.prefill_tail": 0.5,
    "energies.dram": "90 pJ/B",
    "energies.pj_per_flop": 1.6,
}


@pytest.fixture(scope="module")
def tree() -> ConfigTree:
    return load_part(PART)


@pytest.fixture(scope="module")
def rows() -> Sequence[KernelRow]:
    return read_kernels(str(MEASURED), ("bf16", "fp8", "int8", "w4a16")).rows


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """The H200's part refitted to all of its rows, each shape left out in turn, and written."""
    return calibrate_gpu(MEASURED, part=PART, out=tmp_path_factory.mktemp("parts") / "mine.yaml")


@pytest.fixture(scope="module")
def fitted(calibration: Calibration) -> Fit:
    return calibration.fit


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A few products of one shape."""
    path = tmp_path / "small.csv"
    path.write_text("kind,M,N,K,t_us\n" + "".join(f"gemm,{m},4096,4096,{14 + m / 8}\n" for m in (1, 8, 64)))
    return str(path)


def gpu_of(tree: ConfigTree) -> Gpu:
    return Gpu(bind(tree, GpuConfig))


def measured_on(tree: ConfigTree, rows: Sequence[KernelRow]) -> list[KernelRow]:
    """The rows as a card that is exactly this part would measure them."""
    found = predict(gpu_of(tree), rows)
    pairs = zip(rows, found.t_us.tolist(), found.power_w.tolist(), strict=True)
    return [replace(row, t_us=t_us, power_w=power_w) for row, t_us, power_w in pairs]


def number(written: str | float) -> float:
    return float(str(written).split()[0])


def test_the_fast_formulas_are_those_of_a_replay(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    start = gpu_of(tree)
    told = FitRows.of(start, rows)
    parameters = parameters_of(start.config)
    drawn = np.random.default_rng(3).uniform(-0.3, 0.3, len(parameters))
    moved = {
        one.path: one.written(one.of(start.config) * np.exp(by)) for one, by in zip(parameters, drawn, strict=True)
    }
    # As written, with four digits.
    values = [number(moved[one.path]) * one.scale / one.of(start.config) for one in parameters]
    vector = np.log(values)
    wanted = predict(gpu_of(tree.with_sets(moved)), told.rows)
    time_ps, power_mw = told.predicted(parameters, vector)
    np.testing.assert_allclose(time_ps / 1e6, wanted.t_us, rtol=1e-5)
    np.testing.assert_allclose(power_mw / 1e3, wanted.power_w, rtol=1e-5)


def test_a_card_of_known_parameters_is_found(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    found = fit(tree, measured_on(tree.with_sets(TRUTH), rows))
    # Six prompts barely tell rate and tail apart: there the pull towards the start shows.
    well_told = {path: number(value) for path, value in TRUTH.items() if "prefill" not in path}
    after = {one.path: number(one.after) for one in found.refitted}
    assert {path: after[path] for path in well_told} == pytest.approx(well_told, rel=0.005)
    assert (after["attention.prefill_frac"], after["attention.prefill_tail"]) == pytest.approx((0.5, 0.5), abs=0.12)
    assert found.loss_after < 0.005 < found.loss_before
    assert found.after["attn_prefill"].mean < 0.05


def test_the_rows_given_are_met(fitted: Fit) -> None:
    assert len(fitted.refitted) <= MAX_PARAMETERS
    assert fitted.loss_after < fitted.loss_before
    for kind, mean, p95 in (("gemm", 0.05, 0.12), ("attn_decode", 0.03, 0.08), ("attn_prefill", 0.06, 0.12)):
        assert fitted.after[kind].mean < mean
        assert fitted.after[kind].p95 < p95
    assert fitted.faults == ()
    for one in fitted.refitted:
        assert number(one.range[0]) <= number(one.after) <= number(one.range[1])


def test_shapes_left_out_are_met(calibration: Calibration) -> None:
    found = calibration.held_out
    assert found.left_out == {
        "gemm": "6 times one N x K",
        "attn_decode": "5 times one context",
        "attn_prefill": "6 times one row",
    }
    for kind, mean, p95 in (("gemm", 0.055, 0.14), ("attn_decode", 0.05, 0.13), ("attn_prefill", 0.07, 0.18)):
        assert found.errors[kind].mean <= mean
        assert found.errors[kind].p95 <= p95


def test_what_is_left_out_is_not_seen(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    """One shape measured ten times too slow: the others' predictions follow it, its own does not."""
    odd = [replace(row, t_us=10 * row.t_us) if row.family == "gemm" and row.sizes["N"] == 1024 else row for row in rows]
    gemm = [row for row in odd if row.family == "gemm"]
    assert held_out(tree, gemm).errors["gemm"].max == pytest.approx(0.9, abs=0.05)


def test_heads_are_left_out_where_they_differ(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    decode = [row for row in rows if row.family == "attn_decode"]
    grouped = [replace(row, sizes={**row.sizes, "Hq": 64, "Hkv": 8}) for row in decode]
    found = held_out(tree, [*decode, *measured_on(tree, grouped)])
    assert found.left_out == {"attn_decode": "2 times one configuration of heads"}


def test_a_fit_is_the_same_every_time(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    few = rows[::5]
    assert fit(tree, few).refitted == fit(tree, few).refitted


def test_what_no_row_tells_stays(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    decode = [replace(row, power_w=float("nan")) for row in rows if row.family == "attn_decode" and row.t_us < 30]
    found = fit(tree, decode)
    assert {one.path for one in found.refitted} == {"bandwidths.attention_frac", "launches.attention_decode"}
    assert found.kept["bandwidths.gemm_frac"] == "there are no rows of gemm"
    assert "no power was measured" in found.kept["energies.dram"]
    assert found.tree.get("bandwidths.gemm_frac") == tree.get("bandwidths.gemm_frac")


def test_one_row_cannot_tell_two_parameters_apart(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    one = next(row for row in rows if row.family == "gemm" and row.sizes["M"] == 1)
    found = fit(tree, [replace(one, t_us=1.2 * one.t_us, power_w=float("nan"))])
    shares = {given.path: number(given.after) / number(given.before) for given in found.refitted}
    assert 0.75 < shares["bandwidths.gemm_frac"] < 1.0
    assert found.after["gemm"].max < 0.01


def test_a_card_without_a_power_limit_tells_the_rate_of_its_arithmetic(
    tree: ConfigTree, rows: Sequence[KernelRow]
) -> None:
    uncapped = tree.with_sets({"board_limit": "3 kW"})
    slow = measured_on(uncapped.with_sets({"formats.bf16.matmul_frac": 0.7}), rows)
    found = fit(uncapped, slow)
    after = {one.path: number(one.after) for one in found.refitted}
    assert after["formats.bf16.matmul_frac"] == pytest.approx(0.7, rel=0.01)
    assert len(found.refitted) == MAX_PARAMETERS
    assert "8 others" in found.kept["attention.prefill_tail"]


def test_a_format_with_numbers_of_its_own_is_refitted_there(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    own = tree.with_sets({"formats.bf16.bandwidth_frac": 0.8, "formats.bf16.launch": "4 us"})
    found = fit(own, [row for row in rows if row.family == "gemm"])
    after = {one.path: number(one.after) for one in found.refitted}
    assert after["formats.bf16.bandwidth_frac"] == pytest.approx(0.9, abs=0.02)
    assert after["formats.bf16.launch"] == pytest.approx(5.3, abs=0.3)


def test_a_card_that_is_faster_than_its_data_sheet_is_told(small: str, tmp_path: Path) -> None:
    done = calibrate_gpu(small, part=PART, out=tmp_path / "mine.yaml", sets=("bandwidth=2 TB/s",))
    bounded = [one.path for one in done.fit.refitted if one.at_bound]
    assert "bandwidths.gemm_frac" in bounded
    assert any("the data sheet of this card?" in said for said in done.remarks())


def test_a_faulty_reading_is_left_out_and_named(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    powered = [row for row in rows if row.family == "gemm" and row.power_w > 0]
    place = next(at for at, row in enumerate(powered) if row.power_w > 650)
    broken = [*powered[:place], replace(powered[place], power_w=858.0), *powered[place + 1 :]]
    found = fit(tree, broken)
    assert [row.power_w for row in found.faults] == [858.0]
    assert found.power_after["gemm"].n == len(powered) - 1


def test_the_range_is_where_the_loss_is_flat(tree: ConfigTree, rows: Sequence[KernelRow], fitted: Fit) -> None:
    """Holding a parameter at the end of its range, the others do about FLAT worse than at the best."""
    start = gpu_of(tree)
    told = FitRows.of(start, rows)
    parameters = [one for one in parameters_of(start.config) if one.path in {r.path for r in fitted.refitted}]
    number_of = [one.path for one in parameters].index("bandwidths.gemm_frac")
    low = next(one.range[0] for one in fitted.refitted if one.path == "bandwidths.gemm_frac")
    vector = np.array(
        [
            np.log(number(one.after) * parameter.scale / parameter.of(start.config))
            for one, parameter in zip(fitted.refitted, parameters, strict=True)
        ]
    )
    vector[number_of] = np.log(number(low) / parameters[number_of].of(start.config))
    bound = np.tile(vector, (2, 1)) + np.outer([-1.0, 1.0], np.arange(len(vector)) != number_of)
    _, loss = least(told.objective(parameters, 0.0), vector, bound)
    assert loss / fitted.loss_after == pytest.approx(1 + FLAT, abs=0.02)


def test_the_search_passes_kinks() -> None:
    def valley(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return np.abs(x + y - 1) * 10 + np.abs(x - 3)

    best, value = least(valley, np.zeros(2), np.array([[-9.0, -9.0], [9.0, 9.0]]))
    assert value < 0.01
    assert best == pytest.approx([3, -2], abs=0.01)


def test_no_row_that_tells_is_refused(tree: ConfigTree, rows: Sequence[KernelRow]) -> None:
    with pytest.raises(WorkloadError, match="no row tells a parameter"):
        fit(tree, [row for row in rows if row.family in ("rmsnorm", "idle")])


def test_the_part_that_is_written_is_one(
    calibration: Calibration, sim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written, said = calibration.target, calibration.as_object()
    assert said["breakdown"]["error_held_out"]["gemm_mean_frac"] < 0.055
    part = load_part(written)
    assert part.get("bandwidths.gemm_frac") == next(
        one["after"] for one in said["parameters"] if one["path"] == "bandwidths.gemm_frac"
    )
    text = written.read_text()
    assert f"extends: {os.path.relpath(PART, written.parent)}" in text
    assert 'source: "h200_kernels.csv (sha256 ' in text
    replayed = sim("replay", str(written), str(MEASURED), "--json")
    for name in ("error", "power_error"):
        assert json.loads(replayed.out)["breakdown"][name] == pytest.approx(said["breakdown"][name], rel=1e-3)
    run = sim(
        "run", str(ROOT / "hw_configs" / "gpu_h200.yaml"), "--set", f"system.device.use={written}", "--set",
        "workload.phase=decode", "--set", "workload.context=128", "--json",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert list(written.parent.glob(".mine*")) == []


def test_the_command_says_what_it_did(small: str, sim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = sim("calibrate", "gpu", small, "--part", str(PART), "--out", "mine.yaml", "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert (said["part"], said["metrics"]["n_rows"]) == ("mine.yaml", 3)
    assert {one["path"]: one["after"] for one in said["parameters"]}["launches.gemm"] == load_part("mine.yaml").get(
        "launches.gemm"
    )


def test_sets_are_part_of_the_part_that_is_written(small: str, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    done = calibrate_gpu(small, part=PART, out=target, sets=("board_limit=600 W", "name=ours"))
    part = load_part(target)
    assert (part.get("board_limit"), part.get("name")) == ("600 W", "ours")
    assert part.plain() == done.fit.tree.plain()


def test_an_earlier_calibration_is_replaced_only_by_name(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = calibrate_gpu(small, part=PART)
    assert str(first.target) == "gpu_h200_small.yaml"
    with pytest.raises(ConfigError, match="earlier calibration") as refused:
        calibrate_gpu(small, part=PART)
    assert "--out gpu_h200_small.yaml" in str(refused.value)
    calibrate_gpu(small, part=PART, out=first.target)
    with pytest.raises(ConfigError, match="is made from"):
        calibrate_gpu(small, part=first.target, out=first.target)
    second = calibrate_gpu(small, part=first.target, out="again.yaml")
    assert all(number(one.after) == pytest.approx(number(one.before), rel=0.05) for one in second.fit.refitted)
    with pytest.raises(ConfigError, match="is made from"):
        calibrate_gpu(small, part="again.yaml", out=first.target)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("notes.yaml", "not written by a calibration"),
        ("folder.yaml", "it is a folder"),
        ("mine", "a part is a YAML file"),
        ("none/mine.yaml", "no folder that can be written"),
    ],
)
def test_a_target_that_is_refused(out: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.yaml").write_text("kind: gpu\n")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match=words):
        calibrate_gpu(MEASURED, part=PART, out=out)
    assert (tmp_path / "notes.yaml").read_text() == "kind: gpu\n"


def test_a_part_that_is_no_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no GPU"):
        calibrate_gpu(MEASURED, part=ROOT / "hw_configs" / "parts" / "gddr6_aim.yaml", out=tmp_path / "mine.yaml")


def test_fewer_kernels_than_parameters_are_said(small: str, tmp_path: Path) -> None:
    row = "kind,M,N,K,t_us,power_w\n" + "gemm,64,4096,4096,20,300\n" * 5
    path = tmp_path / "one.csv"
    path.write_text(row)
    done = calibrate_gpu(path, part=PART, out=tmp_path / "one.yaml")
    assert done.fit.n_shapes == 1
    assert any("4 parameters were refitted to 1 different kernels" in said for said in done.as_object()["notes"])
    enough = calibrate_gpu(small, part=PART, out=tmp_path / "small.yaml")
    assert not any("guess" in said for said in enough.remarks())


def test_a_name_of_two_lines_stays_in_its_comment(small: str, tmp_path: Path) -> None:
    path = tmp_path / "a\nformats: {}"
    path.write_text(Path(small).read_text())
    calibrate_gpu(path, part=PART, out=tmp_path / "one.yaml")
    assert load_part(tmp_path / "one.yaml").get("formats.bf16.weight_bits") == 16
