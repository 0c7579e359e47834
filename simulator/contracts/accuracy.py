"""What a system that knows number formats gives for a model on text: how well it predicts, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from simulator.contracts.results import Scalar, Table
from simulator.workload.model import ModelSpec


class AccuracySubject(Protocol):
    """A model and its texts: those to score, and those that a search of formats may look at.

    Formats are names, joined with `+`, as `numerics.format_names` reads them.
    """

    @property
    def format(self) -> str | None:
        """The formats that the user asks for; None leaves them to the machine."""

    @property
    def shape(self) -> ModelSpec:
        """The model's numbers."""

    def accuracy(self, formats: str) -> Any:
        """The model in these formats on the texts to score: `numerics.accuracy.Accuracy`."""

    def perplexity(self, formats: str) -> float:
        """The model's perplexity in these formats on the texts to score, nothing else looked at."""

    def calibration_perplexity(self, formats: str) -> float:
        """The same on the texts for a search. Raises WorkloadError where there are none."""


@dataclass(frozen=True, slots=True, eq=False)
class AccuracyResult:
    """How well a model predicts in a machine's formats (`numerics.accuracy.Accuracy`), and what the machine has found
    beside that: metrics by name with unit, breakdowns, tables and sentences."""

    accuracy: Any
    metrics: dict[str, int | float] = field(default_factory=dict)
    breakdown: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    headlines: Sequence[str] = ()
    notes: Sequence[str] = ()


@runtime_checkable
class EvaluatesAccuracy(Protocol):
    """A machine that says what its number formats do to a model (workload kind `accuracy`)."""

    def evaluate(self, subject: AccuracySubject) -> AccuracyResult:
        """Run the model in the machine's formats, or those that the subject names."""
        ...
