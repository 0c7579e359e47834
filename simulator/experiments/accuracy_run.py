"""Runs of a model's accuracy as records: loss, perplexity, agreement, and what a system found beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from simulator.contracts.accuracy import EvaluatesAccuracy
from simulator.contracts.results import RunRecord, Scalar, Series
from simulator.experiments.accuracy_settings import AccuracySettings
from simulator.numerics.accuracy import Accuracy
from simulator.numerics.format_names import model_formats

KEY_METRICS = ("loss", "perplexity", "bits_per_weight", "kl_nats", "bops_saving")


def run_accuracy_workload(settings: AccuracySettings) -> tuple[RunRecord, Mapping[str, str]]:
    """The record of a run, and the checksums of its checkpoint and tokens by path."""
    system: EvaluatesAccuracy = settings.system()
    found = system.evaluate(settings.subject())
    accuracy: Accuracy = found.accuracy
    metrics = {**accuracy_metrics(accuracy), **found.metrics}
    n, losses = accuracy.n_windows, accuracy.window_losses
    rule = "" if accuracy.attention == "dense" else f", attention by {accuracy.attention}"
    headline = (
        f"{accuracy.model} in {accuracy.format}{rule}: perplexity {accuracy.perplexity:,.4f}, "
        f"loss {accuracy.loss:.4f} nats a token, over {n} window{'s' * (n > 1)} of {accuracy.window_tokens:,} tokens"
    )
    windows = settings.workload.first_window + np.arange(n)
    record = RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=settings.workload_name,
        metrics=metrics,
        breakdown={**_breakdown(accuracy), **found.breakdown},
        headlines=(headline, *found.headlines),
        notes=(*_notes(accuracy), *found.notes),
        key_metrics=tuple(name for name in KEY_METRICS if name in metrics),
        series={"loss_nats": Series.of("window", windows, losses)} if n > 1 else {},
        tables=dict(found.tables),
        shown_tables=tuple(found.tables),
    )
    return record, settings.checksums()


def accuracy_metrics(accuracy: Accuracy) -> dict[str, int | float]:
    """Scalars of an evaluation, by name with unit."""
    found: dict[str, int | float] = {
        "loss": accuracy.loss,
        "perplexity": accuracy.perplexity,
        "bits_per_weight": accuracy.weights.bits_per_weight,
        "weight_rel_sq_error": accuracy.weights.rel_sq_error,
        "n_windows": accuracy.n_windows,
        "n_scored_tokens": accuracy.n_scored,
    }
    if (compared := accuracy.comparison) is not None:
        found["kl_nats"] = compared.kl_nats
        found["same_next_token_frac"] = compared.agreement_frac
        found["loss_increase_nats"] = compared.loss - compared.reference_loss
    if (greedy := accuracy.greedy) is not None:
        found["same_text_tokens"] = greedy.n_same_before_difference
        found["same_text_frac"] = greedy.same_frac
    return found


def _breakdown(accuracy: Accuracy) -> dict[str, dict[str, Scalar]]:
    bits: dict[str, Scalar] = {"weights": accuracy.weights.bits_per_weight}
    bits.update({f"inputs of {site}": value for site, value in accuracy.bits_per_activation.items()})
    bits.update({"keys": accuracy.bits_per_key, "values": accuracy.bits_per_value})
    found: dict[str, dict[str, Scalar]] = {"bits_per_value": bits}
    if picks := accuracy.weights.special_picks:
        weights = model_formats(accuracy.format).weights
        names = () if weights is None else weights.choice_names
        found["groups_by_choice"] = {names[pick] if names else str(pick): count for pick, count in picks.items()}
    return found


def _notes(accuracy: Accuracy) -> Iterator[str]:
    if (compared := accuracy.comparison) is not None:
        first = "the first window" if compared.n_windows == 1 else f"the first {compared.n_windows} windows"
        yield f"KL, the same next token and the increase of loss: against the model as stored, over {first}"
    if (greedy := accuracy.greedy) is not None:
        yield (
            f"the likeliest text after {greedy.n_prompt} tokens: the first {greedy.n_same_before_difference} of "
            f"{len(greedy.tokens)} tokens are those of the model as stored"
        )
