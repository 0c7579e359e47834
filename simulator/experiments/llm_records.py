"""The record of a run without a trace, and what such runs check and say alike, whatever the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.contracts.results import RunRecord, Scalar, StepResult, Table
from simulator.contracts.system import (
    BatchesRequests,
    ChecksCapacity,
    HasTables,
    NamesItsMachine,
    scopes_of,
)
from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.breakdowns import mean_breakdown
from simulator.experiments.settings import Settings
from simulator.serving.speculation import drafted
from simulator.workload.batch import Batch

PS_PER_S = 1e12
# What a reader looks at first, as far as the run has it.
KEY_METRICS = ("throughput_tokens_per_s", "query_latency_s", "step_time_ms", "ttft_ms", "token_latency_ms", "time_us",
               "energy_mj_per_token", "energy_mj", "power_w", "device_cycles")  # fmt: skip
N_KEY_METRICS = 5


def needed_context(settings: Settings) -> int:
    """The workload's context. Raises ConfigError where it states none."""
    if settings.workload.context is None:
        raise ConfigError(
            "this workload needs a context", where="workload.context", remedy="give --set workload.context=4096, say"
        )
    return settings.workload.context


def said_power(power_w: float) -> str:
    """A power in a sentence: whole watts where there are ten, else three digits."""
    return f"{power_w:,.0f} W" if power_w >= 10 else f"{power_w:.3g} W"


def said_time(time_ms: float) -> str:
    """A time in a sentence: milliseconds up to ten seconds, then seconds."""
    return f"{time_ms:,.1f} ms" if time_ms < 1e4 else f"{time_ms / 1e3:,.2f} s"


def checked_room(system: Any, n_sequences: int, context: int) -> str | None:
    """What the system says of the memory that sequences need: a note, or nothing. Raises MappingError as it does."""
    return system.check_capacity(n_sequences, context) if isinstance(system, ChecksCapacity) else None


def batch_of_step(settings: Settings, system: Any) -> Batch:
    """The batch of `workload.phase`: whole prompts, or a token of each sequence, or as many as a machine that takes
    batches verifies in a pass. Raises WorkloadError for a context without room for them."""
    workload, context = settings.workload, needed_context(settings)
    if workload.phase == "prefill":
        return Batch.prefill(context, workload.batch)
    length = settings.speculation.length if isinstance(system, BatchesRequests) else 1
    return Batch.decode(context, workload.batch, length)


def with_draft(settings: Settings, system: Any) -> Any:
    """A machine that takes batches with the draft model that the `serving` section states, others as they are."""
    if not isinstance(system, BatchesRequests):
        return system
    return drafted(system, settings.speculation, getattr(system, "idle_power_w", 0.0))


def checked_scope(settings: Settings) -> str:
    """The part of the model that the workload names. Raises WorkloadError where the system has no such part."""
    scope, scopes = settings.workload.scope, scopes_of(settings.system_class)
    if scope not in scopes:
        raise WorkloadError(
            f"system `{settings.tree.get('system.kind')}` has no scope `{scope}`",
            where=settings.tree.position("workload.scope"),
            remedy="choose one of: " + ", ".join(("query", *scopes)),
        )
    return scope


def on_machine(system: object) -> str:
    """ " on 4 x NVIDIA H200 SXM" for a system that names its machine, and nothing for others."""
    return f" on {system.machine}" if isinstance(system, NamesItsMachine) else ""


def system_tables(system: object) -> dict[str, Table]:
    """Tables that a system has of its own."""
    return system.tables() if isinstance(system, HasTables) else {}


def llm_record(
    settings: Settings,
    what: str,
    metrics: dict[str, int | float],
    weighted: Sequence[tuple[StepResult, float]],
    headlines: tuple[str, ...],
    note: str | None,
    comparison: dict[str, Scalar] | None = None,
    *,
    per: tuple[float, float] | None = None,
) -> RunRecord:
    """A record with the breakdown per token by resource, operator, component and bound, over weighted steps.

    `comparison` holds what the other accounting of the machine gives. `per` is what the sums of time and of energy over
    the steps are divided by where the weights do not count tokens; only a machine that runs queries in batches has it.
    """
    # The means are over tokens, but for a part of a block, and for a step that is not made of tokens.
    is_mean = what in ("query", "token", "block") or len(weighted) > 1 or weighted[0][1] != 1.0
    parts = mean_breakdown(weighted, "token_" if is_mean else "", per=per)
    breakdown = dict(parts.breakdown)
    if per is None:  # else the longest step is one of many kinds
        breakdown.update(parts.longest.breakdown)
    if comparison:
        breakdown["other_accounting"] = comparison
    workload = settings.workload
    context = workload.prompt_tokens + workload.output_tokens if what == "query" else workload.context or 0
    unused = None
    if what == "query" and per is not None and workload.context is not None:
        unused = "workload.context belongs to a step or a part; a query has none"
    elif what == "query" and per is None and (workload.context is not None or workload.batch != 1):
        unused = "workload.context and workload.batch belong to a step or a part; a query has neither"
    of_steps = parts.longest.notes if per is None else [f"in the longest step: {text}" for text in parts.longest.notes]
    overlap = None
    if parts.longest.operators_overlap:
        overlap = "resources work at once: their times add up to more than a step, and a share is of that sum"
    told = (note, unused, overlap, settings.context_note(context), _in_words(comparison, metrics), *of_steps)
    return RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=f"{settings.model.name}-{what}",
        metrics=metrics,
        breakdown=breakdown,
        headlines=headlines,
        notes=tuple(text for text in told if text),
        operators=parts.operators,
        spans=Table.of_spans(parts.longest.schedule),
        key_metrics=tuple(name for name in KEY_METRICS if name in metrics)[:N_KEY_METRICS],
    )


def _in_words(comparison: dict[str, Scalar] | None, metrics: dict[str, int | float]) -> str | None:
    """By how much the other accounting of the same machine differs."""
    if not comparison:
        return None
    parts = []
    for name, words, unit in (
        ("throughput_tokens_per_s", "throughput", "tokens/s"),
        ("energy_mj_per_token", "energy", "mJ/token"),
        ("power_w", "power", "W"),
    ):
        value = float(comparison[name])
        parts.append(f"{words} {value:,.1f} {unit} ({value / metrics[name] - 1:+.1%})")
    return f"{comparison['accounting']} accounting of the same machine gives " + ", ".join(parts)
