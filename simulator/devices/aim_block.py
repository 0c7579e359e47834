"""One transformer block as the command program of an AiM device: row layout, and operators in execution order.

Source: CENT (ASPLOS'25) repository, trace generator; row bases and order as in its traces for 4096-token layouts.
Not modelled: routing of experts (each token runs its top-k experts one after another), the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from simulator.core.errors import MappingError
from simulator.core.rounding import ceil_div
from simulator.devices.aim_mapping import (
    AimGeometry,
    AttentionShape,
    ChannelGroup,
    append_key_value,
    attention_output,
    attention_score,
    copy_between_banks,
    gemv,
    gemv_rows,
    move_vector,
    multiply,
    softmax,
)
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_program import AimProgram, AimProgramBuilder
from simulator.workload.model import ModelSpec

# Parts of a block that can be run alone (`workload.scope`), and the operators of each, in execution order.
OPERATOR_PARTS: dict[str, str] = {
    "norm_attention": "norm",
    "qkv_projection": "fc_kqvo",
    "rope": "fc_kqvo",
    "kv_append": "attention",
    "attention_score": "attention",
    "softmax": "softmax",
    "attention_output": "attention",
    "output_projection": "fc_kqvo",
    "residual_attention": "norm",
    "norm_ffn": "norm",
    "router": "fc_ffn",
    "ffn_up": "fc_ffn",
    "activation": "activation",
    "ffn_down": "fc_ffn",
    "residual_ffn": "norm",
}
BLOCK_PARTS = tuple(dict.fromkeys(OPERATOR_PARTS.values()))


@dataclass(frozen=True, slots=True)
class BlockRows:
    """First row of each vector and matrix of a block, in every bank; `end` is the number of rows in use.

    Timing only asks whether consecutive rows are equal, so bases must differ as they do in the reference's layout.
    """

    x: int
    x_copy: int
    normed: int
    wq: int
    wk: int
    wv: int
    xq: int
    xk: int
    keys: int
    scores: int
    values: int
    wo: int
    ffn_x: int
    ffn_normed: int
    router: int
    ffn: int
    end: int

    @property
    def n_static(self) -> int:
        """Rows of weights and vectors: all but those reserved for keys and values."""
        return self.end - (self.scores - self.keys) - (self.wo - 1 - self.values)


@dataclass(frozen=True, slots=True)
class FfnRows:
    """First rows of one feed-forward network (or expert); `end` follows the last row of all of them."""

    up: int
    gate: int
    activation: int
    down: int
    end: int


@dataclass(frozen=True, slots=True)
class AimBlock:
    """A block of `model` on the channels of `group`; its matrices spread over `n_fc_devices` devices.

    `reserved_tokens` is the context for which the row layout leaves room; longer contexts run into other rows, as in
    the reference.
    """

    model: ModelSpec
    group: ChannelGroup
    n_fc_devices: int = 1
    reserved_tokens: int = 4096
    gemv_order: str = "reuse-GB"
    rows: BlockRows = field(init=False)

    def __post_init__(self) -> None:
        if self.model.head_dim > self.geometry.row_elements:
            raise MappingError(
                f"a head of {self.model.head_dim} elements does not fit a row of {self.geometry.row_elements}",
                remedy="use a part with longer rows",
            )
        model, bits = self.model, self.geometry.element_bits
        if {model.weight_bits, model.act_bits, model.kv_bits} != {bits}:
            raise MappingError(
                f"{model.name} has {model.weight_bits}-bit weights, {model.act_bits}-bit activations and "
                f"{model.kv_bits}-bit keys and values; the units beside the banks compute in {bits} bits",
                remedy=f"set weight_bits, act_bits and kv_bits to {bits}",
            )
        object.__setattr__(self, "rows", self._layout())

    @property
    def geometry(self) -> AimGeometry:
        """The device's geometry."""
        return self.group.geometry

    @property
    def n_fc_banks(self) -> int:
        """Banks over which a weight matrix is spread, all devices counted."""
        return self.group.n_banks * self.n_fc_devices

    @property
    def attention(self) -> AttentionShape:
        """Heads and the reserved context."""
        model = self.model
        return AttentionShape(model.n_heads, model.n_kv_heads, model.head_dim, self.reserved_tokens)

    def ffn_widths(self) -> list[int]:
        """Width of every feed-forward network that one token runs: the dense one, or shared and top-k experts."""
        model = self.model
        if not model.n_experts:
            return [model.ffn]
        return [model.expert_ffn] * (model.n_experts_per_token + model.n_shared_experts)

    def program(self, context: int, parts: Collection[str] = BLOCK_PARTS) -> AimProgram:
        """Commands of one token at `context`, restricted to `parts`; sections are named after operators."""
        builder = AimProgramBuilder()
        attended = min(context, self.model.sliding_window or context)
        for name, emit in self._operators():
            if OPERATOR_PARTS[name] in parts:
                emit(builder, attended)
                builder.section(name)
        return finished(builder)

    def fc_program(self) -> AimProgram:
        """Commands of a device that only holds a share of the matrices (tensor parallel)."""
        builder = AimProgramBuilder()
        for name, emit in self._operators():
            if name in ("qkv_projection", "output_projection", "router", "ffn_up", "ffn_down"):
                emit(builder, 0)
                builder.section(name)
        return finished(builder)

    def embedding_program(self) -> AimProgram:
        """Commands once per token: input embedding as a matrix product, final norm, output embedding."""
        builder = AimProgramBuilder()
        model = self.model
        self._gemv(builder, model.vocab, model.hidden, 0)
        builder.section("input_embedding")
        base = gemv_rows(self.geometry, model.vocab, model.hidden, self.n_fc_banks)
        # The reference writes one operand of the final norm only.
        self._norm(builder, base, base + 1, base + 2, pair_slots=(), copy_slots=(1,))
        builder.section("final_norm")
        self._gemv(builder, model.hidden, model.vocab, base + 3)
        builder.section("output_embedding")
        return finished(builder)

    def _layout(self) -> BlockRows:
        model, geometry, banks = self.model, self.geometry, self.n_fc_banks
        shape = self.attention
        q_width, kv_width = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim

        def matrix(n_inputs: int, n_outputs: int) -> int:
            return gemv_rows(geometry, n_inputs, n_outputs, banks)

        wk = 3 + matrix(model.hidden, q_width)
        wv = wk + matrix(model.hidden, kv_width)
        xq = wv + matrix(model.hidden, kv_width)
        keys = xq + 2
        scores = keys + ceil_div(self.reserved_tokens, banks) * shape.key_rows_per_token(geometry)
        values = scores + shape.score_heads_per_slot(self.group.n_channels, geometry) * shape.value_rows_per_group(
            geometry
        )
        wo = (
            values
            + 1
            + (
                shape.kv_heads_per_channel(self.group.n_channels)
                * shape.value_groups(geometry)
                * shape.value_rows_per_group(geometry)
            )
        )
        ffn_x = wo + matrix(q_width, model.hidden) + 1
        router = ffn_x + 2
        ffn = router + (matrix(model.hidden, model.n_experts) if model.n_experts else 0)
        return BlockRows(
            x=0,
            x_copy=1,
            normed=2,
            wq=3,
            wk=wk,
            wv=wv,
            xq=xq,
            xk=xq + 1,
            keys=keys,
            scores=scores,
            values=values,
            wo=wo,
            ffn_x=ffn_x,
            ffn_normed=ffn_x + 1,
            router=router,
            ffn=ffn,
            end=self._ffn_rows(ffn, 0).end + 1,
        )

    def _ffn_rows(self, first: int, index: int) -> FfnRows:
        """Rows of the feed-forward network (or expert) `index`, where all of them begin at row `first`.

        Experts narrower than the banks lie side by side: several share a set of rows, each in banks of its own.
        """
        model, width = self.model, self.ffn_widths()[0]
        n_networks = model.n_experts + model.n_shared_experts if model.n_experts else 1

        def matrix(n_inputs: int, n_outputs: int) -> tuple[int, int]:
            rows = gemv_rows(self.geometry, n_inputs, n_outputs, self.n_fc_banks)
            side_by_side = max(1, self.n_fc_banks // n_outputs)
            return ceil_div(n_networks, side_by_side) * rows, index // side_by_side * rows

        inner_rows, inner_offset = matrix(model.hidden, width)
        outer_rows, outer_offset = matrix(width, model.hidden)
        gate = first + inner_rows
        activation = gate + (inner_rows if model.gated else 0) + 2
        slice_length = ceil_div(width, self.group.n_banks // 4)
        down = activation + ceil_div(2 * slice_length, self.geometry.row_elements) + 1
        return FfnRows(
            up=first + inner_offset,
            gate=gate + inner_offset,
            activation=activation,
            down=down + outer_offset,
            end=down + outer_rows,
        )

    def _operators(self) -> list[tuple[str, Callable[[AimProgramBuilder, int], None]]]:
        model, rows, shape = self.model, self.rows, self.attention
        q_width, kv_width = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim

        def qkv(builder: AimProgramBuilder, _: int) -> None:
            self._gemv(builder, model.hidden, q_width, rows.wq)
            self._gemv(builder, model.hidden, kv_width, rows.wk)
            self._gemv(builder, model.hidden, kv_width, rows.wv)

        def output_projection(builder: AimProgramBuilder, _: int) -> None:
            self._gemv(builder, q_width, model.hidden, rows.wo)

        def residual(builder: AimProgramBuilder, _: int) -> None:
            # EWADD: one line of the dispatcher, no command in the channels.
            builder.command(Opcode.NO_EFFECT, mask=0)

        operators: list[tuple[str, Callable[[AimProgramBuilder, int], None]]] = [
            ("norm_attention", lambda b, _: self._norm(b, rows.x, rows.x_copy, rows.normed, pair_slots=(0, 1))),
            ("qkv_projection", qkv),
        ]
        if model.position == "rope":
            operators.append(("rope", lambda b, _: self._rope(b)))
        operators += [
            ("kv_append", lambda b, s: append_key_value(b, self.group, shape, s, rows.keys, rows.values)),
            ("attention_score", lambda b, s: attention_score(b, self.geometry, self.n_fc_banks, shape, s, rows.keys)),
            ("softmax", lambda b, s: softmax(b, self.group, shape, s, rows.scores)),
            ("attention_output", lambda b, s: attention_output(b, self.group, shape, s, rows.values)),
            ("output_projection", output_projection),
            ("residual_attention", residual),
        ]
        if not model.parallel_block:
            operators.append(
                ("norm_ffn", lambda b, _: self._norm(b, rows.ffn_x, rows.ffn_x, rows.ffn_normed, pair_slots=(1, 0)))
            )
        if model.n_experts:
            operators.append(("router", lambda b, _: self._gemv(b, model.hidden, model.n_experts, rows.router)))
        for index, width in enumerate(self.ffn_widths()):
            operators += self._ffn_operators(self._ffn_rows(rows.ffn, index), width)
        operators.append(("residual_ffn", residual))
        return operators

    def _ffn_operators(self, rows: FfnRows, width: int) -> list[tuple[str, Callable[[AimProgramBuilder, int], None]]]:
        model = self.model

        def up(builder: AimProgramBuilder, _: int) -> None:
            self._gemv(builder, model.hidden, width, rows.up, activated=True)
            if model.gated:
                self._gemv(builder, model.hidden, width, rows.gate)

        return [
            ("ffn_up", up),
            ("activation", lambda b, _: self._activation(b, width, rows.activation)),
            ("ffn_down", lambda b, _: self._gemv(b, width, model.hidden, rows.down)),
        ]

    def _gemv(
        self, builder: AimProgramBuilder, n_inputs: int, n_outputs: int, row: int, *, activated: bool = False
    ) -> None:
        gemv(
            builder,
            self.geometry,
            n_inputs,
            n_outputs,
            self.n_fc_banks,
            row,
            activated=activated,
            order=self.gemv_order,
        )

    def _spread(self, length: int, banks_per_slot: int) -> tuple[int, int]:
        """(elements per bank, banks) of a vector laid over every `banks_per_slot`-th bank."""
        per_bank = ceil_div(length, self.group.n_banks // banks_per_slot)
        return per_bank, ceil_div(length, per_bank)

    def _norm(
        self,
        builder: AimProgramBuilder,
        x: int,
        copy: int,
        normed: int,
        *,
        pair_slots: tuple[int, ...],
        copy_slots: tuple[int, ...] = (0, 1),
    ) -> None:
        group = self.group
        length, n_slots = self._spread(self.model.hidden, 2)
        for slot in pair_slots:
            move_vector(builder, group, Opcode.W_MEM, spacing=2, slot=slot, row=x, length=length, n_slots=n_slots)
        builder.command(Opcode.WR_BIAS, mask=group.mask)
        for offset, n_bursts in self.geometry.row_segments(length):
            builder.command(Opcode.MAC_ABK, mask=group.mask, n_columns=n_bursts, row=x + offset)
        builder.command(Opcode.RD_MAC, mask=group.mask)
        length, n_slots = self._spread(self.model.hidden, 4)
        for slot in copy_slots:
            move_vector(builder, group, Opcode.W_MEM, spacing=4, slot=slot, row=copy, length=length, n_slots=n_slots)
        multiply(builder, group, length=length, row=copy)
        copy_between_banks(builder, group, length=length, source_row=copy, target_row=normed)
        multiply(builder, group, length=length, row=normed)
        move_vector(builder, group, Opcode.R_MEM, spacing=4, slot=2, row=normed, length=length, n_slots=n_slots)
        builder.command(Opcode.SYNC, mask=group.mask)

    def _rope(self, builder: AimProgramBuilder) -> None:
        model, group, rows = self.model, self.group, self.rows
        q_width = model.n_heads * model.head_dim
        length, n_slots = self._spread(q_width, 4)
        repeats = self.attention.repeats
        vectors = ((rows.xq, 2 * length, n_slots), (rows.xk, 2 * (length // repeats), n_slots))
        for row, elements, slots in vectors:
            move_vector(builder, group, Opcode.W_MEM, spacing=4, slot=1, row=row, length=elements, n_slots=slots)
        builder.command(Opcode.EWMUL, mask=group.mask, n_columns=self.geometry.columns(q_width), row=rows.xq)
        builder.command(Opcode.EWMUL, mask=group.mask, n_columns=self.geometry.columns(q_width // repeats), row=rows.xk)
        # The reference emits the read-back of the rotated vectors as writes.
        for row, elements, slots in vectors:
            move_vector(builder, group, Opcode.W_MEM, spacing=4, slot=2, row=row, length=elements, n_slots=slots)

    def _activation(self, builder: AimProgramBuilder, width: int, row: int) -> None:
        group = self.group
        length, n_slots = self._spread(width, 4)
        for slot in (0, 1):
            move_vector(builder, group, Opcode.W_MEM, spacing=4, slot=slot, row=row, length=length, n_slots=n_slots)
        multiply(builder, group, length=length, row=row)
        if self.model.gated:
            copy_between_banks(builder, group, length=length, source_row=row, target_row=row)
            move_vector(builder, group, Opcode.W_MEM, spacing=4, slot=0, row=row, length=length, n_slots=n_slots)
            multiply(builder, group, length=length, row=row)
        move_vector(builder, group, Opcode.R_MEM, spacing=4, slot=2, row=row, length=length, n_slots=n_slots)
        builder.command(Opcode.SYNC, mask=group.mask)


def finished(builder: AimProgramBuilder) -> AimProgram:
    """The built program, closed with the end-of-commands instruction in a section of its own."""
    builder.command(Opcode.EOC, mask=0)
    builder.section("end")
    return builder.build()
