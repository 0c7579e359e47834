"""BurstGPT: Timestamp (s), Model, Request tokens, Response tokens, Total tokens, Log Type.

File 3 adds Session ID and Elapsed time, which are ignored. A response of 0 tokens is a failed request: such rows are
dropped and counted. Read from the published columns. Source: HPMLL/BurstGPT (KDD'25), CC-BY 4.0.
"""

from __future__ import annotations

from simulator.workload.trace_text import Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

COLUMNS = ("Timestamp", "Request tokens", "Response tokens")


def matches(head: TraceHead) -> bool:
    """Whether the header has BurstGPT's columns."""
    return head.columns.issuperset(COLUMNS)


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """All requests of the file that were answered."""
    options.refuse_arrivals("burstgpt")
    table = file.csv_table(COLUMNS)
    rows = Rows(first_line=2)
    n_rows = 0
    for row, (line, fields) in enumerate(table):
        n_rows = row + 1
        arrival_ps = table.time_ps(line, fields, "Timestamp")
        output_tokens = table.tokens(line, fields, "Response tokens", least=0)
        prompt_tokens = table.tokens(line, fields, "Request tokens", least=1 if output_tokens else 0)
        if output_tokens:
            rows.add(row, arrival_ps, prompt_tokens, output_tokens)
    n_failed = n_rows - len(rows.ids)
    if n_failed:
        rows.notes.append(f"{n_failed:,} of {n_rows:,} requests failed (0 response tokens) and are dropped")
    return rows
