"""What tests of the DRAM engines share: golden rows, traces by their formulas, command logs, comparisons."""

from __future__ import annotations

import csv
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.memory.dram.controller import CommandLog, ControllerConfig, DramTiming, Requests, Tally
from simulator.memory.dram.mapping import map_addresses
from simulator.memory.dram.standard import DramPart, DramSpec, resolve
from tests.twins.dram_rules import Log, RuleChecker

REPO_ROOT = Path(__file__).resolve().parents[2]
GOLDEN = REPO_ROOT / "tests" / "golden"
STANDARDS = ("ddr4", "ddr5", "lpddr5", "gddr6", "hbm2", "hbm2e", "hbm3")
MAPPERS = ("RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR")


@cache
def golden_rows() -> tuple[dict[str, str], ...]:
    """Rows of the golden table, in its order."""
    with (GOLDEN / "dram_golden.csv").open(newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def golden_commands() -> dict[str, list[tuple[int, str, int, str]]]:
    """First commands of some golden rows: (tick, command, flat bank, read | write | refresh)."""
    first: dict[str, list[tuple[int, str, int, str]]] = {}
    with (GOLDEN / "dram_golden_commands.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            entry = (int(row["cycle"]), row["command"], int(row["flat_bank"]), row["kind"])
            first.setdefault(row["case"], []).append(entry)
    return first


@cache
def load_dram(standard: str, **sets: str | int) -> tuple[DramPart, DramSpec]:
    """A shipped part with some keys set, and its spec."""
    part = bind(load_part(part_file(standard), [f"{key}={value}" for key, value in sets.items()]), DramPart)
    return part, resolve(part)


def random_words(seed: int, k: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64 as a counter: word k of a seed."""
    z = np.uint64(seed) + (k.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def trace_lines(trace: str, n: int, lg_lines: int, param: int, seed: int) -> NDArray[np.int64]:
    """Line numbers of a synthetic trace, by the formulas of the golden table."""
    i = np.arange(n, dtype=np.uint64)
    lines, p = np.uint64(1 << lg_lines), np.uint64(max(param, 1))
    if trace == "stream":
        line = i % lines
    elif trace == "stride":
        line = i * p % lines
    elif trace == "random":
        line = random_words(seed, np.uint64(2) * i) % lines
    elif trace == "burst":
        line = random_words(seed, np.uint64(2) * (i // p)) % (lines // p) * p + i % p
    elif trace == "mix":
        stream = (random_words(seed, np.uint64(2) * i) % p).astype(np.int64)
        earlier = np.zeros(n, np.uint64)
        for k in range(param):
            mine = stream == k
            earlier[mine] = np.arange(mine.sum(), dtype=np.uint64)
        line = stream.astype(np.uint64) * (lines // p) + earlier % (lines // p)
    else:
        raise ValueError(trace)
    return line.astype(np.int64)


def trace_writes(n: int, read_frac: float, seed: int) -> NDArray[np.bool_]:
    """Which requests of a synthetic trace are writes."""
    if read_frac == 1:
        return np.zeros(n, np.bool_)
    i = np.arange(n, dtype=np.uint64)
    return random_words(seed, np.uint64(2) * i + np.uint64(1)) % np.uint64(100) >= 100 * read_frac


def requests_for(
    spec: DramSpec, mapper: str, n_channels: int, lines: NDArray[np.int64], is_write: NDArray[np.bool_]
) -> Requests:
    """Requests for whole lines, where a mapper puts them."""
    address = lines * spec.tx_bytes
    channel, bank, row = map_addresses(spec, mapper, n_channels, address)
    return Requests(address=address, is_write=is_write, channel=channel, bank=bank, row=row)


def golden_case(row: dict[str, str]) -> tuple[DramSpec, ControllerConfig, Requests]:
    """What a golden row runs."""
    _, spec = load_dram(
        row["standard"].lower(), org=row["org"], timing=row["timing"], rank=int(row["rank"]), refresh=row["refresh"]
    )
    config = ControllerConfig(
        n_channels=int(row["n_channels"]),
        read_queue=int(row["queue"]),
        write_queue=int(row["queue"]),
        scheduler="FRFCFSRowHit" if "RowHit" in row["scheduler"] else "FRFCFS",
        refresh=row["refresh"],  # type: ignore[arg-type]
        fe_ratio=int(row["fe_ratio"]),
    )
    n, seed = int(row["n_requests"]), int(row["seed"])
    lines = trace_lines(row["trace"], n, int(row["lg_lines"]), int(row["trace_param"]), seed)
    writes = trace_writes(n, float(row["read_frac"]), seed)
    return spec, config, requests_for(spec, row["mapper"], config.n_channels, lines, writes)


STOP_COLUMNS = {
    name: name
    for name in (
        *("row_hits", "row_misses", "row_conflicts", "reads_served", "writes_served", "reads_forwarded"),
        *("writes_coalesced", "read_latency_sum", "refreshes_served"),
    )
}
DRAIN_COLUMNS = {
    "drain_row_hits": "row_hits",
    "drain_row_misses": "row_misses",
    "drain_row_conflicts": "row_conflicts",
    "drain_refreshes": "refreshes_served",
}
COMMAND_COLUMNS = {
    "n_act": ("ACT", "ACT1"),
    "n_act2": ("ACT2",),
    "n_cas": ("CAS_RD", "CAS_WR"),
    "n_prepb": ("PREpb",),
    "n_preab": ("PREab",),
    "n_rd": ("RD",),
    "n_wr": ("WR",),
    "n_refab": ("REFab",),
    "n_refpb": ("REFpb",),
}


def golden_columns(spec: DramSpec, timing: DramTiming) -> dict[str, int | str]:
    """A run's results under the golden table's names."""
    counts = dict(zip(spec.commands, timing.commands.tolist(), strict=True))
    columns: dict[str, int | str] = {"cycles": timing.cycles, "drain_cycles": timing.drain_cycles}
    columns |= {column: getattr(timing.at_stop, name) for column, name in STOP_COLUMNS.items()}
    columns |= {column: getattr(timing.at_drain, name) for column, name in DRAIN_COLUMNS.items()}
    columns |= {column: sum(counts.get(name, 0) for name in names) for column, names in COMMAND_COLUMNS.items()}
    columns["cmd_digest"] = f"{timing.digest:016x}"
    return columns


def golden_differences(row: dict[str, str], spec: DramSpec, timing: DramTiming) -> dict[str, tuple[str, str]]:
    """Columns in which a run differs from its golden row: (golden, ours)."""
    ours = {column: str(value) for column, value in golden_columns(spec, timing).items()}
    return {column: (row[column], value) for column, value in ours.items() if row[column] != value}


def part_file(standard: str) -> Path:
    """The YAML of a shipped standard."""
    return REPO_ROOT / "hw_configs" / "parts" / "dram" / f"{standard}.yaml"


def rule_checker(standard: str, spec: DramSpec, config: ControllerConfig) -> RuleChecker:
    """The independent checker of what such a run logs."""
    sizes = dict(zip(spec.levels, spec.level_sizes, strict=True))
    return RuleChecker(part_file(standard), spec.timing, sizes, spec.accounting, config.wck_always_on)


def channel_logs(spec: DramSpec, requests: Requests, log: CommandLog) -> list[Log]:
    """A run's command log as the checker wants it: per channel, commands by name, rows by request."""
    names = np.array(spec.commands)[log.command]
    rows = np.where(log.request >= 0, requests.row[log.request], -1)
    return [
        Log(channel, log.cyc[mine], names[mine], log.bank[mine].astype(np.int64), rows[mine])
        for channel in range(int(log.channel.max(initial=0)) + 1)
        for mine in [log.channel == channel]
    ]


def timing_differences(one: DramTiming, other: DramTiming) -> list[str]:
    """Fields in which two runs differ, the command log and which engine it was left out."""
    differ = []
    for field in fields(DramTiming):
        if field.name in ("log", "slow_because"):
            continue
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            where = np.flatnonzero(a != b)
            if len(where):
                k = int(where[0])
                differ.append(f"{field.name}: {len(where)} of {len(a)} differ, the first at {k}: {a[k]} / {b[k]}")
        elif isinstance(a, Tally):
            differ += [
                f"{field.name}.{name}: {getattr(a, name)} / {getattr(b, name)}"
                for name in (one.name for one in fields(Tally))
                if getattr(a, name) != getattr(b, name)
            ]
        elif a != b:
            differ.append(f"{field.name}: {a} / {b}")
    return differ


def with_offers(requests: Requests, offer_cyc: NDArray[np.int64], window: int) -> Requests:
    """The same requests, paced."""
    return replace(requests, offer_cyc=offer_cyc, window=window)
