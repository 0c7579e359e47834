"""The `serving` section of a configuration: how requests are batched, and what counts as served well."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import PositiveInt, PositivePs
from simulator.serving.batching_rules import BatchingRules, PrefillMode


class ServingConfig(BaseModel):
    """Batching, for machines that take batches: see `BatchingRules`.

    Service-level objective: a request counts towards goodput if its first token comes within `slo_ttft` of its arrival
    and its later tokens come, on average, within `slo_tpot` of each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_num_seqs: PositiveInt = 256
    max_num_batched_tokens: PositiveInt = 8192
    prefill: PrefillMode = "mixed"
    slo_ttft_ps: PositivePs = 120 * 10**12
    slo_tpot_ps: PositivePs = 200 * 10**9

    @property
    def batching(self) -> BatchingRules:
        """How requests are batched."""
        return BatchingRules(self.max_num_seqs, self.max_num_batched_tokens, self.prefill)
