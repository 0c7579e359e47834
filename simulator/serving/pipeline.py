"""A pipeline that holds one request per slot and advances each token by token, with a queue before it.

A request of P prompt and O output tokens takes P + O steps at contexts 1, 2, ..., P + O: prompt tokens go through one
at a time as output tokens do, and the first output token comes out of the step at context P + 1.

Source: CENT (ASPLOS 2025): one query per pipeline stage; the count of steps is that of its artifact.
Not modelled: several requests in one slot, preemption, prefix reuse.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import simpy

from simulator.contracts.system import System
from simulator.core.errors import ConfigError, ModelFault
from simulator.serving.capacity import KvCapacity
from simulator.serving.costs import TokenCosts
from simulator.serving.events import run_events
from simulator.serving.policies import POLICIES, SlotPolicy
from simulator.serving.requests import Requests
from simulator.serving.results import ServingResult
from simulator.workload.batch import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PipelineEngine:
    """A pipeline of `n_slots` slots whose tokens cost what `costs` says, under a policy of `POLICIES`.

    `capacity` is the room for keys and values (None: unlimited); `idle_power_w` flows from the first arrival to the
    last finish, beside the energy of the tokens. Errors: ConfigError for an unknown policy, no slots, or negative
    power.
    """

    costs: TokenCosts
    n_slots: int
    policy: str = "independent"
    capacity: KvCapacity | None = None
    idle_power_w: float = 0.0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            close = difflib.get_close_matches(self.policy, POLICIES, n=1) or [" or ".join(POLICIES)]
            raise ConfigError(f"there is no slot policy {self.policy!r}", remedy=f"did you mean {close[0]}?")
        if self.n_slots < 1:
            raise ConfigError(f"a pipeline of {self.n_slots} slots serves nobody", remedy="give it at least one slot")
        if not 0 <= self.idle_power_w < float("inf"):
            raise ConfigError(f"idle power is {self.idle_power_w} W", remedy="give zero or more watts")

    def run(self, requests: Requests) -> ServingResult:
        """Serve all requests, first come first served, and say when each was where.

        A free slot goes to the request that arrived first (ties: the lower id), the lowest slot first; what finishes at
        a time makes room for what is admitted at that time. Errors: MappingError for a request that can never fit where
        capacity is enforced; ModelFault if the cost table ends before the longest context.
        """
        if self.capacity is not None:
            self.capacity.check(requests)
        longest = int(requests.total_tokens.max())
        if longest > self.costs.max_context:
            raise ModelFault(f"token costs end at context {self.costs.max_context}, and a request needs {longest}")
        policy = POLICIES[self.policy](self.costs, requests, self.n_slots)
        start_ps, slot = np.zeros(len(requests), np.int64), np.zeros(len(requests), np.int32)
        env = simpy.Environment(initial_time=0)
        env.process(self._serve(env, requests, policy, start_ps, slot))
        run_events(env)
        return ServingResult(
            requests=requests,
            policy=self.policy,
            n_slots=self.n_slots,
            start_ps=start_ps,
            first_token_ps=policy.first_token_ps,
            finish_ps=policy.finish_ps,
            slot=slot,
            service_ps=self.costs.through_ps[requests.total_tokens],
            tokens_pj=self.costs.through_pj[requests.total_tokens],
            idle_power_w=self.idle_power_w,
            token_gaps=policy.token_gaps(),
            kv=None if self.capacity is None else self.capacity.use(requests, start_ps, policy.finish_ps),
        )

    def _serve(
        self,
        env: simpy.Environment,
        requests: Requests,
        policy: SlotPolicy,
        start_ps: NDArray[np.int64],
        slot: NDArray[np.int32],
    ) -> Generator[simpy.Event, None, None]:
        """The engine's process: one event per look at the pipeline. Fills `start_ps` and `slot`."""
        arrival_ps, needed = requests.arrival_ps.tolist(), requests.total_tokens.tolist()
        queue = iter(requests.queue_order())
        head = next(queue, None)
        limit = None if self.capacity is None else self.capacity.limit_tokens
        reserved = 0
        free = list(range(self.n_slots))
        while True:
            now: int = int(env.now)
            for left, row in policy.leave(now):
                heapq.heappush(free, left)
                reserved -= needed[row]
            while head is not None and free and arrival_ps[head] <= now:
                if limit is not None and reserved + needed[head] > limit:
                    break
                start_ps[head], slot[head] = now, heapq.heappop(free)
                reserved += needed[head]
                policy.admit(int(slot[head]), head, now)
                head = next(queue, None)
            may_enter = head is not None and free and arrival_ps[head] > now
            wake = policy.next_ps(now, arrival_ps[head] if may_enter else None)
            if wake is None and head is None:
                return
            if wake is None or wake <= now:
                waiting = "nobody" if head is None else f"request {requests.ids[head]}"
                raise ModelFault(
                    f"the pipeline stands still at {now} ps: {waiting} waits for a slot or room, "
                    f"{self.n_slots - len(free)} slots are taken, {reserved} KV positions reserved"
                )
            yield env.timeout(wake - now)


def serve(
    system: System,
    requests: Requests,
    *,
    policy: str = "independent",
    capacity: KvCapacity | None = None,
    idle_power_w: float = 0.0,
    n_slots: int | None = None,
) -> ServingResult:
    """Serve requests on a system: refuse what cannot fit, then ask it for its token costs, then run the pipeline.

    `n_slots` is what the system's step says unless given. The rest is as for `PipelineEngine`.
    """
    if capacity is not None:
        capacity.check(requests)
    slots = system.step(Batch.decode(1)).n_slots if n_slots is None else n_slots
    costs = TokenCosts.from_system(system, int(requests.total_tokens.max()))
    return PipelineEngine(costs, slots, policy, capacity, idle_power_w).run(requests)
