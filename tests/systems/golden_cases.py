"""The golden table of CENT, and the AiM traces that its rows describe, written from the description alone.

Nothing here asks the simulator how a mapping looks: the traces follow the reference's trace generator as documented, so
that the replayed rows test the timing kernel and the text reader by themselves.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[2]
GOLDEN = REPO_ROOT / "simulator" / "experiments" / "targets" / "cent_golden.csv"
COMMANDS = (
    "ACT", "PRE", "PREA", "ACT16", "MAC16", "AF16", "EWMUL16", "RD", "WR", "RDCP", "WRCP", "WRGB", "WRMAC16", "RDMAC16",
    "RDAF16", "WRA16", "TMOD",
)  # fmt: skip
ALL = "0xffffffff"

# Heads, key-value heads and channels per block of the reference's pipeline mapping; devices that give that mapping.
HEADS = {"7B": (32, 32, 8), "13B": (40, 40, 16), "70B": (64, 8, 10)}
DEVICES = {"7B": 8, "13B": 20, "70B": 32}

Row = Mapping[str, str]


@cache
def golden_rows() -> tuple[Row, ...]:
    """Every row of the table."""
    with GOLDEN.open(newline="", encoding="utf-8") as stream:
        return tuple(csv.DictReader(stream))


def rows_of(*categories: str) -> list[Row]:
    """The rows of some categories."""
    return [row for row in golden_rows() if row["category"] in categories]


def case_id(row: Row) -> str:
    """Name of a row, for pytest."""
    return row["case_id"]


def channel0(row: Row) -> dict[str, int]:
    """Command counts of channel 0, by name."""
    return {name: int(row[f"ch0_{name}"]) for name in COMMANDS}


def printed(value: float, golden: str) -> str:
    """`value` with as many decimals as the golden text has."""
    return f"{value:.{len(golden.partition('.')[2])}f}"


# --- traces


def up(a: int, b: int) -> int:
    """Smallest integer not below a / b."""
    return -(-a // b)


def first_channels(n: int) -> str:
    """Text mask of channels 0 to n - 1 of 32: most significant bit first."""
    return f"0x{((1 << n) - 1) << (32 - n):08x}"


def replicated(n_banks_used: int) -> str:
    """Mask of as many whole copies of the channels in use as the device has."""
    used = up(n_banks_used, 16)
    return ALL if used > 32 else first_channels(32 // used * used)


def trace_lines(row: Row) -> list[str]:
    """The trace that a micro, GEMV or attention row describes, without its EOC."""
    description = row["description"]
    if row["category"] == "micro":
        return MICRO[row["case_id"]]
    if row["category"] == "gemv":
        found = re.fullmatch(
            r"K=(\d+) N=(\d+) over (\d+) banks, order=([\w-]+), reuse=(\d+),( AF variant,)? first row 0", description
        )
        assert found is not None, description
        n_inputs, n_outputs, n_banks, reuse = (int(found[group]) for group in (1, 2, 3, 5))
        size = 1 if found[4] == "no-reuse" else 16 if found[6] else reuse
        return list(gemv(n_inputs, n_outputs, n_banks, size, activated=found[6] is not None))
    found = re.fullmatch(r"(\w+), (\d+) channels per block, S=(\d+), first row 0", description)
    assert found is not None, description
    write = score if row["category"] == "attn_score" else output
    return list(write(found[1], int(found[3])))


def gemv(n_inputs: int, n_outputs: int, n_banks: int, reuse: int, *, activated: bool) -> Iterator[str]:
    """A matrix-vector product, columns over banks, groups of at most `reuse` columns sharing one global-buffer load."""
    columns, rows = up(n_outputs, n_banks), up(n_inputs, 1024)
    mask = replicated(up(n_outputs, columns))
    group = up(columns, up(columns, reuse))
    for segment in range(rows):
        n = up(min(1024, n_inputs - 1024 * segment), 16)
        yield f"AiM WR_GB {n} 0 {mask}"
        for first in range(0, columns, group):
            chosen = range(first, min(first + group, columns))
            for _ in chosen:
                yield f"AiM WR_BIAS 0 {mask}"
            for column in chosen:
                yield f"AiM MAC_ABK {n} {mask} {column * rows + segment}"
            if activated and segment == rows - 1:
                for _ in chosen:
                    yield f"AiM AF {mask}"
                    yield f"AiM RD_AF 0 {mask}"
            for _ in chosen:
                yield f"AiM RD_MAC 0 {mask}"


def score(model: str, context: int) -> Iterator[str]:
    """Scores of a query against the keys of all tokens, token t in bank t mod the block's banks."""
    n_heads, n_kv_heads, channels = HEADS[model]
    banks, key_rows = 16 * channels, n_kv_heads // 8
    for key_row in range(key_rows):
        for chunk in range(up(context, banks)):
            mask = replicated(min(banks, context - chunk * banks))
            for _ in range(n_heads // n_kv_heads):
                yield f"AiM WR_GB 64 0 {mask}"
                for _ in range(8):
                    yield f"AiM WR_BIAS 0 {mask}"
                    yield f"AiM MAC_ABK 8 {mask} {chunk * key_rows + key_row}"
                    yield f"AiM RD_MAC 0 {mask}"


def output(model: str, context: int) -> Iterator[str]:
    """Scores times values, one head to a channel, sixteen of its dimensions to a pass."""
    n_heads, n_kv_heads, channels = HEADS[model]
    mask = first_channels(32 // channels * channels)
    for slot in range(up(n_kv_heads, channels)):
        for _ in range(n_heads // n_kv_heads):
            for q in range(up(context, 1024)):
                n = up(min(1024, context - 1024 * q), 16)
                yield f"AiM WR_GB {n} 0 {mask}"
                for dimension in range(8):
                    yield f"AiM WR_BIAS 0 {mask}"
                    yield f"AiM MAC_ABK {n} {mask} {32 * slot + 4 * dimension + q}"
                    yield f"AiM RD_MAC 0 {mask}"


class _Write:
    """Lines of the micro cases, on all channels."""

    @staticmethod
    def gb(n: int) -> str:
        return f"AiM WR_GB {n} 0 {ALL}"

    @staticmethod
    def bias() -> str:
        return f"AiM WR_BIAS 0 {ALL}"

    @staticmethod
    def mac(n: int, row: int) -> str:
        return f"AiM MAC_ABK {n} {ALL} {row}"

    @staticmethod
    def read() -> str:
        return f"AiM RD_MAC 0 {ALL}"

    @staticmethod
    def ewmul(n: int, row: int) -> str:
        return f"AiM EWMUL {n} {ALL} {row}"

    @staticmethod
    def to_gb(n: int, bank: int, row: int) -> str:
        return f"AiM COPY_BKGB {n} {ALL} {bank} {row}"

    @staticmethod
    def from_gb(n: int, bank: int, row: int) -> str:
        return f"AiM COPY_GBBK {n} {ALL} {bank} {row}"


_w = _Write
MICRO: dict[str, list[str]] = {
    "wrgb64x2": [_w.gb(64)] * 2,
    "mac1": [_w.mac(1, 0)],
    "mac64": [_w.mac(64, 0)],
    "mac64_same2": [_w.mac(64, 0)] * 2,
    "mac64_r2": [_w.mac(64, row) for row in range(2)],
    "mac1_r8": [_w.mac(1, row) for row in range(8)],
    "mac64_r128": [_w.mac(64, row) for row in range(128)],
    "wrbias1": [_w.bias()],
    "wrbias32": [_w.bias()] * 32,
    "rdmac1": [_w.read()],
    "rdmac32": [_w.read()] * 32,
    "b1m64r1": [_w.bias(), _w.mac(64, 0), _w.read()],
    "b1m64r1x4": [line for row in range(4) for line in (_w.bias(), _w.mac(64, row), _w.read())],
    "grp32": [_w.gb(64), *[_w.bias()] * 32, *(_w.mac(64, row) for row in range(32)), *[_w.read()] * 32],
    "ewmul64": [_w.ewmul(64, 0)],
    "ewmul64x4": [_w.ewmul(64, row) for row in range(4)],
    "af1": [f"AiM AF {ALL}"],
    "bkgb64": [_w.to_gb(64, 2, 0)],
    "gbbk64": [_w.from_gb(64, 1, 1)],
    "copy4": [line for bank in (2, 6, 10, 14) for line in (_w.to_gb(8, bank, 0), _w.from_gb(8, bank - 1, 1))],
    "w1": ["W MEM 0 0 0"],
    "w64_1bank": ["W MEM 0 0 0"] * 64,
    "w64_16bank": [f"W MEM 0 {i % 16} 0" for i in range(64)],
    "r64_16bank": [f"R MEM 0 {i % 16} 0" for i in range(64)],
    "w_then_mac": [*(f"W MEM 0 {i} 0" for i in range(16)), _w.mac(64, 0)],
    "w_then_mac_conf": [*(f"W MEM 0 {i} 1" for i in range(16)), _w.mac(64, 0)],
}

# Cases that the reference's documentation gives in words, with their cycles: (lines, device cycles).
IN_WORDS: dict[str, tuple[list[str], int]] = {
    "only EOC": ([], 2),
    "SYNC adds two": (["AiM SYNC"], 4),
    "one row": ([_w.mac(64, 0)], 185),
    "16 rows": ([_w.mac(64, row) for row in range(16)], 3575),
    "128 rows": ([_w.mac(64, row) for row in range(128)], 28887),
    "global buffer": ([_w.gb(64)], 163),
    "32 biases": ([_w.bias()] * 32, 99),
    "32 read-outs": ([_w.read()] * 32, 130),
    "EWMUL": ([_w.ewmul(64, 0)], 154),
    "AF": ([f"AiM AF {ALL}"], 89),
    "16 x AF and RD_AF": ([f"AiM AF {ALL}", f"AiM RD_AF 0 {ALL}"] * 16, 1144),
    "COPY_BKGB": ([_w.to_gb(64, 2, 0)], 195),
    "COPY_GBBK": ([_w.from_gb(64, 1, 1)], 177),
    "64 writes to a bank": (["W MEM 0 0 0"] * 64, 164),
    "64 writes to 16 banks": ([f"W MEM 0 {i % 16} 0" for i in range(64)], 174),
    "64 reads of a bank": (["R MEM 0 0 0"] * 64, 216),
    "WR_ABK": (["AiM WR_ABK 0 0x80000000 0"], 70),
}
