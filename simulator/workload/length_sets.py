"""Length sets: prompt and output lengths of requests, drawn from what a publication says of their distribution.

Between two known quantiles the logarithm of the length rises with u^b, u from 0 to 1 over the rank; one bend b for all
of them makes the mean the published one, so that quantiles and mean are both met. Of prompts often only the mean is
known: they are log-normal around it, with an assumed spread.

Not modelled: correlation of prompt and output, repeated records (draws are independent).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from simulator.core.config import ConfigTree, load_part
from simulator.core.errors import ConfigError, SimulatorError, WorkloadError
from simulator.core.seeds import child_rng
from simulator.core.spelling import did_you_mean
from simulator.workload.catalog import data_directory
from simulator.workload.requests import RequestTrace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64s = NDArray[np.float64]
    Int64s = NDArray[np.int64]

MAX_DRAWN = 1 << 20
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_MAX_BEND = 16.0
_N_RANKS = 4096  # at which a mean is taken, in each interval between quantiles


@dataclass(frozen=True, slots=True)
class KnownQuantiles:
    """Lengths whose quantiles are known: `ranks` from 0 to 1 and the `lengths` at them, and the mean that they have."""

    ranks: tuple[float, ...]
    lengths: tuple[float, ...]
    mean: float

    def at(self, ranks: Float64s, bend: float) -> Float64s:
        """The length at each rank, a positive real number."""
        index = np.clip(np.searchsorted(self.ranks, ranks, side="right") - 1, 0, len(self.ranks) - 2)
        low, width = np.array(self.ranks)[index], np.diff(self.ranks)[index]
        logs = np.log(self.lengths)
        found: Float64s = np.exp(logs[index] + np.diff(logs)[index] * ((ranks - low) / width) ** bend)
        return found

    def bend(self) -> float:
        """The bend that gives the mean. Raises WorkloadError where none from 1/16 to 16 does."""
        low, high = 1 / _MAX_BEND, _MAX_BEND
        if not self._mean(high) <= self.mean <= self._mean(low):
            raise WorkloadError(
                f"no lengths with these quantiles have the mean {self.mean:g}",
                remedy=f"from {self._mean(high):.4g} to {self._mean(low):.4g} is possible: correct the numbers",
            )
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (middle, high) if self._mean(middle) > self.mean else (low, middle)
        return low

    def _mean(self, bend: float) -> float:
        inside = (np.arange(_N_RANKS) + 0.5) / _N_RANKS
        means = [
            float(self.at(low + (high - low) * inside, bend).mean()) * (high - low)
            for low, high in zip(self.ranks[:-1], self.ranks[1:], strict=True)
        ]
        return sum(means)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Lengths of which a mean is known: log-normal around it, with `log_sd` the deviation of the logarithm."""

    mean: float
    log_sd: float
    least: float

    def at(self, ranks: Float64s) -> Float64s:
        """The length at each rank, a positive real number."""
        normal = NormalDist()
        scores = np.array([normal.inv_cdf(min(max(rank, 1e-12), 1 - 1e-12)) for rank in ranks.tolist()])
        found: Float64s = np.maximum(self.least, self.mean * np.exp(self.log_sd * (scores - self.log_sd / 2)))
        return found


@dataclass(frozen=True, slots=True)
class Lengths:
    """One column of a set, by either description."""

    known: KnownQuantiles | LogNormal
    bend: float = 1.0

    def at(self, ranks: Float64s) -> Int64s:
        """The length in tokens at each rank from 0 to 1, at least 1."""
        known = self.known
        real = known.at(ranks, self.bend) if isinstance(known, KnownQuantiles) else known.at(ranks)
        return np.maximum(1, np.rint(real)).astype(np.int64)


@dataclass(frozen=True)
class LengthSet:
    """A set by its name, its file, and what the file says of prompts and outputs; `n_records` is how many there are in
    the data that it describes."""

    name: str
    path: Path
    source: str
    n_records: int
    prompt_tokens: Lengths
    output_tokens: Lengths

    def draw(self, n: int, seed: int) -> RequestTrace:
        """`n` requests that all arrive at time 0, drawn independently: the first of them are those of a smaller `n`.

        Raises WorkloadError for none, or for more than are drawn.
        """
        if not 1 <= n <= MAX_DRAWN:
            raise WorkloadError(
                f"{n:,} requests of the lengths {self.name}",
                where="workload.requests",
                remedy=f"give a number from 1 to {MAX_DRAWN:,}",
            )
        columns = [
            lengths.at(child_rng(seed, "lengths", self.name, what).random(n))
            for what, lengths in (("prompt", self.prompt_tokens), ("output", self.output_tokens))
        ]
        note = (
            f"{n:,} requests are drawn from the published quantiles of {self.name} (seed {seed}): mean "
            f"{columns[0].mean():,.1f} tokens in, {columns[1].mean():,.1f} out"
        )
        return RequestTrace(
            path=str(self.path),
            format="quantiles",
            checksum=self._checksum,
            arrival_ps=np.zeros(n, np.int64),
            prompt_tokens=columns[0],
            output_tokens=columns[1],
            ids=np.arange(n, dtype=np.int64),
            notes=(note,),
        )

    @cached_property
    def _checksum(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def draw_lengths(name: str | Path, n: int, seed: int) -> RequestTrace:
    """`n` requests of a length set, all at time 0. Raises what `load_lengths` and `LengthSet.draw` raise."""
    return load_lengths(name).draw(n, seed)


def list_lengths() -> tuple[str, ...]:
    """Names of the length sets that come with the simulator, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def load_lengths(reference: str | Path) -> LengthSet:
    """The length set of a name, or of a YAML's path. Raises WorkloadError where there is none, or its file is wrong."""
    path = Path(reference)
    if path.suffix != ".yaml":
        path = _folder() / f"{reference}.yaml"
        if str(reference) not in list_lengths():
            raise WorkloadError(
                f"there are no lengths {str(reference)!r}",
                where="workload.lengths",
                remedy=f"{did_you_mean(str(reference), list_lengths())}; a path of such a YAML will do too",
            )
    try:
        tree = load_part(path)
        return LengthSet(
            name=path.stem,
            path=path,
            source=str(tree.get("source", "not stated")),
            n_records=int(_number(tree, "n_records")),
            prompt_tokens=_lengths(tree, "prompt_tokens"),
            output_tokens=_lengths(tree, "output_tokens"),
        )
    except ConfigError as error:  # a bad set is a bad workload, whoever reads the text
        raise WorkloadError(error.message, where=error.where, remedy=error.remedy) from None


def _folder() -> Path:
    return data_directory("workloads") / "lengths"


def _number(tree: ConfigTree, path: str) -> float:
    value = tree.get(path, None)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1 << 20:
        raise WorkloadError(
            f"`{path}` is {'missing' if value is None else repr(value)}",
            where=tree.position(path) if path in tree else tree.position(),
            remedy="write a positive number of tokens",
        )
    return float(value)


def _lengths(tree: ConfigTree, column: str) -> Lengths:
    """Quantiles with a least and a largest length, or a mean with a spread."""
    section = tree.get(column, None)
    if not isinstance(section, dict):
        raise WorkloadError(f"`{column}` is missing", where=tree.position(), remedy=f"write `{column}:` with a `mean:`")
    mean, least = _number(tree, f"{column}.mean"), _number(tree, f"{column}.min")
    if "log_sd" in section:
        return Lengths(LogNormal(mean, _number(tree, f"{column}.log_sd"), least))
    ranks = {0.0: least, 1.0: _number(tree, f"{column}.max")}
    for key in section:
        if match := _QUANTILE.fullmatch(key):
            ranks[float(match[1]) / 100] = _number(tree, f"{column}.{key}")
        elif key not in ("mean", "min", "max"):
            raise WorkloadError(
                f"`{key}` is no part of a length set",
                where=tree.position(f"{column}.{key}"),
                remedy="write mean, min, max and quantiles such as p50, or mean, min and log_sd",
            )
    order = sorted(ranks)
    known = KnownQuantiles(tuple(order), tuple(ranks[rank] for rank in order), mean)
    try:
        if any(high <= low for low, high in zip(known.lengths[:-1], known.lengths[1:], strict=True)):
            raise WorkloadError("the quantiles do not rise", remedy="a higher quantile is a longer length")
        return Lengths(known, known.bend())
    except SimulatorError as error:
        error.where = tree.position(column)
        raise
