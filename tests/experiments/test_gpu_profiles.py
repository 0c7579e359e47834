"""Readers of published GPU profiles: tiny files of each format, text that is refused, and the published files."""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.gpu_profiles.reading import Absent, default_directory, profile_names, read_profile
from simulator.experiments.gpu_profiles.rows import (
    AllReduce,
    DecodeAttention,
    Elementwise,
    Gemm,
    GpuProfile,
    PrefillAttention,
    ProfileRow,
    faster_than_roof,
    roof_us,
)

LLAMA = "llmservingsim/RTX4090/meta-llama/Llama-3.1-8B/bf16/tp1"
QWEN = "llmservingsim/RTXPRO6000/Qwen/Qwen3-32B/bf16/tp2"
DENSE = "layer,tokens,time_us\n"
PER_SEQUENCE = "layer,sequences,time_us\nlm_head,8,1114.3\nsampler,8,99\n"
ATTENTION = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n"
ALL_REDUCE = ",time_stats.all_reduce.median,rank,num_workers,size,collective,devices_per_node\n"
SPLITWISE = (
    "model,hardware,prompt_size,batch_size,token_size,peak_power,average_power,prompt_time,token_time,e2e_time,"
    "tensor_parallel\n"
)
MLP_LAYERS = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
MLP = ",".join(
    [f"time_stats.{layer}.median" for layer in MLP_LAYERS]
    + ["n_head,n_kv_head,n_embd,n_expanded_embd,num_tokens,num_tensor_parallel_workers\n"]
)
VIDUR_ATTENTION = (
    "time_stats.attn_prefill.median,time_stats.attn_decode.median,n_embd,n_q_head,n_kv_head,"
    "num_tensor_parallel_workers,batch_size,prefill_chunk_size,kv_cache_size,is_prefill\n"
)
QWEN2 = "28,4,3584,18944"
LLMCOMPASS = {
    "matmul_A100.csv": "64, 12288, 12288, 0.1900ms, 101.7124Tflops",
    "layernorm_A100.csv": "4096, 32, 2.476377540036036\n",
    "softmax_A100.csv": "32, 4096, 8.5",
    "gelu_A100.csv": "1024, 0.021262214336633663\n2048, 0.04\n",
}


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def read(name: str, directory: Path) -> GpuProfile:
    profile = read_profile(name, directory)
    assert isinstance(profile, GpuProfile)
    return profile


def kernels(profile: GpuProfile) -> list[object]:
    assert all(len(row.kernels) == 1 for row in profile.rows)
    return [row.kernels[0] for row in profile.rows]


def llmcompass(**changed: str) -> dict[str, str]:
    texts = LLMCOMPASS | {f"{stem}_A100.csv": text for stem, text in changed.items()}
    return {f"llmcompass_real_hw/{name}": text for name, text in texts.items()}


def a30(mlp: str = "", attention: str = "") -> dict[str, str]:
    return {
        "vidur_a30_qwen2_7b/mlp.csv": MLP + (mlp or f"0.2,0.1,1,0.5,{QWEN2},200,1\n"),
        "vidur_a30_qwen2_7b/attention.csv": VIDUR_ATTENTION + (attention or "0,0.02,3584,28,4,1,2,0,63,False\n"),
    }


def test_readers_are_found_by_their_modules() -> None:
    assert profile_names() == (
        "a30_qwen2",
        "llmcompass_a100",
        "llmservingsim_attention",
        "llmservingsim_dense",
        "splitwise",
        "vidur_allreduce",
    )


def test_an_absent_data_set_is_named_with_its_reason(tmp_path: Path) -> None:
    for name in profile_names():
        absent = read_profile(name, tmp_path)
        assert isinstance(absent, Absent)
        assert absent.name == name
        assert str(tmp_path) in absent.reason
        assert "not there" in absent.reason


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="'splitwize' is not known") as caught:
        read_profile("splitwize")
    assert "splitwise" in str(caught.value)


def test_the_default_directory_is_beside_the_checkout(monkeypatch: pytest.MonkeyPatch, repo_root: Path) -> None:
    monkeypatch.delenv("SIMULATOR_SHARED", raising=False)
    assert default_directory() == repo_root.parent / "shared" / "traces" / "serving" / "gpu_profiles"
    monkeypatch.setenv("SIMULATOR_SHARED", "elsewhere")
    assert default_directory() == Path("elsewhere/traces/serving/gpu_profiles")


def test_dense_layers_become_gemms_of_one_cards_shard(tmp_path: Path) -> None:
    llama = (
        DENSE + "qkv_proj,1,54.9\no_proj,16,41\ngate_up_proj,2048,2897\ndown_proj,2,130\nact_fn,3,3\nlayernorm,1,2\n"
    )
    qwen = DENSE + "qkv_proj,4,40\ngate_up_proj,4,90\nfinal_layernorm,4,3\nqk_norm,4,3\n"
    profile = read(
        "llmservingsim_dense",
        write(
            tmp_path,
            {f"{LLAMA}/dense.csv": llama, f"{QWEN}/dense.csv": qwen, f"{QWEN}/per_sequence.csv": PER_SEQUENCE},
        ),
    )
    assert kernels(profile) == [
        Gemm(1, 6144, 4096),
        Gemm(16, 4096, 4096),
        Gemm(2048, 28672, 4096),
        Gemm(2, 4096, 14336),
        Elementwise(2 * 3 * 3 * 14336, "act_fn"),
        Gemm(4, (32 + 2 * 4) * 128, 5120),
        Gemm(4, 25600, 5120),
        Gemm(8, 151936 // 2, 5120),
    ]
    assert [row.gpu for row in profile.rows] == ["rtx4090"] * 5 + ["rtx_pro_6000"] * 3
    assert {row.n_ranks for row in profile.rows[5:]} == {2}
    assert profile.rows[0].label == "llama3.1-8b tp1 qkv_proj 1 tokens"
    assert profile.rows[0].measured_us == 54.9
    assert {each.reason.partition(":")[0]: each.n for each in profile.dropped} == {
        "final_layernorm": 1,
        "layernorm": 1,
        "qk_norm": 1,
        "sampler": 1,
    }


def test_a_profile_of_another_card_or_model_is_left_out(tmp_path: Path) -> None:
    other = "llmservingsim/RTX9090/meta-llama/Llama-3.1-8B/bf16/tp1"
    write(tmp_path, {f"{other}/dense.csv": DENSE, f"{other}/per_sequence.csv": PER_SEQUENCE})
    profile = read("llmservingsim_dense", tmp_path)
    assert profile.rows == ()
    assert all("RTX9090" in each.reason and "not known here" in each.reason for each in profile.dropped)


def test_a_decode_attends_its_history_and_itself(tmp_path: Path) -> None:
    text = ATTENTION + "0,0,4,1024,20\n512,0,0,0,90\n512,64,0,0,95\n16,0,1,16,12\n"
    profile = read("llmservingsim_attention", write(tmp_path, {f"{QWEN}/attention.csv": text}))
    assert kernels(profile) == [DecodeAttention(4, 32, 4, 128, 1025), PrefillAttention(1, 32, 4, 128, 512)]
    assert {each.reason: each.n for each in profile.dropped} == {
        "a prompt chunk after a history": 1,
        "a prompt chunk mixed with decodes": 1,
    }


def test_the_a30_drops_what_is_faster_than_the_card(tmp_path: Path) -> None:
    mlp = f"0.0018,0.15,0.95,0.5,{QWEN2},200,1\n,,9.9,5.2,{QWEN2},4096,1\n"
    attention = "0.016,0,3584,28,4,1,1,64,0,True\n0.02,0,3584,28,4,1,1,64,64,True\n0,0.02,3584,28,4,1,2,0,63,False\n"
    profile = read("a30_qwen2", write(tmp_path, a30(mlp, attention)))
    assert kernels(profile) == [
        Gemm(200, 3584, 3584),
        Gemm(200, 37888, 3584),
        Gemm(200, 3584, 18944),
        Gemm(4096, 37888, 3584),
        Gemm(4096, 3584, 18944),
        PrefillAttention(1, 28, 4, 128, 64),
        DecodeAttention(2, 28, 4, 128, 64),
    ]
    assert profile.rows[0].measured_us == pytest.approx(150)
    assert {each.reason: each.n for each in profile.dropped} == {
        "a prompt chunk after a history": 1,
        "attn_post_proj: the cell is empty": 1,
        "attn_pre_proj: the cell is empty": 1,
        "attn_pre_proj: faster than every roof of the card": 1,
    }


def test_llmcompass_rates_become_times(tmp_path: Path) -> None:
    profile = read("llmcompass_a100", write(tmp_path, llmcompass()))
    assert kernels(profile) == [
        Gemm(64, 12288, 12288),
        Elementwise(4 * 4096 * 32, "layernorm"),
        Elementwise(4 * 4096 * 32, "softmax"),
        Elementwise(4 * 1024, "gelu"),
        Elementwise(4 * 2048, "gelu"),
    ]
    assert [row.measured_us for row in profile.rows[:2]] == pytest.approx([190, 4096 * 32 / 2.476377540036036e3])


def test_all_reduce_takes_medians_within_a_node(tmp_path: Path) -> None:
    a100 = "0,0.03,0,2,2048,all_reduce,2\n1,0.05,0,2,2048,all_reduce,2\n2,9,0,2,2048,all_reduce,1\n"
    files = {"a100_dgx": a100, "h100_dgx": "0,0.1,0,8,4096,all_reduce,8\n"}
    write(
        tmp_path,
        {f"vidur_collectives/{name}_all_reduce.csv": ALL_REDUCE + text for name, text in files.items()},
    )
    profile = read("vidur_allreduce", tmp_path)
    assert [(row.gpu, row.kernels[0], row.n_ranks) for row in profile.rows] == [
        ("a100_80", AllReduce(2048, 2), 2),
        ("h100", AllReduce(4096, 8), 8),
    ]
    assert [row.measured_us for row in profile.rows] == pytest.approx([40, 100])
    assert [each.n for each in profile.dropped] == [1]


def test_splitwise_steps_are_medians_of_their_runs(tmp_path: Path) -> None:
    lines = [
        "llama2-70b,a100-80gb,512,4,128,1,0.6,570,45,7168,4",
        "llama2-70b,a100-80gb,512,4,128,1,0.7,580,46,7168,4",
        "llama2-70b,a100-80gb,512,4,128,0,0,575,47,7168,4",
        "llama2-70b,a100-80gb,512,64,128,0,0,794,67,7168,2",
        "llama2-70b,h100-80gb-pcap,512,1,128,0,0,70,31,4000,8",
    ]
    text = SPLITWISE + "".join(f"{line}\n" for line in lines)
    profile = read("splitwise", write(tmp_path, {"splitwise/perf_model.csv": text}))
    prefill, decode = profile.steps
    assert (prefill.phase, prefill.context, prefill.measured_ms) == ("prefill", 512, 575)
    assert (decode.phase, decode.context, decode.measured_ms) == ("decode", 512 + 64, 46)
    assert (decode.model, decode.gpu, decode.tp, decode.batch) == ("llama2-70b", "a100_80", 4, 4)
    assert decode.average_power_frac == pytest.approx(0.65)
    assert sorted(each.n for each in profile.dropped) == [1, 1]


MALFORMED: list[tuple[str, dict[str, str], str, str]] = [
    (
        "llmservingsim_dense",
        {f"{LLAMA}/dense.csv": DENSE + "o_proj,1,38\no_proj,x,38\n"},
        "dense.csv:3",
        "tokens is 'x'",
    ),
    ("llmservingsim_dense", {f"{LLAMA}/dense.csv": DENSE + "o_proj,1,nan\n"}, "dense.csv:2", "time_us is 'nan'"),
    ("llmservingsim_dense", {f"{LLAMA}/dense.csv": DENSE + "o_proj,1,0\n"}, "dense.csv:2", "not above zero"),
    ("llmservingsim_dense", {f"{LLAMA}/dense.csv": DENSE + "o_proj,1\n"}, "dense.csv:2", "2 fields, not 3"),
    ("llmservingsim_dense", {f"{LLAMA}/dense.csv": DENSE + "moe,1,3\n"}, "dense.csv:2", "layer 'moe' is none"),
    ("llmservingsim_dense", {f"{LLAMA}/dense.csv": "layer,tokens\no_proj,1\n"}, "dense.csv:1", "'time_us' 0 times"),
    ("llmservingsim_dense", {f"{LLAMA}/dense.csv": ""}, "dense.csv", "the profile is empty"),
    ("llmservingsim_dense", {f"{LLAMA}/dense.csv": DENSE}, "dense.csv", "no measurement"),
    ("llmservingsim_dense", {"llmservingsim/README": ""}, "llmservingsim", "no CARD/MAKER/MODEL"),
    ("llmservingsim_attention", {f"{QWEN}/attention.csv": ATTENTION + "0,0,0,0,1\n"}, "attention.csv:2", "neither a"),
    ("llmservingsim_attention", {f"{QWEN}/attention.csv": ATTENTION + "0,0,-1,9,1\n"}, "attention.csv:2", "n_decode"),
    ("a30_qwen2", a30(mlp=f"0.2,0.1,1,-1,{QWEN2},200,1\n"), "mlp.csv:2", "mlp_down_proj.median is '-1'"),
    ("a30_qwen2", a30(mlp="0.2,0.1,1,1,27,4,3584,18944,200,1\n"), "mlp.csv:2", "no multiple of the 27 heads"),
    ("a30_qwen2", a30(attention="0,1,3584,28,4,1,1,0,0,Maybe\n"), "attention.csv:2", "'Maybe', none of True, False"),
    ("a30_qwen2", a30(attention="0,1,3584,28,4,1,0,0,0,False\n"), "attention.csv:2", "must be at least 1"),
    ("llmcompass_a100", llmcompass(matmul="64, 64, 64, 0.0296, 2.27Tflops"), "matmul_A100.csv:1", "end with 'ms'"),
    ("llmcompass_a100", llmcompass(matmul="64, 64, 64, 0.0296ms, 2.27Tflops"), "matmul_A100.csv:1", "2MNK over"),
    ("llmcompass_a100", llmcompass(gelu="1024, 0.02\n2048, inf\n"), "gelu_A100.csv:2", "rate is 'inf'"),
    ("llmcompass_a100", llmcompass(softmax="1024, 0.02"), "softmax_A100.csv:1", "2 fields, not 3"),
    (
        "vidur_allreduce",
        {"vidur_collectives/a100_dgx_all_reduce.csv": ALL_REDUCE + "0,0.1,0,2,2048,all_gather,2\n"},
        "a100_dgx_all_reduce.csv:2",
        "'all_gather', none of all_reduce",
    ),
    ("vidur_allreduce", {"vidur_collectives/x": ""}, "a100_dgx_all_reduce.csv", "cannot read the profile"),
    (
        "splitwise",
        {"splitwise/perf_model.csv": SPLITWISE + "llama3,a100-80gb,512,1,128,0,0,1,1,1,2\n"},
        "perf_model.csv:2",
        "model is 'llama3'",
    ),
    (
        "splitwise",
        {"splitwise/perf_model.csv": SPLITWISE + "llama2-70b,a100-80gb,512,0,128,0,0,1,1,1,2\n"},
        "perf_model.csv:2",
        "batch_size is '0'",
    ),
]


@pytest.mark.parametrize(("name", "files", "where", "cause"), MALFORMED)
def test_malformed_text_is_refused_with_its_place(
    tmp_path: Path, name: str, files: dict[str, str], where: str, cause: str
) -> None:
    with pytest.raises(WorkloadError) as caught:
        read_profile(name, write(tmp_path, files))
    assert where in str(caught.value.where)
    assert cause in caught.value.message
    assert caught.value.remedy


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "splitwise" / "perf_model.csv"
    path.parent.mkdir()
    path.write_bytes(b"model,\xff\n")
    with pytest.raises(WorkloadError, match="not UTF-8"):
        read_profile("splitwise", tmp_path)


def test_columns_are_those_of_a_kernel_csv() -> None:
    assert Gemm(1, 2, 3).columns() == {"M": 1, "N": 2, "K": 3}
    assert DecodeAttention(1, 8, 2, 64, 5).columns() == {"B": 1, "Hq": 8, "Hkv": 2, "D": 64, "L": 5}
    assert PrefillAttention(1, 8, 2, 64, 5).kind == "attn_prefill"
    assert AllReduce(4096, 4).columns() == {"bytes": 4096, "world": 4}
    assert Elementwise(12, "gelu").columns() == {"bytes": 12}


def test_a_roof_is_the_sum_over_the_kernels() -> None:
    gemm, gather = Gemm(1, 1000, 1000), AllReduce(1_000_000, 4)
    assert gemm.moved_bytes == 2 * (1_000_000 + 2000)
    row = ProfileRow("test", "a30", "two", (gemm, gather), 7.0)
    memory_us = (gemm.moved_bytes + 2_000_000) / 1e6
    assert roof_us(row, memory_gb_per_s=1000, tflops=100) == pytest.approx(memory_us)
    links = {"memory_gb_per_s": 1000, "tflops": 100, "link_gb_per_s": 300}
    assert roof_us(row, **links) == pytest.approx(gemm.moved_bytes / 1e6 + 5)
    assert not faster_than_roof(row, memory_gb_per_s=1000, tflops=100)
    assert faster_than_roof(row, **links | {"link_gb_per_s": 200})
    assert faster_than_roof(row, memory_gb_per_s=1000, tflops=1e-3)


def test_attention_counts_the_triangle_and_every_key_once() -> None:
    prefill, decode = PrefillAttention(2, 8, 2, 64, 100), DecodeAttention(2, 8, 2, 64, 100)
    assert prefill.flops == 4 * 2 * 8 * 64 * 100 * 100 // 2
    assert decode.flops == 4 * 2 * 8 * 64 * 100
    assert decode.moved_bytes == 4 * 2 * 64 * (2 * 100 + 8)
    assert prefill.moved_bytes == 4 * 2 * 64 * 100 * (8 + 2)


@pytest.fixture(scope="module")
def published(shared_dir: Path) -> Callable[[str], GpuProfile]:
    directory = shared_dir / "traces" / "serving" / "gpu_profiles"
    return lambda name: read(name, directory)


def dropped(profile: GpuProfile) -> int:
    return sum(each.n for each in profile.dropped)


def test_published_files_are_all_there(shared_dir: Path) -> None:
    for name in ("splitwise", "a30_qwen2"):
        assert isinstance(read_profile(name, shared_dir / "traces" / "serving" / "gpu_profiles"), GpuProfile)


def test_published_dense_layers(published: Callable[[str], GpuProfile]) -> None:
    profile = published("llmservingsim_dense")
    assert len(profile.rows) + dropped(profile) == 9832
    gemms = Counter(row.gpu for row in profile.rows if row.kernels[0].kind == "gemm" and "lm_head" not in row.label)
    assert gemms == {"rtx4090": 608, "rtx_pro_6000": 2432 + 608}
    sheet = {"memory_gb_per_s": 1008, "tflops": 165.2}
    big = [row for row in profile.rows if row.gpu == "rtx4090" and "gate_up_proj" in row.label]
    assert not any(faster_than_roof(row, **sheet | {"tflops": 180}) for row in big)


def test_published_attention(published: Callable[[str], GpuProfile]) -> None:
    profile = published("llmservingsim_attention")
    decodes = Counter(row.gpu for row in profile.rows if row.kernels[0].kind == "attn_decode")
    assert decodes["rtx4090"] == 99
    assert len(profile.rows) + dropped(profile) == 124827
    # What fills the chip streams its keys and values below the data sheet's rate, with the columns read as they are.
    large = [row for row in profile.rows if row.gpu == "rtx_pro_6000" and row.kernels[0].moved_bytes > 1e9]
    assert large
    assert not any(faster_than_roof(row, memory_gb_per_s=1597.6, tflops=467.8) for row in large)


def test_published_a30(published: Callable[[str], GpuProfile]) -> None:
    profile = published("a30_qwen2")
    gemms = [row for row in profile.rows if row.kernels[0].kind == "gemm"]
    assert len(gemms) == 874
    assert {each.reason: each.n for each in profile.dropped} == {
        "a prompt chunk after a history": 488,
        "attn_post_proj: the cell is empty": 42,
        "attn_pre_proj: faster than every roof of the card": 76,
        "attn_pre_proj: the cell is empty": 52,
    }
    assert min(row.measured_us / roof_us(row, memory_gb_per_s=933, tflops=165) for row in gemms) > 1.1


def test_published_llmcompass(published: Callable[[str], GpuProfile]) -> None:
    profile = published("llmcompass_a100")
    assert Counter(row.kernels[0].kind for row in profile.rows) == {"gemm": 20, "elementwise": 64}
    # More than a 40 GB card has, so the files are of an 80 GB one.
    assert any(faster_than_roof(row, memory_gb_per_s=1555, tflops=312) for row in profile.rows)
    assert not any(faster_than_roof(row, memory_gb_per_s=2039, tflops=312) for row in profile.rows)


def test_published_all_reduce_is_in_bytes(published: Callable[[str], GpuProfile]) -> None:
    profile = published("vidur_allreduce")
    assert Counter((row.gpu, row.n_ranks) for row in profile.rows) == {
        (gpu, world): 993 for gpu in ("a100_80", "h100") for world in (2, 4, 8)
    }
    assert dropped(profile) == 3976
    largest = profile.rows[-1].kernels[0]
    assert isinstance(largest, AllReduce)
    assert 350 < largest.link_bytes / profile.rows[-1].measured_us * 1e-3 < 450


def test_published_splitwise(published: Callable[[str], GpuProfile]) -> None:
    profile = published("splitwise")
    llama = [step for step in profile.steps if step.model == "llama2-70b"]
    assert sum(step.phase == "decode" for step in llama) == 112
    assert sum(step.phase == "prefill" and step.context >= 512 for step in llama) == 100
    assert sorted(each.n for each in profile.dropped) == [10, 420]
    flat = [step.measured_ms for step in llama if step.gpu == "h100" and step.tp == 8 and step.batch == 1]
    assert statistics.median(flat) > 28


def test_the_power_capped_h100_of_splitwise_is_computed(shared_dir: Path) -> None:
    runs: dict[tuple[str, ...], dict[str, list[tuple[float, float]]]] = {}
    with (shared_dir / "traces/serving/gpu_profiles/splitwise/perf_model.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            setting = tuple(
                row[name] for name in ("model", "prompt_size", "batch_size", "token_size", "tensor_parallel")
            )
            times = (float(row["prompt_time"]), float(row["token_time"]))
            runs.setdefault(setting, {}).setdefault(row["hardware"], []).append(times)
    for of_setting in runs.values():
        scaled = [(1.3 * prompt_ms, token_ms) for prompt_ms, token_ms in sorted(of_setting["h100-80gb"])]
        assert sorted(of_setting["h100-80gb-pcap"]) == [pytest.approx(run) for run in scaled]
