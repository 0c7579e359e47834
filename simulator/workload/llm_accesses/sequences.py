"""The sequences of a run: which are in the batch at each step, how long they are, and when the next one begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.workload.llm_accesses.config import LlmAccessConfig, LlmAccessError
from simulator.workload.llm_accesses.selection import Step
from simulator.workload.model import ModelSpec


@dataclass(frozen=True, slots=True)
class RunStep:
    """A decode step, the slots whose sequence left before it, and (slot, prompt tokens) of those that began."""

    step: Step
    left: tuple[int, ...]
    began: tuple[tuple[int, int], ...]


def run_steps(config: LlmAccessConfig) -> Iterator[RunStep]:
    """All steps of a run. A sequence's first output token comes with its prompt, each other one takes a step; the next
    sequence begins in its slot when the last token is out."""
    n, outputs = config.batch, config.outputs
    identity = np.full(n, -1, dtype=np.int64)
    context = np.zeros(n, dtype=np.int64)
    left_steps = np.zeros(n, dtype=np.int64)
    n_begun = 0
    for number in range(config.n_steps):
        ended = np.flatnonzero(left_steps == 0).tolist()
        began = []
        for slot in ended:
            prompt = _in_turn(config.prompts, n_begun)
            identity[slot], context[slot] = n_begun, prompt
            # Where sequences outlast the run, this many steps are never reached.
            left_steps[slot] = config.n_steps + 1 if outputs is None else _in_turn(outputs, n_begun) - 1
            began.append((slot, prompt))
            n_begun += 1
        context += 1
        left_steps -= 1
        yield RunStep(Step(number, identity.copy(), context.copy()), tuple(ended) if number else (), tuple(began))


@dataclass(frozen=True, slots=True)
class Extremes:
    """The longest and shortest context of a run, and the most blocks that are held at once."""

    longest: int
    shortest: int
    most_blocks: int


def extremes(config: LlmAccessConfig, spec: ModelSpec) -> Extremes:
    """What the run's steps reach. Raises LlmAccessError where a pool is too small or positions end."""
    longest, shortest, most_blocks = 0, 1 << 62, 0
    for run_step in run_steps(config):
        context = run_step.step.context
        longest, shortest = max(longest, int(context.max())), min(shortest, int(context.min()))
        most_blocks = max(most_blocks, int((-(-context // config.block_tokens)).sum()))
    if spec.position == "learned" and longest > spec.n_positions:
        raise LlmAccessError(
            f"the contexts reach {longest:,}, beyond the {spec.n_positions:,} learned positions of {spec.name}",
            field="n_steps",
            remedy="give fewer steps, shorter prompts, or a model with rotary positions",
        )
    if config.pool_blocks is not None and config.pool_blocks < most_blocks:
        raise LlmAccessError(
            f"the run holds {most_blocks:,} blocks at once, and the pool has {config.pool_blocks:,}",
            field="pool_blocks",
            remedy=f"give {most_blocks:,} or more, or leave it out",
        )
    return Extremes(longest, shortest, most_blocks)


def _in_turn(values: Sequence[int], number: int) -> int:
    return values[number % len(values)]
