"""Qwen2-7B's layers and attention on an A30: GEMMs at 1 to 4,096 tokens, decode attention of up to 48 sequences.

Measured: medians, in milliseconds, of the CUDA time of one operator of Sarathi-Serve (fp16, FlashInfer attention), by
Vidur's profiler. Tensor parallel 1.

Columns of `mlp.csv`: num_tokens, and per operator `time_stats.OP.median`; GEMMs are attn_pre_proj (queries, keys and
values), attn_post_proj, mlp_up_proj (gate and up in one) and mlp_down_proj, with the widths in n_embd, n_head,
n_kv_head, n_expanded_embd. Of `attention.csv`: batch_size, kv_cache_size (positions before the step: a decode attends
one more), is_prefill, prefill_chunk_size, n_q_head, n_kv_head, and the medians of attn_decode and attn_prefill.

Cleaning, with the counts of the published files: of 1,044 GEMM cells 94 are empty (52 attn_pre_proj, 42
attn_post_proj); 76 attn_pre_proj cells are dropped because they are faster than every roof of the card (933 GB/s, 165
TFLOPS: about 2 us where the arithmetic alone takes 40 to 800; the 33 MB of weights do not fit the 24 MB cache either).
The cells kept are all at least 1.1 times their roof. Of 652 prompts the 488 after a history are left out. Norms,
activation, rotary embedding and additions are not read: their bytes depend on what lies in the cache.

Source: AKafakA/vidur_opt_scheduler (commit 20bdc49d), profiling data, licence MIT.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simulator.experiments.gpu_profiles.rows import (
    DecodeAttention,
    Dropped,
    Gemm,
    GpuProfile,
    PrefillAttention,
    ProfileRow,
    faster_than_roof,
)
from simulator.experiments.gpu_profiles.table import ProfileLine, table

NAME = "a30_qwen2"
FOLDER = "vidur_a30_qwen2_7b"
_GPU = "a30"
_ROOF = {"memory_gb_per_s": 933.0, "tflops": 165.0}
_GEMMS = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
_WIDTHS = ("n_embd", "n_head", "n_kv_head", "n_expanded_embd")
_TP = "num_tensor_parallel_workers"


def read(folder: Path) -> GpuProfile:
    """Rows of `mlp.csv` and `attention.csv`; WorkloadError, with file and line, on text that is not as published."""
    dropped: Counter[str] = Counter()
    rows = [*_gemm_rows(folder / "mlp.csv", dropped), *_attention_rows(folder / "attention.csv", dropped)]
    return GpuProfile(NAME, tuple(rows), dropped=tuple(Dropped(n, reason) for reason, n in sorted(dropped.items())))


def _gemm_rows(path: Path, dropped: Counter[str]) -> list[ProfileRow]:
    rows = []
    columns = ("num_tokens", _TP, *_WIDTHS, *(_median(layer) for layer in _GEMMS))
    for line in table(path, columns):
        tokens, tp = line.count("num_tokens", least=1), line.count(_TP, least=1)
        hidden, n_heads, n_kv_heads, ffn = (line.count(width, least=1) for width in _WIDTHS)
        head_dim = _head_dim(line, hidden, n_heads)
        shapes = {
            "attn_pre_proj": ((n_heads + 2 * n_kv_heads) * head_dim // tp, hidden),
            "attn_post_proj": (hidden, hidden // tp),
            "mlp_up_proj": (2 * ffn // tp, hidden),
            "mlp_down_proj": (hidden, ffn // tp),
        }
        for layer, shape in shapes.items():
            if not line.text(_median(layer)):
                dropped[f"{layer}: the cell is empty"] += 1
                continue
            measured_us = 1e3 * line.positive(_median(layer))
            row = ProfileRow(NAME, _GPU, f"{layer} {tokens} tokens", (Gemm(tokens, *shape),), measured_us, tp)
            if faster_than_roof(row, **_ROOF):
                dropped[f"{layer}: faster than every roof of the card"] += 1
            else:
                rows.append(row)
    return rows


def _attention_rows(path: Path, dropped: Counter[str]) -> list[ProfileRow]:
    rows = []
    shape = ("n_embd", "n_q_head", "n_kv_head", "batch_size", "prefill_chunk_size", "kv_cache_size", _TP)
    columns = (*shape, "is_prefill", _median("attn_decode"), _median("attn_prefill"))
    for line in table(path, columns):
        hidden, q_heads, kv_heads, batch, chunk, history, tp = (line.count(name) for name in shape)
        if not (q_heads and kv_heads and batch and tp):
            raise line.error("heads, batch_size and the degree must be at least 1")
        heads = (q_heads // tp, kv_heads // tp, _head_dim(line, hidden, q_heads))
        kernel: DecodeAttention | PrefillAttention
        if line.choice("is_prefill", ("True", "False")) == "False":
            kernel, operator = DecodeAttention(batch, *heads, history + 1), "attn_decode"
        elif history:
            dropped["a prompt chunk after a history"] += 1
            continue
        else:
            kernel, operator = PrefillAttention(batch, *heads, chunk), "attn_prefill"
        label = f"{operator} {batch} x {kernel.context}"
        rows.append(ProfileRow(NAME, _GPU, label, (kernel,), 1e3 * line.positive(_median(operator)), tp))
    return rows


def _median(operator: str) -> str:
    return f"time_stats.{operator}.median"


def _head_dim(line: ProfileLine, hidden: int, n_heads: int) -> int:
    if hidden % n_heads:
        raise line.error(f"n_embd {hidden} is no multiple of the {n_heads} heads")
    return hidden // n_heads
