"""Exact attention to all tokens so far."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from simulator.numerics.attention import AttentionRule, Heads, LayerCall, attend_exactly


class Dense(AttentionRule):
    """Every query attends to every token so far."""

    class Config(BaseModel):
        """There is nothing to choose."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    name = "dense"

    def __init__(self, config: Config) -> None:
        self.config = config

    def attend(self, call: LayerCall, queries: Heads, keys: Heads, values: Heads) -> Heads:
        """Softmax over all tokens so far."""
        return attend_exactly(call, queries, keys, values)
