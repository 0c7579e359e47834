"""Speculative decoding: how many tokens a pass verifies and how many it gives, and what drafting them costs.

With length k a pass takes the last token of a sequence and k - 1 guesses of a draft model, and gives the guesses up to
the first wrong one, and one more token, which the pass itself has drawn: 1 to k tokens. Each guess is right with
probability p, whatever the others are, so that a pass gives (1 - p^k) / (1 - p) tokens in the mean. The last passes of
a sequence bring no more tokens than it still needs.

Source: Leviathan, Kalman and Matias, "Fast Inference from Transformers via Speculative Decoding" (ICML 2023),
equation 1, with its gamma = k - 1. PAPI (ASPLOS 2025) and most hardware papers count every verified token as given:
p = 1, a draft that costs nothing.
Not modelled: trees of guesses, a length that adapts, a draft model that shares the machine, keys and values of wrong
guesses beyond the pass.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from simulator.contracts.results import StepResult
from simulator.contracts.system import BatchesRequests
from simulator.contracts.tasks import NO_COPY, Schedule, TaskColumns
from simulator.core.energy import BackgroundPower, EnergyLedger
from simulator.core.errors import ConfigError
from simulator.core.seeds import child_rng
from simulator.workload.batch import MAX_VERIFIED_TOKENS, Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]

AcceptanceModel = Literal["expected", "sampled"]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The passes of one request, int64[n] each: `new` tokens that it brings to each, and tokens `given` by each."""

    new: Int64s
    given: Int64s

    def __len__(self) -> int:
        return len(self.new)

    @property
    def given_before(self) -> Int64s:
        """Tokens given by the passes before each one."""
        return np.cumsum(self.given) - self.given


@dataclass(frozen=True, slots=True)
class Speculation:
    """`length` tokens of a sequence are verified in a pass; 1 is decoding without guesses.

    `acceptance` is the probability that a guess is right. With `model` "expected" the passes of a request give the mean
    number of tokens, whole ones as they add up; with "sampled" each draws its own, from `seed` and the request's id. At
    1 both give all. A drafted token takes `draft_ps`, one after the other and for all sequences at once, before the
    pass, and `draft_pj` for each sequence. Errors: ConfigError for what cannot be.
    """

    length: int = 1
    acceptance: float = 1.0
    model: AcceptanceModel = "expected"
    draft_ps: int = 0
    draft_pj: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_VERIFIED_TOKENS:
            raise ConfigError(
                f"{self.length} tokens of a sequence in a pass",
                where="serving.speculation_length",
                remedy=f"give 1, which is no speculation, to {MAX_VERIFIED_TOKENS}",
            )
        if not 0 <= self.acceptance <= 1:
            raise ConfigError(
                f"a guess is right with probability {self.acceptance}",
                where="serving.acceptance",
                remedy="give a number from 0 to 1",
            )
        if self.model not in get_args(AcceptanceModel):
            raise ConfigError(
                f"acceptance model {self.model!r} is not known",
                where="serving.acceptance_model",
                remedy="write one of: " + ", ".join(get_args(AcceptanceModel)),
            )
        if not (0 <= self.draft_ps < math.inf and 0 <= self.draft_pj < math.inf):
            raise ConfigError(
                f"a drafted token takes {self.draft_ps} ps and {self.draft_pj} pJ",
                where="serving.draft_time",
                remedy="give zero or more",
            )

    @property
    def in_words(self) -> str | None:
        """What a reader of results must know of it; nothing without speculation."""
        if self.length == 1:
            return None
        accepted = "all are accepted" if self.acceptance == 1.0 else f"each guess is right with {self.acceptance:g}"
        how = "" if self.acceptance == 1.0 else f" ({self.model})"
        costs = "the draft model costs nothing"
        if self.draft_ps or self.draft_pj:
            costs = f"a drafted token takes {self.draft_ps / 1e9:g} ms and {self.draft_pj / 1e9:g} mJ"
        return f"a pass verifies {self.length} tokens of a sequence: {accepted}{how}; {costs}"

    def mean_given(self, new_tokens: int) -> float:
        """Tokens that a pass with so many gives in the mean: (1 - p^k) / (1 - p)."""
        return math.fsum(self.acceptance**guess for guess in range(new_tokens))

    def course(self, output_tokens: int, request_id: int = 0) -> Course:
        """The passes of a request after its prompt, which gives the first of its output tokens."""
        left = output_tokens - 1
        if self.acceptance == 1.0 or self.length == 1:
            new = np.full(-(-left // self.length), self.length, np.int64)
            if left % self.length:
                new[-1] = left % self.length
            return Course(new, new)
        if self.model == "sampled":
            right = self._right_in_a_row(left, request_id)
        means = [self.mean_given(new_tokens) for new_tokens in range(self.length + 1)]
        new_tokens_of: list[int] = []
        given_by: list[int] = []
        owed = 0.0
        while left:
            new_tokens = min(self.length, left)
            if self.model == "sampled":
                given = min(new_tokens, 1 + right[len(given_by)])
            else:
                owed += means[new_tokens]
                given = min(new_tokens, int(owed + 1e-9))
                owed -= given
            new_tokens_of.append(new_tokens)
            given_by.append(given)
            left -= given
        return Course(np.array(new_tokens_of, np.int64), np.array(given_by, np.int64))

    def _right_in_a_row(self, n_passes: int, request_id: int) -> list[int]:
        """Of each pass, how many guesses are right before the first wrong one, were there enough of them."""
        drawn = 1.0 - child_rng(self.seed, "acceptance", request_id).random(n_passes)
        if self.acceptance == 0.0:
            return [0] * n_passes
        runs = np.floor(np.log(drawn) / math.log(self.acceptance))
        found: list[int] = np.minimum(runs, self.length).astype(np.int64).tolist()
        return found


def drafted(system: BatchesRequests, speculation: Speculation, idle_power_w: float = 0.0) -> BatchesRequests:
    """The system with the draft before each of its passes, while which it idles; itself where a draft costs nothing."""
    if speculation.length == 1 or not (speculation.draft_ps or speculation.draft_pj):
        return system
    return DraftedSteps(system, speculation, idle_power_w)


class DraftedSteps:
    """A system whose passes begin when a draft model, which is no part of it, has guessed the tokens to verify."""

    takes_batches: Literal[True] = True

    def __init__(self, system: BatchesRequests, speculation: Speculation, idle_power_w: float) -> None:
        self._system = system
        self._speculation = speculation
        self._idle_mw = idle_power_w * 1e3

    def step_key(self, batch: Batch) -> Hashable:
        """The system's own key, and how many sequences verify how many tokens."""
        return self._system.step_key(batch), tuple((new_tokens, n) for new_tokens, n, _ in batch.verified)

    def step(self, batch: Batch) -> StepResult:
        """The system's step, after the draft."""
        step = self._system.step(batch)
        if not batch.verified:
            return step
        speculation = self._speculation
        draft_ps = (batch.verified[-1][0] - 1) * speculation.draft_ps
        draft_pj = speculation.draft_pj * sum((new_tokens - 1) * n for new_tokens, n, _ in batch.verified)
        idle = BackgroundPower("machine", "waits for the draft", self._idle_mw, draft_ps)
        energy = step.energy + EnergyLedger({"draft": draft_pj}, (idle,) if draft_ps else ())
        latency_ps = step.latency_ps + draft_ps
        return StepResult(
            latency_ps=latency_ps,
            interval_ps=step.interval_ps + draft_ps,
            n_slots=step.n_slots,
            schedule=_after_draft(step.schedule, draft_ps) if draft_ps else step.schedule,
            energy=energy,
            power_w=energy.total_pj / latency_ps,
            traffic_bytes=step.traffic_bytes,
            bounds=step.bounds,
            metrics=step.metrics,
            breakdown=step.breakdown,
            notes=step.notes,
        )


def _after_draft(plan: Schedule, draft_ps: int) -> Schedule:
    """The same schedule behind one more task, for which all others wait."""
    tasks = plan.tasks
    n, first = len(tasks), np.zeros(1, np.int64)
    starts = np.flatnonzero(np.diff(tasks.after_offsets) == 0)  # tasks that waited for nothing wait for the draft
    after_offsets = np.concatenate((first, tasks.after_offsets))
    after_offsets[2:] += np.searchsorted(starts, np.arange(n), side="right")
    columns = TaskColumns(
        operators=(*tasks.operators, "draft_model"),
        resources=(*tasks.resources, "draft"),
        operator=np.concatenate(([len(tasks.operators)], tasks.operator)).astype(np.int32),
        resource=np.concatenate(([len(tasks.resources)], tasks.resource)).astype(np.int32),
        duration_ps=np.concatenate(([draft_ps], tasks.duration_ps)).astype(np.int64),
        after_offsets=after_offsets,
        after=np.insert(tasks.after + 1, tasks.after_offsets[starts], 0).astype(np.int32),
        copy=np.concatenate(([NO_COPY], tasks.copy)).astype(np.int32),
    )
    return Schedule(
        tasks=columns,
        start_ps=np.concatenate((first, plan.start_ps + draft_ps)),
        end_ps=np.concatenate((first + draft_ps, plan.end_ps + draft_ps)),
        makespan_ps=plan.makespan_ps + draft_ps,
        critical_path=(0, *(index + 1 for index in plan.critical_path)),
    )
