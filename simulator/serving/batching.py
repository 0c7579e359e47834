"""Iteration-level batching on any machine whose step takes batches: requests join and leave between iterations.

A request of P prompt and O output tokens takes O iterations: its whole prompt goes in one, out of which its first
output token comes, and each of the O - 1 further tokens takes one, the last at context P + O - 1. With speculation an
iteration gives several of them: `simulator.serving.speculation`. On a machine that moves work between its units
(`PlacesWork`) an iteration that runs elsewhere than the one before begins with the switch.

Source: Orca (OSDI 2022), iteration-level scheduling; names of limits and `prefill: separate` as in vLLM.
Not modelled: chunked prefill, preemption, prefix reuse, paging (a request reserves its final length when it is taken
up), time of the scheduler itself.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import simpy

from simulator.contracts.system import BatchesRequests, PlacesWork
from simulator.core.errors import ConfigError, ModelFault
from simulator.serving.batching_results import BatchingResult, Iterations
from simulator.serving.batching_rules import BatchingRules
from simulator.serving.batching_state import RunningSequences, SeveralTokens, SingleTokens, Waiting, WaitingForBatch
from simulator.serving.capacity import KvCapacity
from simulator.serving.costs import BatchCosts
from simulator.serving.events import check_time, run_events
from simulator.serving.requests import Requests
from simulator.serving.speculation import Speculation, drafted


@dataclass(frozen=True, slots=True)
class BatchingEngine:
    """An engine that runs a system's steps one after another, first come, first served.

    `capacity` is the room for keys and values (None: unlimited); `idle_power_w` flows while nothing runs, while a draft
    is made and while work moves to another unit. Errors: ConfigError for negative power.
    """

    system: BatchesRequests
    rules: BatchingRules = field(default_factory=BatchingRules)
    capacity: KvCapacity | None = None
    idle_power_w: float = 0.0
    speculation: Speculation = field(default_factory=Speculation)

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
        limit_tokens = None if self.capacity is None else self.capacity.limit_tokens
        waiting_room = WaitingForBatch if self.rules.batching == "static" else Waiting
        waiting = waiting_room(requests, self.rules, limit_tokens)
        running: RunningSequences = SingleTokens(requests)
        if self.speculation.length > 1:
            running = SeveralTokens(requests, self.speculation)
        places = self.system if isinstance(self.system, PlacesWork) else None
        costs = BatchCosts(drafted(self.system, self.speculation, self.idle_power_w), places)
        log = _Log()
        env = simpy.Environment(initial_time=0)
        env.process(_serve(env, waiting, running, costs, log, is_mixed=self.rules.is_mixed))
        run_events(env)
        iterations = log.iterations(costs, running, self.idle_power_w)
        start_ps, finish_ps = np.array(waiting.start_ps, np.int64), np.array(waiting.finish_ps, np.int64)
        iteration = np.array(waiting.iteration)
        return BatchingResult(
            requests=requests,
            start_ps=start_ps,
            first_token_ps=iterations.end_ps[iteration],
            finish_ps=finish_ps,
            tokens_pj=running.shares(iterations.passes_pj_per_token) + iterations.prompts_pj(requests, iteration),
            idle_power_w=self.idle_power_w,
            token_gaps=iterations.token_gaps(requests.output_tokens, iteration),
            kv=None if self.capacity is None else self.capacity.use(requests, start_ps, finish_ps),
            iterations=iterations,
            costs=costs,
        )


@dataclass(slots=True)
class _Log:
    """What each iteration held, a list per column, and the numbers of those that began with a switch."""

    start_ps: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    n_decodes: list[int] = field(default_factory=list)
    n_prompts: list[int] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    switched: list[int] = field(default_factory=list)

    def iterations(self, costs: BatchCosts, running: RunningSequences, idle_power_w: float) -> Iterations:
        """The columns as arrays, with what the costs say of each, and the running sequences of each pass."""
        step = np.array(self.step, np.int64)
        start_ps = np.array(self.start_ps, np.int64)
        end_ps = start_ps + np.array(costs.latency_ps, np.int64)[step]
        energy_pj = np.array(costs.energy_pj)[step]
        if self.switched:
            end_ps[self.switched] += costs.switch_ps
            energy_pj[self.switched] += costs.switch_ps * idle_power_w
        n_decodes = np.array(self.n_decodes, np.int64)
        columns = [n_decodes.copy() for _ in range(3)]
        is_pass = n_decodes > 0
        for column, values in zip(columns, running.pass_columns(n_decodes[is_pass]), strict=True):
            column[is_pass] = values
        return Iterations(
            start_ps=start_ps,
            end_ps=end_ps,
            n_decodes=n_decodes,
            n_prompts=np.array(self.n_prompts, np.int64),
            prompt_tokens=np.array(self.prompt_tokens, np.int64),
            energy_pj=energy_pj,
            step=step,
            brought_tokens=columns[0],
            given_tokens=columns[1],
            most_brought=columns[2],
            n_switches=len(self.switched),
        )


def _serve(
    env: simpy.Environment,
    waiting: Waiting,
    running: RunningSequences,
    costs: BatchCosts,
    log: _Log,
    *,
    is_mixed: bool,
) -> Generator[simpy.Event, None, None]:
    """The engine's process: one event per iteration, or per wait for an arrival. Fills all of its arguments."""
    arrival_ps, prompt = waiting.arrival_ps, waiting.prompt
    placement = None
    while waiting.head is not None or running.n:
        now: int = int(env.now)
        head = waiting.head
        rows = waiting.admit(now, running.n, len(log.step)) if head is not None and arrival_ps[head] <= now else []
        decodes = bool(running.n) and (is_mixed or not rows)
        if not rows and not decodes:
            if head is None or arrival_ps[head] <= now:
                raise ModelFault(f"the engine stands still at {now} ps: nothing runs, and no request can be taken up")
            yield env.timeout(arrival_ps[head] - now)
            continue
        step = costs.number(running.batch(rows, decodes=decodes))
        log.start_ps.append(now)
        log.step.append(step)
        log.n_decodes.append(running.n if decodes else 0)
        log.n_prompts.append(len(rows))
        log.prompt_tokens.append(sum([prompt[row] for row in rows]) if rows else 0)
        end_ps = now + costs.latency_ps[step]
        if costs.placement:
            if placement is not None and placement != costs.placement[step]:
                log.switched.append(len(log.step) - 1)
                end_ps += costs.switch_ps
            placement = costs.placement[step]
        check_time(end_ps)
        yield env.timeout(end_ps - now)
        for row in running.advance(rows, decodes=decodes):
            waiting.leave(row, end_ps)
