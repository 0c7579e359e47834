"""What a trace is like: arrivals, lengths, and how much of its prompts a cache could share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from simulator.workload.requests import PS_PER_S, Int64, PrefixBlocks, RequestTrace
from simulator.workload.traces import TraceOptions, read_trace

_QUANTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class LengthSummary:
    """Token counts: mean, percentiles (interpolated linearly between ranks) and maximum."""

    mean: float
    p50: float
    p90: float
    p99: float
    max: int

    @classmethod
    def of(cls, tokens: Int64) -> LengthSummary:
        """The summary of one column."""
        p50, p90, p99 = (float(value) for value in np.percentile(tokens, _QUANTILES))
        return cls(float(tokens.mean()), p50, p90, p99, int(tokens.max()))


@dataclass(frozen=True, slots=True)
class PrefixSummary:
    """Prompt blocks: how many, how many different ones, and how many a cache that never forgets would have had.

    A block is a hit where it and all before it in its prompt were in earlier requests' prompts; requests are taken one
    after the other, in the order of arrival.
    """

    n_blocks: int
    n_distinct: int
    n_hits: int
    block_tokens: int

    @property
    def hit_frac(self) -> float:
        """Hits per block."""
        return self.n_hits / self.n_blocks if self.n_blocks else 0.0

    @classmethod
    def of(cls, prefix: PrefixBlocks) -> PrefixSummary:
        """The summary of all prompts."""
        seen: set[int] = set()
        n_hits = 0
        names, offsets = prefix.names.tolist(), prefix.offsets.tolist()
        for start, end in pairwise(offsets):
            prompt = names[start:end]
            for name in prompt:
                if name not in seen:
                    break
                n_hits += 1
            seen.update(prompt)
        return cls(len(names), len(seen), n_hits, prefix.block_tokens)


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in numbers.

    rate_qps and interarrival_cv (standard deviation over mean of the times between arrivals) are None where all
    requests arrive at once; n_arrival_times counts distinct times: far fewer than requests means a coarse clock.
    """

    name: str
    format: str
    checksum: str
    n_requests: int
    span_s: float
    rate_qps: float | None
    interarrival_cv: float | None
    n_arrival_times: int
    prompt_tokens: LengthSummary
    output_tokens: LengthSummary
    prefix: PrefixSummary | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, trace: RequestTrace) -> TraceSummary:
        """The summary of a trace."""
        gaps = np.diff(trace.arrival_ps)
        moving = trace.span_ps > 0
        return cls(
            name=trace.name,
            format=trace.format,
            checksum=trace.checksum,
            n_requests=len(trace),
            span_s=trace.span_ps / PS_PER_S,
            rate_qps=trace.offered_qps,
            interarrival_cv=float(gaps.std() / gaps.mean()) if moving else None,
            n_arrival_times=len(np.unique(trace.arrival_ps)),
            prompt_tokens=LengthSummary.of(trace.prompt_tokens),
            output_tokens=LengthSummary.of(trace.output_tokens),
            prefix=None if trace.prefix is None else PrefixSummary.of(trace.prefix),
            notes=trace.notes,
        )


def trace_info(path: str | Path, format_name: str = "auto", options: TraceOptions | None = None) -> TraceSummary:
    """The summary of the trace that `read_trace` gives for the same arguments; raises what it raises."""
    return TraceSummary.of(read_trace(path, format_name, options))
