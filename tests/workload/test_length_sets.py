"""Length sets: the published quantiles and means come back, draws are seeded, and wrong files are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import WorkloadError
from simulator.workload.length_sets import KnownQuantiles, draw_lengths, list_lengths, load_lengths

# mean in, mean out, and the quantiles of the outputs, as published
PUBLISHED = {
    "dolly_creative_writing": (18.9, 221.8, {0.1: 50, 0.5: 143, 0.9: 446, 0.99: 1397, 1.0: 2091}),
    "dolly_general_qa": (10.2, 64.1, {0.5: 35, 0.9: 150, 0.99: 399, 1.0: 1951}),
}
SET = """n_records: 10
prompt_tokens: {mean: 20, min: 1, log_sd: 0.5}
output_tokens: {mean: 100, min: 1, p50: 60, p90: 250, max: 900}
"""


def test_every_set_is_published() -> None:
    assert set(list_lengths()) == set(PUBLISHED)
    assert load_lengths("dolly_creative_writing").n_records == 709


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_numbers_come_back(name: str) -> None:
    mean_in, mean_out, quantiles = PUBLISHED[name]
    found = load_lengths(name)
    assert len(found.source) > 20
    for rank, length in quantiles.items():
        assert found.output_tokens.at(np.array([rank])).tolist() == [length]
    ranks = (np.arange(200_000) + 0.5) / 200_000
    assert found.output_tokens.at(ranks).mean() == pytest.approx(mean_out, rel=0.005)
    assert found.prompt_tokens.at(ranks).mean() == pytest.approx(mean_in, rel=0.01)
    drawn = found.draw(100_000, seed=1)
    assert drawn.output_tokens.mean() == pytest.approx(mean_out, rel=0.02)
    assert drawn.prompt_tokens.mean() == pytest.approx(mean_in, rel=0.02)
    for rank, length in quantiles.items():
        if rank < 1:
            assert np.quantile(drawn.output_tokens, rank) == pytest.approx(length, rel=0.05)
    assert 1 <= drawn.output_tokens.min() <= drawn.output_tokens.max() <= quantiles[1.0]
    assert abs(np.corrcoef(drawn.prompt_tokens, drawn.output_tokens)[0, 1]) < 0.01


def test_draws_are_seeded() -> None:
    one, same = draw_lengths("dolly_creative_writing", 16, 1), draw_lengths("dolly_creative_writing", 16, 1)
    more, other = draw_lengths("dolly_creative_writing", 64, 1), draw_lengths("dolly_creative_writing", 16, 2)
    assert one.output_tokens.tolist() == same.output_tokens.tolist() == more.output_tokens[:16].tolist()
    assert one.prompt_tokens.tolist() == more.prompt_tokens[:16].tolist()
    assert one.output_tokens.tolist() != other.output_tokens.tolist()
    assert one.arrival_ps.tolist() == [0] * 16
    assert len(one.checksum) == 64
    assert "seed 1" in one.notes[0]
    assert str(one.place(3)).endswith("request 3")


@given(st.lists(st.floats(0.05, 2.0), min_size=2, max_size=5), st.floats(0.3, 0.7))
@settings(max_examples=40, deadline=None)
def test_the_bend_gives_the_mean(log_steps: list[float], part: float) -> None:
    lengths = tuple(np.exp(np.cumsum([0.0, *log_steps])).tolist())
    ranks = tuple(np.linspace(0, 1, len(lengths)).tolist())
    least, most = sum(lengths[:-1]) / len(log_steps), sum(lengths[1:]) / len(log_steps)
    known = KnownQuantiles(ranks, lengths, least + part * (most - least))
    bend = known.bend()
    inside = (np.arange(20_000) + 0.5) / 20_000
    assert known.at(inside, bend).mean() == pytest.approx(known.mean, rel=1e-3)
    assert (np.diff(known.at(inside, bend)) >= 0).all()
    assert known.at(np.array(ranks), bend).tolist() == pytest.approx(lengths)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SET)
    assert load_lengths(path).name == "mine"
    assert len(load_lengths(str(path)).draw(7, 3)) == 7


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_records: 10", "n_records: ten", "n_records"),
        ("min: 1, log_sd", "log_sd", r"prompt_tokens.min. is missing"),
        ("p50: 60", "p50: 600", "do not rise"),
        ("p50: 60", "q50: 60", "q50"),
        ("mean: 100", "mean: 800", "have the mean 800"),
        ("output_tokens", "outputs", r"`output_tokens` is missing"),
        ("max: 900", "max: 900, max: 3", "max"),
    ],
)
def test_wrong_files(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SET.replace(old, new))
    with pytest.raises(WorkloadError, match=message) as caught:
        load_lengths(path)
    assert "mine.yaml" in str(caught.value)


def test_what_there_is_not() -> None:
    with pytest.raises(WorkloadError, match="did you mean `dolly_general_qa`"):
        load_lengths("dolly_generalqa")
    with pytest.raises(WorkloadError):
        load_lengths("nothing.yaml")
    for n in (0, -1, (1 << 20) + 1):
        with pytest.raises(WorkloadError, match="from 1 to"):
            draw_lengths("dolly_general_qa", n, 1)
