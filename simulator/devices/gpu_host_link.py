"""Copies between host and GPU memory: by the GPU's copy engine from pinned pages, or staged by the processor.

Pinned: a start-up time, then the link's own rate. Pageable: the processor copies into a pinned buffer first, at one
rate while the source is in its caches and at a slower one from memory. Not modelled: several copies in one direction,
NUMA distance, page faults of memory that was never touched.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt, Le
from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import Bytes, GigabytesPerSecond, Ps
from simulator.devices.link import Link

CopyKind = Literal["h2d_pinned", "d2h_pinned", "h2d_pageable", "bidirectional_pinned"]


class HostLink:
    """The link between a GPU and its host, and the software that copies over it."""

    class Config(BaseModel):
        """`duplex_frac` is the share of its rate that each direction keeps while both are busy."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        link: Link.Config
        start_ps: Ps
        duplex_start_ps: Ps = 0
        duplex_frac: Annotated[float, Gt(0), Le(1)] = 1.0
        staged_start_ps: Ps = 0
        staged_cached_gb_per_s: GigabytesPerSecond | None = None
        staged_gb_per_s: GigabytesPerSecond | None = None
        staged_cached_bytes: Bytes = 0
        host_read_gb_per_s: GigabytesPerSecond | None = None
        host_copy_gb_per_s: GigabytesPerSecond | None = None

    def __init__(self, config: Config) -> None:
        self.config = config
        self.link = Link(config.link)

    def copy_ps(self, kind: CopyKind, n_bytes: int) -> float:
        """Time of one copy of `n_bytes`; of both directions together, half of it each, for `bidirectional_pinned`."""
        config = self.config
        if kind == "bidirectional_pinned":
            one_way = self.link.message_ps(-(-n_bytes // 2))
            return config.duplex_start_ps + one_way / config.duplex_frac
        pinned = config.start_ps + self.link.message_ps(n_bytes)
        if kind != "h2d_pageable" or config.staged_gb_per_s is None:
            return pinned
        cached = min(n_bytes, config.staged_cached_bytes)
        fast = config.staged_cached_gb_per_s or config.staged_gb_per_s
        # 1 GB/s is 1e-3 bytes per ps.
        staged = config.staged_start_ps + (cached / fast + (n_bytes - cached) / config.staged_gb_per_s) * 1e3
        return max(staged, pinned)
