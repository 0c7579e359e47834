"""Positions that a trained model attends to most, step by step: the file that `sim trace record-model` writes.

A numpy archive. What is needed of it: `positions` int32[n_layers, n_kv_heads, n_steps, k], the heaviest first, filled
with -1; `context` int32[n_steps], positions that there were to attend to at each step, the newest token's included;
`window` int32[n_steps], which text a step is of, the steps of a text in order. Other members are for people.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError

MEMBERS = ("positions", "context", "window")
_ZIP = b"PK"
_REMEDY = "record it again: sim trace record-model"


@dataclass(frozen=True, slots=True, eq=False)
class AttentionHits:
    """Recorded positions, as the module tells, and the file's SHA-256."""

    positions: NDArray[np.int32]
    context: NDArray[np.int32]
    window: NDArray[np.int32]
    checksum: str = ""

    @property
    def n_layers(self) -> int:
        """Layers recorded."""
        return int(self.positions.shape[0])

    @property
    def n_kv_heads(self) -> int:
        """Key-value heads recorded."""
        return int(self.positions.shape[1])

    @property
    def k(self) -> int:
        """Positions of each key-value head and step, at most."""
        return int(self.positions.shape[3])

    @property
    def steps_of_windows(self) -> tuple[NDArray[np.int64], ...]:
        """Numbers of the steps of each text, texts as they first appear."""
        _, first = np.unique(self.window, return_index=True)
        return tuple(np.flatnonzero(self.window == self.window[at]) for at in np.sort(first))

    @classmethod
    def read(cls, path: str | Path, *, where: str | None = None) -> AttentionHits:
        """The positions of a file. Raises WorkloadError, at `where` if it is not there, else naming the file."""
        file = Path(path)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise WorkloadError(
                f"cannot read the recorded attention {str(path)!r}: {error.strerror}",
                where=where or str(path),
                remedy="name the attention_hits.npz of a folder that `sim trace record-model` wrote",
            ) from None
        members = _members(content, str(path))
        found = cls(**members, checksum=hashlib.sha256(content).hexdigest())
        _check(found, str(path))
        return found


def _members(content: bytes, where: str) -> dict[str, Any]:
    """The members that are needed, as int32."""
    found = {}
    if not content.startswith(_ZIP):
        raise WorkloadError("the file is no numpy archive", where=where, remedy=_REMEDY)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for name in MEMBERS:
                if name not in archive:
                    raise WorkloadError(f"the archive has no member {name!r}", where=where, remedy=_REMEDY)
                found[name] = archive[name]
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise WorkloadError(f"the file is no numpy archive: {error}", where=where, remedy=_REMEDY) from None
    for name, array in found.items():
        n_axes = 4 if name == "positions" else 1
        if array.dtype.kind not in "iu" or array.ndim != n_axes or not array.size:
            shape = "[layers, KV heads, steps, k]" if n_axes == 4 else "[steps]"
            raise WorkloadError(
                f"{name!r} is {array.dtype}{list(array.shape)}, not whole numbers {shape}", where=where, remedy=_REMEDY
            )
    return {name: array.astype(np.int32) for name, array in found.items()}


def _check(hits: AttentionHits, where: str) -> None:
    n_steps = hits.positions.shape[2]
    for name, array in (("context", hits.context), ("window", hits.window)):
        if len(array) != n_steps:
            raise WorkloadError(
                f"{name!r} is of {len(array):,} steps, and 'positions' of {n_steps:,}", where=where, remedy=_REMEDY
            )
    wrong = (hits.positions < -1) | (hits.positions >= hits.context[:, None])
    if wrong.any():
        layer, head, step, place = (int(one) for one in np.argwhere(wrong)[0])
        raise WorkloadError(
            f"layer {layer}, KV head {head}, step {step} attends to position {hits.positions[layer, head, step, place]}"
            f" of a context of {hits.context[step]:,}",
            where=where,
            remedy=_REMEDY,
        )
