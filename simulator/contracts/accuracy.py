"""What a system that knows number formats gives for a model on text: how well it predicts, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.results import Scalar, Table

Windows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class AccuracySubject:
    """A model and texts: an opened checkpoint (`numerics.checkpoint.Checkpoint`), the names of formats or None for the
    machine's own, the attention rule, and windows of tokens int64[n, width] to score and for a search to look at.

    `reference_windows` of the scored ones, the first, are compared with the model as it is stored; `greedy_tokens`
    tokens continue the first `prompt_tokens` of the first window.
    """

    checkpoint: Any
    format: str | None
    attention: Any
    windows: Windows
    calibration: Windows
    reference_windows: int
    greedy_tokens: int
    prompt_tokens: int


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
        """Run the model on the windows in the machine's formats."""
        ...
