"""What formats do to two trained models, as data: `targets/formats.yaml`, read by validation and figures only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.experiments.validate_targets import FOLDER

Pair = tuple[float, float]
"""Numbers of both models."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FormatRow(_Section):
    """A format, its name in the golden table, and what it gives on both models; `by` is how far a loss may be off where
    the suite knows why."""

    case: str
    format: str
    ppl: Pair
    error: Pair | None = None
    picks: tuple[list[int], list[int]] | None = None
    by: float = 0.0


class Suite(_Section):
    """Formats of one kind of tensors, on the first `n_windows` windows of each model; `known` is why losses are off."""

    suite: str
    title: str
    known: str = ""
    n_windows: tuple[int, int]
    rows: list[FormatRow]


class Longer(_Section):
    """Perplexities of the second model on more windows, by format."""

    n_windows: int
    formats: dict[str, float]


class Text(_Section):
    """The models as stored on all windows."""

    suite: str
    title: str
    n_windows: tuple[int, int]
    ppl: Pair
    longer: Longer


class SearchRow(_Section):
    """What a search finds, and by how much perplexity rises on its calibration windows and on those scored."""

    model: str
    tolerance: float
    mantissas: tuple[int, int, int, int]
    saving: str
    n_iterations: int
    calibration_pct: str
    pct: str


class Searches(_Section):
    """Searches, the windows that they look at (first, how many), and perplexities of the second model there.

    `known` is why a perplexity is off, `by` how far at most, in nats.
    """

    title: str
    known: str
    by: float
    calibration: tuple[tuple[int, int], tuple[int, int]]
    n_windows: tuple[int, int]
    increase_tolerance: float
    rows: list[SearchRow]
    found_ppl: dict[str, float]


class Ordering(_Section):
    """One format's loss is less than another's, says a paper; `known` is why it is not here, `by` at most how much."""

    better: str
    worse: str
    of: Literal["weights", "activations"] = "weights"
    paper: str
    known: str = ""
    by: float = 0.0


class FreeRow(_Section):
    """A format that adds at most so much to another's loss; `known` is why it does here, `by` at most how much."""

    format: str
    over: str
    most: float
    paper: str
    known: str = ""
    by: float = 0.0


class Free(_Section):
    """Formats that cost nothing, say their papers."""

    title: str
    rows: list[FreeRow]


class Orderings(_Section):
    """What papers say of formats beside each other."""

    title: str
    rows: list[Ordering]
    free: Free


class Sample(_Section):
    """What of the second model, and which searches, a validation looks at that does not look at everything."""

    weights: list[str]
    activations: list[str]
    kv: list[str]
    longer: list[str]
    searches: list[tuple[str, float]]


class Speed(_Section):
    """How long an evaluation may take."""

    model: str
    format: str
    n_windows: int
    most_s: float


class FormatTargets(_Section):
    """A file of targets of kind `formats`."""

    kind: Literal["formats"]
    source: str
    golden: str
    models: tuple[str, str]
    context: tuple[int, int]
    loss_tolerance: float
    error_frac: float
    picks_tolerance: int
    weights: Suite
    activations: Suite
    kv: Suite
    text: Text
    searches: Searches
    orderings: Orderings
    sample: Sample
    speed: Speed


def load_format_targets(path: Path = FOLDER / "formats.yaml") -> FormatTargets:
    """The targets of a file. Raises ConfigError at the place of what is wrong."""
    return bind(load_part(path), FormatTargets, ignore=())
