"""Runs of a model's accuracy as records: loss, perplexity, agreement, and what a system found beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulator.contracts.accuracy import AccuracyResult, EvaluatesAccuracy
from simulator.contracts.results import RunRecord, Series
from simulator.experiments.accuracy_settings import AccuracySettings

KEY_METRICS = ("loss", "perplexity", "bits_per_weight", "kl_nats", "bops_saving")


def run_accuracy_workload(settings: AccuracySettings) -> tuple[RunRecord, Mapping[str, str]]:
    """The record of a run, and the checksums of its checkpoint and tokens by path."""
    system: EvaluatesAccuracy = settings.evaluated()
    found = system.evaluate(settings.subject())
    return accuracy_record(settings, found), settings.checksums()


def accuracy_record(settings: AccuracySettings, found: AccuracyResult) -> RunRecord:
    """Everything that a run of accuracy hands to the report."""
    metrics = found.metrics
    width, n = settings.window_tokens, len(found.window_loss)
    headline = (
        f"{settings.checkpoint.shape.name} in {found.format}: perplexity {metrics['perplexity']:,.4f}, loss "
        f"{metrics['loss']:.4f} nats a token, over {n} window{'s' * (n > 1)} of {width:,} tokens"
    )
    windows = settings.workload.first_window + np.arange(n)
    return RunRecord(
        system=str(settings.tree.get("system.kind")),
        workload=settings.workload_name,
        metrics=metrics,
        breakdown=found.breakdown,
        headlines=(headline, *found.headlines),
        notes=tuple(found.notes),
        key_metrics=tuple(name for name in KEY_METRICS if name in metrics),
        series={"loss_nats": Series.of("window", windows, found.window_loss)} if n > 1 else {},
        tables=dict(found.tables),
        shown_tables=tuple(found.tables),
    )
