"""Trained models and held-out text that may lie beside the checkout, in `../shared/models`."""

from __future__ import annotations

import os
from pathlib import Path

HELD_OUT_TOKENS = "eval_tokens.npy"


def models_directory() -> Path:
    """`../shared/models` beside the checkout, or below what SIMULATOR_SHARED names."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    return Path(os.environ.get("SIMULATOR_SHARED", beside)) / "models"
