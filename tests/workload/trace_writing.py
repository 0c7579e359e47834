"""Writers of every trace format, for tests: the formats as their publishers describe them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

TICK_PS = 10**5
"""100 ns: the finest clock of the formats below, but for milliseconds."""


@dataclass(frozen=True)
class Row:
    """One request as a writer sees it."""

    ticks: int
    prompt: int
    output: int
    blocks: tuple[int, ...] = ()


def seconds(ticks: int) -> Decimal:
    """Exact seconds."""
    return Decimal(ticks) / 10**7


def azure(rows: list[Row]) -> str:
    """TIMESTAMP with 7 fractional digits."""
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for row in rows:
        time = datetime(2023, 11, 16, 18, 15, 46) + timedelta(seconds=row.ticks // 10**7)
        lines.append(f"{time:%Y-%m-%d %H:%M:%S}.{row.ticks % 10**7:07d},{row.prompt},{row.output}")
    return "\n".join(lines) + "\n"


def vidur(rows: list[Row]) -> str:
    """Seconds."""
    lines = ["arrived_at,num_prefill_tokens,num_decode_tokens"]
    lines += [f"{seconds(row.ticks)},{row.prompt},{row.output}" for row in rows]
    return "\n".join(lines) + "\n"


def burstgpt(rows: list[Row]) -> str:
    """Seconds, with the columns of file 3."""
    lines = ["Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"]
    for row in rows:
        total = row.prompt + row.output
        lines.append(f"{seconds(row.ticks)},a-b,3,GPT-4,{row.prompt},{row.output},{total},API log")
    return "\n".join(lines) + "\n"


def _jsonl(records: list[dict[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def mooncake(rows: list[Row]) -> str:
    """Milliseconds; a tick that is none is written with a fraction."""
    return "".join(
        f'{{"timestamp": {Decimal(row.ticks) / 10**4}, "input_length": {row.prompt}, '
        f'"output_length": {row.output}, "hash_ids": {list(row.blocks)}}}\n'
        for row in rows
    )


def bailian(rows: list[Row]) -> str:
    """Seconds and chats."""
    return "".join(
        f'{{"chat_id": {number}, "parent_chat_id": -1, "timestamp": {seconds(row.ticks)}, "type": "text", "turn": 1, '
        f'"input_length": {row.prompt}, "output_length": {row.output}, "hash_ids": {list(row.blocks)}}}\n'
        for number, row in enumerate(rows)
    )


def vllm(rows: list[Row]) -> str:
    """Nanoseconds, as the hashed workload files."""
    return _jsonl(
        [
            {
                "input_toks": row.prompt,
                "output_toks": row.output,
                "arrival_time_ns": row.ticks * 100,
                "hash_ids": list(row.blocks),
            }
            for row in rows
        ]
    )


def lengths(rows: list[Row]) -> str:
    """No times."""
    lines = ["num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio"]
    lines += [f"{row.prompt},{row.output},{row.prompt + row.output},{row.prompt / row.output}" for row in rows]
    return "\n".join(lines) + "\n"


WITH_TIMES = {
    "azure": azure,
    "bailian": bailian,
    "burstgpt": burstgpt,
    "mooncake": mooncake,
    "vidur": vidur,
    "vllm": vllm,
}
BLOCK_TOKENS = {"bailian": 16, "mooncake": 512, "vllm": 16}


def write_servegen(folder: Path, *, n_clients: int = 3, n_windows: int = 4, rate: float = 0.5) -> None:
    """A ServeGen folder: client 0 is silent, 1 has lengths, the others draw from client 1."""
    folder.mkdir(exist_ok=True)
    for client in range(n_clients):
        lines = []
        for window in range(n_windows):
            if client == 0:
                lines.append(f"{600 * window},0,0,,0,0")
            else:
                family = ("Gamma", "Weibull")[client % 2]
                lines.append(f"{600 * window},{rate * client},1.5,{family},0.5,2.0")
        (folder / f"chunk-{client}-trace.csv").write_text("\n".join(lines) + "\n")
    full = {"input_tokens": "{100: 0.5, 200: 0.5}", "output_tokens": "{10: 0.25, 20: 0.75}"}
    empty = {"input_tokens": "{}", "output_tokens": "{}"}
    (folder / "chunk-1-dataset.json").write_text(json.dumps({"0": empty, "600": full}))
