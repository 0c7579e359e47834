"""What the configurations of migration policies share: how their periods are scaled to a small footprint.

A policy of an operating system has periods of seconds, made for gigabytes; a recorded trace lasts half a second and
touches megabytes. `scaled(factor)`, with the factor footprint / 8 GB (M5's footprints), gives the same policy for the
trace: every time and every size is multiplied, so that a pass over the footprint takes as many periods, a window holds
the same share of it, and rates (bytes a second) stay as they are. The convention for every policy's `Config`, by name:

* `*_ps` is a period, an age or a time limit, and is scaled;
* `*_bytes` is a share of the footprint, and is scaled, to whole pages and at least one;
* `*_cost_ps` is what one operation costs the machine, and is kept;
* rates, fractions, counts and weights are kept; sections (models within the model) are scaled in the same way.

A policy for which this is not right says so in its own `scaled`.

What scaling does not keep is the number of accesses to a page in a period: it falls by as much as the program's
bandwidth is small beside that of the footprint that it stands for, and what counts accesses sees fewer.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from simulator.core.rounding import ceil_div
from simulator.memory.tiers.pages import PAGE_BYTES


class PolicyConfig(BaseModel):
    """A part of `hw_configs/parts/policies`, or a section of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def scaled(self, factor: float) -> Self:
        """The same policy with times and sizes multiplied by `factor` (above 0), as the module says."""
        if not factor > 0:
            raise ValueError(f"a policy cannot be scaled by {factor}")
        changed: dict[str, object] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, PolicyConfig):
                changed[name] = value.scaled(factor)
            elif name.endswith("_bytes"):
                changed[name] = _scaled_bytes(value, factor)
            elif name.endswith("_ps") and not name.endswith("_cost_ps"):
                changed[name] = scaled_time_ps(value, factor)
        return self.model_copy(update=changed)


def scaled_time_ps(time_ps: int, factor: float) -> int:
    """A time multiplied: at least 1 ps, unless it was 0."""
    return max(1, round(time_ps * factor)) if time_ps else 0


def _scaled_bytes(size_bytes: int, factor: float) -> int:
    n_pages = ceil_div(size_bytes, PAGE_BYTES)
    return max(1, round(n_pages * factor)) * PAGE_BYTES if n_pages else 0
