"""The `workload` section of a configuration for language models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Gt, Le
from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import PositiveFloat, PositiveInt

# A million positions, and as many sequences, bound what a mistyped number can ask for.
Positions = Annotated[int, Gt(0), Le(1 << 20)]
Sequences = Annotated[int, Gt(0), Le(1 << 16)]


class LlmWorkload(BaseModel):
    """What is asked of the machine: a whole query (default), one token, a block or a part of one, or one step of a
    batch.

    `context_step` is how far apart contexts are sampled (1 is exact). `context` and `batch` belong to a step or a
    part; `overrides` changes fields of the model, and `bytes_per_element` the width of weights, activations and cache
    at once; `arrivals` and `arrivals_cv` give a trace of lengths its arrival process.

    `heads_per_stack` and `head_dim` belong to scope `attention` of machines with attention stacks; they are the
    model's, spread over all stacks, unless given.

    With `lengths` the queries are `requests` (as many as `batch`, unless given) drawn from a length set; they are there
    from the start and run in batches of `batch`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["llm"] = "llm"
    model: str = "llama2-70b"
    overrides: dict[str, Any] = {}
    prompt_tokens: Positions = 512
    output_tokens: Positions = 3584
    context_step: PositiveInt = 128
    scope: str = "query"
    phase: Literal["prefill", "decode"] | None = None
    batch: Sequences = 1
    context: Positions | None = None
    bytes_per_element: Literal[1, 2] | None = None
    heads_per_stack: Annotated[int, Gt(0), Le(1 << 16)] | None = None
    head_dim: Annotated[int, Gt(0), Le(1 << 12)] | None = None
    lengths: str | None = None
    requests: Annotated[int, Gt(0), Le(1 << 20)] | None = None
    arrivals: Literal["poisson", "gamma", "constant"] = "poisson"
    arrivals_cv: PositiveFloat | None = None

    @property
    def n_requests(self) -> int:
        """How many requests are drawn from a length set."""
        return self.requests if self.requests is not None else self.batch
