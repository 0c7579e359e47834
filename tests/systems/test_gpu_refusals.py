"""What a user can get wrong with GPUs, through the command line: exit code, the key that is meant, and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import simulator

STEP = {"workload.phase": "decode", "workload.batch": 4, "workload.context": 512}
DEVICE = "system.device."


@pytest.fixture
def refused(refusal_of: Callable[..., str]) -> Callable[..., str]:
    """Run a step that must be refused with an exit code, and give what was said."""

    def call(code: int, sets: dict[str, object], config: str | Path = "gpu_h200") -> str:
        return refusal_of(config, code, {**STEP, **sets})

    return call


@pytest.mark.parametrize(
    ("sets", "config", "words"),
    [
        ({"workload.model": "opt-175b"}, "gpu_h200", ("workload.model", "overfill a GPU by 200,172,732,416 bytes")),
        ({"workload.batch": 4000, "workload.context": 4096}, "gpu_h200", ("workload.batch", "13,298,768,324,608")),
        ({"system.reserved": "200 GiB"}, "gpu_h200", ("overfill a GPU by",)),
        ({"system.tensor_parallel": 3}, "gpu_4xh200_tp4", ("system.tensor_parallel", "64 heads", "divisor of 64")),
        ({"system.tensor_parallel": 12, "workload.model": "qwen3-32b", "workload.overrides.n_heads": 96},
         "gpu_4xh200_tp4", ("8 key-value heads", "neither share nor copy")),
        ({"system.pipeline_parallel": 41}, "gpu_h200", ("system.pipeline_parallel", "40 layers", "at most 40")),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_machine(
    refused: Callable[..., str], sets: dict[str, object], config: str, words: tuple[str, ...]
) -> None:
    said = refused(4, sets, config)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"system.attention_kernel": "fa3"}, ("system.attention_kernel", "did you mean `fa2`?")),
        ({"system.attention_kernel": "splitkv"}, ("did you mean `split_kv`?",)),
        ({"system.prefill_attention_kernel": "cudn"}, ("did you mean `cudnn`?",)),
        ({"system.number_format": "fp9"}, ("system.number_format", "did you mean `fp8`?")),
        ({"system.elementwise": "fuse"}, ("did you mean `fused`?",)),
        ({"system.launch": "eagr"}, ("did you mean `eager`?",)),
        ({"system.capacity": "enforced"}, ("did you mean `enforce`?",)),
        ({"system.attention_kernels": "fa2"}, ("did you mean `attention_kernel`?",)),
        ({"workload.phase": "prefil"}, ("did you mean `prefill`?",)),
        ({"workload.overrides.weight_bits": 3}, ("weight_bits", "no 3-bit weights", "w4a16 (4 x 16)")),
        ({"workload.overrides.weight_bits": 8}, ("no 8-bit weights", "set workload.overrides.act_bits=8 too")),
        ({"workload.context": 0}, ("workload.context", "above 0")),
        ({"workload.context": 2_000_000}, ("workload.context", "1048576")),
        ({"workload.batch": 0}, ("workload.batch", "above 0")),
        ({"workload.batch": -3}, ("workload.batch",)),
        ({"system.tensor_parallel": 0}, ("system.tensor_parallel",)),
        ({"system.tensor_parallel": 1.5}, ("not a whole number",)),
        ({"system.tensor_parallel": 2, DEVICE + "fabric": "null"}, ("system.device", "no fabric")),
        ({"system.pipeline_parallel": 2, DEVICE + "collectives": "null"}, ("system.device", "no fabric")),
        ({"system.n_microbatches": 0}, ("system.n_microbatches",)),
        ({"system.host.floor": "-3 us"}, ("system.host.floor",)),
    ],
)  # fmt: skip
def test_what_is_no_choice(refused: Callable[..., str], sets: dict[str, object], words: tuple[str, ...]) -> None:
    said = refused(2, sets)
    for word in words:
        assert word in said


@pytest.mark.parametrize("value", ["nan", ".nan", ".inf", "-0.5", "0", "88", "fast"])
@pytest.mark.parametrize("key", ["bandwidths.gemm_frac", "attention.fa2_frac", "formats.bf16.matmul_frac"])
def test_efficiencies_are_shares(refused: Callable[..., str], key: str, value: str) -> None:
    assert key in refused(2, {DEVICE + key: value})


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("board_limit", "100 W", "leaves nothing of `board_limit`, 100 W"),
        ("board_limit", "120 W", "leaves nothing of `board_limit`, 120 W"),
        ("board_limit", "-1 W", "board_limit"),
        ("l2_partitions", "0", "above 0"),
        ("n_sms", "0", "above 0"),
        ("capacity", "0 GiB", "capacity"),
        ("bandwidth", "4.8", "needs one"),
        ("bandwidth", "0 TB/s", "bandwidth"),
        ("energies.dram", "-1 pJ/B", "energies.dram"),
        ("energies.pj_per_flop", "-1", "pj_per_flop"),
        ("energies.pj_per_flop", "1 pJ/B", "not a number"),
        ("energies.idle", "nan W", "energies.idle"),
        ("launches.gemm", "-1 us", "launches.gemm"),
        ("launches.gem", "5 us", "did you mean `gemm`?"),
        ("formats", "{}", "neither a format `bf16` nor `fp16`"),
        ("formats.bf16.peak_tflops", "0", "above 0"),
        ("attention.key_tile", "0", "above 0"),
        ("host_link.duplex_frac", "2", "at most 1"),
        ("collectives.protocols.simple.payload_share", "0", "at least 1/1000000"),
        ("streams_overlap_frac", "-1", "at least 0"),
        ("energies.dram", "1e300 pJ/B", "at most 1e+30"),
        ("energies.pj_per_flop", "1e300", "at most 1e+30"),
        ("collectives.protocols.ll.max_sent", "null", "the last protocol"),
        ("collectives.algorithms.all_reduce", "rng", "did you mean `ring`?"),
        ("collectives.algorithms.all_reduces", "ring", "did you mean `all_reduce`?"),
        ("fabric.n_devices", "1", "n_devices"),
    ],
)
def test_parts_that_cannot_be(refused: Callable[..., str], key: str, value: str, word: str) -> None:
    assert word in refused(2, {DEVICE + key: value})


def test_a_library_without_an_algorithm_that_the_step_needs(refused: Callable[..., str]) -> None:
    said = refused(2, {DEVICE + "collectives.algorithms": "{all_gather: ring}"}, "gpu_4xh200_tp4")
    assert "no algorithm for all_reduce" in said
    assert "all_reduce: ring" in said


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        (DEVICE + "bandwidth", "1e-30 TB/s", "longest in `gate_up_proj`"),
        (DEVICE + "formats.bf16.matmul_frac", "1e-300", "a step takes inf days"),
        (DEVICE + "fabric.link.generations.nvlink4.lane_rate", "1e-30 Gbit/s", "at least 1/1000000"),
        (DEVICE + "fabric.link.generations.nvlink4.lane_rate", "1e400 Gbit/s", "at most 1000000"),
        (DEVICE + "collectives.protocols.ll.payload_share", "1e-30", "at least 1/1000000"),
        ("system.host.floor", "9223372036854775807 ps", "system.host: a step takes 106.8 days"),
        ("system.host.per_sequence", "9223372036854775807 ps", "longest in `host`"),
    ],
)
def test_steps_without_end(refused: Callable[..., str], key: str, value: str, word: str) -> None:
    assert word in refused(2, {key: value}, "gpu_4xh200_tp4")


def test_a_prompt_beyond_time(refused: Callable[..., str]) -> None:
    sizes = {"workload.phase": "prefill", "workload.batch": 65536, "workload.context": 1 << 20}
    assert "longest in `attention`" in refused(2, {**sizes, "system.capacity": "report"})


def test_a_limit_that_no_clock_keeps_is_not_said_to_be_kept(repo_root: Path) -> None:
    config = repo_root / "hw_configs" / "gpu_h200.yaml"
    run = simulator.run(config, {**STEP, DEVICE + "board_limit": "200 W"})
    assert run.metrics["power_w"] > 200
    assert any("limit of 200 W is exceeded" in note for note in run.notes)
    held = simulator.run(config, {**STEP, DEVICE + "board_limit": "600 W"})
    assert held.metrics["power_w"] < 601
    assert not any("exceeded" in note for note in held.notes)


@pytest.mark.parametrize(
    ("line", "column"), [("bandwidths: {gemm_frac: .nan}", 29), ("bandwidths: {gemm_frac: -1}", 29),
                         ("l2_partitions: 0", 20), ("board_limit: 700", 18), ("n_smss: 3", 5)],
)  # fmt: skip
def test_a_file_is_blamed_at_its_line(
    refused: Callable[..., str], repo_root: Path, tmp_path: Path, line: str, column: int
) -> None:
    config = tmp_path / "mine.yaml"
    base = repo_root / "hw_configs" / "gpu_h200.yaml"
    config.write_text(f"extends: {base}\nsystem:\n  device:\n    {line}\n", encoding="utf-8")
    assert f"mine.yaml:4:{column}: " in refused(2, {}, config)


def test_capacity_that_is_only_reported_says_so(repo_root: Path) -> None:
    sets = {**STEP, "workload.batch": 4000, "workload.context": 4096, "system.capacity": "report"}
    run = simulator.run(repo_root / "hw_configs" / "gpu_h200.yaml", sets)
    assert any("overfill the memory of NVIDIA H200 SXM by 13,298,768,324,608 bytes" in note for note in run.notes)
    assert run.metrics["step_time_ms"] > 0


def test_weights_that_do_not_fit_are_only_reported_too(repo_root: Path) -> None:
    run = simulator.run(
        repo_root / "hw_configs" / "gpu_h200.yaml", {**STEP, "workload.model": "opt-175b", "system.capacity": "report"}
    )
    assert any("bytes" in note for note in run.notes)
