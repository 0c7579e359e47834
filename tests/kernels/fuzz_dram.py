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
    "hbm3": ("NoRefresh", "AllBank", "PerBank", "HBM34PerBankRefresh"),
}
WITH_RANKS = ("ddr4", "ddr5", "lpddr5")
SOME_OFFSET_BYTES = 8


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
        sets["rank"] = int(rng.choice([1, 1, 2, 4]))
    _, spec = load_dram(standard, **sets)
    config = ControllerConfig(
        n_channels=n_channels,
        read_queue=int(rng.choice([1, 2, 3, 8, 16, 32, 32, 64, 128])),
        write_queue=int(rng.choice([1, 2, 3, 8, 16, 32, 32, 64])),
        scheduler=rng.choice(["FRFCFS", "FRFCFS", "FRFCFSRowHit"]),
        refresh=refresh,  # type: ignore[arg-type]
        fe_ratio=int(rng.choice([1, 1, 1, 2, 3, 4, 8])),
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
    if spec.accounting == "corrected" or case.sets.get("rank", 1) == 1:
        found += [violation for log in logs for violation in checker.data_collisions(log)]
    return [str(violation) for violation in found]


def main(n: int, seed: int, standards: tuple[str, ...]) -> int:
    """Run n cases; returns how many were wrong."""
    n_wrong = 0
    for k in range(n):
        standard = standards[k % len(standards)]
        case = random_case(standard, np.random.default_rng([seed, k]))
        wrong = [*differences(case), *broken_rules(case)[:3]]
        if wrong:
            n_wrong += 1
            print(f"case {k} of seed {seed}: {case.text}", *wrong[:8], sep="\n  ", flush=True)
    print(f"{n - n_wrong} of {n} cases equal, and within the rules")
    return n_wrong


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(int(arguments[0]), int(arguments[1]), tuple(arguments[2:]) or STANDARDS) > 0)
