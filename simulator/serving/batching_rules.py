"""How an engine fills its batches: the limits that a configuration states, by vLLM's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from simulator.core.errors import ConfigError

PrefillMode = Literal["mixed", "separate"]


@dataclass(frozen=True, slots=True)
class BatchingRules:
    """At most `max_num_seqs` sequences run at a time, and an iteration takes up new prompts while its tokens, those of
    running sequences included, stay within `max_num_batched_tokens`; its first prompt always goes, however long.

    With `prefill` "mixed" new prompts join the running sequences' tokens in one iteration; with "separate" they go
    first, in an iteration of their own. Errors: ConfigError for limits below one and an unknown mode.

    Not modelled: prompts in chunks.
    """

    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    prefill: PrefillMode = "mixed"

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_num_batched_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", remedy="give one at least")
        if self.prefill not in get_args(PrefillMode):
            raise ConfigError(
                f"prefill is {self.prefill!r}", remedy="write one of: " + ", ".join(get_args(PrefillMode))
            )
