"""Files of token ids, and the windows of them that a model is run on."""

from __future__ import annotations

import hashlib
import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import Position, WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.workload.catalog import data_directory

_FOLDER = "tokens"
_MAX_ID = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class TokenFile:
    """Token ids int64[n] of a file."""

    path: Path
    tokens: NDArray[np.int64]
    checksum: str

    @classmethod
    def read(cls, reference: str | Path, *, where: Position | str | None = None) -> TokenFile:
        """The tokens of a file, or of one that comes with the simulator by its name.

        Raises WorkloadError for a file that is no array of whole numbers from 0.
        """
        path = found_tokens(str(reference), where)
        try:
            content = path.read_bytes()
            array = np.load(path, allow_pickle=False)
        except OSError as error:
            raise WorkloadError(
                f"cannot read the tokens: {error.strerror}", where=str(path), remedy="name a readable file"
            ) from None
        except (ValueError, EOFError, MemoryError, tokenize.TokenError, zipfile.BadZipFile) as error:
            # A torn header may ask for any size, and is read as Python.
            raise _no_tokens(path, f"the file is no NumPy array ({error})") from None
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
            kind = getattr(array, "dtype", "an archive of several arrays")
            raise _no_tokens(path, f"token ids are whole numbers, and the file holds {kind}")
        if array.ndim != 1 or not len(array):
            raise _no_tokens(path, f"the array has the shape {array.shape}, not one row of tokens")
        if array.min() < 0:
            at = int(np.argmax(array < 0))
            raise _no_tokens(path, f"token {at:,} is {int(array[at])}, and no id is below 0")
        if array.max() > _MAX_ID:
            at = int(np.argmax(array > _MAX_ID))
            raise _no_tokens(path, f"token {at:,} is {int(array[at]):,}, beyond 64 bits with a sign")
        return cls(path, array.astype(np.int64), hashlib.sha256(content).hexdigest())

    def windows(self, first: int, n: int, width: int, *, n_key: str, vocab: int) -> NDArray[np.int64]:
        """Windows `first` to `first + n` of `width` tokens each, int64[n, width], for a vocabulary of `vocab` entries.

        `n_key` is the key that asks for so many of them. Raises WorkloadError where the file ends before, or a token
        lies beyond the vocabulary.
        """
        there = len(self.tokens) // width
        if first + n > there:
            raise WorkloadError(
                f"{n:,} windows of {width:,} tokens from window {first:,} on, and the {len(self.tokens):,} tokens of "
                f"{self.path.name} are {there:,} windows",
                where=n_key,
                remedy=(
                    f"ask for at most {there - first:,}" if there > first else "give more tokens, or shorter windows"
                ),
            )
        chosen = self.tokens[first * width : (first + n) * width]
        if chosen.max() >= vocab:
            at = int(np.argmax(chosen >= vocab))
            raise WorkloadError(
                f"token {first * width + at:,} is {int(chosen[at]):,}, and the model knows {vocab:,}",
                where=str(self.path),
                remedy="use tokens of the model's own tokenizer",
            )
        return chosen.reshape(n, width)


def found_tokens(reference: str, where: Position | str | None = None) -> Path:
    """The file of tokens: as named, or by its name in the folder that comes with the simulator."""
    given = Path(reference)
    folder = data_directory("workloads") / _FOLDER
    for path in (given, folder / f"{reference}.npy"):
        if path.is_file():
            return path
    names = sorted(path.stem for path in folder.glob("*.npy"))
    raise WorkloadError(
        f"there is no file of tokens {reference!r}",
        where=where or "workload.tokens",
        remedy=f"name an array of token ids (.npy); {did_you_mean(reference, names, noun='the files that are here')}",
    )


def _no_tokens(path: Path, cause: str) -> WorkloadError:
    return WorkloadError(cause, where=str(path), remedy="save the ids with numpy.save, one row of whole numbers")
