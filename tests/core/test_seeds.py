"""Random streams depend on the seed and their own names only."""

from __future__ import annotations

import pytest

from simulator.core.errors import ConfigError
from simulator.core.seeds import child_rng


def test_streams_are_pinned() -> None:
    # A change here changes every seeded result that anybody has kept.
    assert child_rng(1, "trace", "jitter").integers(0, 10**6, 3).tolist() == [703774, 882566, 501451]


def test_streams_differ_by_seed_and_by_every_name() -> None:
    first = {
        child_rng(*names).integers(0, 2**63)
        for names in [(1,), (2,), (1, "a"), (1, "a", "b"), (1, "ab"), (1, "b", "a"), (1, 1), (1, "1")]
    }
    assert len(first) == 8


def test_a_stream_does_not_depend_on_others() -> None:
    alone = child_rng(7, "a").random(4).tolist()
    other, again = child_rng(7, "b"), child_rng(7, "a")
    other.random(100)
    assert again.random(4).tolist() == alone


@pytest.mark.parametrize("seed", [-1, True])
def test_impossible_seeds_are_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match="no seed"):
        child_rng(seed)
