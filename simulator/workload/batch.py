"""A batch: how many new tokens each sequence brings and how many key-value positions they attend to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from simulator.core.errors import WorkloadError

_N_UNIFORM_KEPT = 1 << 14
"""Uniform batches that are kept, so that the same one is the same object: it bounds memory, and decides nothing."""


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


Run = tuple[Sequence, int]
"""A sequence, and how many of a batch are equal to it."""


class Batch:
    """The sequences of one step. Immutable; batches of equal sequences in equal order are equal.

    Costs of most machines depend on `runs`, or on less: `decodes` and `prompts`. None of these writes out a sequence as
    often as it occurs, which `sequences` does when it is asked for.
    """

    __slots__ = ("_contexts", "_decodes", "_hash", "_prompts", "_runs", "_sequences")

    _sequences: tuple[Sequence, ...] | None
    _runs: tuple[Run, ...] | None
    _contexts: tuple[tuple[int, ...], int] | None
    _decodes: tuple[int, int] | None
    _prompts: tuple[Run, ...] | None
    _hash: int | None

    def __init__(self, sequences: tuple[Sequence, ...]) -> None:
        self._sequences = sequences
        self._runs = self._contexts = self._decodes = self._prompts = self._hash = None

    @classmethod
    def decode(cls, context: int, n_sequences: int = 1) -> Batch:
        """A decode step: each sequence brings one token and attends to `context` positions."""
        return _uniform(1, context, n_sequences)

    @classmethod
    def prefill(cls, prompt_tokens: int, n_sequences: int = 1) -> Batch:
        """A prefill step: each sequence brings its whole prompt."""
        return _uniform(prompt_tokens, prompt_tokens, n_sequences)

    @classmethod
    def of_runs(cls, runs: Iterable[Run]) -> Batch:
        """A batch from (sequence, count); equal sequences are put together where the first of them stands.

        Raises WorkloadError for a count below one.
        """
        counts: dict[Sequence, int] = {}
        for sequence, count in runs:
            if count < 1:
                raise WorkloadError(f"{count} sequences of a kind", remedy="give one at least, or leave the kind out")
            counts[sequence] = counts.get(sequence, 0) + count
        batch = cls(())
        batch._sequences, batch._runs = None, tuple(counts.items())
        return batch

    @classmethod
    def advanced(cls, contexts: tuple[int, ...], by: int, total: int, prompts: tuple[Run, ...] = ()) -> Batch:
        """One decode for each of `contexts`, `by` positions further on, and then `prompts` of more than one token.

        `total` is the sum of the contexts so advanced. This is what an engine makes at every iteration: it costs the
        same whatever the number of sequences, and `runs` are counted only for those that ask for them.
        """
        batch = cls(())
        batch._sequences = None
        batch._contexts, batch._decodes, batch._prompts = (contexts, by), (len(contexts), total), prompts
        return batch

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        """Every sequence, in order."""
        if self._sequences is None:
            self._sequences = tuple(sequence for sequence, count in self.runs for _ in range(count))
        return self._sequences

    @property
    def runs(self) -> tuple[Run, ...]:
        """The distinct sequences with how often each occurs, in the order in which they come first."""
        if self._runs is None:
            counts: dict[Sequence, int] = {}
            if self._contexts is None:
                for sequence in self._sequences or ():
                    counts[sequence] = counts.get(sequence, 0) + 1
            else:
                contexts, by = self._contexts
                n_at: dict[int, int] = {}
                for context in contexts:
                    n_at[context] = n_at.get(context, 0) + 1
                counts = {Sequence(1, context + by): n for context, n in n_at.items()}
                for sequence, n in self._prompts or ():
                    counts[sequence] = counts.get(sequence, 0) + n
            self._runs = tuple(counts.items())
        return self._runs

    @property
    def decodes(self) -> tuple[int, int]:
        """Of the sequences that bring one token: how many there are, and the sum of their contexts."""
        if self._decodes is None:
            single = [(sequence.context, count) for sequence, count in self.runs if sequence.new_tokens == 1]
            self._decodes = (sum(count for _, count in single), sum(context * count for context, count in single))
        return self._decodes

    @property
    def prompts(self) -> tuple[Run, ...]:
        """The runs of sequences that bring more than one token."""
        if self._prompts is None:
            self._prompts = tuple(run for run in self.runs if run[0].new_tokens > 1)
        return self._prompts

    @property
    def n_sequences(self) -> int:
        """How many sequences there are."""
        return self.decodes[0] + sum(count for _, count in self.prompts)

    @property
    def new_tokens(self) -> int:
        """Tokens that the step computes, over all sequences."""
        return self.decodes[0] + sum(sequence.new_tokens * count for sequence, count in self.prompts)

    def levelled(self, context_step: int = 1) -> Batch:
        """The batch with all decodes at their mean context, rounded up to a multiple of `context_step`, before its
        prompts, which stay as they are, shortest first.

        For machines on which a step's decodes cost what their number and the sum of their contexts say: those may use
        this as `step_key`, and compute the step of the levelled batch. With 1 the sum is kept to the position.
        """
        n, total = self.decodes
        prompts = self.prompts
        if len(prompts) > 1:
            prompts = tuple(sorted(prompts, key=lambda run: (run[0].context, run[0].new_tokens)))
        if not n:
            return Batch.of_runs(prompts)
        mean, left = divmod(total, n)
        if context_step > 1 or not left:
            context = -(-total // (n * context_step)) * context_step
            uniform = _uniform(1, context, n)
            return Batch.of_runs((*uniform.runs, *prompts)) if prompts else uniform
        return Batch.of_runs(((Sequence(1, mean), n - left), (Sequence(1, mean + 1), left), *prompts))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Batch):
            return NotImplemented
        if self.runs != other.runs:
            return False
        written_out = self._sequences is not None or other._sequences is not None
        return not written_out or self.sequences == other.sequences

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.runs)
        return self._hash

    def __repr__(self) -> str:
        return f"Batch.of_runs({self.runs!r})"


@lru_cache(maxsize=_N_UNIFORM_KEPT)
def _uniform(new_tokens: int, context: int, n_sequences: int) -> Batch:
    """The batch of equal sequences; empty where there are none."""
    return Batch.of_runs([(Sequence(new_tokens, context), n_sequences)]) if n_sequences > 0 else Batch(())
