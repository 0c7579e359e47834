"""The recorded traces: counts, spans, rates, percentiles and prefix hits as published with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.workload.trace_summary import trace_info
from simulator.workload.traces import TraceOptions, read_trace

# file: n, span s, rate, variation, prompt p50/p90/p99/max/mean, output p50/p90/p99/max/mean
PUBLISHED = {
    "azure2023/AzureLLMInferenceTrace_conv.csv": (
        19_366, 3501.7, 5.53, 1.09, (1020, 2734.5, 4142, 14050, 1154.7), (129, 424, 601, 1000, 211.1),
    ),
    "azure2023/AzureLLMInferenceTrace_code.csv": (
        8_819, 3435.9, 2.57, 13.15, (1469, 5187.6, 7436, 7437, 2047.8), (13, 55, 251.5, 1899, 27.9),
    ),
    "mooncake/conversation_trace.jsonl": (
        12_031, 3537.0, 3.40, 3.03, (6909, 27367, 85400, 126195, 12035), (350, 597, 1118.5, 2000, 342.6),
    ),
    "mooncake/synthetic_trace.jsonl": (
        3_993, 1022.0, 3.91, 1.01, (11587, 38611, 66456, 191378, 15325), (69, 389, 768, 893, 149.1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_recorded_traces_are_as_published(name: str, shared_dir: Path) -> None:
    n, span_s, rate, variation, prompt, output = PUBLISHED[name]
    info = trace_info(shared_dir / "traces" / "serving" / name)
    assert info.n_requests == n
    assert info.span_s == pytest.approx(span_s, abs=0.1)
    assert info.rate_qps == pytest.approx(rate, abs=0.01)
    assert info.interarrival_cv == pytest.approx(variation, abs=0.01)
    for found, expected in ((info.prompt_tokens, prompt), (info.output_tokens, output)):
        measured = (found.p50, found.p90, found.p99, found.max, found.mean)
        assert measured == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize(
    ("name", "n_blocks", "n_distinct", "hit_pct"),
    [("conversation", 288_500, 182_790, 36.64), ("synthetic", 121_877, 43_924, 63.96)],
)
def test_prefix_hits_of_a_cache_that_never_forgets(
    name: str, n_blocks: int, n_distinct: int, hit_pct: float, shared_dir: Path
) -> None:
    prefix = trace_info(shared_dir / "traces" / "serving" / "mooncake" / f"{name}_trace.jsonl").prefix
    assert prefix is not None
    assert (prefix.n_blocks, prefix.n_distinct) == (n_blocks, n_distinct)
    assert 100 * prefix.hit_frac == pytest.approx(hit_pct, abs=0.005)


def test_mooncake_marks_time_every_3_s_and_jitter_spreads_it(shared_dir: Path) -> None:
    path = shared_dir / "traces" / "serving" / "mooncake" / "conversation_trace.jsonl"
    assert trace_info(path).n_arrival_times == 1_180
    spread = trace_info(path, options=TraceOptions(jitter_s=3))
    assert spread.n_arrival_times == 12_031
    assert spread.interarrival_cv is not None
    assert spread.interarrival_cv < 1.5


def test_length_sets(shared_dir: Path) -> None:
    path = shared_dir / "traces" / "serving" / "sharegpt_lengths" / "sharegpt_val_10k_llama2.csv"
    info = trace_info(path, options=TraceOptions(qps=2))
    assert info.n_requests == 10_000
    found = (info.prompt_tokens.p50, info.prompt_tokens.p90, info.prompt_tokens.p99, info.prompt_tokens.max)
    assert found == pytest.approx((35, 761, 2862, 3973), abs=0.5)
    found = (info.output_tokens.p50, info.output_tokens.p90, info.output_tokens.p99, info.output_tokens.max)
    assert found == pytest.approx((286, 681, 1000, 1734), abs=0.5)


@pytest.mark.parametrize(
    ("model", "folder"), [("llama-3.1-8b", "RTX4090__Llama-3.1-8B"), ("qwen3-32b", "RTXPRO6000__Qwen3-32B")]
)
def test_measured_logs_hold_the_requests_of_their_workload(model: str, folder: str, shared_dir: Path) -> None:
    root = shared_dir / "traces" / "serving" / "vllm_groundtruth"
    sent = read_trace(root / f"sharegpt-{model}-300-sps10.hashed.jsonl")
    seen = read_trace(root / folder / "requests.jsonl")
    assert len(sent) == len(seen) == 300
    assert sent.prompt_tokens.tolist() == seen.prompt_tokens.tolist()
    assert sent.output_tokens.tolist() == seen.output_tokens.tolist()
    assert sent.span_ps == pytest.approx(seen.span_ps, rel=0.01)
    assert sent.prefix is not None
    assert sent.prefix.block_tokens == 16
    assert len(sent.prefix.of_request(0)) == sent.prompt_tokens[0] // 16


@pytest.mark.parametrize(
    ("name", "n_clients"), [("reason/deepseek-r1", 40), ("multimodal/mm-image", 35), ("language/m-large", 40)]
)
def test_servegen_folders(name: str, n_clients: int, shared_dir: Path) -> None:
    folder = shared_dir / "traces" / "serving" / "servegen" / name
    trace = read_trace(folder, options=TraceOptions(n_requests=1000))
    assert len(trace) == 1000
    assert f"{n_clients} clients" in trace.notes[0]
    starts = [
        line.split(",")[1]
        for path in folder.glob("*-trace.csv")
        for line in path.read_text().splitlines()
        if line.startswith("0,")
    ]
    first_window_qps = sum(float(rate) for rate in starts)
    assert trace.offered_qps == pytest.approx(first_window_qps, rel=0.25)
