"""Mooncake traces: JSON lines of timestamp (ms), input_length, output_length, hash_ids (512-token prefix blocks).

The conversation trace has arrivals on 3 s marks only; `--jitter 3` spreads them. Source: kvcache-ai/Mooncake; FAST'25.
"""

from __future__ import annotations

from simulator.workload.trace_text import JsonRecord, Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

KEYS = frozenset({"timestamp", "input_length", "output_length"})
BLOCK_TOKENS = 512
_PS_PER_MS = 10**9


def matches(head: TraceHead) -> bool:
    """Whether the first record has Mooncake's keys, and no chat (that would be Bailian's)."""
    return head.keys >= KEYS and "chat_id" not in head.keys


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """All requests of the file, with their prefix blocks."""
    options.refuse_arrivals("mooncake")
    rows = Rows(blocks=[], block_tokens=BLOCK_TOKENS, first_line=1)
    assert rows.blocks is not None
    for row, (line, content) in enumerate(file.json_lines()):
        record = JsonRecord(file, line, content)
        prompt_tokens = record.tokens("input_length")
        arrival_ps = record.time_ps("timestamp", _PS_PER_MS)
        rows.add(row, arrival_ps, prompt_tokens, record.tokens("output_length"))
        rows.blocks.append(record.blocks("hash_ids", prompt_tokens, BLOCK_TOKENS))
    return rows
