"""What a machine says of sequences that its memory has no room for: a note, or a refusal."""

from __future__ import annotations

from collections.abc import Callable

from simulator.contracts.system import CapacityMode, KvRoom
from simulator.core.errors import MappingError


def capacity_note(
    room: Callable[[], KvRoom],
    capacity: CapacityMode,
    n_sequences: int,
    context: int,
    words: Callable[[int], str],
    remedy: str,
) -> str | None:
    """None where so many sequences of `context` positions fit; `words` of the missing bytes where they do not and that
    is only reported.

    `room` may raise MappingError where the weights alone do not fit: its message is the note then. Raises MappingError,
    with the missing bytes, where capacity is enforced.
    """
    goes_on = "; the run goes on as if they fitted (system.capacity: report)"
    try:
        missing = room().missing_bytes(n_sequences, context)
    except MappingError as error:
        if capacity == "enforce":
            raise
        return error.message + goes_on
    if not missing:
        return None
    if capacity == "enforce":
        raise MappingError(words(missing), where="workload.batch", remedy=remedy, missing_bytes=missing)
    return words(missing) + goes_on


def sequences_in_words(n_sequences: int, context: int) -> str:
    """ "1 sequence of 2,048 positions", say."""
    return f"{n_sequences:,} sequence{'' if n_sequences == 1 else 's'} of {context:,} positions"
