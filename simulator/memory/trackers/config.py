"""What a tracker is set up with: the keys of `hw_configs/parts/hpt.yaml` that are the hardware's own."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.core.quantities import PositiveCycles, PositiveInt, PositivePs

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
        if self.algorithm in ("cm", "ss") and self.k > self.n_counters:
            raise ValueError(
                f"k = {self.k} keys out of n_counters = {self.n_counters}: set k lower or n_counters higher"
            )
        if self.algorithm == "cm":
            self._check_rows()
        if self.epoch_reads is not None and self.epoch_ps is not None:
            raise ValueError("epoch_reads and epoch both say when to query: set one of them to null")
        if self.epoch_reads is None and self.epoch_ps is None:
            raise ValueError("nothing says when to query: set epoch_reads, or epoch to a time")
        return self

    def _check_rows(self) -> None:
        if self.n_counters % self.n_hashes:
            raise ValueError(
                f"n_counters = {self.n_counters} are no {self.n_hashes} equal rows: N = n_hashes x W, "
                f"so set n_counters to a multiple of {self.n_hashes}"
            )
        width = self.n_columns
        if self.hash == "h3" and width & (width - 1):
            near = 1 << width.bit_length() - 1
            raise ValueError(
                f"rows of W = {width} counters, no power of two, which the hash h3 needs: "
                f"set n_counters to {near * self.n_hashes} or {2 * near * self.n_hashes}, or hash to h3_modulo"
            )
