"""One client of a ServeGen workload: its arrival process by 10-minute window, and its token counts by 6-hour window."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.workload.trace_text import MAX_TOKENS, TraceFile

WINDOW_S = 600
MAX_RATE_QPS = 1e6
# Below these the moments of a family leave what floating point holds.
_LEAST_SHAPE = {"Gamma": 1e-4, "Weibull": 0.02, "": 0.0}
_NUMBERS = re.compile(r"[\d.eE+\-:, ]*", re.ASCII)
_MODALITIES = ("image", "audio", "video")
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """Arrivals of one client in one window: mean rate, and the family and shape of its times between arrivals."""

    start_s: int
    rate_qps: float
    family: str
    shape: float

    def arrivals_s(self, rng: np.random.Generator) -> Float64:
        """Arrival times within the window, in seconds from its start.

        A renewal process in equilibrium: the time from the window's start to the first arrival follows the part of an
        interval that a random moment leaves, so that the expected count is exactly rate x length however bursty the
        intervals are. The fitted scale is replaced by the one whose mean interval is 1 / rate.
        """
        if self.rate_qps == 0:
            return np.empty(0)
        draw, length_biased = (_weibull if self.family == "Weibull" else _gamma)(self.shape, self.rate_qps)
        times = [length_biased(rng) * (1.0 - rng.random())]
        n_more = int(1.2 * self.rate_qps * WINDOW_S) + 16
        while times[-1] < WINDOW_S:
            times.extend((times[-1] + np.cumsum(draw(rng, n_more))).tolist())
        found = np.array(times)
        return found[found < WINDOW_S]


@dataclass(frozen=True, slots=True)
class Distribution:
    """A discrete distribution: ascending values int64[k] and their cumulative probabilities float64[k]."""

    values: Int64
    cumulative: Float64

    def at(self, quantiles: Float64) -> Int64:
        """The values at quantiles in [0, 1)."""
        index = np.searchsorted(self.cumulative, quantiles, side="right")
        return self.values[np.minimum(index, len(self.values) - 1)]


N_QUANTILES = 2 + 2 * len(_MODALITIES)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token counts of one client over time: the start of each window and the distributions by field."""

    starts_s: Int64
    fields: tuple[Mapping[str, Distribution], ...]

    def window_of(self, times_s: Float64) -> Int64:
        """Index of the window that each time falls in (the first one for earlier times)."""
        return np.maximum(np.searchsorted(self.starts_s, times_s, side="right") - 1, 0)

    def sample(self, window: int, quantiles: Float64) -> tuple[Int64, Int64]:
        """Prompt and output tokens of requests in one window from quantiles float64[n, N_QUANTILES].

        Multimodal prompts are text plus count x tokens of each modality: all images of one request have one size.
        """
        fields = self.fields[window]
        output = fields["output_tokens"].at(quantiles[:, 0])
        if "input_tokens" in fields:
            return fields["input_tokens"].at(quantiles[:, 1]), output
        prompt = fields["text_tokens"].at(quantiles[:, 1])
        for number, modality in enumerate(_MODALITIES):
            count, tokens = fields.get(f"{modality}_count"), fields.get(f"{modality}_tokens")
            if count is not None and tokens is not None:
                prompt = prompt + count.at(quantiles[:, 2 + 2 * number]) * tokens.at(quantiles[:, 3 + 2 * number])
        return prompt, output


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its number in the file names, its windows by start, its token counts (None where none are
    published)."""

    number: int
    windows: Mapping[int, Window]
    lengths: Lengths | None

    @property
    def mean_rate_qps(self) -> float:
        """Mean rate over all windows."""
        return sum(window.rate_qps for window in self.windows.values()) / max(1, len(self.windows))


def read_client(trace: Path, dataset: Path | None, number: int) -> Client:
    """The client of a chunk-N-trace.csv and chunk-N-dataset.json; raises WorkloadError at the first bad line."""
    file = TraceFile(trace)
    windows: dict[int, Window] = {}
    earliest_s = 0
    for line, row in file.csv_rows():
        window = _window(file, line, row)
        if window.start_s < earliest_s:
            raise file.error(
                line, f"window {window.start_s} overlaps an earlier one", f"windows are {WINDOW_S} s apart"
            )
        windows[window.start_s] = window
        earliest_s = window.start_s + WINDOW_S
    return Client(number, windows, None if dataset is None else _lengths(dataset))


def _window(file: TraceFile, line: int, row: list[str]) -> Window:
    if len(row) != 6:
        raise file.error(line, f"{len(row)} fields instead of 6", "start, rate, variation, family, and two parameters")
    start, rate, variation, family, shape, scale = (field.strip() for field in row)
    for name, text in (("rate", rate), ("variation", variation), ("shape", shape), ("scale", scale)):
        if not 0 <= _number(text) <= 1e12:
            raise file.error(line, f"the {name} is {text[:40]!r}", "give a number, 0 or more")
    if not (start.isdigit() and start.isascii() and len(start) < 10):
        raise file.error(line, f"the window's start is {start[:40]!r}", "give whole seconds")
    if family not in _LEAST_SHAPE:
        raise file.error(line, f"the family is {family[:40]!r}", "give Gamma, Weibull, or nothing")
    rate_qps = _number(rate)
    if rate_qps > MAX_RATE_QPS:
        raise file.error(line, f"the rate is {rate[:40]} requests/s", f"give at most {MAX_RATE_QPS:.0f}")
    if rate_qps > 0 and family and not _LEAST_SHAPE[family] <= _number(shape) <= 1e9:
        raise file.error(line, f"the shape is {shape[:40]}", f"give a number from {_LEAST_SHAPE[family]}")
    return Window(int(start), rate_qps, family, _number(shape) if family else 1.0)


def _number(text: str) -> float:
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
    return value


def _lengths(path: Path) -> Lengths | None:
    """The windows that have every distribution a request needs; None where no window has."""
    windows: list[tuple[int, Mapping[str, Distribution]]] = []
    for start, fields in _read_windows(path).items():
        if not (start.isdigit() and start.isascii() and len(start) < 10) or not isinstance(fields, dict):
            raise _bad(path, f"window {start[:40]!r} is no start in seconds with fields", "mend the file")
        found = {}
        for name, text in fields.items():
            if name.endswith(("_tokens", "_count")):
                distribution = _distribution(path, start, name, text)
                if distribution is not None:
                    found[name] = distribution
        if "output_tokens" in found and ("input_tokens" in found or "text_tokens" in found):
            windows.append((int(start), found))
    if not windows:
        return None
    windows.sort(key=lambda window: window[0])
    return Lengths(np.array([start for start, _ in windows], dtype=np.int64), tuple(fields for _, fields in windows))


def _read_windows(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise _bad(path, f"cannot read the lengths: {error.strerror}", "make the file readable") from None
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"not JSON: {str(error)[:120]}", "mend the file, or remove it") from None
    if not isinstance(content, dict):
        raise _bad(path, "the file holds no JSON object", "give an object of windows")
    return content


def _distribution(path: Path, start: str, name: str, text: object) -> Distribution | None:
    """The distribution that a text such as `{970: 0.25, 974: 0.75}` holds; None for an empty one."""
    place = f"window {start}, {name}"
    if not isinstance(text, str) or not (text.startswith("{") and text.endswith("}")):
        raise _bad(path, f"{place} is no text of the form {{tokens: probability, ...}}", "mend the file")
    if not text[1:-1].strip():
        return None
    pairs = [entry.split(":") for entry in text[1:-1].split(",")]
    if _NUMBERS.fullmatch(text[1:-1]) is None or any(len(pair) != 2 for pair in pairs):
        raise _bad(path, f"{place} is no list of counts and probabilities", "mend the file")
    try:
        table = np.array(pairs, dtype=np.float64)
    except ValueError:
        raise _bad(path, f"{place} holds something that is no number", "mend the file") from None
    table = table[np.argsort(table[:, 0], kind="stable")]
    values, probabilities = table[:, 0], table[:, 1]
    if (values != np.floor(values)).any() or values[0] < 0 or values[-1] > MAX_TOKENS:
        raise _bad(path, f"{place} has a count that is no whole number of tokens", "mend the file")
    if (probabilities < 0).any() or not 0.99 <= probabilities.sum() <= 1.01:
        raise _bad(path, f"{place}: probabilities sum to {probabilities.sum():.4f}", "make them sum to 1, none below 0")
    cumulative = np.cumsum(probabilities)
    return Distribution(values.astype(np.int64), cumulative / cumulative[-1])


def _bad(path: Path, message: str, remedy: str) -> WorkloadError:
    return WorkloadError(message, where=str(path), remedy=remedy)


def _gamma(shape: float, rate: float) -> Any:
    scale = 1.0 / (shape * rate)
    return (
        lambda rng, n: scale * rng.standard_gamma(shape, n),
        lambda rng: scale * rng.standard_gamma(shape + 1.0),
    )


def _weibull(shape: float, rate: float) -> Any:
    # An interval seen from a random moment is length-biased: (x / scale)^shape then follows a gamma law of 1 + 1/shape.
    scale = 1.0 / (rate * math.gamma(1.0 + 1.0 / shape))
    return (
        lambda rng, n: scale * rng.weibull(shape, n),
        lambda rng: scale * rng.standard_gamma(1.0 + 1.0 / shape) ** (1.0 / shape),
    )
