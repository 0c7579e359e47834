"""Tensors of safetensors files: where each one lies, checked without reading it, and its values when they are wanted.

The library maps the file, so what is not asked for is not read. It has no NumPy type for BF16: those are read as their
16 bits, which are the upper half of a float32.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import Position, WorkloadError

STORED_BITS = {"F16": 16, "BF16": 16, "F32": 32}
"""Types of tensors that are read, and the bits of a value."""

INDEX = "model.safetensors.index.json"
_MAX_NAME = 255  # of a file, on the file systems that there are
_REMEDY = "copy the file again: it is torn or no safetensors file"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file: its name, type as safetensors calls it (`F16`) and shape."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]

    def error(self, message: str, remedy: str) -> WorkloadError:
        """The error of this tensor."""
        return WorkloadError(f"tensor {self.name!r} {message}", where=str(self.file), remedy=remedy)

    def values(self) -> NDArray[np.float32]:
        """All values, float32 of its shape. Raises WorkloadError where one is not finite or cannot be read."""
        if self.dtype not in STORED_BITS:
            raise self.error(f"has type {self.dtype}", f"store it as one of {', '.join(STORED_BITS)}")
        found = self._upper_halves() if self.dtype == "BF16" else self._plain()
        finite = np.isfinite(found)
        if not finite.all():
            place = [int(i) for i in np.unravel_index(int(np.argmin(finite)), found.shape)]
            raise self.error(
                f"has {found.size - int(finite.sum())} values that are not finite, the first at {place}",
                "export the checkpoint again: no number format has codes for them",
            )
        return found

    def _plain(self) -> NDArray[np.float32]:
        with _opened(self.file) as handle:
            return np.asarray(handle.get_tensor(self.name), np.float32)

    def _upper_halves(self) -> NDArray[np.float32]:
        try:
            with self.file.open("rb") as stream:
                (header_bytes,) = struct.unpack("<Q", stream.read(8))
                first, last = json.loads(stream.read(header_bytes))[self.name]["data_offsets"]
                stream.seek(8 + header_bytes + first)
                halves = np.frombuffer(stream.read(last - first), "<u2")
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise self.error(f"cannot be read: {error}", _REMEDY) from None
        return (halves.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of a checkpoint's folder by name: of its index's files, or of its only file.

    Raises WorkloadError where a file is absent, torn or none, or holds not what the index says.
    """
    index = folder / INDEX
    if index.is_file():
        return _indexed(folder, index)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WorkloadError(
            "the folder has no safetensors file", where=str(folder), remedy="convert the weights to safetensors"
        )
    if len(files) > 1 and folder / "model.safetensors" not in files:
        raise WorkloadError(
            f"{len(files)} safetensors files and no {INDEX} to say which tensor lies where",
            where=str(folder),
            remedy=f"add {INDEX}",
        )
    return _tensors_of(folder / "model.safetensors" if len(files) > 1 else files[0])


def _indexed(folder: Path, index: Path) -> dict[str, StoredTensor]:
    """Tensors of the files that an index names; each must hold what is said to lie in it."""
    file_of = _weight_map(index)
    found: dict[str, StoredTensor] = {}
    for name in sorted(set(file_of.values())):
        if not (folder / name).is_file():
            tensors = sorted(tensor for tensor, file in file_of.items() if file == name)
            raise WorkloadError(
                f"the file {name!r} of the index is missing, with {len(tensors)} tensors such as {tensors[0]!r}",
                where=str(index),
                remedy="copy all files of the checkpoint",
            )
        own = _tensors_of(folder / name)
        for tensor in (tensor for tensor, file in file_of.items() if file == name):
            if tensor not in own:
                raise WorkloadError(
                    f"tensor {tensor!r} is not in {name!r}, where the index has it",
                    where=str(folder / name),
                    remedy="copy index and files of the same checkpoint",
                )
            found[tensor] = own[tensor]
    return found


def _weight_map(index: Path) -> dict[str, str]:
    """Which file an index says each tensor is in; a file is a plain name, beside the index."""
    where = str(index)
    remedy = "copy the index of the checkpoint again"
    try:
        content = json.loads(index.read_text("utf-8"))
    except OSError as error:
        raise WorkloadError(f"cannot read the index: {error.strerror}", where=where, remedy=remedy) from None
    except json.JSONDecodeError as error:
        place = Position(where, error.lineno, error.colno)
        raise WorkloadError(f"not JSON: {error.msg}", where=place, remedy=remedy) from None
    except (ValueError, RecursionError):
        raise WorkloadError("not JSON that can be read", where=where, remedy=remedy) from None
    file_of = content.get("weight_map") if isinstance(content, Mapping) else None
    if not isinstance(file_of, Mapping) or not file_of:
        raise WorkloadError("the index has no 'weight_map'", where=where, remedy=remedy)
    for tensor, file in file_of.items():
        if not isinstance(file, str) or not 0 < len(file) <= _MAX_NAME or Path(file).name != file:
            raise WorkloadError(
                f"the index has {tensor!r} in {file!r:.60}", where=where, remedy="name a file beside it"
            )
    return dict(file_of)


def _tensors_of(file: Path) -> dict[str, StoredTensor]:
    """Name, type and shape of each tensor of a file, from its header."""
    found = {}
    with _opened(file) as handle:
        for name in handle.keys():  # noqa: SIM118 - the handle is no mapping
            part = handle.get_slice(name)
            found[name] = StoredTensor(file, name, str(part.get_dtype()), tuple(part.get_shape()))
    return found


def _opened(file: Path) -> Any:
    """The library's handle of a file."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(file, framework="numpy")
    except SafetensorError as error:
        raise WorkloadError(f"cannot read the tensors: {error}", where=str(file), remedy=_REMEDY) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise WorkloadError(f"cannot read the tensors: {why}", where=str(file), remedy=_REMEDY) from None
