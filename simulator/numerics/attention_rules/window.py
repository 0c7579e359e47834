"""Attention to the newest tokens only, as models trained with a sliding window have it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PositiveInt

from simulator.numerics.attention import AttentionRule, Heads, LayerCall, attend_exactly


class Window(AttentionRule):
    """Every query attends to the newest `tokens` tokens, its own included."""

    class Config(BaseModel):
        """Length of the window."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        tokens: PositiveInt

    name = "window"

    def __init__(self, config: Config) -> None:
        self.config = config

    def attend(self, call: LayerCall, queries: Heads, keys: Heads, values: Heads) -> Heads:
        """Softmax over the window's tokens."""
        return attend_exactly(call, queries, keys, values, window=self.config.tokens)
