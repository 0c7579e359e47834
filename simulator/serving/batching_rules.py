"""How an engine fills its batches: the limits that a configuration states, by vLLM's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from simulator.core.errors import ConfigError

PrefillMode = Literal["mixed", "separate"]
BatchingMode = Literal["continuous", "static"]


@dataclass(frozen=True, slots=True)
class BatchingRules:
    """At most `max_num_seqs` sequences run at a time, and an iteration takes up new prompts while its tokens, those of
    running sequences included, stay within `max_num_batched_tokens`; its first prompt always goes, however long.

    With `prefill` "mixed" new prompts join the running sequences' tokens in one iteration; with "separate" they go
    first, in an iteration of their own. With `batching` "continuous" requests are taken up whenever there is room; with
    "static" an empty engine takes up as many as wait, prefills all of them, separately whatever `prefill` says, and
    runs them until the last is done: no place is filled again before. Errors: ConfigError for limits below one and an
    unknown mode.

    Not modelled: prompts in chunks, waiting for a static batch to fill.
    """

    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    prefill: PrefillMode = "mixed"
    batching: BatchingMode = "continuous"

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_num_batched_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}", remedy="give one at least")
        for name, modes in (("prefill", PrefillMode), ("batching", BatchingMode)):
            if getattr(self, name) not in get_args(modes):
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}", remedy="write one of: " + ", ".join(get_args(modes))
                )

    @property
    def is_mixed(self) -> bool:
        """Whether an iteration may hold prompts and the tokens of running sequences."""
        return self.prefill == "mixed" and self.batching == "continuous"
