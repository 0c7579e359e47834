"""Random set-ups of the DRAM controller, and what two engines make of them.

python -m tests.kernels.fuzz_dram N SEED [STANDARD...]: compare the event-driven engine with the table-driven one on N
random cases, and the table-driven engine's commands with the standard's rules; prints the cases that differ.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import ConfigError
from simulator.memory.dram.controller import ControllerConfig, DramTiming, Requests, simulate
from tests.kernels.dram_cases import (
    MAPPERS,
    STANDARDS,
    channel_logs,
    load_dram,
    requests_for,
    rule_checker,
    timing_differences,
    trace_lines,
)

# Refresh managers that a standard can have.
REFRESH = {
    "ddr4": ("NoRefresh", "AllBank"),
    "ddr5": ("NoRefresh", "AllBank"),
    "lpddr5": ("NoRefresh", "AllBank", "PerBank"),
    "gddr6": ("NoRefresh", "AllBank"),
    "hbm2": ("NoRefresh", "AllBank", "PerBank", "HBM34PerBankRefresh"),
    "hbm2e": ("NoRefresh", "AllBank", "PerBank", "HBM34PerBankRefresh"),
    "hbm3": ("NoRefresh", "AllBank", "PerBank", "HBM34PerBankRefresh"),
}
WITH_RANKS = ("ddr4", "ddr5", "lpddr5")
SOME_OFFSET_BYTES = 8
# Not scaled at random: refresh as often as it takes is no memory, and a late CAS delays ACT2 beyond its time.
FIXED_TIMINGS = ("n_refi", "n_refipb", "n_rfc", "n_rfcab", "n_rfcpb", "n_cas", "n_aad", "n_bl", "n_bl_min", "n_bl_max")


@dataclass(frozen=True)
class Case:
    """A random run: part keys, controller, requests; `text` says all of it in words."""

    standard: str
    sets: dict[str, str | int]
    config: ControllerConfig
    requests: Requests
    text: str


@cache
def presets(standard: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Organisations and speed grades of a standard."""
    part, _ = load_dram(standard)
    return tuple(part.organisations), tuple(part.speed_grades)


def random_lines(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Lines of one of the golden patterns, from a few to millions of them."""
    trace = str(rng.choice(["stream", "stride", "random", "random", "burst", "mix"]))
    lg_lines = int(rng.integers(4, 23))
    param = int(rng.choice([1, 2, 4, 8, 16]))
    if trace == "stride":
        param = int(rng.integers(1, 5000))
    return trace_lines(trace, n, lg_lines, param, int(rng.integers(0, 1000)))


def random_offers(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Earliest ticks of an open loop, sparse or dense, sometimes in clumps; or none."""
    if rng.random() < 0.6:
        return np.empty(0, np.int64)
    gap = float(rng.choice([0.5, 2, 6, 20, 100]))
    gaps = rng.exponential(gap, n)
    if rng.random() < 0.3:
        gaps = np.where(rng.random(n) < 0.1, gaps * 10, 0)
    return np.cumsum(gaps).astype(np.int64)


def with_odd_timings(standard: str, sets: dict[str, str | int], rng: np.random.Generator) -> dict[str, str | int]:
    """Sometimes a few timings from half to twice of what the grade says, where the part lets them be."""
    if rng.random() < 0.7:
        return sets
    _, spec = load_dram(standard, **sets)
    names = [name for name in spec.timing if name.startswith("n_") and name not in FIXED_TIMINGS]
    chosen = rng.choice(names, int(rng.integers(1, 5)), replace=False)
    odd = {f"overrides.{name}": max(1, int(spec.timing[name] * rng.uniform(0.5, 2))) for name in chosen}
    return sets | odd if can_be(standard, sets | odd) else sets


def can_be(standard: str, sets: dict[str, str | int]) -> bool:
    """Whether the part takes these keys."""
    try:
        load_dram(standard, **sets)
    except ConfigError:
        return False
    return True


def random_case(standard: str, rng: np.random.Generator, n_requests: int | None = None) -> Case:
    """Any set-up that a standard can have, with requests for it."""
    organisations, grades = presets(standard)
    n_channels = int(rng.choice([1, 1, 2, 4]))
    refresh = str(rng.choice(REFRESH[standard]))
    sets: dict[str, str | int] = {
        "org": str(rng.choice(organisations)),
        "timing": str(rng.choice(grades)),
        "refresh": refresh,
        "accounting": str(rng.choice(["published", "published", "corrected"])),
    }
    if standard in WITH_RANKS:
        rank = int(rng.choice([1, 1, 2, 4]))  # four ranks' banks cannot all be refreshed one by one in time
        sets["rank"] = rank if can_be(standard, sets | {"rank": rank}) else 1
    sets = with_odd_timings(standard, sets, rng)
    _, spec = load_dram(standard, **sets)
    config = ControllerConfig(
        n_channels=n_channels,
        read_queue=int(rng.choice([1, 2, 3, 8, 16, 32, 32, 64, 128])),
        write_queue=int(rng.choice([1, 2, 3, 8, 16, 32, 32, 64])),
        scheduler=rng.choice(["FRFCFS", "FRFCFS", "FRFCFSRowHit"]),
        refresh=refresh,  # type: ignore[arg-type]
        fe_ratio=int(rng.choice([1, 1, 1, 2, 3, 4, 8])),
        row_policy="closed" if rng.random() < 0.05 else "open",
        row_cap=int(rng.integers(1, 6)),
        wck_always_on=bool(rng.random() < 0.15),
    )
    n = n_requests or int(rng.integers(1, 4000))
    lines = random_lines(rng, n) % (spec.capacity_bytes * n_channels // spec.tx_bytes)
    read_frac = float(rng.choice([0, 0.2, 0.5, 0.67, 0.9, 1]))
    is_write = rng.random(n) >= read_frac
    mapper = str(rng.choice(MAPPERS))
    requests = requests_for(spec, mapper, n_channels, lines, is_write)
    if rng.random() < 0.2:  # other bytes of a line are other addresses to forwarding
        offsets = rng.integers(0, spec.tx_bytes // SOME_OFFSET_BYTES, n) * SOME_OFFSET_BYTES
        requests = replace(requests, address=requests.address + offsets)
    window = int(rng.choice([0, 0, 0, 1, 2, 8, 40]))
    requests = replace(requests, offer_cyc=random_offers(rng, n), window=window)
    paced = f"offers to {int(requests.offer_cyc[-1])}" if len(requests.offer_cyc) else "no offers"
    text = f"{standard} {sets} {config} {mapper} n={n} read_frac={read_frac} window={window} {paced}"
    return Case(standard, sets, config, requests, text)


def run(case: Case, engine: str, *, log: bool = False) -> DramTiming:
    """A case by one engine."""
    _, spec = load_dram(case.standard, **case.sets)
    return simulate(spec, case.config, case.requests, engine=engine, log=log)  # type: ignore[arg-type]


def differences(case: Case) -> list[str]:
    """In what the event-driven engine differs from the table-driven one."""
    return timing_differences(run(case, "event"), run(case, "table"))


def broken_rules(case: Case) -> list[str]:
    """Rules that the table-driven engine's commands violate."""
    _, spec = load_dram(case.standard, **case.sets)
    timing = run(case, "table", log=True)
    assert timing.log is not None
    checker = rule_checker(case.standard, spec, case.config)
    logs = channel_logs(spec, case.requests, timing.log)
    found = [violation for log in logs for violation in checker.violations(log)]
    is_published_with_ranks = spec.accounting == "published" and case.sets.get("rank", 1) != 1
    if not is_published_with_ranks and not any(key.startswith("overrides") for key in case.sets):
        found += [violation for log in logs for violation in checker.data_collisions(log)]
    return [str(violation) for violation in found]


def part_of(case: Case, keep: NDArray[np.bool_]) -> Case:
    """The case with some of its requests only."""
    asked = case.requests
    columns = ["address", "is_write", "channel", "bank", "row", *(["offer_cyc"] if len(asked.offer_cyc) else [])]
    return replace(case, requests=replace(asked, **{name: getattr(asked, name)[keep] for name in columns}))


def smallest(case: Case) -> Case:
    """A case that still differs when requests are left out, half of them first, at last one by one."""
    size = len(case.requests) // 2
    while size:
        start = 0
        while start < len(case.requests):
            keep = np.ones(len(case.requests), np.bool_)
            keep[start : start + size] = False
            smaller = part_of(case, keep)
            if len(smaller.requests) and differences(smaller):
                case = smaller
            else:
                start += size
        size //= 2
    return case


def told(case: Case) -> list[str]:
    """Requests of a case that differs, and what the two engines make of each."""
    event, table = run(case, "event"), run(case, "table")
    asked = case.requests
    lines = [f"smallest: {len(asked)} requests; event / table: {'; '.join(timing_differences(event, table))}"]
    for k in range(min(len(asked), 12)):
        kind = "write" if asked.is_write[k] else "read"
        offered = f" offered {asked.offer_cyc[k]}" if len(asked.offer_cyc) else ""
        issues = f"{event.issue_cyc[k]} / {table.issue_cyc[k]}"
        waits = f"{event.latency_cyc[k]} / {table.latency_cyc[k]}"
        where = f"channel {asked.channel[k]} bank {asked.bank[k]} row {asked.row[k]} {asked.address[k]:#x}"
        lines.append(f"{k} {kind} {where}{offered}: issued {issues}, latency {waits}")
    return lines


def main(n: int, seed: int, standards: tuple[str, ...]) -> int:
    """Run n cases; returns how many were wrong."""
    n_wrong = 0
    for k in range(n):
        standard = standards[k % len(standards)]
        case = random_case(standard, np.random.default_rng([seed, k]))
        wrong = broken_rules(case)[:3]
        if differences(case):
            wrong += told(smallest(case))
        if wrong:
            n_wrong += 1
            print(f"case {k} of seed {seed}: {case.text}", *wrong, sep="\n  ", flush=True)
    print(f"{n - n_wrong} of {n} cases equal, and within the rules")
    return n_wrong


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(int(arguments[0]), int(arguments[1]), tuple(arguments[2:]) or STANDARDS) > 0)
