"""Names and numbers as a person reads them: units out of a metric's name, acronyms, digits."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

# What a name may end in, and how the unit is written. A rate joins two of them with `_per_`.
_UNITS = {
    "ps": "ps", "ns": "ns", "us": "us", "ms": "ms", "s": "s", "h": "h",
    "pj": "pJ", "nj": "nJ", "uj": "uJ", "mj": "mJ", "j": "J", "kwh": "kWh",
    "mw": "mW", "w": "W", "kw": "kW",
    "bits": "bits", "bytes": "bytes", "kib": "KiB", "mib": "MiB", "gib": "GiB", "kb": "kB", "mb": "MB", "gb": "GB",
    "hz": "Hz", "khz": "kHz", "mhz": "MHz", "ghz": "GHz",
    "cyc": "cycles", "cycles": "cycles", "tokens": "tokens", "requests": "requests", "queries": "queries",
    "commands": "commands", "usd": "USD", "frac": "%", "mm2": "mm2",
    "nats": "nats",
}  # fmt: skip
_RATES = {**_UNITS, "gops": "GOPS", "flops": "FLOPS", "tflops": "TFLOPS", "accesses": "accesses"}
_PER = {"s": "s", "token": "token", "query": "query", "request": "request", "bit": "bit", "byte": "byte", "h": "h",
        "day": "day", "bank": "bank", "channel": "channel", "device": "device", "step": "step"}  # fmt: skip
_WORDS = {
    "ttft": "TTFT", "tpot": "TPOT", "tbt": "TBT", "e2e": "end to end", "slo": "SLO", "kv": "KV", "pim": "PIM",
    "pnm": "PNM", "cxl": "CXL", "dram": "DRAM", "gpu": "GPU", "cpu": "CPU", "fc": "FC", "ddr": "DDR",
    "kl": "KL", "sram": "SRAM", "bops": "BOPs",
}  # fmt: skip
_WHOLE = {"loss": "nats/token"}  # names that everybody knows without their unit
_RATE = re.compile(rf"_(?P<unit>{'|'.join(_RATES)})_per_(?P<per>{'|'.join(_PER)})$")
_PLAIN = re.compile(rf"_(?P<unit>{'|'.join(_UNITS)})$")
_SPEED = re.compile(r"^(?P<what>\w+)_per_cpu_s$")
_BINARY_PREFIXES = ("KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class Named:
    """A name taken apart: the words, and the unit ("" where it has none)."""

    words: str
    unit: str


def take_apart(name: str) -> Named:
    """Split `prefill_throughput_tokens_per_s` into "prefill throughput" and "tokens/s"."""
    if name in _WHOLE:
        return Named(words(name), _WHOLE[name])
    if match := _SPEED.search(name):  # of the simulator itself
        return Named(words(match["what"]), "/CPU-s")
    if match := _RATE.search(name):
        return Named(words(name[: match.start()]), f"{_RATES[match['unit']]}/{_PER[match['per']]}")
    if (match := _PLAIN.search(name)) and name != f"n_{match['unit']}":  # n_requests counts requests and has no unit
        return Named(words(name[: match.start()]), _UNITS[match["unit"]])
    return Named(words(name), "")


def words(name: str) -> str:
    """An identifier as words: underscores as blanks, the field's acronyms in capitals, a count without its `n_`."""
    return " ".join(_WORDS.get(word, word) for word in name.removeprefix("n_").split("_") if word)


def heading(name: str) -> str:
    """A column's name with its unit in brackets."""
    named = take_apart(name)
    return f"{named.words} ({named.unit})" if named.unit else named.words


def number(value: float | str | None) -> str:
    """A number with the digits that a reader uses; "-" for one that is missing; text as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    magnitude = abs(value)
    if magnitude >= 1e12 or magnitude < 1e-4:
        return f"{value:.3e}"
    if magnitude >= 1000:
        return f"{value:,.1f}"
    n_decimals = max(0, 3 - math.floor(math.log10(magnitude)))
    return f"{value:,.{n_decimals}f}"


def column(values: Sequence[int | float | str | None]) -> list[str]:
    """Numbers that stand below each other: as many decimals for all as the largest needs."""
    floats = [abs(value) for value in values if isinstance(value, float) and math.isfinite(value)]
    largest = max(floats, default=0.0)
    if largest >= 1e12 or largest < 1e-4 or any(isinstance(value, str) for value in values):
        return [number(value) for value in values]
    n_decimals = min(6, max(1, 3 - math.floor(math.log10(largest))))
    return [_in_column(value, n_decimals) for value in values]


def _in_column(value: float | str | None, n_decimals: int) -> str:
    if not isinstance(value, float) or math.isnan(value) or value == 0:
        return number(value)
    if abs(value) < 0.5 * 10**-n_decimals:
        return f"<{10**-n_decimals:.{n_decimals}f}"
    return f"{value:,.{n_decimals}f}"


def quantity(value: float | None, unit: str) -> tuple[str, str]:
    """A number and its unit for a row of its own: fractions as per cent, large byte counts as KiB to PiB."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-", unit
    if unit == "%":
        return f"{value * 100:.2f}", unit
    if unit == "bytes" and abs(value) >= 1024:
        exponent = min(len(_BINARY_PREFIXES), int(math.log(abs(value), 1024)))
        return number(value / 1024.0**exponent), _BINARY_PREFIXES[exponent - 1]
    return number(value), unit
