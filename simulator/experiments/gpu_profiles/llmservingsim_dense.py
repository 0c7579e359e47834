"""LLMServingSim's layers without attention: vLLM on an RTX 4090 and an RTX PRO 6000, one layer at 1 to 2,048 tokens.

Measured: the sum of the CUDA kernels of one vLLM 0.19 module (kernel tracing, eager mode, 3 iterations averaged), no
launch gaps. Tensor parallel 2 is the half shard run on one card, without its all-reduce.

Columns: `dense.csv` has layer, tokens (rows of the product) and time_us; `per_sequence.csv` layer, sequences, time_us.
GEMMs: qkv_proj, o_proj, gate_up_proj, down_proj, lm_head. Memory-bound kernels given: act_fn (SiLU and product: two
ffn-wide passes in, one out) and final_layernorm (residual added: two hidden-wide passes in, two out). Left out, and
counted: embedding, rotary_emb, qk_norm and layernorm, whose bytes the data do not settle (a gather; in place; the mean
of two calls of different size); sampler (many kernels); at TP2 final_layernorm, which the publisher copied from TP1.
Mixture-of-experts times (`moe.csv`) are not read: one grouped kernel whose split over experts is forced.

Kept although faster than the data sheet's memory: memory-bound kernels on tensors that lie in the 72 or 128 MB cache,
40 GEMMs of Qwen3-30B-A3B on the RTX PRO 6000, whose weights of 10 to 21 MB stay there, and one of Qwen3-32B (N 5120,
K 8192, 1 token). On the RTX 4090 large GEMMs reach 1.01 of the sheet's arithmetic: it clocks above its boost clock.

The RTX PRO 6000 is the *Server* Edition: LLMServingSim's later `hardware.yaml` for the same folder has, by query of the
device, 1,597.6 GB/s (12,481 MHz x 512 bits) and 2,430 MHz, not the 1,792 GB/s of the Workstation Edition.

Source: casys-kaist/LLMServingSim (commit 5daddb21), `profiler/perf`, licence MIT.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simulator.experiments.gpu_profiles.llmservingsim import FOLDER, Shard, shards
from simulator.experiments.gpu_profiles.rows import (
    ELEMENT_BYTES,
    Dropped,
    Elementwise,
    Gemm,
    GpuProfile,
    Kernel,
    ProfileRow,
)
from simulator.experiments.gpu_profiles.table import table

__all__ = ["FOLDER", "read"]

NAME = "llmservingsim_dense"
_LEFT_OUT = {
    "embedding": "a gather whose bytes depend on which tokens lie in the cache",
    "rotary_emb": "in place, with a table that lies in the cache",
    "qk_norm": "the mean of two calls of different size",
    "layernorm": "the mean of two calls, one with the residual added and one without",
    "sampler": "many small kernels, no one of a known size",
}
_COPIED = "copied from the TP1 profile by the publisher"


def read(folder: Path) -> GpuProfile:
    """Rows of every card, model and degree in `folder`; WorkloadError, with file and line, on text not as published."""
    rows: list[ProfileRow] = []
    dropped: Counter[str] = Counter()
    for file, column in (("dense.csv", "tokens"), ("per_sequence.csv", "sequences")):
        for shard, path in shards(folder, file):
            if isinstance(shard, Dropped):
                dropped[shard.reason] += shard.n
            else:
                rows += _rows(shard, path, column, dropped)
    return GpuProfile(NAME, tuple(rows), dropped=tuple(Dropped(n, reason) for reason, n in sorted(dropped.items())))


def _rows(shard: Shard, path: Path, column: str, dropped: Counter[str]) -> list[ProfileRow]:
    """The lines of one file that are kernels of a known size; the others are counted by their reason."""
    rows = []
    for line in table(path, ("layer", column, "time_us")):
        n = line.count(column, least=1)
        layer = line.text("layer")
        measured_us = line.positive("time_us")
        if layer in _LEFT_OUT:
            dropped[f"{layer}: {_LEFT_OUT[layer]}"] += 1
            continue
        if layer == "final_layernorm" and shard.tp > 1:
            dropped[f"{layer}: {_COPIED}"] += 1
            continue
        kernel = _kernel(shard, layer, n)
        if kernel is None:
            raise line.error(f"layer {layer!r} is none that {NAME} knows")
        rows.append(
            ProfileRow(NAME, shard.gpu, f"{shard.label} {layer} {n} {column}", (kernel,), measured_us, shard.tp)
        )
    return rows


def _kernel(shard: Shard, layer: str, n: int) -> Kernel | None:
    """Layer `layer` of one card's shard on `n` tokens."""
    model, tp = shard.model, shard.tp
    outputs_and_inputs = {
        "qkv_proj": ((shard.q_heads + 2 * shard.kv_heads) * model.head_dim, model.hidden),
        "o_proj": (model.hidden, shard.q_heads * model.head_dim),
        "gate_up_proj": (2 * model.ffn // tp, model.hidden),
        "down_proj": (model.hidden, model.ffn // tp),
        "lm_head": (model.vocab // tp, model.hidden),
    }
    passes = {"act_fn": 3 * model.ffn // tp, "final_layernorm": 4 * model.hidden}
    if layer in outputs_and_inputs:
        return Gemm(n, *outputs_and_inputs[layer])
    return Elementwise(ELEMENT_BYTES * n * passes[layer], layer) if layer in passes else None
