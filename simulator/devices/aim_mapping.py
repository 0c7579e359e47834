"""How matrix-vector products, attention and vector operations map onto the channels of an AiM device.

Each function appends to a command program what the host must send for one operator, as CENT's trace generator lays it
out: output columns over banks, keys token by token over banks, values head by head over channels, vectors over bank
groups.

Source: CENT (ASPLOS'25) repository, trace generator. Not modelled: the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.rounding import ceil_div
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_program import AimProgramBuilder


@dataclass(frozen=True, slots=True)
class AimGeometry:
    """What the mapping must know of the device: channels, banks, and how many elements a row and a burst hold."""

    n_channels: int = 32
    n_banks: int = 16
    row_elements: int = 1024
    burst_elements: int = 16
    n_accumulators: int = 32
    n_accumulators_activated: int = 16
    n_rows: int = 16384
    element_bits: int = 16

    def columns(self, n_elements: int) -> int:
        """Bursts that hold `n_elements`."""
        return ceil_div(n_elements, self.burst_elements)

    def row_segments(self, n_elements: int) -> Iterator[tuple[int, int]]:
        """(row offset, bursts in it) of a vector that may span several rows."""
        for offset in range(ceil_div(n_elements, self.row_elements)):
            yield offset, self.columns(min(self.row_elements, n_elements - offset * self.row_elements))


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """The channels that hold one transformer block, and the copies of it that one device runs in lock-step."""

    geometry: AimGeometry
    n_channels: int
    n_copies: int

    @property
    def n_banks(self) -> int:
        """Banks of one copy."""
        return self.n_channels * self.geometry.n_banks

    @property
    def mask(self) -> int:
        """Mask of all channels of all copies."""
        return (1 << (self.n_channels * self.n_copies)) - 1

    def copies_of(self, channels: NDArray[np.int64], banks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Targets (channel, bank) of every copy, copies innermost: int64[len * n_copies, 2]."""
        copy_offset = np.arange(self.n_copies) * self.n_channels
        spread = (channels[:, None] + copy_offset[None, :]).ravel()
        return np.stack([spread, np.repeat(banks, self.n_copies)], axis=1)

    def slots(self, n_slots: int, slot: int, spacing: int) -> NDArray[np.int64]:
        """Targets of a vector laid over every `spacing`-th bank, `slot` being the bank within the spacing."""
        bank = np.arange(n_slots) * spacing + slot
        return self.copies_of(bank // self.geometry.n_banks, bank % self.geometry.n_banks)


def gemv_rows(geometry: AimGeometry, n_inputs: int, n_outputs: int, n_banks: int) -> int:
    """Rows per bank that a matrix takes."""
    return ceil_div(n_outputs, n_banks) * ceil_div(n_inputs, geometry.row_elements)


def replicated_mask(geometry: AimGeometry, n_banks_used: int) -> int:
    """Channels that hold `n_banks_used` banks' worth of data, repeated as often as whole copies fit the device."""
    used = ceil_div(n_banks_used, geometry.n_banks)
    n_channels = geometry.n_channels
    return (1 << (n_channels if used > n_channels else n_channels // used * used)) - 1


def gemv(
    builder: AimProgramBuilder,
    geometry: AimGeometry,
    n_inputs: int,
    n_outputs: int,
    n_banks: int,
    row: int,
    *,
    activated: bool = False,
    order: str = "reuse-GB",
    reuse: int | None = None,
) -> None:
    """Matrix-vector product: each output column lies in one bank, the input goes through the global buffer row by row.

    `n_banks` may exceed one device's (tensor parallel: every device runs the same commands on its share). `activated`
    fuses the activation function after the last input segment. `order` is "reuse-GB" (a group of columns shares a
    buffer load) or "no-reuse"; `reuse` is the number of accumulators, i.e. the largest group.
    """
    n_columns_per_bank = ceil_div(n_outputs, n_banks)
    mask = replicated_mask(geometry, ceil_div(n_outputs, n_columns_per_bank))
    limit = reuse or (geometry.n_accumulators_activated if activated else geometry.n_accumulators)
    if order == "no-reuse":
        limit = 1
    rows_per_column = ceil_div(n_inputs, geometry.row_elements)
    n_groups = ceil_div(n_columns_per_bank, limit)
    group = ceil_div(n_columns_per_bank, n_groups)
    for segment, n_bursts in geometry.row_segments(n_inputs):
        builder.command(Opcode.WR_GB, mask=mask, n_columns=n_bursts)
        is_last = segment == rows_per_column - 1
        for first in range(0, n_columns_per_bank, group):
            size = min(group, n_columns_per_bank - first)
            builder.command(Opcode.WR_BIAS, mask=mask, repeat=size)
            builder.command(
                Opcode.MAC_ABK,
                mask=mask,
                n_columns=n_bursts,
                row=row + first * rows_per_column + segment,
                repeat=size,
                row_step=rows_per_column,
            )
            if activated and is_last:
                with builder.loop([0] * size):
                    builder.command(Opcode.AF, mask=mask)
                    builder.command(Opcode.RD_AF, mask=mask)
            builder.command(Opcode.RD_MAC, mask=mask, repeat=size)


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """Heads of one attention layer: query heads, key-value heads, their width, and the tokens that a value row block
    reserves."""

    n_heads: int
    n_kv_heads: int
    head_dim: int
    reserved_tokens: int

    @property
    def repeats(self) -> int:
        """Query heads that share one key-value head."""
        return self.n_heads // self.n_kv_heads

    def heads_per_row(self, geometry: AimGeometry) -> int:
        """Key heads that lie side by side in one row."""
        return geometry.row_elements // self.head_dim

    def key_rows_per_token(self, geometry: AimGeometry) -> int:
        """Rows that one token's keys take in their bank."""
        return ceil_div(self.n_kv_heads, self.heads_per_row(geometry))

    def value_groups(self, geometry: AimGeometry) -> int:
        """Passes over the banks of a channel that cover one head's width."""
        return ceil_div(self.head_dim, geometry.n_banks)

    def value_rows_per_group(self, geometry: AimGeometry) -> int:
        """Rows reserved for one value dimension."""
        return ceil_div(self.reserved_tokens, geometry.row_elements)

    def kv_heads_per_channel(self, n_channels: int) -> int:
        """Value heads that one channel holds at most."""
        return ceil_div(self.n_kv_heads, n_channels)

    def score_heads_per_slot(self, n_channels: int, geometry: AimGeometry) -> int:
        """Heads whose scores share one group of four banks."""
        return ceil_div(self.n_heads, n_channels * (geometry.n_banks // 4))


def append_key_value(
    builder: AimProgramBuilder, group: ChannelGroup, shape: AttentionShape, context: int, key_row: int, value_row: int
) -> None:
    """Write the new token's keys (bursts to its bank) and values (one all-bank write per dimension group and head)."""
    geometry = group.geometry
    bank = np.array([(context - 1) % group.n_banks])
    rows_per_token = shape.key_rows_per_token(geometry)
    first = key_row + (context - 1) // group.n_banks * rows_per_token
    targets = group.copies_of(bank // geometry.n_banks, bank % geometry.n_banks)
    for row in range(rows_per_token):
        heads = min(shape.heads_per_row(geometry), shape.n_kv_heads - row * shape.heads_per_row(geometry))
        for copy in range(group.n_copies):
            builder.bursts(
                Opcode.W_MEM, targets[copy : copy + 1], row=first + row, rounds=geometry.columns(heads * shape.head_dim)
            )
    heads_per_channel = shape.kv_heads_per_channel(group.n_channels)
    groups, rows_per_group = shape.value_groups(geometry), shape.value_rows_per_group(geometry)
    for slot in range(heads_per_channel):
        for dimension in range(groups):
            row = value_row + (slot * groups + dimension) * rows_per_group + (context - 1) // geometry.row_elements
            for channel in range(group.n_channels):
                if channel * heads_per_channel + slot < shape.n_kv_heads:
                    builder.command(Opcode.WR_ABK, mask=1 << channel, row=row)


def attention_score(
    builder: AimProgramBuilder, geometry: AimGeometry, n_banks: int, shape: AttentionShape, context: int, row: int
) -> None:
    """Scores of one query against the keys of `context` tokens, token t's keys lying in bank t mod `n_banks`.

    The last, partly filled round of banks addresses only the channels that hold one of its tokens; where the banks are
    those of several devices, all channels (so the reference's means over contexts, at which 24 of 32 would do, say).
    """
    rows_per_token = shape.key_rows_per_token(geometry)
    heads_per_row = shape.heads_per_row(geometry)
    n_full, n_rest = divmod(context, n_banks)
    is_spread = n_banks > geometry.n_channels * geometry.n_banks
    chunks = [(replicated_mask(geometry, n_banks), np.arange(n_full))]
    if n_rest:
        chunks.append((replicated_mask(geometry, n_banks if is_spread else n_rest), np.array([n_full])))
    for key_row in range(rows_per_token):
        heads = min(heads_per_row, shape.n_kv_heads - key_row * heads_per_row)
        for mask, chunk in chunks:
            with builder.loop(np.repeat(chunk * rows_per_token, shape.repeats)):
                builder.command(Opcode.WR_GB, mask=mask, n_columns=geometry.columns(heads * shape.head_dim))
                with builder.loop([0] * heads):
                    builder.command(Opcode.WR_BIAS, mask=mask)
                    builder.command(
                        Opcode.MAC_ABK, mask=mask, n_columns=geometry.columns(shape.head_dim), row=row + key_row
                    )
                    builder.command(Opcode.RD_MAC, mask=mask)


def attention_output(
    builder: AimProgramBuilder, group: ChannelGroup, shape: AttentionShape, context: int, row: int
) -> None:
    """Scores times values: a head lies in one channel, sixteen dimensions to a pass, the tokens along the row."""
    geometry = group.geometry
    groups, rows_per_group = shape.value_groups(geometry), shape.value_rows_per_group(geometry)
    slots = np.arange(shape.kv_heads_per_channel(group.n_channels)) * groups * rows_per_group
    with builder.loop(np.repeat(slots, shape.repeats)):
        for offset, n_bursts in geometry.row_segments(context):
            builder.command(Opcode.WR_GB, mask=group.mask, n_columns=n_bursts)
            with builder.loop(np.arange(groups) * rows_per_group):
                builder.command(Opcode.WR_BIAS, mask=group.mask)
                builder.command(Opcode.MAC_ABK, mask=group.mask, n_columns=n_bursts, row=row + offset)
                builder.command(Opcode.RD_MAC, mask=group.mask)


def move_vector(
    builder: AimProgramBuilder,
    group: ChannelGroup,
    opcode: Opcode,
    *,
    spacing: int,
    slot: int,
    row: int,
    length: int,
    n_slots: int,
) -> None:
    """Scatter (W_MEM) or gather (R_MEM) a vector: `length` elements to each of `n_slots` banks, burst by burst
    round-robin."""
    targets = group.slots(n_slots, slot, spacing)
    for offset, n_bursts in group.geometry.row_segments(length):
        builder.bursts(opcode, targets, row=row + offset, rounds=n_bursts)


def multiply(builder: AimProgramBuilder, group: ChannelGroup, *, length: int, row: int) -> None:
    """Element-wise product of two banks into a third in every bank group, `length` elements each."""
    for offset, n_bursts in group.geometry.row_segments(length):
        builder.command(Opcode.EWMUL, mask=group.mask, n_columns=n_bursts, row=row + offset)


def copy_between_banks(
    builder: AimProgramBuilder, group: ChannelGroup, *, length: int, source_row: int, target_row: int
) -> None:
    """Through the global buffer, from the third bank of every bank group to the second."""
    for offset, n_bursts in group.geometry.row_segments(length):
        for bank in range(2, group.geometry.n_banks, 4):
            builder.command(Opcode.COPY_BKGB, mask=group.mask, n_columns=n_bursts, bank=bank, row=source_row + offset)
            builder.command(
                Opcode.COPY_GBBK, mask=group.mask, n_columns=n_bursts, bank=bank - 1, row=target_row + offset
            )


def softmax(builder: AimProgramBuilder, group: ChannelGroup, shape: AttentionShape, context: int, row: int) -> None:
    """Scores out to the banks, products with the exponents' reciprocal sums, and back, twice; heads four banks
    apart."""
    geometry = group.geometry
    heads_per_slot = shape.score_heads_per_slot(group.n_channels, geometry)
    rows_per_head = shape.value_rows_per_group(geometry)
    slots = np.arange(group.n_banks // 4)
    segments = list(geometry.row_segments(context))

    def move(opcode: Opcode, bank_in_slot: int) -> None:
        for offset, n_bursts in segments:
            for head in range(heads_per_slot):
                bank = slots[slots * heads_per_slot + head < shape.n_heads] * 4 + bank_in_slot
                targets = group.copies_of(bank // geometry.n_banks, bank % geometry.n_banks)
                builder.bursts(opcode, targets, row=row + head * rows_per_head + offset, rounds=n_bursts)

    for _ in range(2):
        move(Opcode.W_MEM, 0)
        move(Opcode.W_MEM, 1)
        for head in range(heads_per_slot):
            for offset, n_bursts in segments:
                builder.command(
                    Opcode.EWMUL, mask=group.mask, n_columns=n_bursts, row=row + head * rows_per_head + offset
                )
        move(Opcode.R_MEM, 2)
        builder.command(Opcode.SYNC, mask=group.mask)
