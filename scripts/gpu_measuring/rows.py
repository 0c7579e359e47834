"""What a row of each CSV holds: the modes, their columns, and the shapes that tell one row from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Row = dict[str, str | int | float]
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row: what it measures, which columns must be given for it, and which may be."""

    name: str
    meaning: str
    shape: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mode:
    """One CSV format.

    columns: in the order of the file. named_by: the column that tells kinds apart. known: kinds of the same format that
    this program does not measure. results: what is measured, as opposed to asked for.
    """

    name: str
    columns: tuple[str, ...]
    named_by: str
    kinds: tuple[Kind, ...]
    known: tuple[str, ...]
    results: tuple[str, ...]

    @property
    def shape_columns(self) -> tuple[str, ...]:
        """The columns that say what to measure."""
        return tuple(column for column in self.columns if column not in self.results)

    def kind(self, name: str) -> Kind | None:
        """The kind of this name, or None."""
        return next((kind for kind in self.kinds if kind.name == name), None)

    def key(self, row: Mapping[str, object]) -> Key:
        """What tells this row from others: everything but its results, as the CSV writes it."""
        return tuple(text_of(row.get(column, "")) for column in self.shape_columns)


_MATRIX = ("M", "N", "K")
_TO_HOST = ("bytes",)

KERNELS = Mode(
    name="kernels",
    columns=(
        "B",
        "D",
        "Hkv",
        "Hq",
        "K",
        "L",
        "M",
        "N",
        "backend",
        "bytes",
        "gbps",
        "kind",
        "power_w",
        "t_us",
        "tflops",
    ),
    named_by="kind",
    kinds=(
        Kind("copy", "device memory to device memory; bytes read and written together", ("bytes",)),
        Kind("read", "device memory read once and reduced", ("bytes",)),
        Kind("gemm", "bf16, M tokens x N outputs x K inputs; weights rotate", _MATRIX),
        Kind(
            "attn_decode",
            "one new token per sequence, context L; fastest back end; KV rotates",
            ("B", "Hq", "Hkv", "D", "L"),
        ),
        Kind("attn_prefill", "causal, L tokens; fastest back end", ("B", "Hq", "Hkv", "D", "L")),
        Kind("rmsnorm", "M rows of N, bf16", ("M", "N")),
        Kind("silu_mul", "SiLU and multiply as two kernels, M rows of N", ("M", "N")),
        Kind("idle", "board power with nothing to do, the program's context open", ()),
    ),
    known=(),
    results=("backend", "gbps", "power_w", "t_us", "tflops"),
)
EXTRA = Mode(
    name="extra",
    columns=("kind", "bytes", "M", "N", "K", "B", "L", "t_us", "serial_us", "prefill_us", "decode_us"),
    named_by="kind",
    kinds=(
        Kind("h2d_pinned", "host to device from page-locked memory, in a graph", _TO_HOST),
        Kind("d2h_pinned", "device to host into page-locked memory, in a graph", _TO_HOST),
        Kind("h2d_pageable", "host to device from ordinary memory, host clock, waited for", _TO_HOST),
        Kind("bidirectional_pinned", "both ways at once, half the bytes each, host clock", _TO_HOST),
        Kind("launch_eager_small_kernel", "small kernels one after the other from Python", ()),
        Kind("launch_graph_small_kernel", "the same inside a graph", ()),
        Kind("launch_and_sync", "a small kernel launched and waited for", ()),
        Kind("gemm_fp8", "e4m3 inputs, bf16 out, one scale per tensor", _MATRIX),
        Kind("gemm_int8", "int8 inputs, int32 out", _MATRIX),
        Kind("gemm_w4a16_g128", "int4 weights in groups of 128, bf16 in and out", _MATRIX),
    ),
    known=("attn_prefill_plus_decode", "host_copy_16_threads", "host_read_16_threads"),
    results=("t_us", "serial_us", "prefill_us", "decode_us"),
)
COLLECTIVES = Mode(
    name="collectives",
    columns=("kind", "world", "model", "B", "L", "bytes", "t_us", "power_w"),
    named_by="kind",
    kinds=(
        Kind("all_gather", "NCCL, bf16; bytes of the result", ("world", "bytes")),
        Kind("all_reduce", "NCCL, bf16, sum; bytes of the result", ("world", "bytes")),
    ),
    known=("tp_decode", "tp_prefill"),
    results=("t_us", "power_w"),
)
STEPS = Mode(
    name="steps",
    columns=("model", "phase", "B", "L", "t_ms", "power_w"),
    named_by="phase",
    kinds=(
        Kind("decode", "one token of each of B sequences, L positions attended", ("model", "B", "L")),
        Kind("prefill", "B prompts of L tokens, logits of the last position", ("model", "B", "L")),
    ),
    known=(),
    results=("t_ms", "power_w"),
)
MODES = (KERNELS, EXTRA, COLLECTIVES, STEPS)


def text_of(value: object) -> str:
    """A value as the CSV writes it: NaN where it could not be measured, empty where it does not apply."""
    if value is None or value == "":
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def title(mode: Mode, row: Mapping[str, object]) -> str:
    """A row in one line, for people: `gemm M=1 N=4096 K=4096`."""
    kind = mode.kind(str(row[mode.named_by]))
    columns = kind.shape if kind else mode.shape_columns
    return " ".join([str(row[mode.named_by]), *(f"{column}={row[column]}" for column in columns if column in row)])
