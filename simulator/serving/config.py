"""The `serving` section of a configuration: how requests are batched, and what counts as served well."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le
from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import Frac, Picojoules, PositiveInt, PositivePs, Ps
from simulator.serving.batching_rules import BatchingMode, BatchingRules, PrefillMode
from simulator.serving.speculation import AcceptanceModel, Speculation
from simulator.workload.batch import MAX_VERIFIED_TOKENS


class ServingConfig(BaseModel):
    """Batching, for machines that take batches: see `BatchingRules`; `batching` is `continuous` for traces and `static`
    for length sets unless given. Speculative decoding: see `Speculation`; `draft_time` and `draft_energy` are those of
    one drafted token.

    Service-level objective: a request counts towards goodput if its first token comes within `slo_ttft` of its arrival
    and its later tokens come, on average, within `slo_tpot` of each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batching: BatchingMode | None = None
    max_num_seqs: PositiveInt = 256
    max_num_batched_tokens: PositiveInt = 8192
    prefill: PrefillMode = "mixed"
    speculation_length: Annotated[int, Gt(0), Le(MAX_VERIFIED_TOKENS)] = 1
    acceptance: Frac = 1.0
    acceptance_model: AcceptanceModel = "expected"
    draft_time_ps: Ps = 0
    draft_energy_pj: Picojoules = 0.0
    slo_ttft_ps: PositivePs = 120 * 10**12
    slo_tpot_ps: PositivePs = 200 * 10**9

    @property
    def rules(self) -> BatchingRules:
        """How requests are batched that come over time."""
        return BatchingRules(
            self.max_num_seqs, self.max_num_batched_tokens, self.prefill, self.batching or "continuous"
        )

    def speculation(self, seed: int) -> Speculation:
        """How tokens are guessed and verified, drawn from the run's seed where they are drawn."""
        return Speculation(
            self.speculation_length,
            self.acceptance,
            self.acceptance_model,
            self.draft_time_ps,
            self.draft_energy_pj,
            seed,
        )
