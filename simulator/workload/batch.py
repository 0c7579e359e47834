"""A batch: how many new tokens each sequence brings and how many key-value positions they attend to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from simulator.core.errors import WorkloadError

MAX_VERIFIED_TOKENS = 16
"""New tokens of a sequence that one pass verifies at most: more of them are a chunk of a prompt."""

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

    @property
    def is_verified(self) -> bool:
        """Whether it verifies guessed tokens: a few new ones, on keys and values that are there already.

        A chunk of a prompt of no more than `MAX_VERIFIED_TOKENS` looks the same, and is taken for it.
        """
        return 1 < self.new_tokens <= MAX_VERIFIED_TOKENS and self.new_tokens < self.context


Run = tuple[Sequence, int]
"""A sequence, and how many of a batch are equal to it."""

Group = tuple[int, int, int]
"""Sequences that bring the same number of tokens: that number, how many sequences, and the sum of their contexts."""


class Batch:
    """The sequences of one step. Immutable; batches of equal sequences in equal order are equal.

    Costs of most machines depend on `runs`, or on less: `decodes` (one new token each), `verified` (a few, guessed
    before and verified now) and `prompts`. None of these writes out a sequence as often as it occurs, which `sequences`
    does when it is asked for.
    """

    __slots__ = ("_contexts", "_decodes", "_hash", "_prompts", "_runs", "_sequences", "_several", "_verified")

    _sequences: tuple[Sequence, ...] | None
    _runs: tuple[Run, ...] | None
    _contexts: tuple[tuple[int, ...], int] | None
    _several: tuple[tuple[int, int], ...]
    _decodes: tuple[int, int] | None
    _verified: tuple[Group, ...] | None
    _prompts: tuple[Run, ...] | None
    _hash: int | None

    def __init__(self, sequences: tuple[Sequence, ...]) -> None:
        self._sequences = sequences
        self._runs = self._contexts = self._decodes = self._verified = self._prompts = self._hash = None
        self._several = ()

    @classmethod
    def decode(cls, context: int, n_sequences: int = 1, new_tokens: int = 1) -> Batch:
        """A decode step: each sequence brings one token, or several of which all but one are guessed, and attends to
        `context` positions. Raises WorkloadError for several without keys and values before them."""
        if new_tokens > 1 and not Sequence(new_tokens, max(new_tokens, context)).is_verified:
            raise WorkloadError(
                f"no pass verifies {new_tokens} tokens of a sequence at context {context}",
                remedy=f"give a context beyond them, and at most {MAX_VERIFIED_TOKENS} tokens",
            )
        return _uniform(new_tokens, context, n_sequences)

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
        batch._verified = ()
        return batch

    @classmethod
    def verifying(cls, several: tuple[tuple[int, int], ...], prompts: tuple[Run, ...] = ()) -> Batch:
        """One sequence for each (new tokens, context) of `several`, 1 to `MAX_VERIFIED_TOKENS` new ones, and then
        `prompts`.

        Each has keys and values already, so its context exceeds its new tokens. This is what an engine makes that
        speculates: sequences are objects only for those that ask for `runs`.
        """
        totals: dict[int, list[int]] = {}
        for new_tokens, context in several:
            group = totals.setdefault(new_tokens, [0, 0])
            group[0] += 1
            group[1] += context
        n, total = totals.pop(1, (0, 0))
        batch = cls(())
        batch._sequences, batch._contexts, batch._several = None, ((), 0), several
        batch._decodes, batch._prompts = (n, total), prompts
        batch._verified = tuple((new_tokens, *totals[new_tokens]) for new_tokens in sorted(totals))  # type: ignore[misc]
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
                for new_tokens, context in self._several:
                    sequence = Sequence(new_tokens, context)
                    counts[sequence] = counts.get(sequence, 0) + 1
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
    def verified(self) -> tuple[Group, ...]:
        """Of the sequences that verify guessed tokens (`Sequence.is_verified`): a group for each number of new tokens,
        fewest first."""
        if self._verified is None:
            totals: dict[int, tuple[int, int]] = {}
            for sequence, count in self.runs:
                if sequence.is_verified:
                    n, total = totals.get(sequence.new_tokens, (0, 0))
                    totals[sequence.new_tokens] = (n + count, total + count * sequence.context)
            self._verified = tuple((new_tokens, *totals[new_tokens]) for new_tokens in sorted(totals))
        return self._verified

    @property
    def prompts(self) -> tuple[Run, ...]:
        """The runs of prompts of more than one token, or of chunks of them."""
        if self._prompts is None:
            self._prompts = tuple(run for run in self.runs if run[0].new_tokens > 1 and not run[0].is_verified)
        return self._prompts

    @property
    def n_sequences(self) -> int:
        """How many sequences there are."""
        return self.decodes[0] + sum(n for _, n, _ in self.verified) + sum(count for _, count in self.prompts)

    @property
    def new_tokens(self) -> int:
        """Tokens that the step computes, over all sequences."""
        in_prompts = sum(sequence.new_tokens * count for sequence, count in self.prompts)
        return self.decodes[0] + sum(new_tokens * n for new_tokens, n, _ in self.verified) + in_prompts

    @property
    def n_scored(self) -> int:
        """Tokens whose successor is drawn, so that they get word scores: the last one of a prompt, and every one of a
        decode and of a verification."""
        in_passes = self.decodes[0] + sum(new_tokens * n for new_tokens, n, _ in self.verified)
        return in_passes + sum(count for _, count in self.prompts)

    def levelled(self, context_step: int = 1) -> Batch:
        """The batch with all decodes at their mean context, rounded up to a multiple of `context_step`, and likewise
        the sequences that verify the same number of tokens, before its prompts, which stay as they are, shortest first.

        For machines on which a step's decodes cost what their number and the sum of their contexts say: those may use
        this as `step_key`, and compute the step of the levelled batch. With 1 the sum is kept to the position.
        """
        n, total = self.decodes
        prompts = self.prompts
        if len(prompts) > 1:
            prompts = tuple(sorted(prompts, key=lambda run: (run[0].context, run[0].new_tokens)))
        if self.verified:
            means = [run for group in self.verified for run in _at_mean(*group, context_step)]
            prompts = (*means, *prompts)
        if not n:
            return Batch.of_runs(prompts)
        if not prompts and (context_step > 1 or not total % n):
            return _uniform(1, -(-total // (n * context_step)) * context_step, n)
        return Batch.of_runs((*_at_mean(1, n, total, context_step), *prompts))

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


def _at_mean(new_tokens: int, n: int, total: int, context_step: int) -> tuple[Run, ...]:
    """`n` sequences of `new_tokens` each at the mean of contexts with this sum, rounded up to a multiple of
    `context_step`; with 1 at the two positions around it, so that the sum is kept."""
    mean, left = divmod(total, n)
    if context_step > 1 or not left:
        return ((_kept(new_tokens, -(-total // (n * context_step)) * context_step), n),)
    return (Sequence(new_tokens, mean), n - left), (Sequence(new_tokens, mean + 1), left)


@lru_cache(maxsize=_N_UNIFORM_KEPT)
def _kept(new_tokens: int, context: int) -> Sequence:
    """The sequence, the same object each time."""
    return Sequence(new_tokens, context)
