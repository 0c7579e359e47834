"""What figures compute of number formats: losses of models on texts, each once, and Anda's search of mantissas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.experiments.shared_models import HELD_OUT_TOKENS, models_directory
from simulator.numerics.accuracy import perplexity
from simulator.numerics.bit_operations import Mantissas, mac_weights
from simulator.numerics.checkpoint import CONFIG, Checkpoint, find_checkpoint
from simulator.numerics.precision_search import SearchResult, format_name, search_precision
from simulator.numerics.tried_formats import TriedFormats
from simulator.workload.tokens import TokenFile

OWN_MODEL, OWN_TEXT = "tiny-llama", "own_source"
WINDOW_TOKENS, N_WINDOWS = 2048, 2
CALIBRATION_WINDOW = 16
"""The window that a search looks at: 16, as in the reference measurements, or the last one of a shorter text."""

Windows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """Windows int64[n, tokens] that are scored, and one that a search looks at."""

    name: str
    windows: Windows
    calibration: Windows


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A model, and a text that it reads."""

    name: str
    checkpoint: Checkpoint
    text: Text


def readers() -> tuple[Reader, ...]:
    """Our own model on our own text, and the two models on the held-out text beside the checkout, where they are."""
    own = Checkpoint.open(find_checkpoint(OWN_MODEL))
    found = [Reader(f"{OWN_MODEL}, own text", own, _text("own text", OWN_TEXT, own, N_WINDOWS))]
    folder = models_directory()
    tokens = folder / HELD_OUT_TOKENS
    for name, n_windows in ((OWN_MODEL, N_WINDOWS), ("small-llama", 1)):
        if tokens.is_file() and (folder / name / CONFIG).is_file():
            model = Checkpoint.open(folder / name)
            found.append(Reader(name, model, _text("held-out text", str(tokens), model, n_windows)))
    return tuple(found)


def _text(name: str, tokens: str, model: Checkpoint, n_windows: int) -> Text:
    """The first windows of a file, and one further on."""
    file, vocab = TokenFile.read(tokens), model.shape.vocab
    last = len(file.tokens) // WINDOW_TOKENS - 1
    return Text(
        name,
        file.windows(0, n_windows, WINDOW_TOKENS, n_key="windows", vocab=vocab),
        file.windows(min(CALIBRATION_WINDOW, last), 1, WINDOW_TOKENS, n_key="windows", vocab=vocab),
    )


@dataclass(slots=True)
class FormatStudy:
    """Losses of every reader in any formats; what was computed is kept."""

    readers: Sequence[Reader] = field(default_factory=readers)
    _tried: dict[str, TriedFormats] = field(default_factory=dict)
    _searches: dict[tuple[str, float], SearchResult] = field(default_factory=dict)

    @property
    def own(self) -> Reader:
        """Our own model on our own text, which every clone has."""
        return self.readers[0]

    def loss(self, reader: Reader, formats: str) -> float:
        """Nats a token, the mean over the windows."""
        return self._of(reader).loss(formats, reader.text.windows)

    def perplexity(self, reader: Reader, formats: str) -> float:
        """exp of the loss."""
        return perplexity(self.loss(reader, formats))

    def search(self, reader: Reader, weights: str, tolerance: float) -> SearchResult:
        """Anda's mantissas for weights in a format, searched on the reader's calibration window."""
        key = (reader.name, tolerance)
        if key not in self._searches:

            def tried(mantissas: Mantissas) -> float:
                return self._calibration(reader, f"{weights}+{format_name(mantissas)}")

            reference = self._calibration(reader, f"{weights}+act_fp16")
            of_modules = mac_weights(reader.checkpoint.shape)
            self._searches[key] = search_precision(tried, reference, of_modules, tolerance=tolerance)
        return self._searches[key]

    def _calibration(self, reader: Reader, formats: str) -> float:
        return perplexity(self._of(reader).loss(formats, reader.text.calibration))

    def _of(self, reader: Reader) -> TriedFormats:
        """A reader's model; readers of one model share it."""
        path = str(reader.checkpoint.path)
        if path not in self._tried:
            self._tried[path] = TriedFormats(reader.checkpoint)
        return self._tried[path]
