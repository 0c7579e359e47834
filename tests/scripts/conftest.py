"""The measuring program's modules, and a PyTorch that only counts time."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest


@pytest.fixture(autouse=True)
def _scripts_on_the_path(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repo_root / "scripts"))


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in on which every call takes 1 ms per replayed graph."""
    stand_in = MagicMock(name="torch")
    stand_in.__version__ = "2.9"
    stand_in.version.cuda = "13.0"
    stand_in.backends.cudnn.version.return_value = 90000
    stand_in.cuda.OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {})
    stand_in.cuda.is_available.return_value = True
    stand_in.cuda.device_count.return_value = 2
    stand_in.cuda.get_device_properties.return_value = SimpleNamespace(
        name="Stand-in", major=9, minor=0, multi_processor_count=132, total_memory=1 << 37, L2_cache_size=50_000_000
    )
    stand_in.cuda.Event.return_value.elapsed_time.return_value = 1.0
    made = stand_in.nn.functional.linear.return_value
    made.chunk.return_value = (made, made)
    made.split.return_value = (made, made, made)
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    return stand_in
