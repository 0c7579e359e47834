"""M5's Manager: what the trackers in the CXL controller report is nominated, elected and promoted.

Once a poll the Monitor reads the bandwidth of both tiers, the Nominator makes a list of pages from the trackers'
reports, the Elector decides how often the trackers are asked and whether the list is taken, the Promoter moves it.

Source: M5 (ASPLOS 2025) and its artifact (Manager, threshold policy v2). Demotion is the kernel's, here the machine's.
Not modelled: the time of polling, which runs on a core of its own; several migration threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import NonNegativeInt, PositiveFloat, PositiveInt, PositivePs
from simulator.memory.tiers.pages import LINES_PER_PAGE, first_appearances
from simulator.memory.tiers.policy import HotReports, MachineView

Nominator = Literal["hpt_only", "hwt_only", "hpt_driven", "hwt_driven"]
_PS_PER_S = 1_000_000_000_000
_SCORE_SHIFT = 2  # a hot word shifts a page's score left by two
_LARGEST_SHIFT = 62
_SHIPPED_MASK_BITS = 32


@dataclass(frozen=True, slots=True)
class Densities:
    """What the Monitor tells of a poll: line reads a ps on each tier over the bytes that lie there."""

    ddr: float
    cxl: float
    ddr_of_total: float

    @property
    def known(self) -> bool:
        """Whether both tiers hold something and were read."""
        return self.ddr > 0 and self.cxl > 0


class M5:
    """The Manager for one tracker setting and one nominator."""

    name = "m5"

    class Config(BaseModel):
        """A part such as `hw_configs/parts/policies/m5.yaml`.

        `f0` and `exponent` are the Elector's; its period is held within `min_period_cyc` and `max_period_cyc` of the
        tracker's clock, or so many reads where `count` says reads (the traffic mode of the artifact's Redis runs).
        `stop_rule` shipped never stops a round, as the artifact's code, which drops the value that it computed;
        intended stops one after which DDR holds a larger share of the bandwidth density. `least_words` is the
        nominators' threshold. `word_mask` shipped shifts within 32 bits.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["m5"] = "m5"
        nominator: Nominator = "hpt_only"
        poll_ps: PositivePs
        f0: PositiveFloat
        exponent: PositiveFloat
        first_period_cyc: PositiveInt
        min_period_cyc: PositiveInt
        max_period_cyc: PositiveInt
        tracker_clock_hz: PositiveFloat
        count: Literal["cycles", "reads"] = "cycles"
        first_period_reads: PositiveInt = 8192
        stop_rule: Literal["shipped", "intended"] = "shipped"
        word_mask: Literal["shipped", "intended"] = "intended"
        least_words: NonNegativeInt
        list_pages: PositiveInt
        list_words: PositiveInt
        candidates: PositiveInt

        def scaled(self, factor: float) -> M5.Config:
            """For a footprint `factor` times as large as the policy was made for: polls come that much sooner."""
            return self.model_copy(update={"poll_ps": max(1, round(self.poll_ps * factor))})

    def __init__(self, config: Config) -> None:
        self.config = config
        self.uses_pages = config.nominator in ("hpt_only", "hpt_driven")
        self.uses_words = config.nominator != "hpt_only"
        self._reads, self._ps = (0, 0), 0
        self._ddr_of_total: float | None = None

    def start(self, machine: MachineView, seed: int) -> int:
        """The trackers begin at their default period."""
        if self.config.count == "reads":
            machine.set_tracker_period_reads(self.config.first_period_reads)
        else:
            machine.set_tracker_period_ps(self._period_ps(self.config.first_period_cyc))
        return self.config.poll_ps

    def act(self, machine: MachineView) -> int:
        """One poll."""
        densities = self._monitor(machine)
        pages = self._nominate(machine)
        elected = self._elect(machine, densities)
        machine.pick(pages)
        if elected:
            machine.promote(pages)
        return machine.now_ps + self.config.poll_ps

    def _monitor(self, machine: MachineView) -> Densities:
        """Bandwidth over memory used, on either tier, since the last poll; writes do not count."""
        counters = machine.counters()
        elapsed = max(1, machine.now_ps - self._ps)
        ddr = (counters.ddr_reads - self._reads[0]) / elapsed
        cxl = (counters.cxl_reads - self._reads[1]) / elapsed
        self._reads, self._ps = (counters.ddr_reads, counters.cxl_reads), machine.now_ps
        n_on_ddr = machine.n_ddr_pages - machine.n_free_ddr_pages
        n_on_cxl = machine.n_pages - n_on_ddr
        ddr_density = ddr / n_on_ddr if n_on_ddr else 0.0
        total = ddr + cxl
        return Densities(ddr_density, cxl / n_on_cxl if n_on_cxl else 0.0, ddr_density / total if total else 0.0)

    def _nominate(self, machine: MachineView) -> NDArray[np.int64]:
        """The pages that the reports of this poll speak for, in the order in which they are to move."""
        config, nominator = self.config, self.config.nominator
        hot = first_appearances(_last(machine.take_hot_pages(), config.list_pages))
        words = _last(machine.take_hot_words(), config.list_words)
        if nominator == "hpt_only":
            return hot
        if nominator == "hwt_only":
            return first_appearances(words // LINES_PER_PAGE)[: config.candidates]
        if nominator == "hwt_driven":
            return self._by_mask(words)[: config.candidates]
        return self._by_score(hot, words)[: config.candidates]

    def _by_mask(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pages by the number of their hot words, the most first; those with fewer than `least_words` are left out."""
        word = words % LINES_PER_PAGE
        if self.config.word_mask == "shipped":
            word = word % _SHIPPED_MASK_BITS
        distinct = np.unique(words // LINES_PER_PAGE * LINES_PER_PAGE + word)
        pages, population = np.unique(distinct // LINES_PER_PAGE, return_counts=True)
        order = np.argsort(-population, kind="stable")
        ranked: NDArray[np.int64] = pages[order][population[order] >= self.config.least_words]
        return ranked

    def _by_score(self, hot: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pages by score: 1 for one reported hot, shifted left by two for each of its hot words; 1 for one that only
        words report. Those whose score is not above `least_words` are left out."""
        pages = first_appearances(np.concatenate([hot, words // LINES_PER_PAGE]))
        if not len(pages):
            return pages
        order = np.argsort(pages)
        n_words = np.zeros(len(pages), np.int64)
        distinct = np.unique(words)
        np.add.at(n_words, order[np.searchsorted(pages, distinct // LINES_PER_PAGE, sorter=order)], 1)
        shift = np.where(np.isin(pages, hot), _SCORE_SHIFT * n_words, 0)
        score = np.left_shift(np.int64(1), np.minimum(shift, _LARGEST_SHIFT))
        ranked = np.argsort(-score, kind="stable")
        chosen: NDArray[np.int64] = pages[ranked][score[ranked] > self.config.least_words]
        return chosen

    def _elect(self, machine: MachineView, densities: Densities) -> bool:
        """Set how often the trackers are asked; whether this round's list is taken."""
        config = self.config
        before = self._ddr_of_total
        rose = before is not None and densities.ddr_of_total > before
        self._ddr_of_total = densities.ddr_of_total
        if not densities.known:
            return True  # at start-up: everything, at the period before
        try:
            frequency = config.f0 * (densities.cxl / densities.ddr) ** config.exponent
        except OverflowError:
            frequency = math.inf
        period = 1 / frequency if frequency > 0 else config.max_period_cyc
        cycles = int(min(max(period, config.min_period_cyc), config.max_period_cyc))
        if config.count == "reads":
            machine.set_tracker_period_reads(cycles)
        else:
            machine.set_tracker_period_ps(self._period_ps(cycles))
        return config.stop_rule == "shipped" or not rose

    def _period_ps(self, cycles: int) -> int:
        return max(1, round(cycles * _PS_PER_S / self.config.tracker_clock_hz))


def _last(reports: HotReports, n: int) -> NDArray[np.int64]:
    """The last `n` keys: a device's slots are overwritten in a circle."""
    return reports.key[-n:].astype(np.int64)
