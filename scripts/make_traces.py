"""Write the generated traces that come with the simulator: `python scripts/make_traces.py [FOLDER]`.

Only the uniform stream of Python's own `random.Random` is used, which Python promises to keep, and the inverse of each
distribution; so every machine writes the same bytes. The recipe stands in traces/README.md. Recorded traces cannot be
made again; their checksums are handed on.
"""

from __future__ import annotations

import hashlib
import math
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path
from statistics import NormalDist

N_REQUESTS = 2_000
SEED = 20240101
RATE_QPS = 5.5
SHIPPED = Path(__file__).resolve().parents[1] / "traces"
START = datetime(2024, 1, 1)
TICKS_PER_S = 10**7
# Llama 2 7B; a test compares the products with the operators that the simulator has of it.
LAYERS, HIDDEN, HEADS, FFN, VOCABULARY = 32, 4096, 32, 11008, 32000
PROMPT, BATCH = 512, 16


def lognormal_tokens(u: float, median: float, p90: float, largest: int) -> int:
    """The token count at quantile `u` of a lognormal law of this median and 90th percentile, at most `largest`."""
    sigma = math.log(p90 / median) / NormalDist().inv_cdf(0.9)
    tokens = median * math.exp(sigma * NormalDist().inv_cdf(u))
    return max(1, min(largest, round(tokens)))


def conversation() -> str:
    """Chat-like requests in the columns of the Azure traces."""
    rng = random.Random(SEED)
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    arrival_s = 0.0
    for _ in range(N_REQUESTS):
        prompt = lognormal_tokens(rng.random(), median=900, p90=2700, largest=4096)
        output = lognormal_tokens(rng.random(), median=140, p90=430, largest=1024)
        ticks = round(arrival_s * TICKS_PER_S)
        time = START + timedelta(seconds=ticks // TICKS_PER_S)
        lines.append(f"{time:%Y-%m-%d %H:%M:%S}.{ticks % TICKS_PER_S:07d},{prompt},{output}")
        arrival_s += -math.log(1.0 - rng.random()) / RATE_QPS
    return "\n".join(lines) + "\n"


def matrix_products() -> str:
    """The matrix products of Llama 2 7B: a prefill of one prompt, and a decode step of 16 sequences, as M,N,K.

    `count` says how often a row comes. Scores and outputs of attention are products of one head (prefill) or of one
    head and sequence (decode); masked scores are computed, as arrays without a mask do.
    """
    lines = ["name,M,N,K,count"]
    for phase, tokens, rows, pairs in (("prefill", PROMPT, PROMPT, HEADS), ("decode", BATCH, 1, HEADS * BATCH)):
        lines += [f"{phase}.{name},{tokens},{HIDDEN},{HIDDEN},{LAYERS}" for name in ("q_proj", "k_proj", "v_proj")]
        lines.append(f"{phase}.attention_score,{rows},{PROMPT},{HIDDEN // HEADS},{LAYERS * pairs}")
        lines.append(f"{phase}.attention_output,{rows},{HIDDEN // HEADS},{PROMPT},{LAYERS * pairs}")
        lines.append(f"{phase}.o_proj,{tokens},{HIDDEN},{HIDDEN},{LAYERS}")
        lines += [f"{phase}.{name},{tokens},{FFN},{HIDDEN},{LAYERS}" for name in ("gate_proj", "up_proj")]
        lines.append(f"{phase}.down_proj,{tokens},{HIDDEN},{FFN},{LAYERS}")
        lines.append(f"{phase}.lm_head,{1 if rows > 1 else BATCH},{VOCABULARY},{HIDDEN},1")
    return "\n".join(lines) + "\n"


TRACES = {"conversation_2k.csv": conversation, "llama2_7b_gemms.csv": matrix_products}


def recorded_sums() -> list[str]:
    """The lines of SHA256SUMS for traces that were recorded."""
    lines = (SHIPPED / "SHA256SUMS").read_text().splitlines(keepends=True)
    return [line for line in lines if line.split()[1] not in TRACES]


def main(folder: Path) -> None:
    """Write every generated trace, and the file of all checksums."""
    recorded = recorded_sums()
    sums = []
    for name, make in TRACES.items():
        content = make().encode()
        (folder / name).write_bytes(content)
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums + recorded))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED)
