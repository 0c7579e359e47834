"""Which positions a decode step attends to, as a trained model was seen to do it: recorded steps, nothing drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.workload.llm_accesses.attention_hits import AttentionHits
from simulator.workload.llm_accesses.selection import Attended, Step

_NONE = -1


class Recorded:
    """The positions that recorded steps attended to, and no others: for each of `n_heads` key-value heads the `top_k`
    heaviest ones (None: all that were recorded).

    * Sequence i of the run takes the steps of recorded text i modulo their number, from its first step on, one a
      decode step, and begins again after the last one. Nothing is drawn.
    * Positions count back from the newest token: one that was 7 tokens back is 7 tokens back in any context. Those
      before the beginning of a shorter context are left out; in a longer one the oldest tokens are never read.
    * Layer l reads as recorded layer l modulo their number does, key-value head h as recorded head h modulo theirs.

    Memory: four bytes a recorded position.
    """

    def __init__(self, hits: AttentionHits, n_heads: int, top_k: int | None = None) -> None:
        chosen = hits.positions[..., :top_k]
        back = np.where(chosen < 0, _NONE, hits.context[:, None] - 1 - chosen).astype(np.int32)
        back.sort(axis=-1)
        # The furthest back first, which is the order of addresses; what is not there last.
        self._back = back[..., ::-1]
        self._heads = np.arange(n_heads) % hits.n_kv_heads
        self._steps_of_windows = hits.steps_of_windows
        self._begun: dict[int, int] = {}
        self._last: tuple[Step, int, Attended] | None = None

    def n_attended(self, step: Step, layer: int) -> int:
        """(position, head) pairs."""
        return len(self.attended(step, layer).first)

    def attended(self, step: Step, layer: int) -> Attended:
        """For each sequence and head its positions in rising order."""
        if self._last is None or self._last[0] is not step or self._last[1] != layer:
            self._last = step, layer, self._found(step, layer)
        return self._last[2]

    def _found(self, step: Step, layer: int) -> Attended:
        of_layer = self._back[layer % len(self._back)]
        back = of_layer[self._heads[None, :], self._recorded_steps(step)[:, None]]
        position = step.context[:, None, None] - 1 - back
        sequence, head, place = np.nonzero((back != _NONE) & (position >= 0))
        first = position[sequence, head, place]
        return Attended(sequence, head, first, np.ones_like(first))

    def _recorded_steps(self, step: Step) -> NDArray[np.int64]:
        """The recorded step that each sequence is at, int64[n]."""
        found = np.empty(len(step.identity), np.int64)
        for place, identity in enumerate(step.identity.tolist()):
            steps = self._steps_of_windows[identity % len(self._steps_of_windows)]
            found[place] = steps[(step.number - self._begun.setdefault(identity, step.number)) % len(steps)]
        return found
