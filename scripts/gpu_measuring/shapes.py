"""Which rows are measured: the full and the quick plan of each mode, and plans read from a user's CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from .errors import MeasuringError
from .rows import COLLECTIVES, EXTRA, KERNELS, Kind, Mode, Row

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# N x K of the linear layers of Llama-2 7B, 13B and 70B (fused QKV, output, fused gate and up, down), and of 8 KV heads.
LAYERS = (
    *((12288, 4096), (4096, 4096), (22016, 4096), (4096, 11008)),
    *((15360, 5120), (5120, 5120), (27648, 5120), (5120, 13824)),
    *((10240, 8192), (8192, 8192), (57344, 8192), (8192, 28672)),
    (1024, 4096),
)
QUICK_LAYERS = ((12288, 4096), (5120, 5120), (57344, 8192), (1024, 4096))
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
HEADS = ((32, 32), (40, 40), (64, 8))
QUANTISED_LAYERS = ((4096, 4096), (12288, 4096), (57344, 8192), (8192, 28672))
LINK_BYTES = tuple(4 * KIB * 4**step for step in range(10))
COLLECTIVE_BYTES = tuple(4 * KIB * 4**step for step in range(9))
BOTH_WAYS_BYTES = (32 * MIB, 128 * MIB, 512 * MIB, 2 * GIB)


def planned(mode: Mode, *, quick: bool, world: int = 1) -> list[Row]:
    """The rows of a mode in the order of measuring; `world` is the number of cards of a collective."""
    if mode is KERNELS:
        return list(_kernels(quick))
    if mode is EXTRA:
        return list(_extra(quick))
    if mode is COLLECTIVES:
        sizes = (16 * KIB, 1 * MIB, 64 * MIB) if quick else COLLECTIVE_BYTES
        return [{"kind": kind.name, "world": world, "bytes": n_bytes} for n_bytes in sizes for kind in mode.kinds]
    return list(_steps(quick))


def chosen(rows: list[Row], mode: Mode, kinds: list[str] | None) -> list[Row]:
    """Only the rows of these kinds; raises MeasuringError for a kind that the mode does not have."""
    if kinds is None:
        return rows
    names = [kind.name for kind in mode.kinds]
    for kind in kinds:
        if kind not in names:
            raise MeasuringError(f"--kinds: no kind {kind!r} among the {mode.name}: {', '.join(names)}")
    return [row for row in rows if row[mode.named_by] in kinds]


def read_shapes(path: Path, mode: Mode) -> tuple[list[Row], list[str]]:
    """Rows to measure from a CSV, and warnings on those that this program does not measure.

    The CSV has the kind and the shape columns; others are passed over, so a file of measurements is a plan too.
    Raises MeasuringError with file and line for what is not there, not a number, or no kind of this mode.
    """
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or []
            if mode.named_by not in columns:
                raise MeasuringError(f"{path}:1: no column {mode.named_by!r}; a plan of {mode.name} has one")
            found = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MeasuringError(f"{path}: {error}") from error
    rows: list[Row] = []
    warnings = []
    for line, cells in found:
        name = cells[mode.named_by] or ""
        kind = mode.kind(name)
        if name in mode.known:
            warnings.append(f"{path}:{line}: {name} is not measured by this program")
        elif kind is None:
            names = ", ".join(one.name for one in mode.kinds)
            raise MeasuringError(f"{path}:{line}: no kind {name!r} among the {mode.name}: {names}")
        else:
            rows.append(_row(cells, kind, mode, f"{path}:{line}"))
    return rows, warnings


def _row(cells: dict[str, str | None], kind: Kind, mode: Mode, where: str) -> Row:
    row: Row = {mode.named_by: kind.name}
    for column in kind.shape:
        text = (cells.get(column) or "").strip()
        if column == "model":
            if not text:
                raise MeasuringError(f"{where}: {kind.name} needs a model")
            row[column] = text
            continue
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not (number >= 1 and number.is_integer()):
            raise MeasuringError(f"{where}: {kind.name} needs {column} as a whole number of at least 1, not {text!r}")
        row[column] = int(number)
    return row


def _kernels(quick: bool) -> Iterator[Row]:
    yield {"kind": "copy", "bytes": 4 * GIB}
    yield {"kind": "read", "bytes": 2 * GIB}
    tokens = (1, 16, 128, 512, 2048) if quick else TOKENS
    for n, k in QUICK_LAYERS if quick else LAYERS:
        for m in tokens:
            yield {"kind": "gemm", "M": m, "N": n, "K": k}
    for n_heads, n_kv_heads in HEADS[:1] if quick else HEADS:
        heads = {"Hq": n_heads, "Hkv": n_kv_heads, "D": 128}
        for context in (512, 4096) if quick else (512, 2048, 4096, 16384, 32768):
            for batch in (1, 32) if quick else (1, 8, 32, 128):
                # 128 sequences beyond 4,096 positions exceed most cards and say nothing that 32 do not.
                if batch * context <= 32 * 32768:
                    yield {"kind": "attn_decode", "B": batch, **heads, "L": context}
    for n_heads, n_kv_heads in HEADS[:1] if quick else HEADS[::2]:
        for context in (512, 2048, 8192) if quick else (512, 1024, 2048, 4096, 8192, 16384):
            yield {"kind": "attn_prefill", "B": 1, "Hq": n_heads, "Hkv": n_kv_heads, "D": 128, "L": context}
    for m in (1, 4096) if quick else (1, 32, 512, 4096):
        yield {"kind": "rmsnorm", "M": m, "N": 8192}
        yield {"kind": "silu_mul", "M": m, "N": 8192}
    yield {"kind": "idle"}


def _extra(quick: bool) -> Iterator[Row]:
    for n_bytes in (64 * KIB, 16 * MIB, 256 * MIB) if quick else LINK_BYTES:
        yield {"kind": "h2d_pinned", "bytes": n_bytes}
        yield {"kind": "d2h_pinned", "bytes": n_bytes}
        if n_bytes <= 256 * MIB:
            yield {"kind": "h2d_pageable", "bytes": n_bytes}
    for n_bytes in BOTH_WAYS_BYTES[1:2] if quick else BOTH_WAYS_BYTES:
        yield {"kind": "bidirectional_pinned", "bytes": n_bytes}
    for name in ("launch_eager_small_kernel", "launch_graph_small_kernel", "launch_and_sync"):
        yield {"kind": name}
    for n, k in QUANTISED_LAYERS[1:3] if quick else QUANTISED_LAYERS:
        for m in (1, 32, 256, 2048) if quick else (1, *TOKENS[4:]):
            if m >= 16:
                yield {"kind": "gemm_fp8", "M": m, "N": n, "K": k}
            if m >= 32:
                yield {"kind": "gemm_int8", "M": m, "N": n, "K": k}
            if m <= 256:
                yield {"kind": "gemm_w4a16_g128", "M": m, "N": n, "K": k}


def _steps(quick: bool) -> Iterator[Row]:
    decode = ((1, 512), (32, 1024)) if quick else ((1, 512), (1, 4096), (8, 2048), (32, 1024), (64, 2048), (128, 1024))
    for model in ("llama2-7b",) if quick else ("llama2-7b", "llama2-13b", "llama2-70b:8"):
        for batch, context in decode:
            yield {"model": model, "phase": "decode", "B": batch, "L": context}
        for context in (2048,) if quick else (512, 2048, 4096, 8192):
            yield {"model": model, "phase": "prefill", "B": 1, "L": context}
