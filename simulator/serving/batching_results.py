"""What serving requests in batches came to: the iterations, beside what every engine tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import Scalar, Table
from simulator.serving.costs import BatchCosts
from simulator.serving.requests import Requests
from simulator.serving.served import MS_PER_PS, Served, total_ps
from simulator.serving.statistics import WeightedValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Iterations:
    """Iterations of an engine in their order, a row each: int64[n], but for `energy_pj` float64[n].

    From `start_ps` to `end_ps` it ran a batch of `n_decodes` running sequences and `n_prompts` prompts of
    `prompt_tokens` together; `step` is the number of its step in the costs. One with decodes is a pass: every sequence
    that runs takes part in every pass. They brought `brought_tokens` to it, `most_brought` the one that brought most,
    and got `given_tokens` out of it: without speculation one token each, and 1. `n_switches` iterations began with a
    move of work to another unit, which is in their time.
    """

    start_ps: Int64s
    end_ps: Int64s
    n_decodes: Int64s
    n_prompts: Int64s
    prompt_tokens: Int64s
    energy_pj: NDArray[np.float64]
    step: Int64s
    brought_tokens: Int64s
    given_tokens: Int64s
    most_brought: Int64s
    n_switches: int = 0

    def __len__(self) -> int:
        return len(self.start_ps)

    @property
    def n_sequences(self) -> Int64s:
        """Sequences of each batch."""
        return self.n_decodes + self.n_prompts

    @property
    def n_tokens(self) -> Int64s:
        """Tokens that each batch computed."""
        return self.brought_tokens + self.prompt_tokens

    @property
    def took_ps(self) -> Int64s:
        """Time of each iteration."""
        return self.end_ps - self.start_ps

    @property
    def busy_ps(self) -> int:
        """Time of all iterations."""
        return int(self.took_ps.sum())

    @property
    def pj_per_token(self) -> NDArray[np.float64]:
        """Energy of each iteration, shared by the tokens that it computed."""
        return self.energy_pj / self.n_tokens

    @property
    def passes_pj_per_token(self) -> NDArray[np.float64]:
        """The same of the passes only."""
        return self.pj_per_token[self.n_decodes > 0]

    def tokens_over_time(self) -> tuple[Int64s, Int64s]:
        """Tokens of the batch that runs, as steps: rising times, and from each time on the number; 0 while none runs,
        and at the end."""
        ends_idle = np.append(self.end_ps[:-1] < self.start_ps[1:], True)
        times = np.concatenate((self.start_ps, self.end_ps[ends_idle]))
        tokens = np.concatenate((self.n_tokens, np.zeros(int(ends_idle.sum()), np.int64)))
        order = np.argsort(times, kind="stable")
        return times[order], tokens[order]

    def prompts_pj(self, requests: Requests, iteration: Int64s) -> NDArray[np.float64]:
        """Energy of each request's prompt, which went in its `iteration` int64[n]."""
        prompts: NDArray[np.float64] = requests.prompt_tokens * self.pj_per_token[iteration]
        return prompts

    def phase_metrics(self) -> dict[str, int | float]:
        """Time of prompts and of passes, and what a pass takes; nothing where an iteration holds both."""
        is_pass = self.n_decodes > 0
        if (is_pass & (self.n_prompts > 0)).any():
            return {}
        took_ps, n_passes = self.took_ps, int(is_pass.sum())
        decode_ps = total_ps(took_ps[is_pass])
        metrics: dict[str, int | float] = {
            "prefill_time_s": total_ps(took_ps[~is_pass]) * 1e-12,
            "decode_time_s": decode_ps * 1e-12,
            "n_passes": n_passes,
        }
        if n_passes:
            metrics["decode_ms_per_step"] = decode_ps / n_passes * 1e-9
            metrics["energy_mj_per_step"] = float(self.energy_pj[is_pass].sum()) / n_passes * 1e-9
            metrics["time_per_token_ms"] = decode_ps / int(self.given_tokens.sum()) * 1e-9
        return metrics

    def token_gaps(self, output_tokens: Int64s, iteration: Int64s) -> WeightedValues:
        """Times between consecutive output tokens of a request, whose first came out of its `iteration` int64[n].

        A pass ends a gap of every sequence in it: since the pass before, or, for those taken up since, since the end of
        the iteration that took them up. Further tokens that it gives to a sequence come at once.
        """
        passes = np.flatnonzero(self.n_decodes > 0)
        if not len(passes):
            return WeightedValues.of([], [])
        joined = np.bincount(iteration[output_tokens > 1], minlength=len(self))
        joins = np.flatnonzero(joined)
        next_pass = np.searchsorted(passes, joins, side="right")
        new_gap_ps = self.end_ps[passes[next_pass]] - self.end_ps[joins]
        n_new = np.bincount(next_pass, weights=joined[joins], minlength=len(passes)).astype(np.int64)
        pass_ends_ps = self.end_ps[passes]
        gap_ps = np.diff(pass_ends_ps, prepend=pass_ends_ps[:1])
        at_once = int(self.given_tokens.sum() - self.n_decodes.sum())
        return WeightedValues.of(
            np.concatenate((gap_ps, new_gap_ps, [0])),
            np.concatenate((self.n_decodes[passes] - n_new, joined[joins], [at_once])),
        )


@dataclass(frozen=True, slots=True, eq=False)
class BatchingResult(Served):
    """Requests served by an engine that batches them.

    `start_ps` is when the iteration began that took a request up; `tokens_pj` its share of the energy of its
    iterations, background power included: idle power flows only while no iteration runs. `costs` says what the steps
    of the iterations cost.
    """

    iterations: Iterations
    costs: BatchCosts

    @property
    def idle_ps(self) -> int:
        """Time in which no iteration ran, from the first arrival to the last finish."""
        return self.makespan_ps - self.iterations.busy_ps

    @property
    def busy_frac(self) -> float:
        """Part of the makespan in which an iteration ran."""
        return self.iterations.busy_ps / self.makespan_ps

    def step_counts(self) -> Int64s:
        """How many iterations took each step of the costs."""
        return np.bincount(self.iterations.step, minlength=len(self.costs.latency_ps))

    def iteration_table(self) -> Table:
        """A row per iteration. `rlp` are the sequences that decode in it, `tlp` the most tokens that one of them
        brings; `tokens` are output tokens, those that prompts give included; `placement` is empty where the machine
        names none."""
        iterations, placement = self.iterations, self.costs.placement
        finished = np.bincount(np.searchsorted(iterations.end_ps, self.finish_ps), minlength=len(iterations))
        columns: dict[str, Sequence[Scalar | None]] = {
            "iteration": range(len(iterations)),
            "start_ms": (iterations.start_ps * MS_PER_PS).tolist(),
            "time_ms": (iterations.took_ps * MS_PER_PS).tolist(),
            "rlp": iterations.n_decodes.tolist(),
            "tlp": iterations.most_brought.tolist(),
            "rlp_x_tlp": (iterations.n_decodes * iterations.most_brought).tolist(),
            "n_prompts": iterations.n_prompts.tolist(),
            "prompt_tokens": iterations.prompt_tokens.tolist(),
            "tokens": (iterations.given_tokens + iterations.n_prompts).tolist(),
            "finished": finished.tolist(),
            "placement": [placement[step] if placement else None for step in iterations.step.tolist()],
            "energy_mj": (iterations.energy_pj * 1e-9).tolist(),
        }
        return Table(tuple(columns), list(zip(*columns.values(), strict=True)))

    def own_metrics(self) -> dict[str, int | float]:
        """How many iterations there were and how full they were."""
        iterations = self.iterations
        n, took_ps = len(iterations), iterations.took_ps
        speculation: dict[str, int | float] = {}
        if (iterations.most_brought > 1).any():
            n_parts = int(iterations.n_decodes.sum())
            speculation["tokens_verified_mean"] = int(iterations.brought_tokens.sum()) / n_parts
            speculation["tokens_given_mean"] = int(iterations.given_tokens.sum()) / n_parts
        if self.costs.places is not None:
            speculation["n_switches"] = iterations.n_switches
        return {
            "busy_frac": self.busy_frac,
            "n_iterations": n,
            "n_distinct_steps": len(self.costs.latency_ps),
            "iteration_ms_mean": total_ps(took_ps) / n * 1e-9,
            "iteration_ms_max": int(took_ps.max()) * 1e-9,
            "batch_sequences_mean": float(iterations.n_sequences.mean()),
            "batch_sequences_max": int(iterations.n_sequences.max()),
            "batch_tokens_mean": float(iterations.n_tokens.mean()),
            "batch_tokens_max": int(iterations.n_tokens.max()),
            **speculation,
            **iterations.phase_metrics(),
        }
