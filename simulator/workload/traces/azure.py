"""Azure LLM inference traces (2023, 2024, multimodal 2025): TIMESTAMP, ContextTokens, GeneratedTokens.

Timestamps are wall-clock times with up to 7 fractional digits (100 ns), kept exactly; an offset such as +00:00 may
follow. Source: Azure/AzurePublicDataset; Splitwise (ISCA'24), DynamoLLM (HPCA'25).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from simulator.workload.trace_text import Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_SECOND = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", re.ASCII)
_REST = re.compile(r"(?:\.(\d{1,12}))?(?:Z|([+-])(\d\d):?(\d\d))?", re.ASCII)
_EPOCH_LENGTH = 19


def matches(head: TraceHead) -> bool:
    """Whether the header has Azure's columns."""
    return head.columns.issuperset(COLUMNS)


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """All requests of the file."""
    options.refuse_arrivals("azure")
    table = file.csv_table(COLUMNS)
    seconds: dict[str, int | None] = {}
    rows = Rows(first_line=2)
    for row, (line, fields) in enumerate(table):
        text = table.text(fields, "TIMESTAMP")
        arrival_ps = _timestamp_ps(text, seconds)
        if arrival_ps is None:
            raise table.error(
                line, fields, "TIMESTAMP", f"TIMESTAMP is {text[:40]!r}", "write it as 2023-11-16 18:15:46.6805900"
            )
        prompt_tokens = table.tokens(line, fields, "ContextTokens")
        rows.add(row, arrival_ps, prompt_tokens, table.tokens(line, fields, "GeneratedTokens"))
    return rows


def _timestamp_ps(text: str, seconds: dict[str, int | None]) -> int | None:
    """Picoseconds since the year 1; None where the text is no time. `seconds` remembers whole seconds seen before."""
    whole = text[:_EPOCH_LENGTH]
    if whole not in seconds:
        seconds[whole] = _second(whole)
    second = seconds[whole]
    rest = _REST.fullmatch(text, _EPOCH_LENGTH) if second is not None else None
    if second is None or rest is None:
        return None
    fraction, sign, hours, minutes = rest.groups()
    if sign:
        offset = 3600 * int(hours) + 60 * int(minutes)
        second += offset if sign == "-" else -offset
    return second * 10**12 + (int(fraction.ljust(12, "0")) if fraction else 0)


def _second(text: str) -> int | None:
    if not _SECOND.fullmatch(text):
        return None
    try:
        since = datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1, 1, 1, tzinfo=UTC)
    except ValueError:
        return None
    return since.days * 86_400 + since.seconds
