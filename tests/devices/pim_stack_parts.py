"""The stacks that tests ask about."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.pim_stack import PimStack

PARTS = Path(__file__).resolve().parents[2] / "hw_configs" / "parts" / "pim_stacks"
NAMES = ("attacc", "fc_pim", "attn_pim", "hbm_pim")


@lru_cache
def pim_stack(name: str, *sets: str) -> PimStack:
    """The stack of a part."""
    return PimStack(bind(load_part(PARTS / f"{name}.yaml", sets=sets), PimStack.Config))
