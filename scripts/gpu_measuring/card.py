"""The card under measurement: that there is one, what it is called, and what to do when a row fails on it."""

from __future__ import annotations

import datetime
import gc
import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from .board import PowerSource, board_facts, power_source
from .errors import MeasuringError, RowSkipped
from .rows import Row

ROTATED_L2_SIZES = 4
MAX_BUFFERS = 256


def import_torch() -> Any:
    """PyTorch with a CUDA card; raises MeasuringError where either is missing."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise MeasuringError(
            f"PyTorch cannot be imported ({error}): measuring needs PyTorch 2.5 or later with CUDA; "
            "--list and --dry-run work without it"
        ) from error
    if not torch.cuda.is_available():
        raise MeasuringError(
            f"PyTorch {torch.__version__} sees no CUDA card: look at nvidia-smi, CUDA_VISIBLE_DEVICES, and whether "
            "this PyTorch was built with CUDA"
        )
    return torch


def uuid_of(torch: Any) -> str | None:
    """The present card's UUID as its driver writes it, or None where this PyTorch does not tell."""
    uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
    return None if uuid is None else f"GPU-{str(uuid).removeprefix('GPU-')}"


def power_of(torch: Any) -> PowerSource | None:
    """Where the present card's power is read."""
    return power_source(uuid_of(torch))


def facts(torch: Any) -> dict[str, object]:
    """What the sidecar says of card, driver and libraries."""
    card = torch.cuda.get_device_properties(torch.cuda.current_device())
    source = power_of(torch)
    return {
        "gpu": card.name,
        "compute_capability": f"{card.major}.{card.minor}",
        "multiprocessors": card.multi_processor_count,
        "memory_bytes": card.total_memory,
        "l2_bytes": l2_bytes(torch),
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda),
        "cudnn": torch.backends.cudnn.version(),
        "power_source": source.name if source else None,
        "board": board_facts(uuid_of(torch)),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def l2_bytes(torch: Any) -> int:
    """Size of the last cache, 64 MiB where this PyTorch does not tell."""
    card = torch.cuda.get_device_properties(torch.cuda.current_device())
    return int(getattr(card, "L2_cache_size", 0) or 64 << 20)


def n_rotating(torch: Any, n_bytes: int) -> int:
    """How many buffers of this size exceed the last cache so far that none of them stays in it."""
    return max(1, min(MAX_BUFFERS, math.ceil(ROTATED_L2_SIZES * l2_bytes(torch) / n_bytes)))


class CardBench:
    """Measures a row by the method of its kind; whatever a card cannot do skips the row."""

    def __init__(self, torch: Any, named_by: str, methods: Mapping[str, Callable[[Row], Row]]) -> None:
        self._torch = torch
        self._named_by = named_by
        self._methods = methods

    def measure(self, row: Row) -> Row:
        """The row with its results; raises RowSkipped where memory does not suffice or a kernel is not there."""
        try:
            return {**row, **self._methods[str(row[self._named_by])](row)}
        except RowSkipped:
            raise
        except self._torch.cuda.OutOfMemoryError as error:
            raise RowSkipped("out of memory on this card") from error
        except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
            if _interrupted(error):
                raise KeyboardInterrupt from error
            raise RowSkipped(f"not supported here: {_first_line(error)}") from error
        finally:
            gc.collect()
            self._torch.cuda.empty_cache()

    def recover(self) -> None:
        """Free what the row left; raises MeasuringError where the card no longer answers."""
        try:
            self._torch.cuda.synchronize()
            self._torch.cuda.empty_cache()
        except RuntimeError as error:
            raise MeasuringError(
                f"the card no longer answers in this process ({_first_line(error)}): run again with --resume, "
                "and leave that row out with --kinds or --shapes"
            ) from error


def _interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C lies behind this error: ending a graph's capture half-way fails with an error of its own."""
    before: BaseException | None = error
    while before is not None and not isinstance(before, KeyboardInterrupt):
        before = before.__context__
    return before is not None


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
