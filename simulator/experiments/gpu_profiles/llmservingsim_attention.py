"""LLMServingSim's attention: vLLM on an RTX 4090 and an RTX PRO 6000, batches of one prompt chunk and some decodes.

Measured: the sum of the CUDA kernels of vLLM 0.19's attention module (FlashAttention over a cache of 16-token pages,
the write of the new keys and values included; kernel tracing, 3 iterations averaged). Tensor parallel 2 is a half of
the heads on one card.

Columns of `attention.csv`: prefill_chunk, the new tokens of the one prompt in the batch (0: no prompt); kv_prefill, its
tokens that are already in the cache; n_decode, the sequences that generate one token; kv_decode, the positions each of
them has in the cache *before* the step, so that it attends kv_decode + 1; time_us. A decode of 0 positions is never
measured, and with prefill_chunk = 0 kv_prefill is 0.

Given: pure decodes (prefill_chunk = 0), and whole prompts (kv_prefill = 0 and n_decode = 0). Left out, and counted:
chunks after a history, and chunks mixed with decodes, for which a kernel row has no words.

Kept although faster than the data sheet: keys and values that lie in the 72 or 128 MB cache over the iterations.

Source: casys-kaist/LLMServingSim (commit 5daddb21), `profiler/perf`; columns as its `profiler/core/categories.py` and
`hooks/batch.py` make them. Licence MIT.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simulator.experiments.gpu_profiles.llmservingsim import FOLDER, Shard, shards
from simulator.experiments.gpu_profiles.rows import (
    DecodeAttention,
    Dropped,
    GpuProfile,
    PrefillAttention,
    ProfileRow,
)
from simulator.experiments.gpu_profiles.table import ProfileLine, table

__all__ = ["FOLDER", "read"]

NAME = "llmservingsim_attention"
_COLUMNS = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us")


def read(folder: Path) -> GpuProfile:
    """Rows of every card, model and degree in `folder`; WorkloadError, with file and line, on text not as published."""
    rows: list[ProfileRow] = []
    dropped: Counter[str] = Counter()
    for shard, path in shards(folder, "attention.csv"):
        if isinstance(shard, Dropped):
            dropped[shard.reason] += shard.n
            continue
        for line in table(path, _COLUMNS):
            kernel = _kernel(shard, line)
            if isinstance(kernel, str):
                dropped[kernel] += 1
            else:
                label = f"{shard.label} {kernel.kind} {kernel.batch} x {kernel.context}"
                rows.append(ProfileRow(NAME, shard.gpu, label, (kernel,), line.positive("time_us"), shard.tp))
    return GpuProfile(NAME, tuple(rows), dropped=tuple(Dropped(n, reason) for reason, n in sorted(dropped.items())))


def _kernel(shard: Shard, line: ProfileLine) -> DecodeAttention | PrefillAttention | str:
    """The kernel of a line, or why it is left out."""
    chunk, history = line.count("prefill_chunk"), line.count("kv_prefill")
    n_decode, context = line.count("n_decode"), line.count("kv_decode")
    heads = (shard.q_heads, shard.kv_heads, shard.model.head_dim)
    if chunk == 0:
        if n_decode == 0 or context == 0 or history:
            raise line.error("neither a prompt nor a decode: prefill_chunk is 0, and so is n_decode or kv_decode")
        return DecodeAttention(n_decode, *heads, context + 1)
    if n_decode:
        return "a prompt chunk mixed with decodes"
    if history:
        return "a prompt chunk after a history"
    return PrefillAttention(1, *heads, chunk)
