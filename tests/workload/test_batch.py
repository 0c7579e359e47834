"""Batches: runs, equality, what is known without writing sequences out, and the levelled form."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.errors import WorkloadError
from simulator.workload.batch import Batch, Sequence

lengths = st.integers(1, 6)
decodes = st.integers(1, 9).map(lambda context: Sequence(1, context))
chunks = st.tuples(lengths, lengths).map(lambda pair: Sequence(min(pair), max(pair)))
sequences = st.lists(decodes | chunks, max_size=12).map(tuple)


@given(sequences)
def test_runs_say_what_the_sequences_say(written: tuple[Sequence, ...]) -> None:
    batch = Batch(written)
    counts = {sequence: written.count(sequence) for sequence in written}
    assert dict(batch.runs) == counts
    assert [sequence for sequence, _ in batch.runs] == list(dict.fromkeys(written))
    assert batch.sequences == written
    assert batch.n_sequences == len(written)
    assert batch.new_tokens == sum(sequence.new_tokens for sequence in written)
    single = [sequence.context for sequence in written if sequence.new_tokens == 1]
    assert batch.decodes == (len(single), sum(single))
    guessed = [one for one in written if 1 < one.new_tokens < one.context]
    of_new = {new: [one.context for one in guessed if one.new_tokens == new] for new in {g.new_tokens for g in guessed}}
    assert batch.verified == tuple((new, len(of_new[new]), sum(of_new[new])) for new in sorted(of_new))
    assert sum(count for _, count in batch.prompts) == len(written) - len(single) - len(guessed)
    assert batch.n_scored == len(written) + sum(one.new_tokens - 1 for one in guessed)


@given(sequences, sequences)
def test_equality_is_that_of_the_sequences(one: tuple[Sequence, ...], other: tuple[Sequence, ...]) -> None:
    assert (Batch(one) == Batch(other)) == (one == other)
    grouped = Batch.of_runs(Batch(one).runs)
    assert (grouped == Batch(other)) == (grouped.sequences == other)
    assert hash(grouped) == hash(Batch(grouped.sequences))
    assert grouped == Batch(grouped.sequences)
    assert pickle.loads(pickle.dumps(grouped)) == grouped


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(0, 5), sequences)
def test_an_advanced_batch_is_the_one_written_out(contexts: list[int], by: int, others: tuple[Sequence, ...]) -> None:
    prompts = Batch(others).prompts
    advanced = Batch.advanced(tuple(contexts), by, sum(contexts) + by * len(contexts), prompts)
    written = Batch.of_runs([*((Sequence(1, context + by), 1) for context in contexts), *prompts])
    assert advanced.decodes == written.decodes
    assert advanced.prompts == written.prompts
    assert (advanced.n_sequences, advanced.new_tokens) == (written.n_sequences, written.new_tokens)
    assert advanced.levelled(4) == written.levelled(4)
    assert advanced == written
    assert hash(advanced) == hash(written)


@given(st.lists(st.tuples(lengths, lengths), max_size=12), sequences)
def test_a_verifying_batch_is_the_one_written_out(pairs: list[tuple[int, int]], others: tuple[Sequence, ...]) -> None:
    several = tuple((new, new + before) for new, before in pairs)
    prompts = Batch(others).prompts
    verifying = Batch.verifying(several, prompts)
    written = Batch.of_runs([*((Sequence(*pair), 1) for pair in several), *prompts])
    assert verifying.decodes == written.decodes
    assert verifying.verified == written.verified
    assert verifying.prompts == written.prompts
    assert (verifying.n_sequences, verifying.new_tokens) == (written.n_sequences, written.new_tokens)
    assert verifying.n_scored == written.n_scored
    assert verifying.levelled(4) == written.levelled(4)
    assert verifying == written
    assert hash(verifying) == hash(written)


@pytest.mark.parametrize(
    ("new_tokens", "context", "is_verified"),
    [(1, 9, False), (2, 2, False), (2, 3, True), (16, 17, True), (16, 16, False), (17, 400, False)],
)
def test_what_a_verification_is(new_tokens: int, context: int, is_verified: bool) -> None:
    assert Sequence(new_tokens, context).is_verified == is_verified


@given(sequences, st.integers(1, 5))
def test_levelled_never_charges_less(written: tuple[Sequence, ...], context_step: int) -> None:
    batch = Batch(written)
    level = batch.levelled(context_step)
    assert level.n_sequences == batch.n_sequences
    assert dict(level.prompts) == dict(batch.prompts)
    n, total = batch.decodes
    assert level.decodes[0] == n
    assert total <= level.decodes[1]
    if context_step == 1:
        assert level.decodes[1] == total
        assert len(level.runs) <= 2 + 2 * len(batch.verified) + len(batch.prompts)
    else:
        assert level.decodes[1] < total + n * context_step or not n
    for (new, n_level, at_level), (same, n_guessed, total) in zip(level.verified, batch.verified, strict=True):
        assert (new, n_level) == (same, n_guessed)
        assert total <= at_level < total + n_guessed * context_step
    assert level.levelled(context_step) == level
    assert Batch(written[::-1]).levelled(context_step) == level


def test_uniform_batches_are_kept() -> None:
    assert Batch.decode(4096, 256) is Batch.decode(4096, 256)
    assert Batch.prefill(512, 8).runs == ((Sequence(512, 512), 8),)
    assert Batch.decode(7) == Batch((Sequence(1, 7),))
    assert Batch.decode(7, 0) == Batch(())
    assert repr(Batch.decode(7, 2)) == "Batch.of_runs(((Sequence(new_tokens=1, context=7), 2),))"


@pytest.mark.parametrize("count", [0, -1])
def test_a_run_has_sequences(count: int) -> None:
    with pytest.raises(WorkloadError, match="one at least"):
        Batch.of_runs([(Sequence(1, 2), count)])


@pytest.mark.parametrize(("new_tokens", "context"), [(0, 3), (4, 3), (-1, -1)])
def test_impossible_sequences(new_tokens: int, context: int) -> None:
    with pytest.raises(WorkloadError):
        Batch.decode(context) if new_tokens == 1 else Batch((Sequence(new_tokens, context),))
