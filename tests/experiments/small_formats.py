"""A study of number formats on a model of random weights with 24 hidden values: what figures compute, in a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from simulator.experiments.format_study import FormatStudy, Reader, Text
from simulator.numerics.checkpoint import Checkpoint
from tests.numerics.checkpoints import random_checkpoint


@cache
def _folder() -> TemporaryDirectory[str]:
    """A folder that is removed when Python ends."""
    folder = TemporaryDirectory()
    random_checkpoint(Path(folder.name) / "model", max_position_embeddings=2048)
    return folder


def small_formats() -> FormatStudy:
    """Two readers of one model: one window of 48 tokens each."""
    model = Checkpoint.open(Path(_folder().name) / "model")
    tokens = np.random.default_rng(0).integers(0, 50, (3, 48))
    return FormatStudy([
        Reader("random, own text", model, Text("own text", tokens[:1], tokens[1:2])),
        Reader("random", model, Text("other text", tokens[1:2], tokens[2:])),
    ])  # fmt: skip
