"""What an engine that batches knows between iterations: who waits, and who runs and how far.

A waiting room and the running sequences are chosen apart from each other: continuous or static batching, one token or
several in a pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from simulator.serving.batching_rules import BatchingRules
from simulator.serving.requests import Requests
from simulator.serving.speculation import Course, Speculation
from simulator.workload.batch import Batch, Run, Sequence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]
    Float64s = NDArray[np.float64]


class Waiting:
    """The queue, first come, first served, and the room that those hold who have left it.

    `head` is the row of the first who waits, `start_ps` when each row left the queue, `finish_ps` when it was done, and
    `iteration` where its prompt went.
    """

    def __init__(self, requests: Requests, rules: BatchingRules, limit_tokens: int | None) -> None:
        n = len(requests)
        self.rules = rules
        self.limit_tokens = limit_tokens
        self.arrival_ps: list[int] = requests.arrival_ps.tolist()
        self.needed: list[int] = requests.total_tokens.tolist()
        self.prompt: list[int] = requests.prompt_tokens.tolist()
        self.order = requests.queue_order()
        self.n_left = 0  # how many have left the queue
        self.head: int | None = self.order[0]
        self.start_ps, self.finish_ps, self.iteration = [0] * n, [0] * n, [0] * n
        self.reserved = 0

    def admit(self, now_ps: int, n_running: int, iteration: int) -> list[int]:
        """Take up requests for the iteration that begins now beside so many sequences that run: their rows."""
        n_tokens = n_running if self.rules.prefill == "mixed" else 0
        return self._taken(now_ps, self.rules.max_num_seqs - n_running, n_tokens, iteration)

    def _taken(self, now_ps: int, n_free: int, n_tokens: int, iteration: int) -> list[int]:
        rows: list[int] = []
        head = self.head
        while head is not None and self.arrival_ps[head] <= now_ps and len(rows) < n_free:
            n_tokens += self.prompt[head]
            if rows and n_tokens > self.rules.max_num_batched_tokens:
                break
            if self.limit_tokens is not None and self.reserved + self.needed[head] > self.limit_tokens:
                break
            self.reserved += self.needed[head]
            self.start_ps[head] = now_ps
            self.iteration[head] = iteration
            rows.append(head)
            self.n_left += 1
            head = self.order[self.n_left] if self.n_left < len(self.order) else None
        self.head = head
        return rows

    def leave(self, row: int, now_ps: int) -> None:
        """The request of this row is done, and gives its room back."""
        self.finish_ps[row] = now_ps
        self.reserved -= self.needed[row]


class WaitingForBatch(Waiting):
    """Static batching: who waits when the engine is empty goes together, as many as there is room for; who comes later
    waits until all of them are done. Prompts beyond an iteration's tokens go in further iterations, before any decode.
    """

    def __init__(self, requests: Requests, rules: BatchingRules, limit_tokens: int | None) -> None:
        super().__init__(requests, rules, limit_tokens)
        self.n_of_batch = 0  # members whose prompts have not gone yet

    def admit(self, now_ps: int, n_running: int, iteration: int) -> list[int]:
        """Take up members of the batch for the iteration that begins now: their rows."""
        if not self.n_of_batch:
            if n_running:
                return []
            self.n_of_batch = self._size(now_ps)
        rows = self._taken(now_ps, self.n_of_batch, 0, iteration)
        self.n_of_batch -= len(rows)
        return rows

    def _size(self, now_ps: int) -> int:
        """How many of those who wait now fit together."""
        n, reserved = 0, 0
        for row in self.order[self.n_left : self.n_left + self.rules.max_num_seqs]:
            reserved += self.needed[row]
            if self.arrival_ps[row] > now_ps or (self.limit_tokens is not None and reserved > self.limit_tokens):
                break
            n += 1
        return n


class RunningSequences(Protocol):
    """Sequences that run: every one of them takes part in every pass, that is, in every iteration with decodes."""

    n: int
    n_passes_before: list[int]

    def batch(self, rows: list[int], *, decodes: bool) -> Batch:
        """The batch of the prompts of these rows, and of the running sequences if they take part."""
        ...

    def advance(self, rows: list[int], *, decodes: bool) -> list[int]:
        """After an iteration: keep the rows whose prompts went, and let go of those that are done, which it returns."""
        ...

    def pass_columns(self, n_decodes: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """Of passes with so many sequences each: tokens that they brought, tokens given, and the most that one of them
        brought."""
        ...

    def shares(self, pj_per_token: Float64s) -> Float64s:
        """Energy of each request's part in the passes, from the energy per token of each pass."""
        ...


class SingleTokens:
    """Sequences that bring one token to each pass.

    One that was taken up after `d` passes with P prompt tokens attends to P - d + p positions in pass p. So `offsets`
    P - d are all that is kept of it, and nothing of it changes until it finishes, in pass d + O - 1.
    """

    def __init__(self, requests: Requests) -> None:
        self.prompt: list[int] = requests.prompt_tokens.tolist()
        self.output: list[int] = requests.output_tokens.tolist()
        self.n_passes_before = [0] * len(requests)  # of a request: passes before it was taken up
        self.n = self.n_passes = 0
        self.offsets: list[int] = []
        self.offset_sum = 0
        self.frozen: tuple[int, ...] = ()  # the offsets, as batches hold them
        self.finishing: dict[int, list[int]] = {}  # rows by the pass that gives them their last token

    def batch(self, rows: list[int], *, decodes: bool) -> Batch:
        """The batch of the prompts of these rows, and of the running sequences if they take part."""
        contexts: tuple[int, ...] = ()
        by = total = 0
        if decodes:
            contexts, by = self.frozen, self.n_passes + 1
            total = self.offset_sum + by * len(contexts)
        if not rows:
            return Batch.advanced(contexts, by, total)
        n_single = sum([self.prompt[row] == 1 for row in rows])
        contexts, total = contexts + (1 - by,) * n_single, total + n_single
        return Batch.advanced(contexts, by, total, _prompts(self.prompt, rows))

    def advance(self, rows: list[int], *, decodes: bool) -> list[int]:
        """After an iteration: keep the rows whose prompts went, and let go of those that are done, which it returns."""
        done: list[int] = []
        if decodes:
            self.n_passes += 1
            done = self.finishing.pop(self.n_passes, [])
            for row in done:
                offset = self.prompt[row] - self.n_passes_before[row]
                self.offsets.remove(offset)
                self.offset_sum -= offset
        if not rows and not done:
            return done
        for row in rows:
            self.n_passes_before[row] = self.n_passes
            if self.output[row] == 1:
                done.append(row)
                continue
            offset = self.prompt[row] - self.n_passes
            self.offsets.append(offset)
            self.offset_sum += offset
            self.finishing.setdefault(self.n_passes + self.output[row] - 1, []).append(row)
        self.frozen, self.n = tuple(self.offsets), len(self.offsets)
        return done

    def pass_columns(self, n_decodes: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """One token of each sequence, brought and given."""
        return n_decodes, n_decodes, np.ones_like(n_decodes)

    def shares(self, pj_per_token: Float64s) -> Float64s:
        """Energy of each request's part in the passes, from the energy per token of each pass."""
        through = np.concatenate((np.zeros(1), np.cumsum(pj_per_token)))
        before = np.array(self.n_passes_before)
        shares: Float64s = through[before + np.array(self.output) - 1] - through[before]
        return shares


class SeveralTokens:
    """Sequences that bring several tokens to a pass and get as many of them as are accepted: each follows a course that
    is known when it is taken up, so that no sequence looks at another."""

    def __init__(self, requests: Requests, speculation: Speculation) -> None:
        self.prompt: list[int] = requests.prompt_tokens.tolist()
        self.output: list[int] = requests.output_tokens.tolist()
        self.ids: list[int] = requests.ids.tolist()
        self.speculation = speculation
        self.n_passes_before = [0] * len(requests)
        self.n = self.n_passes = 0
        self.courses: dict[int, Course] = {}  # of all rows that were ever taken up and bring anything
        self.parts: dict[int, Iterator[tuple[int, int]]] = {}  # of running rows: (new tokens, context) of each pass
        self.finishing: dict[int, list[int]] = {}

    def batch(self, rows: list[int], *, decodes: bool) -> Batch:
        """The batch of the prompts of these rows, and of the running sequences if they take part."""
        several = tuple(map(next, self.parts.values())) if decodes else ()
        if not rows:
            return Batch.verifying(several)
        n_single = sum([self.prompt[row] == 1 for row in rows])
        return Batch.verifying(several + ((1, 1),) * n_single, _prompts(self.prompt, rows))

    def advance(self, rows: list[int], *, decodes: bool) -> list[int]:
        """After an iteration: keep the rows whose prompts went, and let go of those that are done, which it returns."""
        done: list[int] = []
        if decodes:
            self.n_passes += 1
            done = self.finishing.pop(self.n_passes, [])
            for row in done:
                del self.parts[row]
        for row in rows:
            self.n_passes_before[row] = self.n_passes
            if self.output[row] == 1:
                done.append(row)
                continue
            course = self.courses[row] = self.speculation.course(self.output[row], self.ids[row])
            contexts = self.prompt[row] + course.given_before + course.new
            self.parts[row] = zip(course.new.tolist(), contexts.tolist(), strict=True)
            self.finishing.setdefault(self.n_passes + len(course), []).append(row)
        self.n = len(self.parts)
        return done

    def pass_columns(self, n_decodes: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """Of passes with so many sequences each: tokens that they brought, tokens given, and the most that one of them
        brought."""
        brought, given, most = np.zeros_like(n_decodes), np.zeros_like(n_decodes), np.zeros_like(n_decodes)
        for row, course in self.courses.items():
            before = self.n_passes_before[row]
            passes = slice(before, before + len(course))
            brought[passes] += course.new
            given[passes] += course.given
            np.maximum(most[passes], course.new, out=most[passes])
        return brought, given, most

    def shares(self, pj_per_token: Float64s) -> Float64s:
        """Energy of each request's part in the passes, from the energy per token of each pass."""
        shares = np.zeros(len(self.prompt))
        for row, course in self.courses.items():
            before = self.n_passes_before[row]
            shares[row] = course.new @ pj_per_token[before : before + len(course)]
        return shares


def _prompts(prompt: list[int], rows: list[int]) -> tuple[Run, ...]:
    """The prompts of these rows that have more than one token; those of one are like a decode."""
    prompts: list[Run] = [(Sequence(prompt[row], prompt[row]), 1) for row in rows if prompt[row] > 1]
    return Batch.of_runs(prompts).runs if len(prompts) > 1 else tuple(prompts)
