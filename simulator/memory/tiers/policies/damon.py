"""DAMON with the policy of HMSDK: regions are sampled by access bits, hot ones promoted and cold ones demoted.

1. *Sample.* Every `sampling` the access bit of one random page of each region is looked at, which was cleared at the
   sample before; a region whose page was accessed counts one more.
2. *Aggregate.* After aggregation / sampling of them, neighbours with like counts are merged (`DamonRegions`).
3. *Schemes.* Regions of CXL pages found accessed in at least 5 % of the samples are promoted, those of DDR pages never
   accessed for 30 s demoted, within their quotas, the hottest (coldest) first. With `young_filter` only pages of them
   whose own access bit is set (not set) are moved, and the bit is cleared by looking.
4. *Split.* Counts start anew, and regions are split at random.

Regions lie in the space of page ids, which do not change as pages move: one space for both tiers, where a kernel has
physical addresses and a monitor for each node. A scheme sees the pages of its own tier in a region. `pick` gets every
page that the promotion scheme selects.

The program is charged `check_cost` for each page sampled, and nothing for walking the regions of a scheme. When periods
are scaled this cost is scaled too: the number of regions is not, so the share of time that sampling takes stays.

Not modelled: the update of the monitored space (it does not grow), TLB entries and caches that hide accesses from the
access bits, watermarks, the address at which a scheme that ran out of quota goes on, promotions that fail for a full
node and wake kswapd (the machine demotes at once).
Source: Linux mm/damon/core.c and mm/damon/paddr.c; HMSDK tools/gen_migpol.py.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from simulator.core.quantities import PositiveInt, PositivePs, Ps
from simulator.core.seeds import child_rng
from simulator.memory.tiers.damon_regions import DamonRegions
from simulator.memory.tiers.damon_scheme import Quota, SchemeConfig, hotness, matching
from simulator.memory.tiers.policy import MachineView
from simulator.memory.tiers.policy_config import PolicyConfig, scaled_time_ps

Pages = NDArray[np.int64]


class Damon:
    """Access-bit sampling of adaptive regions, with one scheme that promotes and one that demotes."""

    name = "damon"

    class Config(PolicyConfig):
        """The part `hw_configs/parts/policies/damon.yaml`."""

        kind: Literal["damon"] = "damon"
        sampling_ps: PositivePs
        aggregation_ps: PositivePs
        n_min_regions: PositiveInt
        n_max_regions: PositiveInt
        promote: SchemeConfig
        demote: SchemeConfig
        young_filter: bool
        age_unit_ps: PositivePs
        check_cost_ps: Ps
        migration_cost_ps: Ps

        @model_validator(mode="after")
        def _possible(self) -> Damon.Config:
            if self.aggregation_ps < self.sampling_ps:
                raise ValueError("`aggregation` is shorter than `sampling`")
            if self.n_max_regions < self.n_min_regions:
                raise ValueError("`n_max_regions` is below `n_min_regions`")
            return self

        @property
        def n_samples(self) -> int:
            """Samples of an aggregation."""
            return max(1, round(self.aggregation_ps / self.sampling_ps))

        def scaled(self, factor: float) -> Self:
            """As of any policy, and the cost of a check too, so that checks take the same share of the time."""
            check_cost_ps = scaled_time_ps(self.check_cost_ps, factor)
            return super().scaled(factor).model_copy(update={"check_cost_ps": check_cost_ps})

    def __init__(self, config: Damon.Config) -> None:
        self.config = config

    def start(self, machine: MachineView, seed: int) -> int:
        """Lays out the regions, clears the first access bits, and wants to be called one sampling interval later."""
        config, now = self.config, machine.now_ps
        self._rng = child_rng(seed, "policy", self.name)
        self.regions = DamonRegions(machine.n_pages, config.n_min_regions, config.n_max_regions)
        self._quotas = {"promote": Quota(config.promote, now), "demote": Quota(config.demote, now)}
        self._cleared_ps = np.full(machine.n_pages, -1, dtype=np.int64)
        self._n_sampled = 0
        self._clear_next(now)
        return now + config.sampling_ps

    def act(self, machine: MachineView) -> int:
        """One sample; after an aggregation's worth of them the schemes."""
        accessed = machine.last_touch_ps[self._sampled] > self._cleared_ps[self._sampled]
        self.regions.n_accesses += accessed
        machine.charge(self.config.check_cost_ps * len(self._sampled))
        self._n_sampled += 1
        if self._n_sampled == self.config.n_samples:
            self._n_sampled = 0
            self.regions.aggregate(self.config.n_samples)
            self._promote(machine)
            self._demote(machine)
            self.regions.reset()
            self.regions.split(self._rng)
        self._clear_next(machine.now_ps)
        return machine.now_ps + self.config.sampling_ps

    def _clear_next(self, now_ps: int) -> None:
        self._sampled = self.regions.draw(self._rng)
        self._cleared_ps[self._sampled] = now_ps

    def _promote(self, machine: MachineView) -> None:
        tried = self._selected(machine, self.config.promote, "promote", machine.on_ddr, sign=-1)
        hot = self._filtered(machine, tried, wants_young=True)
        n_moved = 0
        if len(hot):
            machine.pick(hot)
            n_moved = machine.promote(hot)
        self._quotas["promote"].charge(len(tried), n_moved * self.config.migration_cost_ps)

    def _demote(self, machine: MachineView) -> None:
        tried = self._selected(machine, self.config.demote, "demote", ~machine.on_ddr, sign=1)
        cold = self._filtered(machine, tried, wants_young=False)
        n_moved = machine.demote(cold) if len(cold) else 0
        self._quotas["demote"].charge(len(tried), n_moved * self.config.migration_cost_ps)

    def _selected(
        self, machine: MachineView, scheme: SchemeConfig, quota: str, is_elsewhere: NDArray[np.bool_], *, sign: int
    ) -> Pages:
        """Pages of a scheme's tier in its regions, by hotness times `sign`, as many as its quota has left.

        The age of regions that it took pages of starts anew."""
        config, regions = self.config, self.regions
        has_any = np.logical_or.reduceat(~is_elsewhere, regions.start)
        chosen = np.flatnonzero(matching(regions, scheme, config.n_samples, config.aggregation_ps) & has_any)
        n_left = self._quotas[quota].left(machine.now_ps)
        if not len(chosen) or not n_left:
            return np.zeros(0, dtype=np.int64)
        score = hotness(regions, scheme, config.n_samples, config.aggregation_ps, config.age_unit_ps)
        pages, region = regions.pages(chosen[np.argsort(sign * score[chosen], kind="stable")])
        here = np.flatnonzero(~is_elsewhere[pages])[:n_left]
        regions.age[region[here]] = 0
        return pages[here]

    def _filtered(self, machine: MachineView, pages: Pages, *, wants_young: bool) -> Pages:
        """Of pages those whose access bit is set, or is not; a bit that was set is cleared."""
        if not self.config.young_filter or not len(pages):
            return pages
        young = machine.last_touch_ps[pages] > self._cleared_ps[pages]
        self._cleared_ps[pages[young]] = machine.now_ps
        return pages[young] if wants_young else pages[~young]
