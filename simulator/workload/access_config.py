"""The `workload` section of a configuration for streams of memory accesses."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt, Le
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.quantities import PositiveInt
from simulator.workload.llm_accesses.config import LlmAccessConfig

Repeats = Annotated[int, Gt(0), Le(1_000_000)]


class AccessWorkload(BaseModel):
    """Either a `trace` file, by path or by its name in `traces/`, or a language model's run, `llm`.

    The stream is cut to its first `records` and then repeated `repeat` times, so that policies with periods of seconds
    have time to act on a trace of half a second. `records_per_request` makes requests of equal numbers of records where
    the stream has none of its own, for percentiles.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["accesses"] = "accesses"
    trace: str | None = None
    format: str = "auto"
    llm: LlmAccessConfig | None = None
    records: PositiveInt | None = None
    repeat: Repeats = 1
    records_per_request: PositiveInt | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> AccessWorkload:
        if (self.trace is None) == (self.llm is None):
            raise ValueError("give either `trace`, a file, or `llm`, a language model's run")
        return self
