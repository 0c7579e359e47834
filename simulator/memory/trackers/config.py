"""What a tracker is set up with: the keys of `hw_configs/parts/hpt.yaml` that are the hardware's own."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.core.quantities import PositiveCycles, PositiveInt, PositivePs
from simulator.memory.dram.refusal import PartRefusal

Algorithm = Literal["cm", "ss", "first_touch", "exact"]
Key = Literal["page", "word"]
MOST_COUNTERS = 1 << 28
MOST_READS = 1 << 40
MOST_PICKS = 1 << 16


class TrackerConfig(BaseModel):
    """One tracker: what it counts, in what, how many keys it reports, and when it is queried and reset.

    `n_counters` is N: all counters of a count-min sketch (N = n_hashes x W), the entries of Space-Saving; the other
    algorithms have one for each key. `counter_bits` bounds the counters of `cm`, which then wrap or saturate as
    `overflow` says, and of `exact`, where small ones wrap and a host sums up the overflows (`read_residues`: a reading
    adds what the counters hold). `fifo_depth` addresses wait in front of the tracker, which takes one every
    `update_interval` cycles of its `clock`; without a depth, or without times, nothing is dropped. It is queried and
    reset every `epoch_reads` reads that arrive, or every `epoch`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: Algorithm = "cm"
    key: Key | Literal["both"] = "page"
    n_counters: int = Field(32_768, ge=1, le=MOST_COUNTERS)
    n_hashes: int = Field(4, ge=1, le=64)
    k: int = Field(25, ge=1, le=MOST_PICKS)
    hash: Literal["h3", "h3_modulo"] = "h3"
    hash_seed: int = Field(2025, ge=0, lt=1 << 64)
    update: Literal["plain", "conservative"] = "plain"
    counter_bits: int | None = Field(None, ge=1, le=32)
    overflow: Literal["wrap", "saturate"] = "wrap"
    read_residues: bool = True
    fifo_depth: PositiveInt | None = 256
    clock_hz: Annotated[Fraction, Gt(0)] = Fraction(400_000_000)
    update_interval_cyc: PositiveCycles = 2
    epoch_reads: int | None = Field(None, ge=1, le=MOST_READS)
    epoch_ps: PositivePs | None = None
    word_queries: int = Field(1, ge=1, le=1 << 16)

    @property
    def n_columns(self) -> int:
        """W: counters of one row of a count-min sketch."""
        return self.n_counters // self.n_hashes

    @model_validator(mode="after")
    def _can_be_built(self) -> TrackerConfig:
        try:
            self._check_size()
            if self.algorithm == "cm":
                self._check_rows()
            self._check_period()
        except PartRefusal as refusal:
            refusal.raise_at_place()
        return self

    def _check_size(self) -> None:
        if self.algorithm in ("cm", "ss") and self.k > self.n_counters:
            raise PartRefusal(
                ("k",),
                f"{self.k:,} keys are to be picked, and n_counters = {self.n_counters:,} is fewer (K > N)",
                remedy="set k lower, or n_counters higher",
            )

    def _check_rows(self) -> None:
        if self.n_counters % self.n_hashes:
            raise PartRefusal(
                ("n_counters",),
                f"{self.n_counters:,} counters make no {self.n_hashes} equal rows (N = n_hashes x W)",
                remedy=f"set n_counters to a multiple of n_hashes = {self.n_hashes}",
            )
        width = self.n_columns
        if self.hash == "h3" and width & (width - 1):
            below = (1 << (width.bit_length() - 1)) * self.n_hashes
            raise PartRefusal(
                ("n_counters",),
                f"rows of W = {width:,} counters are no power of two, which the hash h3 needs",
                remedy=f"set n_counters to {below} or {2 * below}, or hash to h3_modulo",
            )

    def _check_period(self) -> None:
        if self.epoch_reads is not None and self.epoch_ps is not None:
            raise PartRefusal(
                ("epoch_ps",),
                "epoch_reads says already when to query",
                remedy="set one of epoch and epoch_reads to null",
            )
        if self.epoch_reads is None and self.epoch_ps is None:
            raise PartRefusal(
                ("epoch_reads",),
                "nothing says when to query",
                remedy="set epoch_reads, or epoch to a time such as 3.1 ms",
            )
