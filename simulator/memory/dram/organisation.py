"""What a channel is built of: levels down to banks, rows, columns, and the width of its data bus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from pydantic import BaseModel, ConfigDict, PositiveInt

from simulator.core.spelling import did_you_mean
from simulator.memory.dram.refusal import PartRefusal


class Organisation(BaseModel):
    """One organisation of a standard, as a data sheet names it.

    `sizes` says how many of each level its parent holds; `n_columns` counts words of `channel_width_bits`;
    `density_bits` is what the standard's refresh tables call density: per die for DDR, per pseudo channel for HBM2.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    density_bits: PositiveInt
    dq_bits: PositiveInt
    channel_width_bits: PositiveInt
    sizes: dict[str, PositiveInt]
    n_rows: PositiveInt
    n_columns: PositiveInt


@dataclass(frozen=True, slots=True)
class Shape:
    """An organisation with its levels in order, outermost first, the number of ranks chosen."""

    organisation: Organisation
    levels: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def n_banks(self) -> int:
        """Banks of one channel."""
        return prod(self.sizes)

    def size(self, level: str) -> int:
        """How many of a level its parent holds."""
        return self.sizes[self.levels.index(level)]


def shaped(
    name: str, organisations: Mapping[str, Organisation], levels: Sequence[str], rank: int | None, burst_words: int
) -> Shape:
    """The organisation of that name, with `rank` ranks where it is not None.

    Raises PartRefusal, at its key, for what cannot be built.
    """
    if name not in organisations:
        raise PartRefusal(("org",), f"unknown organisation {name!r}", remedy=did_you_mean(name, organisations))
    organisation = organisations[name]
    key = ("organisations", name)
    for level in organisation.sizes:
        if level not in levels:
            raise PartRefusal((*key, "sizes", level), f"unknown level {level!r}", remedy=did_you_mean(level, levels))
    for level in levels:
        if level not in organisation.sizes:
            raise PartRefusal((*key, "sizes"), f"lacks the level {level!r}", remedy=f"say how many: {level}: 1")
    if rank not in (None, 1) and "rank" not in levels:
        raise PartRefusal(("rank",), f"{rank} ranks, but this standard has none", remedy="set rank to 1")
    sizes = tuple(rank if level == "rank" and rank else organisation.sizes[level] for level in levels)
    if organisation.n_columns % burst_words:
        raise PartRefusal(
            (*key, "n_columns"),
            f"{organisation.n_columns} words in a row are no whole number of bursts of {burst_words}",
            remedy=f"choose a multiple of {burst_words}",
        )
    if organisation.channel_width_bits * burst_words % 8:
        raise PartRefusal(
            (*key, "channel_width_bits"),
            "the bytes of a burst are no whole number",
            remedy="choose a multiple of 8 bits",
        )
    return Shape(organisation, tuple(levels), sizes)
