"""The shipped stacks with processing units, and the golden rows of attention on them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from typing import Any

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_stack import PimStack, StackRun
from tests.systems.golden_cases import REPO_ROOT

GOLDEN = REPO_ROOT / "tests" / "golden" / "attacc" / "attacc_golden.csv"
PARTS = REPO_ROOT / "hw_configs" / "parts" / "pim_stacks"
COUNTS = {"n_mac": "MAC", "n_softmax": "SFM", "n_mvgb": "MVGB", "n_mvsb": "MVSB", "n_wrgb": "WRGB"}


def stack(**sets: Any) -> PimStack:
    """AttAcc's stack with some keys set."""
    return PimStack(bind(load_part(PARTS / "attacc.yaml", sets), PimStack.Config))


@cache
def shared_stack(placement: str = "bank", power_limit: bool = True, accounting: str = "published") -> PimStack:
    """A stack that tests may share: it remembers what it timed."""
    return stack(placement=placement, power_limit=power_limit, accounting=accounting)


def attention(one: PimStack, n_heads: int, context: int, head_dim: int = 128, n_bytes: int = 2) -> StackRun:
    """So many equal heads of one query."""
    return one.attention([PimHead(context)] * n_heads, head_dim, n_bytes)


@dataclass(frozen=True)
class GoldenAttention:
    """One length of a golden row: attention of equal heads on a stack, and what it came to."""

    case: str
    placement: str
    power_limit: bool
    n_heads: int
    head_dim: int
    n_bytes: int
    context: int
    cycles: int
    counts: dict[str, int]
    cycles_per_cpu_s: float

    def stack(self) -> PimStack:
        """The stack of the row."""
        return shared_stack(self.placement, self.power_limit)

    def run(self) -> StackRun:
        """Our time of it."""
        return attention(self.stack(), self.n_heads, self.context, self.head_dim, self.n_bytes)


@cache
def golden() -> tuple[GoldenAttention, ...]:
    """Every row that was timed afresh, a row of several lengths once for each."""
    with GOLDEN.open(newline="") as text:
        rows = [row for row in csv.DictReader(text) if row["ram_cycles"] and row["pim_cache"] == "fresh"]
    found = []
    for row in rows:
        lengths = zip(row["kv_len_L"].split("|"), row["ram_cycles"].split("|"), strict=True)
        counts = {ours: int(row[theirs]) for theirs, ours in COUNTS.items() if row[theirs]}
        for context, cycles in lengths:
            found.append(GoldenAttention(
                row["case"], row["placement"], row["power_limit"] == "1", int(row["heads_per_stack"]),
                int(row["d_head"]), int(row["bytes_per_elem"]), int(context), int(cycles), counts,
                float(row["ram_cycles_per_cpu_s"] or 0),
            ))  # fmt: skip
    return tuple(found)
