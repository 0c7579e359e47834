"""Requests as vLLM benchmarks log them: JSON lines of input_toks, output_toks and arrival_time_ns or arrival_time (s).

The hashed workload files add hash_ids, 16-token blocks of the prompt (full blocks only); measured request logs carry
further times, which are ignored. Source: casys-kaist/LLMServingSim.
"""

from __future__ import annotations

from simulator.workload.trace_text import JsonRecord, Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

KEYS = frozenset({"input_toks", "output_toks"})
BLOCK_TOKENS = 16
_TIMES = (("arrival_time_ns", 10**3), ("arrival_time", 10**12))


def matches(head: TraceHead) -> bool:
    """Whether the first record counts input_toks and output_toks."""
    return head.keys >= KEYS


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """All requests of the file, with their prefix blocks where they have any."""
    options.refuse_arrivals("vllm")
    rows = Rows(blocks=[], block_tokens=BLOCK_TOKENS, first_line=1)
    assert rows.blocks is not None
    for row, (line, content) in enumerate(file.json_lines()):
        record = JsonRecord(file, line, content)
        prompt_tokens = record.tokens("input_toks")
        key, unit_ps = next((time for time in _TIMES if time[0] in content), _TIMES[0])
        rows.add(row, record.time_ps(key, unit_ps), prompt_tokens, record.tokens("output_toks"))
        rows.blocks.append(record.blocks("hash_ids", prompt_tokens, BLOCK_TOKENS))
    if not any(rows.blocks):
        rows.blocks = None
    return rows
