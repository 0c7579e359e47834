"""The `serving` section of a configuration: what counts as served well."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import PositivePs


class ServingConfig(BaseModel):
    """Service-level objective: a request counts towards goodput if its first token comes within `slo_ttft` of its
    arrival and its later tokens come, on average, within `slo_tpot` of each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slo_ttft_ps: PositivePs = 120 * 10**12
    slo_tpot_ps: PositivePs = 200 * 10**9
