"""Small DRAM runs for tests: parts as shipped, requests placed straight into banks, and controllers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.memory.dram.controller import ControllerConfig, DramTiming, Requests, simulate
from simulator.memory.dram.energy import DramCurrents, read_currents
from simulator.memory.dram.spec import DramSpec
from simulator.memory.dram.standard import DramPart, resolve

PARTS = Path(__file__).parents[3] / "hw_configs" / "parts" / "dram"
STANDARDS = ("ddr4", "ddr5", "lpddr5", "gddr6", "hbm2", "hbm3")


@lru_cache(maxsize=64)
def spec_of(standard: str, *sets: str) -> DramSpec:
    """A shipped part, with `--set` texts."""
    return resolve(bind(load_part(PARTS / f"{standard}.yaml", sets), DramPart))


@lru_cache(maxsize=16)
def currents_of(standard: str) -> DramCurrents:
    """A standard's shipped currents."""
    return read_currents(load_part(PARTS / "currents" / f"{standard}.yaml", ()))


def placed(bank, row, is_write=False, *, channel=0, column=None, window=0, offer_cyc=None) -> Requests:
    """Requests to (bank, row) in order; every one at an address of its own, so that none is forwarded."""
    bank = np.asarray(bank, np.int32)
    n = len(bank)
    more = {} if offer_cyc is None else {"offer_cyc": np.asarray(offer_cyc, np.int64)}
    return Requests(
        address=np.arange(n, dtype=np.int64) * 64,
        is_write=np.broadcast_to(np.asarray(is_write, bool), n).copy(),
        channel=np.broadcast_to(np.asarray(channel, np.int32), n).copy(),
        bank=bank,
        row=np.broadcast_to(np.asarray(row, np.int64), n).copy(),
        window=window,
        **more,
    )


def random_requests(
    spec: DramSpec, n: int, seed: int, *, write_frac=0.0, n_rows=64, n_channels=1, window=0
) -> Requests:
    """Uniform over banks and `n_rows` rows."""
    rng = np.random.default_rng(seed)
    return placed(
        rng.integers(0, spec.n_banks, n),
        rng.integers(0, n_rows, n),
        rng.random(n) < write_frac,
        channel=rng.integers(0, n_channels, n),
        window=window,
    )


def ran(spec: DramSpec, requests: Requests, *, log: bool = True, **config) -> DramTiming:
    """A run of the engine that walks every tick."""
    return simulate(spec, ControllerConfig(**config), requests, engine="table", log=log)
