"""How requests in the slots of a pipeline advance: a policy per accounting, found in `POLICIES` by its name.

A policy is told which request takes which slot and when; it says when the next thing happens that the engine must look
at, and notes when each request's first and last token came out and how long the gaps between tokens were. Times are
integer ps.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from simulator.serving.costs import TokenCosts
from simulator.serving.requests import Requests
from simulator.serving.statistics import WeightedValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST_JUMP_CELLS = 1 << 16
"""Slots times rotations that one jump of `SlowestStage` looks at: bounds its memory, decides nothing."""


class SlotPolicy(Protocol):
    """What the engine asks of a policy. Row numbers are those of the requests; `n_slots` slots count from 0."""

    first_token_ps: NDArray[np.int64]
    finish_ps: NDArray[np.int64]

    def __init__(self, costs: TokenCosts, requests: Requests, n_slots: int) -> None: ...

    def admit(self, slot: int, row: int, now_ps: int) -> None:
        """The request of this row takes a free slot now."""
        ...

    def leave(self, now_ps: int) -> list[tuple[int, int]]:
        """The (slot, row) whose requests finished by now and have not been told of yet."""
        ...

    def next_ps(self, now_ps: int, arrival_ps: int | None) -> int | None:
        """When the engine must look again: when `arrival_ps`, if given, can be admitted, or else when a slot falls
        free.

        An earlier look does no harm. None: no slot is occupied and nothing arrives.
        """
        ...

    def token_gaps(self) -> WeightedValues:
        """The times between consecutive output tokens of a request, over all requests finished."""
        ...


class Independent:
    """Each slot advances at its own token latency, whatever the other slots hold.

    A request's token at context c takes `latency_ps` of c. This is what multiplying one sequence's throughput by the
    number of pipeline stages assumes: a stage never waits for a slower one.

    Source: CENT's published accounting (ASPLOS 2025 artifact), throughput = slots / token latency.
    """

    def __init__(self, costs: TokenCosts, requests: Requests, n_slots: int) -> None:
        n = len(requests)
        self._costs, self._requests = costs, requests
        self._first = costs.through_ps[requests.prompt_tokens + 1].tolist()
        self._all = costs.through_ps[requests.total_tokens].tolist()
        self._running: list[tuple[int, int, int]] = []
        self.first_token_ps = np.zeros(n, np.int64)
        self.finish_ps = np.zeros(n, np.int64)

    def admit(self, slot: int, row: int, now_ps: int) -> None:
        """The request of this row takes a free slot now; its whole course is known at once."""
        self.first_token_ps[row] = now_ps + self._first[row]
        self.finish_ps[row] = now_ps + self._all[row]
        heapq.heappush(self._running, (now_ps + self._all[row], slot, row))

    def leave(self, now_ps: int) -> list[tuple[int, int]]:
        """The (slot, row) whose requests finished by now."""
        gone = []
        while self._running and self._running[0][0] <= now_ps:
            gone.append(heapq.heappop(self._running)[1:])
        return gone

    def next_ps(self, now_ps: int, arrival_ps: int | None) -> int | None:
        """The arrival, if one is given, or else the earliest finish."""
        if arrival_ps is not None:
            return arrival_ps
        return self._running[0][0] if self._running else None

    def token_gaps(self) -> WeightedValues:
        """Each output token but a request's first comes its own step's latency after the one before."""
        length = self._costs.max_context + 2
        begins = np.bincount(self._requests.prompt_tokens + 2, minlength=length)
        ends = np.bincount(self._requests.total_tokens + 1, minlength=length)
        n_at_context = np.cumsum(begins - ends)[1 : length - 1]
        return WeightedValues.of(self._costs.latency_ps, n_at_context)


class SlowestStage:
    """All occupied slots advance together: a rotation of the pipeline takes as long as the slowest token in it.

    A rotation gives every occupied slot one token and takes the largest of their latencies. Requests enter between
    rotations, or at once if the pipeline is empty. Rotations are not played one by one: up to the next finish, or the
    next arrival that finds a free slot, who is in the pipeline is known, and so are the lengths of all rotations.

    Not modelled: stages of unequal length within one token, and bubbles beyond waiting for the slowest.
    """

    def __init__(self, costs: TokenCosts, requests: Requests, n_slots: int) -> None:
        n = len(requests)
        self._latency_ps = costs.latency_ps
        self._prompt, self._total = requests.prompt_tokens.tolist(), requests.total_tokens.tolist()
        self._occupied = np.zeros(n_slots, np.bool_)
        self._row = np.zeros(n_slots, np.int64)
        self._context = np.zeros(n_slots, np.int64)  # of the slot's next token
        self._first = np.zeros(n_slots, np.int64)  # context of the first output token
        self._last = np.zeros(n_slots, np.int64)  # context of the last
        self._gap_ps: list[NDArray[np.int64]] = []
        self._gap_counts: list[NDArray[np.int64]] = []
        self.first_token_ps = np.zeros(n, np.int64)
        self.finish_ps = np.zeros(n, np.int64)

    def admit(self, slot: int, row: int, now_ps: int) -> None:
        """The request of this row takes a free slot for the rotation that begins now."""
        self._occupied[slot] = True
        self._row[slot] = row
        self._context[slot] = 1
        self._first[slot] = self._prompt[row] + 1
        self._last[slot] = self._total[row]

    def leave(self, now_ps: int) -> list[tuple[int, int]]:
        """The (slot, row) whose requests finished by now, which is a rotation's end."""
        done = np.flatnonzero(self._occupied & (self._context > self._last))
        self._occupied[done] = False
        return list(zip(done.tolist(), self._row[done].tolist(), strict=True))

    def next_ps(self, now_ps: int, arrival_ps: int | None) -> int | None:
        """Turn the pipeline up to the end of the rotation in which a request finishes or `arrival_ps` falls."""
        slots = np.flatnonzero(self._occupied)
        if slots.size == 0:
            return arrival_ps
        context = self._context[slots]
        n_rotations = min(int((self._last[slots] - context).min()) + 1, max(1, _LARGEST_JUMP_CELLS // slots.size))
        latency = self._latency_ps[context[:, None] + np.arange(-1, n_rotations - 1)]
        rotation_ps = latency.max(axis=0)
        ends_ps = now_ps + np.cumsum(rotation_ps)
        if arrival_ps is not None and arrival_ps < ends_ps[-1]:
            n_rotations = int(np.searchsorted(ends_ps, arrival_ps)) + 1
        self._note_tokens(slots, rotation_ps[:n_rotations], ends_ps[:n_rotations])
        self._context[slots] += n_rotations
        return int(ends_ps[n_rotations - 1])

    def _note_tokens(self, slots: NDArray[np.intp], rotation_ps: NDArray[np.int64], ends_ps: NDArray[np.int64]) -> None:
        """Which tokens came out at the ends of these rotations: first ones, last ones, and gaps between others."""
        n, rows = len(ends_ps), self._row[slots]
        until_first = self._first[slots] - self._context[slots]
        emits_first = (until_first >= 0) & (until_first < n)
        self.first_token_ps[rows[emits_first]] = ends_ps[until_first[emits_first]]
        finishes = self._last[slots] - self._context[slots] == n - 1
        self.finish_ps[rows[finishes]] = ends_ps[-1]
        # A slot ends a gap in every rotation after that of its first output token.
        begins = np.clip(until_first + 1, 0, n)
        self._gap_ps.append(rotation_ps)
        self._gap_counts.append(np.cumsum(np.bincount(begins, minlength=n + 1))[:n])

    def token_gaps(self) -> WeightedValues:
        """Each output token but a request's first comes one rotation after the one before."""
        if not self._gap_ps:
            return WeightedValues.of([], [])
        return WeightedValues.of(np.concatenate(self._gap_ps), np.concatenate(self._gap_counts))


POLICIES: Mapping[str, type[SlotPolicy]] = MappingProxyType({"independent": Independent, "slowest_stage": SlowestStage})
"""The policies by the name that a configuration gives them."""
