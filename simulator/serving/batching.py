"""Iteration-level batching on any machine whose step takes batches: requests join and leave between iterations.

A request of P prompt and O output tokens takes O iterations: its whole prompt goes in one, out of which its first
output token comes, and each of the O - 1 further tokens takes one, the last at context P + O - 1.

Source: Orca (OSDI 2022), iteration-level scheduling; names of limits and `prefill: separate` as in vLLM.
Not modelled: chunked prefill, preemption, prefix reuse, paging (a request reserves its final length when it is taken
up), time of the scheduler itself.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import simpy

from simulator.contracts.system import BatchesRequests
from simulator.core.errors import ConfigError, ModelFault
from simulator.serving.batching_results import BatchingResult, Iterations
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.capacity import KvCapacity
from simulator.serving.costs import BatchCosts
from simulator.serving.events import check_time, run_events
from simulator.serving.requests import Requests
from simulator.workload.batch import Batch, Run, Sequence


@dataclass(frozen=True, slots=True)
class BatchingEngine:
    """An engine that runs a system's steps one after another, first come, first served.

    `capacity` is the room for keys and values (None: unlimited); `idle_power_w` flows while nothing runs. Errors:
    ConfigError for negative power.
    """

    system: BatchesRequests
    rules: BatchingRules = field(default_factory=BatchingRules)
    capacity: KvCapacity | None = None
    idle_power_w: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.idle_power_w < float("inf"):
            raise ConfigError(f"idle power is {self.idle_power_w} W", remedy="give zero or more watts")

    def run(self, requests: Requests) -> BatchingResult:
        """Serve all requests, and say when each was where and what each iteration held.

        Requests are taken up in the order of (arrival, id): where the first in the queue does not fit, those behind it
        wait too. What arrives or finishes at a time is seen by the iteration that begins at that time. Errors:
        MappingError for a request that can never fit where capacity is enforced; WorkloadError for more than 106 days
        of simulated time; what the system raises.
        """
        if self.capacity is not None:
            self.capacity.check(requests)
        state = _State(requests, self.rules, None if self.capacity is None else self.capacity.limit_tokens)
        costs, log = BatchCosts(self.system), _Log()
        env = simpy.Environment(initial_time=0)
        env.process(_serve(env, state, costs, log))
        run_events(env)
        iterations = log.iterations(costs)
        start_ps, finish_ps = np.array(state.start_ps, np.int64), np.array(state.finish_ps, np.int64)
        return BatchingResult(
            requests=requests,
            start_ps=start_ps,
            first_token_ps=iterations.end_ps[state.iteration],
            finish_ps=finish_ps,
            tokens_pj=iterations.shares_pj(requests, np.array(state.iteration), np.array(state.n_passes_before)),
            idle_power_w=self.idle_power_w,
            token_gaps=iterations.token_gaps(requests.output_tokens, np.array(state.iteration)),
            kv=None if self.capacity is None else self.capacity.use(requests, start_ps, finish_ps),
            iterations=iterations,
            costs=costs,
        )


@dataclass(slots=True)
class _Log:
    """What each iteration held, a list per column."""

    start_ps: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    n_decodes: list[int] = field(default_factory=list)
    n_prompts: list[int] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)

    def iterations(self, costs: BatchCosts) -> Iterations:
        """The columns as arrays, with what the costs say of each."""
        step = np.array(self.step, np.int64)
        start_ps = np.array(self.start_ps, np.int64)
        return Iterations(
            start_ps=start_ps,
            end_ps=start_ps + np.array(costs.latency_ps, np.int64)[step],
            n_decodes=np.array(self.n_decodes, np.int64),
            n_prompts=np.array(self.n_prompts, np.int64),
            prompt_tokens=np.array(self.prompt_tokens, np.int64),
            energy_pj=np.array(costs.energy_pj)[step],
            step=step,
        )


class _State:
    """Queue and running sequences between iterations.

    Every running sequence takes part in every pass, that is, in every iteration with decodes: one that was taken up
    after `d` passes with P prompt tokens attends to P - d + p positions in pass p. So `offsets` P - d are all that is
    kept of it, and nothing of it changes until it finishes, in pass d + O - 1.
    """

    def __init__(self, requests: Requests, rules: BatchingRules, limit_tokens: int | None) -> None:
        n = len(requests)
        self.rules = rules
        self.limit_tokens = limit_tokens
        self.arrival_ps: list[int] = requests.arrival_ps.tolist()
        self.prompt: list[int] = requests.prompt_tokens.tolist()
        self.output: list[int] = requests.output_tokens.tolist()
        self.ids = requests.ids
        self.queue = iter(requests.queue_order())
        self.head = next(self.queue, None)
        self.start_ps, self.finish_ps = [0] * n, [0] * n
        self.iteration, self.n_passes_before = [0] * n, [0] * n  # of a request: where its prompt went
        self.n_iterations = self.n_passes = 0
        self.reserved = 0
        self.offsets: list[int] = []
        self.offset_sum = 0
        self.frozen: tuple[int, ...] = ()  # the offsets, as batches hold them
        self.finishing: dict[int, list[int]] = {}  # rows by the pass that gives them their last token

    def admit(self, now_ps: int) -> list[int]:
        """Take up requests for the iteration that begins now: their rows."""
        rows: list[int] = []
        rules, head = self.rules, self.head
        n_tokens = len(self.offsets) if rules.prefill == "mixed" else 0
        n_free = rules.max_num_seqs - len(self.offsets)
        while head is not None and self.arrival_ps[head] <= now_ps and len(rows) < n_free:
            n_tokens += self.prompt[head]
            needed = self.prompt[head] + self.output[head]
            if rows and n_tokens > rules.max_num_batched_tokens:
                break
            if self.limit_tokens is not None and self.reserved + needed > self.limit_tokens:
                break
            self.reserved += needed
            self.start_ps[head] = now_ps
            self.iteration[head] = self.n_iterations
            rows.append(head)
            head = next(self.queue, None)
        self.head = head
        return rows

    def batch(self, rows: list[int], *, decodes: bool) -> Batch:
        """The batch of the prompts of these rows, and of the running sequences if they take part."""
        contexts: tuple[int, ...] = ()
        by = total = 0
        if decodes:
            contexts, by = self.frozen, self.n_passes + 1
            total = self.offset_sum + by * len(contexts)
        prompts: list[Run] = []
        for row in rows:
            if self.prompt[row] == 1:
                contexts, total = (*contexts, 1 - by), total + 1
            else:
                prompts.append((Sequence(self.prompt[row], self.prompt[row]), 1))
        if len(prompts) > 1:
            prompts = list(Batch.of_runs(prompts).runs)
        return Batch.advanced(contexts, by, total, tuple(prompts))

    def finish_iteration(self, rows: list[int], end_ps: int, *, decodes: bool) -> None:
        """Let go of what the iteration finished, and keep what it took up."""
        changed = bool(rows)
        if decodes:
            self.n_passes += 1
            for row in self.finishing.pop(self.n_passes, ()):
                offset = self.prompt[row] - self.n_passes_before[row]
                self.offsets.remove(offset)
                self.offset_sum -= offset
                self._leave(row, end_ps)
                changed = True
        for row in rows:
            self.n_passes_before[row] = self.n_passes
            if self.output[row] == 1:
                self._leave(row, end_ps)
                continue
            offset = self.prompt[row] - self.n_passes
            self.offsets.append(offset)
            self.offset_sum += offset
            self.finishing.setdefault(self.n_passes + self.output[row] - 1, []).append(row)
        if changed:
            self.frozen = tuple(self.offsets)
        self.n_iterations += 1

    def _leave(self, row: int, now_ps: int) -> None:
        self.finish_ps[row] = now_ps
        self.reserved -= self.prompt[row] + self.output[row]


def _serve(env: simpy.Environment, state: _State, costs: BatchCosts, log: _Log) -> Generator[simpy.Event, None, None]:
    """The engine's process: one event per iteration, or per wait for an arrival. Fills `state` and `log`."""
    mixed = state.rules.prefill == "mixed"
    while state.head is not None or state.offsets:
        now: int = int(env.now)
        head = state.head
        rows = state.admit(now) if head is not None and state.arrival_ps[head] <= now else []
        decodes = bool(state.offsets) and (mixed or not rows)
        if not rows and not decodes:
            if head is None or state.arrival_ps[head] <= now:
                raise ModelFault(f"the engine stands still at {now} ps: nothing runs, and no request can be taken up")
            yield env.timeout(state.arrival_ps[head] - now)
            continue
        step = costs.number(state.batch(rows, decodes=decodes))
        log.start_ps.append(now)
        log.step.append(step)
        log.n_decodes.append(len(state.offsets) if decodes else 0)
        log.n_prompts.append(len(rows))
        log.prompt_tokens.append(sum([state.prompt[row] for row in rows]) if rows else 0)
        latency_ps = costs.latency_ps[step]
        check_time(now + latency_ps)
        yield env.timeout(latency_ps)
        state.finish_iteration(rows, now + latency_ps, decodes=decodes)
