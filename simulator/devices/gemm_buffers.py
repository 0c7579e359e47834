"""An on-chip buffer's ports by their width: energy of an access and area, from a table that CACTI gave."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.errors import ConfigError
from simulator.core.quantities import Milliwatts, PositiveBytes, PositiveFloat, PositiveInt


class PortRow(BaseModel):
    """A port of so many bits: energy of a read and of a write of the whole width, and the buffer's area with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: PositiveInt
    read_pj: PositiveFloat
    write_pj: PositiveFloat
    area_mm2: PositiveFloat


@dataclass(frozen=True, slots=True)
class Port:
    """A buffer's port. `note` says where its energies are no row of the table."""

    width: int
    read_pj: float
    write_pj: float
    area_mm2: float
    note: str | None = None


class GemmBuffers:
    """Two buffers that feed an array, their ports as wide as the array asks."""

    class Config(BaseModel):
        """A part such as `hw_configs/parts/datapaths/buffers.yaml`: their size, ports by width, what each leaks."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["gemm_buffers"] = "gemm_buffers"
        capacity_bytes: PositiveBytes
        leakage_mw: Milliwatts
        ports: Annotated[tuple[PortRow, ...], MinLen(1)]

        @model_validator(mode="after")
        def _rising(self) -> GemmBuffers.Config:
            widths = [row.width for row in self.ports]
            if widths != sorted(set(widths)):
                raise ValueError("widths must rise from port to port")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config

    def port(self, width: int) -> Port:
        """The port of a width: a row of the table, between two rows their weighted mean, and below the narrowest that
        one, of which a part is used. Raises ConfigError beyond the widest."""
        rows = self.config.ports
        at = bisect_left([row.width for row in rows], width)
        if at == len(rows):
            raise ConfigError(
                f"a port of {width:,} bits, where the table of buffers ends at {rows[-1].width:,}",
                where="system.buffers.ports",
                remedy="use fewer rows, columns, lanes or bits, or add a row: width, read_pj, write_pj and area_mm2 "
                "from CACTI",
            )
        row = rows[at]
        if row.width == width:
            return Port(width, row.read_pj, row.write_pj, row.area_mm2)
        if not at:
            note = f"a buffer port of {width} bits is taken as the narrowest of the table, {row.width} bits"
            return Port(row.width, row.read_pj, row.write_pj, row.area_mm2, note)
        low = rows[at - 1]
        share = (width - low.width) / (row.width - low.width)

        def between(first: float, last: float) -> float:
            return first + share * (last - first)

        return Port(
            width,
            between(low.read_pj, row.read_pj),
            between(low.write_pj, row.write_pj),
            between(low.area_mm2, row.area_mm2),
            f"a buffer port of {width} bits is interpolated between {low.width} and {row.width}",
        )
