"""Vidur request traces: arrived_at (s), num_prefill_tokens, num_decode_tokens. Source: microsoft/vidur (MLSys'24)."""

from __future__ import annotations

from simulator.workload.trace_text import Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

COLUMNS = ("arrived_at", "num_prefill_tokens", "num_decode_tokens")


def matches(head: TraceHead) -> bool:
    """Whether the header has Vidur's columns, arrivals included."""
    return head.columns.issuperset(COLUMNS)


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """All requests of the file."""
    options.refuse_arrivals("vidur")
    table = file.csv_table(COLUMNS)
    rows = Rows(first_line=2)
    for row, (line, fields) in enumerate(table):
        arrival_ps = table.time_ps(line, fields, "arrived_at")
        prompt_tokens = table.tokens(line, fields, "num_prefill_tokens")
        rows.add(row, arrival_ps, prompt_tokens, table.tokens(line, fields, "num_decode_tokens"))
    return rows
