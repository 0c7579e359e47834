"""Lengths without times: num_prefill_tokens, num_decode_tokens; an arrival process brings the times, at --qps.

Source: the length sets of microsoft/vidur and AKafakA/vidur_opt_scheduler.
"""

from __future__ import annotations

from simulator.core.errors import ConfigError
from simulator.core.seeds import child_rng
from simulator.workload.arrivals import arrival_times_ps
from simulator.workload.requests import check_n_requests
from simulator.workload.trace_text import Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

COLUMNS = ("num_prefill_tokens", "num_decode_tokens")
HAS_ARRIVALS = False


def matches(head: TraceHead) -> bool:
    """Whether the header has the two lengths, and no arrivals (that would be Vidur's)."""
    return head.columns.issuperset(COLUMNS) and "arrived_at" not in head.columns


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """The requests of the file in its order, the first at time 0, with intervals drawn from the arrival process."""
    if options.qps is None:
        raise ConfigError(
            f"{file.path} has lengths and no arrival times", where="--qps", remedy="give the arrival rate: --qps 2"
        )
    table = file.csv_table(COLUMNS)
    lengths = [
        (table.tokens(line, fields, "num_prefill_tokens"), table.tokens(line, fields, "num_decode_tokens"))
        for line, fields in table
    ]
    if options.n_requests is not None:
        check_n_requests(options.n_requests, len(lengths), str(file.path))
        lengths = lengths[: options.n_requests]
    process = options.arrivals or "poisson"
    rng = child_rng(options.seed, "trace", "arrivals")
    times = arrival_times_ps(len(lengths), options.qps, process, options.arrivals_cv, rng)
    note = f"arrival times are drawn ({process} process of {options.qps} requests/s, seed {options.seed})"
    rows = Rows(first_line=2, notes=[note])
    for row, (arrival_ps, (prompt_tokens, output_tokens)) in enumerate(zip(times, lengths, strict=True)):
        rows.add(row, arrival_ps, prompt_tokens, output_tokens)
    return rows
