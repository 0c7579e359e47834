"""Recorded attention in a stream of accesses: which step, which positions, which heads; and every file that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.workload.llm_accesses.attention_hits import AttentionHits
from simulator.workload.llm_accesses.recorded import Recorded
from simulator.workload.llm_accesses.selection import Attended, Step
from simulator.workload.llm_accesses.stream import llm_stream
from tests.workload.llm_accesses.small_runs import config, step_bytes


def members(n_layers: int = 2, n_heads: int = 2, n_steps: int = 3, k: int = 4) -> dict[str, Any]:
    """Two texts of so many steps, of contexts from 20 on, random positions."""
    rng = np.random.default_rng(6)
    context = np.tile(np.arange(20, 20 + n_steps), 2)
    order = rng.random((n_layers, n_heads, 2 * n_steps, 19)).argsort(axis=3)[..., :k]
    return {
        "positions": order.astype(np.int32),
        "context": context.astype(np.int32),
        "window": np.repeat([4, 5], n_steps).astype(np.int32),
    }


def hits(**changes: Any) -> AttentionHits:
    return AttentionHits(**{**members(), **changes})


def read(attended: Attended) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    assert attended.head is not None
    assert (attended.n_positions == 1).all()
    for sequence, head, first in zip(attended.sequence, attended.head, attended.first, strict=True):
        found.setdefault((int(sequence), int(head)), []).append(int(first))
    return found


def test_steps_texts_layers_and_heads_come_round() -> None:
    of = hits()
    selection = Recorded(of, n_heads=3)
    for number in range(5):
        # Sequences 0 and 1 begin at step 0, sequence 2 at step 2 in the place of the second.
        identity = np.array([0, 1 if number < 2 else 2])
        step = Step(number, identity, np.array([20 + number % 3, 40]))
        for layer in range(3):
            found = read(selection.attended(step, layer))
            assert selection.n_attended(step, layer) == sum(map(len, found.values()))
            for place, (text, since) in enumerate([(0, number), (1, number) if number < 2 else (0, number - 2)]):
                recorded = 3 * text + since % 3
                for head in range(3):
                    own = of.positions[layer % 2, head % 2, recorded]
                    shift = step.context[place] - of.context[recorded]
                    assert found[place, head] == sorted((own + shift).tolist())


def test_the_heaviest_few_and_those_that_are_not_there() -> None:
    positions = np.array([[[[3, 19, 0, -1], [1, -1, -1, -1]]]], np.int32)
    of = AttentionHits(positions, np.array([20, 2], np.int32), np.array([0, 0], np.int32))
    step = Step(0, np.array([0]), np.array([20]))
    assert read(Recorded(of, 1).attended(step, 0)) == {(0, 0): [0, 3, 19]}
    assert read(Recorded(of, 1, 2).attended(step, 0)) == {(0, 0): [3, 19]}
    # A context of 6 has nothing 17 or 20 tokens back.
    assert read(Recorded(of, 1).attended(Step(0, np.array([0]), np.array([6])), 0)) == {(0, 0): [5]}
    selection = Recorded(of, 1)
    selection.attended(step, 0)
    assert read(selection.attended(Step(1, np.array([0]), np.array([21])), 0)) == {(0, 0): [20]}


def saved(path: Path, **changes: Any) -> Path:
    held = {name: values for name, values in {**members(), **changes}.items() if values is not None}
    np.savez(path, **held)
    return path


def test_a_stream_reads_it(tmp_path: Path) -> None:
    file = saved(tmp_path / "hits.npz")
    run = config(parts=("kv",), attention="recorded", hits=str(file), kv_layout="hnd", drift=0.3)
    stream = llm_stream(run)
    # Three sequences, two heads, four positions of 256 B of keys and values in each of three layers.
    assert step_bytes(stream) == [3 * 3 * 2 * 4 * 256] * 6
    assert step_bytes(llm_stream(run.model_copy(update={"top_k": 3, "hits": str(file)}))) == [3 * 3 * 2 * 3 * 256] * 6
    notes = " | ".join(stream.notes)
    assert "4 positions a KV head, 2 texts of 3 steps" in notes
    assert "recorded are 2 layers of 2 KV heads, and this run has 3 of 2: layer l reads as layer l modulo 2" in notes
    assert "contexts were 22 positions at most when recorded" in notes
    assert "not looked at in this run: drift" in notes
    other = saved(tmp_path / "other.npz", window=np.zeros(6, np.int32))
    file.write_bytes(other.read_bytes())
    assert llm_stream(run).checksum != stream.checksum


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"context": None}, "no member 'context'"),
        ({"window": np.zeros(5, np.int32)}, "'window' is of 5 steps, and 'positions' of 6"),
        ({"positions": np.zeros((2, 6, 4), np.int32)}, r"'positions' is int32\[2, 6, 4\], not whole numbers"),
        ({"context": np.zeros(6)}, r"'context' is float64\[6\], not whole numbers"),
        ({"context": np.full(6, 3, np.int32)}, "layer 0, KV head 0, step 0 attends to position .* of a context of 3"),
        ({"context": np.array([None] * 6)}, "no numpy archive: Object arrays"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], cause: str) -> None:
    file = saved(tmp_path / "hits.npz", **changes)
    with pytest.raises(WorkloadError, match=cause) as caught:
        AttentionHits.read(file)
    assert caught.value.where == str(file)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("positions")
    np.save(tmp_path / "one.npy", np.zeros(3))
    whole = saved(tmp_path / "hits.npz").read_bytes()
    (tmp_path / "torn.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "one.npy", "torn.npz"):
        with pytest.raises(WorkloadError, match="no numpy archive"):
            AttentionHits.read(tmp_path / name)
    (tmp_path / "hits.npz").write_bytes(whole)
    for keys, cause, field in (
        ({"hits": str(tmp_path / "none.npz")}, "cannot read the recorded attention", "hits"),
        ({}, "there is no recorded attention", "attention"),
        ({"hits": str(tmp_path / "hits.npz"), "top_k": 5}, "top_k is 5, and .* has 4", "top_k"),
    ):
        with pytest.raises(WorkloadError, match=cause) as caught:
            llm_stream(config(parts=("kv",), attention="recorded", **keys))
        assert caught.value.where == f"workload.llm.{field}"
