"""A batch: how many new tokens each sequence brings and how many key-value positions they attend to."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.errors import WorkloadError


@dataclass(frozen=True, slots=True)
class Sequence:
    """One sequence of a step.

    `context` counts the key-value positions that the step attends to, the new token included; for a prefill it is the
    prompt length. Raises WorkloadError unless 1 <= new_tokens <= context.
    """

    new_tokens: int
    context: int

    def __post_init__(self) -> None:
        if self.new_tokens < 1 or self.context < self.new_tokens:
            raise WorkloadError(
                f"a sequence needs 1 <= new tokens <= context, not {self.new_tokens} new tokens "
                f"with context {self.context}",
                remedy="give a context that counts the new tokens too",
            )


@dataclass(frozen=True, slots=True)
class Batch:
    """The sequences of one step."""

    sequences: tuple[Sequence, ...]

    @classmethod
    def decode(cls, context: int, n_sequences: int = 1) -> Batch:
        """A decode step: each sequence brings one token and attends to `context` positions."""
        return cls((Sequence(1, context),) * n_sequences)

    @classmethod
    def prefill(cls, prompt_tokens: int, n_sequences: int = 1) -> Batch:
        """A prefill step: each sequence brings its whole prompt."""
        return cls((Sequence(prompt_tokens, prompt_tokens),) * n_sequences)

    @property
    def new_tokens(self) -> int:
        """Tokens that the step computes, over all sequences."""
        return sum(sequence.new_tokens for sequence in self.sequences)
