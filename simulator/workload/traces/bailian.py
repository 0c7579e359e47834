"""Qwen-Bailian traces: JSON lines of chat_id, timestamp (s), input_length, output_length, hash_ids and more.

hash_ids name 16-token prefix blocks. Read from the published columns. Not modelled: the chain of chat_id and
parent_chat_id; turns arrive when the trace says. Source: alibaba-edu/qwen-bailian-usagetraces-anon; ATC'25.
"""

from __future__ import annotations

from simulator.workload.trace_text import JsonRecord, Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

KEYS = frozenset({"chat_id", "timestamp", "input_length", "output_length"})
BLOCK_TOKENS = 16
_PS_PER_S = 10**12


def matches(head: TraceHead) -> bool:
    """Whether the first record is a chat with lengths."""
    return head.keys >= KEYS


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """All requests of the file, with their prefix blocks."""
    options.refuse_arrivals("bailian")
    rows = Rows(blocks=[], block_tokens=BLOCK_TOKENS, first_line=1)
    assert rows.blocks is not None
    for row, (line, content) in enumerate(file.json_lines()):
        record = JsonRecord(file, line, content)
        record.value("chat_id")
        prompt_tokens = record.tokens("input_length")
        arrival_ps = record.time_ps("timestamp", _PS_PER_S)
        rows.add(row, arrival_ps, prompt_tokens, record.tokens("output_length"))
        rows.blocks.append(record.blocks("hash_ids", prompt_tokens, BLOCK_TOKENS))
    return rows
