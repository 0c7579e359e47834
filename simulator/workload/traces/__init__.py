"""Trace readers: one module per format, found by its name; `matches` recognises the format and `read` reads it."""

from simulator.workload.traces.options import TraceOptions
from simulator.workload.traces.reading import formats, read_trace

__all__ = ["TraceOptions", "formats", "read_trace"]
