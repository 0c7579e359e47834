"""`sim validate gpu`: what it claims of which rows, what it says where nothing can be checked, and that it can fail."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from simulator.core.errors import ConfigError
from simulator.experiments import validate_gpu
from simulator.experiments.replay import load_device
from simulator.experiments.validate import remarks, tables, validate
from simulator.experiments.validate_gpu import GpuTargets, load_gpu_targets
from simulator.experiments.validate_gpu_held_out import held_out_collectives
from simulator.experiments.validate_gpu_host import fit_host
from simulator.experiments.validate_gpu_kernels import SERIES, compared_kernels, in_binary, measured_kernels
from simulator.experiments.validate_gpu_measured import Compared, claims_of, read_rows, statistic
from simulator.experiments.validate_gpu_profiles import Profiles, compared_rows, profile_claims
from simulator.experiments.validate_gpu_steps import measured_steps
from simulator.experiments.validate_page import validation_page
from simulator.experiments.validate_records import (
    FAIL,
    MISSED,
    NOT_CHECKED,
    PASS,
    REPORTED,
    Claim,
    Group,
    Point,
    Row,
    rows_of,
)
from simulator.experiments.validate_targets import FOLDER
from simulator.report.layout import plain_table

GROUP = Group("g", "Title", "source", folded=False)
MATMULS = "\n".join(
    f"{m},{n},{k},{t_ms}ms,{2e-9 * m * n * k / t_ms}Tflops"
    for m, n, k, t_ms in ((4096, 8192, 8192, 2.1), (256, 8192, 8192, 0.19), (32, 12288, 12288, 0.2))
)


@pytest.fixture(scope="module")
def targets() -> GpuTargets:
    return load_gpu_targets()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """All claims where no profile is."""
    return validate(("gpu",), tmp_path_factory.mktemp("profiles"))


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """A folder that holds one small profile and nothing else."""
    folder = tmp_path / "profiles" / "llmcompass_real_hw"
    folder.mkdir(parents=True)
    (folder / "matmul_A100.csv").write_text(MATMULS + "\n", encoding="utf-8")
    for name in ("layernorm", "softmax"):
        (folder / f"{name}_A100.csv").write_text("4096,4096,300\n", encoding="utf-8")
    (folder / "gelu_A100.csv").write_text("1000000,300\n", encoding="utf-8")
    return folder.parent


@pytest.fixture
def no_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the kernels held out in turn, which take most of the time: `rows` has them."""
    monkeypatch.setattr(validate_gpu, "held_out_claims", lambda *_: iter(()))


def claim(limit: float | None, ours: float | None, known: float | None = None) -> Claim:
    return Claim(GROUP, "case", "mean", limit, ours, "7 fitted", note="why", known=known)


def kernel_verdicts(targets: GpuTargets, sets: dict[str, object]) -> dict[str, str]:
    """Verdicts of the claims of kernels on a part with overrides."""
    gpu = load_device(Path("hw_configs") / targets.part, sets)[1]
    asked = targets.kernels[0]
    kernels = compared_kernels(gpu, list(measured_kernels(gpu, targets.paths(asked))))
    return {f"{one.case} {one.quantity}": one.verdict for one in validate_gpu.kernel_claims(asked, kernels)}


def test_nothing_that_can_be_checked_fails(rows: list[Row]) -> None:
    assert [(row.name, row.worst.ours) for row in rows if row.verdict == FAIL] == []
    checked = {row.group.name for row in rows if row.verdict == PASS}
    assert checked == {"kernels", "more_kernels", "held_out", "steps", "more_steps", "more_tp2"}


def test_the_promised_limits_are_the_ones_compared(rows: list[Row]) -> None:
    limits = {(row.group.name, row.name): row.worst.as_object()["target"] for row in rows}
    for group in ("kernels", "held_out"):
        assert limits[group, "GEMM bf16: mean"] == 5.5
        assert limits[group, "GEMM bf16: p95"] == 14
        assert (limits[group, "decode attention: mean"], limits[group, "decode attention: p95"]) == (5, 13)
        assert (limits[group, "prefill attention: mean"], limits[group, "prefill attention: p95"]) == (7, 18)
        assert (limits[group, "collectives: mean"], limits[group, "collectives: p95"]) == (15, 30)
    for group in ("steps", "more_steps", "more_tp2"):
        assert [limits[group, f"time: {name}"] for name in ("mean", "p95", "max")] == [4, 9, 12]
        assert [limits[group, f"power: {name}"] for name in ("mean", "p95")] == [4, 8]
    assert limits["kernels", "host link from 1 MB: max"] == 5
    for kind in ("fp8", "int8"):
        assert [limits["kernels", f"GEMM {kind}: {name}"] for name in ("mean", "p95")] == [10, 25]


def test_every_claim_says_whether_its_rows_were_fitted(rows: list[Row]) -> None:
    for row in rows:
        assert isinstance(row.worst, Claim)
        assert any(word in row.worst.rows for word in ("fitted", "read", "held out")), row.name


def test_every_measured_row_is_compared(targets: GpuTargets) -> None:
    gpu = targets.gpu()
    paths = {path for asked in (*targets.kernels, *targets.steps) for path in targets.paths(asked)}
    # Parts of kernels and of steps, of which a few parameters were read.
    assert paths == {path for path in (FOLDER / targets.measured).glob("*.csv") if path.name != "h200_micro.csv"}
    written = [row for path in sorted(paths) for row in read_rows(path)]
    for asked in targets.kernels:
        kinds = {row.kind for row in measured_kernels(gpu, targets.paths(asked))}
        assert kinds == {kind for one in asked.claims for kind in one.kinds}
    kernels = [row for asked in targets.kernels for row in measured_kernels(gpu, targets.paths(asked))]
    assert len(kernels) == sum(row.get("kind") in SERIES for row in written)
    steps = [step for asked in targets.steps for step in measured_steps(targets.paths(asked))]
    assert len(steps) == sum("phase" in row or row["kind"].startswith("tp_") for row in written)


def test_steps_run_the_kernels_that_were_measured(targets: GpuTargets) -> None:
    steps = [step for asked in targets.steps for step in measured_steps(targets.paths(asked))]
    ran = {(step.model, step.phase, step.n_gpus, step.n_layers): step.attention_kernel for step in steps}
    assert ran["llama2-7b", "decode", 1, None] == "fa2"
    assert ran["llama2-70b", "decode", 1, 8] == "matmul"
    assert ran["llama2-70b", "prefill", 1, 8] == "fa2"
    assert ran["llama2-70b", "decode", 4, None] == "split_kv"
    sliced = next(step for step in steps if step.n_layers == 8)
    assert sliced.sets()["workload.overrides.n_layers"] == 8
    assert sliced.label == "70B:8 decode 1 x 512"


@pytest.mark.parametrize(
    ("sets", "claims"),
    [
        ({"bandwidths.gemm_frac": 0.6}, {"GEMM bf16 mean", "GEMM bf16 p95"}),
        ({"bandwidths.attention_frac": 0.75}, {"decode attention mean", "decode attention p95"}),
        ({"attention.prefill_frac": 0.45}, {"prefill attention mean", "prefill attention p95"}),
        ({"collectives.protocols.simple.payload_share": 0.3}, {"collectives mean", "collectives p95"}),
        ({"formats.fp8.matmul_frac": 0.5}, {"GEMM fp8 mean", "GEMM fp8 p95"}),
        ({"formats.int8.matmul_frac": 0.9}, {"GEMM int8 mean", "GEMM int8 p95"}),
        ({"host_link.start": "40 us"}, {"host link from 1 MB max"}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_parameter_fails(
    sets: dict[str, object], claims: set[str], targets: GpuTargets, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo_root)
    verdicts = kernel_verdicts(targets, sets)
    assert claims <= {name for name, verdict in verdicts.items() if verdict == FAIL}


@pytest.mark.usefixtures("no_refits")
def test_a_wrong_part_fails_steps_and_the_command(
    sim, tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = repo_root / "simulator" / "experiments" / "targets" / "gpu.yaml"
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    slow = tmp_path / "slow.yaml"
    slow.write_text(
        f"extends: {repo_root / 'hw_configs' / 'gpu_h200.yaml'}\n"
        "system: {device: {bandwidths: {gemm_frac: 0.6}, attention: {fa2_frac: 0.2}}}\n",
        encoding="utf-8",
    )
    content["configs"][1] = str(slow)
    (tmp_path / "gpu.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr("simulator.experiments.validate.path_of", lambda name: tmp_path / f"{name}.yaml")
    outcome = sim("validate", "gpu", "--profiles", str(tmp_path), "--json")
    assert outcome.code == 1
    result = json.loads(outcome.out)
    failed = [row["name"] for row in result["rows"] if row["verdict"] == FAIL]
    assert {"time: mean", "time: p95", "time: max"} <= set(failed)
    assert all(name.startswith(("time", "power")) for name in failed)
    assert result["metrics"]["n_failed"] == len(failed)


@pytest.mark.usefixtures("no_refits")
def test_absent_profiles_are_named_and_neither_met_nor_failed(sim, tmp_path: Path) -> None:
    outcome = sim("validate", "gpu", "--profiles", str(tmp_path), "--json")
    assert outcome.code == 0
    result = json.loads(outcome.out)
    unchecked = [row for row in result["rows"] if row["verdict"] == NOT_CHECKED]
    assert len(unchecked) == result["metrics"]["n_not_checked"] > 20
    assert {row["group"] for row in unchecked} == {"profiles", "host"}
    assert all(row["ours"] is None and "is left out: its folder" in row["note"] for row in unchecked)


@pytest.mark.usefixtures("no_refits")
def test_a_profile_that_is_there_is_compared(profiles: Path) -> None:
    found = {row.name: row for row in validate(("gpu",), profiles)}
    checked = found["A100 GEMM: mean"]
    assert checked.verdict in (PASS, FAIL)
    assert checked.worst.rows == "3 three read"
    assert found["RTX 4090 GEMM: mean"].verdict == NOT_CHECKED
    assert "not checked: splitwise is left out" in " ".join(remarks(list(found.values())))


def test_a_profile_is_compared_through_the_part(profiles: Path) -> None:
    rows = [row for row in Profiles(profiles).read("llmcompass_a100").rows if row.kernels[0].kind == "gemm"]
    right = compared_rows("parts/gpu_a100_80.yaml", {}, rows)
    wrong = compared_rows("parts/gpu_a100_80.yaml", {"formats.bf16.matmul_frac": 0.4}, rows)
    assert wrong[0].ours > 1.5 * right[0].ours
    assert [one.label for one in right] == [row.label for row in rows]


def test_a_claim_of_no_row_is_refused(profiles: Path, targets: GpuTargets) -> None:
    one = targets.profiles.claims[0].model_copy(update={"only": "nothing is called so"})
    with pytest.raises(ConfigError, match="has no rows for the claim"):
        list(profile_claims(GROUP, [one], Profiles(profiles)))


def test_a_folder_that_is_not_there_is_refused(sim, tmp_path: Path) -> None:
    outcome = sim("validate", "gpu", "--profiles", str(tmp_path / "none"))
    assert (outcome.code, "there is no folder" in outcome.err) == (2, True)


@pytest.mark.parametrize(
    ("limit", "ours", "known", "verdict"),
    [
        (5.5, 5.5, None, PASS),
        (5.5, 5.51, None, FAIL),
        (0.0, 0.0, None, PASS),
        (0.0, 1.0, None, FAIL),
        (None, 80.0, None, REPORTED),
        (5.0, None, None, NOT_CHECKED),
        (10.0, 11.0, 12.0, MISSED),
        (10.0, 9.0, 12.0, PASS),
        (10.0, 12.1, 12.0, FAIL),
        (10.0, math.nan, 12.0, FAIL),
    ],
)
def test_what_meets_a_claim(limit: float | None, ours: float | None, known: float | None, verdict: str) -> None:
    assert claim(limit, ours, known).verdict == verdict


def test_claims_as_rows_json_and_page() -> None:
    made = rows_of([claim(10.0, 11.0, 12.0), Claim(GROUP, "other", "p95", 5.0, 4.0), Point(GROUP, "a", "x", 1, 1)])
    assert [row.name for row in made] == ["case: mean", "other: p95", "a: x"]
    one = made[0].as_object()
    assert (one["target"], one["ours"], one["at_most"], one["verdict"], one["rows"]) == (
        10.0, 11.0, True, MISSED, "7 fitted",
    )  # fmt: skip
    assert one["error"] == pytest.approx(1.0)
    json.dumps([row.as_object() for row in made], allow_nan=False)
    assert remarks(made[:2]) == ["case: why"]
    ((_, table),) = tables(made[:2])
    assert table.columns == ("claim", "rows", "at most", "ours", "verdict")
    assert next(iter(table.rows)) == ("case: mean", "7 fitted", "10 %", "11 %", MISSED)
    page = validation_page(made[:2])
    assert "1 of 2 targets met" in page  # a known miss is a miss
    assert "missed, for a known reason" in page
    assert '<th class="number">at most</th>' in page


def test_tables_fit_80_columns(rows: list[Row]) -> None:
    for title, table in tables(rows):
        text = plain_table(title, table)
        widths = [
            max(len(header), *(len(row[index]) for row in text.rows)) for index, header in enumerate(text.headers)
        ]
        assert sum(widths) + 2 * (len(widths) - 1) <= 80, title


def test_statistics() -> None:
    compared = [Compared("s", str(ours), 100.0, ours) for ours in (90.0, 100.0, 104.0, 120.0)]
    assert statistic("mean", compared) == pytest.approx(8.5)
    assert statistic("max", compared) == pytest.approx(20.0)
    assert statistic("p95", compared) == pytest.approx(np.percentile([10, 0, 4, 20], 95))
    assert statistic("above", compared) == 2
    (one,) = claims_of(GROUP, "c", compared, {"max": 25.0}, "fitted")
    assert (one.rows, one.unit, one.verdict) == ("4 fitted", "%", PASS)
    assert one.note.startswith("furthest off: 120.0 +20.0 %; 90.0 -10.0 %")
    (above,) = claims_of(GROUP, "c", compared, {"above": 0}, "")
    assert (above.unit, above.verdict) == ("rows", FAIL)


def test_the_hosts_numbers_are_found() -> None:
    rng = np.random.default_rng(1)
    gpu_ms, n = rng.uniform(5, 80, 40), rng.integers(1, 65, 40).astype(float)
    measured = np.maximum(1.3 * gpu_ms, 30.0 + 0.4 * n)
    factor, floor, slope = fit_host(gpu_ms, n, measured)
    assert factor == pytest.approx(1.3, abs=0.03)
    assert floor == pytest.approx(30.0, abs=1.0)
    assert slope == pytest.approx(0.4, abs=0.06)


def test_a_collective_is_predicted_by_the_others(targets: GpuTargets) -> None:
    """Changing a measured time must not change the prediction of that row, but of others."""
    gpu = targets.gpu()
    paths = targets.paths(targets.kernels[0])
    rows = [row for row in measured_kernels(gpu, paths) if row.kind in ("all_reduce", "all_gather")]
    before = [one.ours for one in held_out_collectives(gpu, rows)]
    last = type(rows[-1])(
        **{**{name: getattr(rows[-1], name) for name in rows[-1].__slots__}, "t_us": rows[-1].t_us * 2}
    )
    after = [one.ours for one in held_out_collectives(gpu, [*rows[:-1], last])]
    assert after[-1] == before[-1]
    assert after != before


@pytest.mark.parametrize(("n", "text"), [(512, "512"), (4096, "4K"), (1 << 20, "1M"), (3 << 30, "3G"), (1000, "1000")])
def test_sizes_in_binary_units(n: int, text: str) -> None:
    assert in_binary(n) == text
