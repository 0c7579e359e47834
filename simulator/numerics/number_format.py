"""What a number format is: codes and scales of a matrix, the values that they stand for, and the bits that they take.

A matrix float[n_rows, n_columns] has its rows along the reduction dimension: a weight is [out_features, in_features],
activations are [tokens, features], keys and values [tokens x heads, head_dim]. Groups are consecutive columns of a row,
from column 0; a last group may be narrower.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from pydantic import BaseModel

from simulator.core.errors import WorkloadError

Group = Annotated[int, Ge(1), Le(1 << 20)] | Literal["channel"]
"""Values that share a scale: so many consecutive columns, or a whole row."""

Matrix = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A matrix in a format.

    `codes` int32[n_rows, n_columns], `scales` float64[n_rows, n_groups], and by name what else a group has
    (`zero_point`, `special`), each [n_rows, n_groups], or a row, each [n_rows].
    """

    codes: NDArray[np.int32]
    scales: NDArray[np.float64]
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class NumberFormat(ABC):
    """A format with the parameters of its `Config`.

    `NAMES` is a regular expression of the names that the family answers to, without the suffixes `_g64` and `_channel`,
    which any family takes that groups; `fields_of` gives the fields of `Config` that a match stands for; `EXAMPLES`
    are the names that a list shows, `TITLE` the few words that it says of the family. `role` is what a name means
    alone: a format of weights, of activations or of the KV cache.
    """

    class Config(BaseModel):
        """Parameters of the family."""

    NAMES: ClassVar[str]
    EXAMPLES: ClassVar[tuple[str, ...]]
    TITLE: ClassVar[str] = ""
    role: ClassVar[Literal["weights", "activations"]] = "weights"

    @classmethod
    @abstractmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """Fields of `Config` by the named groups of a match with `NAMES`."""

    @abstractmethod
    def __init__(self, config: Any) -> None:
        """A format of this configuration."""

    @abstractmethod
    def quantize(self, values: Matrix) -> Quantized:
        """Codes of a matrix of finite values; computed in float64, scales not rounded unless the format says so."""

    @abstractmethod
    def dequantize(self, quantized: Quantized) -> NDArray[np.float32]:
        """The values that codes stand for, float32[n_rows, n_columns]."""

    @abstractmethod
    def bits_per_value(self, n_columns: int) -> float:
        """Stored bits of a value in rows of `n_columns`, scales and all other metadata included."""

    @property
    def choice_names(self) -> tuple[str, ...]:
        """What the numbers in `extra["special"]` of a group stand for, where a format has such a choice."""
        return ()

    def rounded(self, values: Matrix) -> NDArray[np.float32]:
        """A matrix through the format and back."""
        return self.dequantize(self.quantize(values))


@dataclass(frozen=True, slots=True)
class GroupSpan:
    """Consecutive groups of equal width: columns `first` to `first + n_groups * width`."""

    first: int
    n_groups: int
    width: int

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """These groups of a matrix [n_rows, n_columns], as [n_rows * n_groups, width]."""
        n_rows = values.shape[0]
        return values[:, self.first : self.first + self.n_groups * self.width].reshape(n_rows * self.n_groups, -1)


def group_spans(n_columns: int, group: Group) -> tuple[GroupSpan, ...]:
    """The groups of a row: the whole ones, and the narrower last one if there is any."""
    width = n_columns if group == "channel" else min(group, n_columns)
    n_whole, rest = divmod(n_columns, width)
    whole = GroupSpan(0, n_whole, width)
    return (whole, GroupSpan(n_whole * width, 1, rest)) if rest else (whole,)


def n_groups(n_columns: int, group: Group) -> int:
    """Groups of a row."""
    return sum(span.n_groups for span in group_spans(n_columns, group))


def check_finite(values: Matrix) -> None:
    """Raise WorkloadError for a matrix with a value that is not finite: no scale could hold it."""
    finite = np.isfinite(values)
    if not finite.all():
        row, column = (int(found[0]) for found in np.nonzero(~finite))
        raise WorkloadError(
            f"the value in row {row}, column {column} is {values[row, column]}, which no number format has",
            remedy="check the matrix where it comes from",
        )


class GroupedFormat(NumberFormat):
    """A format whose groups are independent of each other: a family says what it does with groups [n, width]."""

    group: Group

    @abstractmethod
    def quantize_groups(self, values: NDArray[np.float64]) -> Quantized:
        """Codes [n, width] of n groups, with `scales` and each of `extra` [n]."""

    @abstractmethod
    def dequantize_groups(self, quantized: Quantized) -> NDArray[np.float64]:
        """Values [n, width] of n groups."""

    @property
    @abstractmethod
    def group_bits(self) -> float:
        """Bits of a group's metadata."""

    @property
    @abstractmethod
    def code_bits(self) -> float:
        """Bits of a value's code."""

    def quantize(self, values: Matrix) -> Quantized:
        """Codes of a matrix, group by group. Raises WorkloadError for a value that is not finite."""
        check_finite(values)
        parts = [self.quantize_groups(groups) for _, groups in self._spans(np.asarray(values, np.float64))]
        n_rows = values.shape[0]

        def joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([array.reshape(n_rows, -1) for array in arrays], axis=1)

        return Quantized(
            joined([part.codes for part in parts]),
            joined([part.scales for part in parts]),
            {name: joined([part.extra[name] for part in parts]) for name in parts[0].extra},
        )

    def dequantize(self, quantized: Quantized) -> NDArray[np.float32]:
        """The values of codes, group by group."""
        n_rows, n_columns = quantized.codes.shape
        found = np.empty((n_rows, n_columns), np.float32)
        at = 0
        for span, codes in self._spans(quantized.codes):
            own = slice(at, at + span.n_groups)
            extra = {name: values[:, own].reshape(-1) for name, values in quantized.extra.items()}
            groups = self.dequantize_groups(Quantized(codes, quantized.scales[:, own].reshape(-1), extra))
            found[:, span.first : span.first + span.n_groups * span.width] = groups.reshape(n_rows, -1)
            at += span.n_groups
        return found

    def bits_per_value(self, n_columns: int) -> float:
        """Bits of a code and its share of the group's metadata."""
        return self.code_bits + self.group_bits * n_groups(n_columns, self.group) / n_columns

    def _spans(self, values: NDArray[Any]) -> Iterator[tuple[GroupSpan, NDArray[Any]]]:
        for span in group_spans(values.shape[1], self.group):
            yield span, span.of(values)
