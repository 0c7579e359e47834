"""Which batches cost a GPU the same: decodes at their mean context, as far as kernel and model see no more of them, and
likewise the sequences that verify the same number of guessed tokens.

Attention reads and computes in proportion to positions, so that the number of decodes and the sum of their contexts
say what they cost. What lies beyond a window costs nothing and is cut off before; FlashAttention-2 leaves the keys of a
sequence whole, so that the longest one counts by itself.
"""

from __future__ import annotations

from simulator.devices.gpu_kernels import DecodeKernel
from simulator.workload.batch import Batch, Run, Sequence
from simulator.workload.model import ModelSpec


class Levelling:
    """Batches as their costs see them, mean contexts rounded up to multiples of `context_step`: a step is never charged
    less than it costs."""

    def __init__(self, model: ModelSpec, kernel: DecodeKernel, context_step: int) -> None:
        self._window = model.sliding_window
        self._n_positions = model.n_positions if model.position == "learned" else None
        self._is_whole = kernel == "fa2"
        self._context_step = context_step
        self._is_plain = self._window is None and self._n_positions is None and not self._is_whole

    def levelled(self, batch: Batch) -> Batch:
        """The batch that stands for all of the same cost."""
        if self._is_plain:
            return batch.levelled(self._context_step)
        step = self._context_step
        in_passes: dict[int, list[Run]] = {}
        for one, n in batch.runs:
            if one.new_tokens == 1 or one.is_verified:
                in_passes.setdefault(one.new_tokens, []).append((one, n))
        if self._n_positions is not None and in_passes:
            last = max(one.context for runs in in_passes.values() for one, _ in runs)
            if -(-last // step) * step > self._n_positions:
                step = 1  # there is no position to round up to
        longest: list[Run] = []
        rest: list[Run] = []
        for new_tokens, runs in sorted(in_passes.items()):
            if self._window is not None:
                reach = max(self._window, 1 + (new_tokens > 1)) + new_tokens - 1  # it stays a verification
                runs = [(Sequence(new_tokens, min(one.context, reach)), n) for one, n in runs]
            if self._is_whole:
                index = max(range(len(runs)), key=lambda index: runs[index][0].context)
                one, n = runs[index]
                longest.append((Sequence(new_tokens, -(-one.context // step) * step), 1))
                runs[index : index + 1] = [(one, n - 1)] if n > 1 else []
            rest += runs
        return Batch.of_runs([*longest, *Batch.of_runs([*rest, *batch.prompts]).levelled(step).runs])
