"""Every policy with the real trackers on the real machine: what must hold whatever it decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.registry import load_kind
from simulator.devices.hot_page_tracker import HotPageTracker
from simulator.memory.tiers.machine import TieredMachine
from simulator.memory.tiers.platform import MigrationCosts
from simulator.memory.tiers.policy import HotReports, TierCounters
from simulator.memory.trackers.tracker import Tracker
from tests.memory.tiers.machine_cases import Case, Never, case

# The trackers' own periods are not scaled, and the first one is longer than the stream here.
M5 = ("m5", "first_period_cyc=4000")
POLICIES = (
    ("anb",), ("damon",), ("on_touch",), M5, (*M5, "nominator=hwt_only"), (*M5, "nominator=hwt_driven"),
    (*M5, "nominator=hpt_driven", "stop_rule=intended"),
)  # fmt: skip
NAMES = [name[0] + "".join(f"-{setting.partition('=')[2]}" for setting in name[2:]) for name in POLICIES]
N_DDR = 100
COSTS = MigrationCosts(54_000_000, 54_000_000, 1_000_000, 0.01, 0.1, 16)


@pytest.fixture(scope="module")
def stream() -> Case:
    """Some milliseconds of a program with a few hot pages out of 400."""
    drawn = replace(case(3, n=24_000, n_pages=400, quantum=64, write=0.2), request_starts=(0, 9_000, 20_000))
    rng = np.random.default_rng(4)
    pages = np.minimum(rng.zipf(1.3, 24_000) - 1, 399)
    line = (rng.permutation(400)[pages] * 64 + rng.integers(0, 64, 24_000)).astype(np.uint32)
    return replace(drawn, line=line).on(n_ddr_pages=N_DDR, migration=COSTS)


class Parts:
    """Policies and trackers of `hw_configs`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def policy(self, kind: str, sets: tuple[str, ...], factor: float) -> Any:
        policy = load_kind("simulator.memory.tiers.policies", kind)
        return policy(bind(load_part(str(self.folder / f"policies/{kind}.yaml"), sets), policy.Config).scaled(factor))

    def tracker(self, key: str) -> Tracker:
        config = bind(load_part(str(self.folder / "hpt_cm32k.yaml"), ("n_counters=1024",)), HotPageTracker.Config)
        return Tracker(config, key)  # type: ignore[arg-type]

    def run(self, stream: Case, name: tuple[str, ...], *, factor: float = 1e-3, **chunks: int) -> TieredMachine:
        policy = self.policy(name[0], name[1:], factor)
        trackers = {
            f"tracker_{key}s": self.tracker(key) for key in ("page", "word") if getattr(policy, f"uses_{key}s", False)
        }
        return stream.run(policy, **chunks, **trackers)


@pytest.fixture
def parts(repo_root: Path) -> Parts:
    return Parts(repo_root / "hw_configs" / "parts")


@pytest.mark.parametrize("name", POLICIES, ids=NAMES)
def test_a_run_adds_up_and_does_not_depend_on_chunks(name: tuple[str, ...], stream: Case, parts: Parts) -> None:
    machine = parts.run(stream, name)
    other = parts.run(stream, name, quanta_a_chunk=7)
    assert machine.now_ps == other.now_ps
    assert machine.counters() == other.counters()
    assert machine.pick_order.tolist() == other.pick_order.tolist()
    assert machine.request_begin_ps.tolist() == other.request_begin_ps.tolist()
    assert (machine.n_promoted, machine.n_demoted) == (other.n_promoted, other.n_demoted)

    spent = machine.spent
    assert sum(getattr(spent, part) for part in spent.__slots__) == pytest.approx(machine.now_ps, rel=1e-9)
    assert machine.n_promoted - machine.n_demoted == machine.on_ddr.sum() <= N_DDR
    assert machine.n_picked > 0
    assert machine.n_promoted > 0


@pytest.mark.parametrize("name", POLICIES, ids=NAMES)
def test_who_only_identifies_costs_what_identifying_costs(name: tuple[str, ...], stream: Case, parts: Parts) -> None:
    machine, still = parts.run(replace(stream, moves=False), name), stream.run(Never())
    assert not machine.on_ddr.any()
    extra = machine.spent.identification_ps + machine.spent.fault_ps
    assert machine.now_ps == pytest.approx(still.now_ps + extra, rel=1e-9)
    assert machine.n_picked > 0


@pytest.mark.parametrize("name", POLICIES, ids=NAMES)
@pytest.mark.parametrize(("n", "n_ddr", "factor"), [(1, 1, 1.0), (1, 0, 1e-12), (600, 0, 1e-12), (600, 400, 1e-9)])
def test_extremes_end(name: tuple[str, ...], n: int, n_ddr: int, factor: float, stream: Case, parts: Parts) -> None:
    """One record, no room, and periods of a ps or a few."""
    short = replace(
        stream, line=stream.line[:n], is_write=stream.is_write[:n], compute_ps=stream.compute_ps[: -(-n // 64)]
    )
    machine = parts.run(short.on(n_ddr_pages=n_ddr), name, factor=factor)
    assert machine.on_ddr.sum() <= n_ddr
    assert sum(accesses(machine)) == n


def accesses(machine: TieredMachine) -> tuple[int, ...]:
    counters = machine.counters()
    return counters.ddr_reads, counters.ddr_writes, counters.cxl_reads, counters.cxl_writes


def test_m5_counts_reads_instead_of_cycles_where_it_is_told_to(parts: Parts) -> None:
    periods: list[tuple[str, int]] = []

    class Noting:
        n_pages, n_ddr_pages, n_free_ddr_pages, now_ps = 8, 4, 2, 0
        polls = iter([(10, 90), (20, 180)])

        def counters(self) -> TierCounters:
            ddr, cxl = next(self.polls)
            return TierCounters(ddr, 0, cxl, 0)

        def take_hot_pages(self) -> HotReports:
            return HotReports(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.int64))

        take_hot_words = take_hot_pages

        def set_tracker_period_ps(self, period_ps: int) -> None:
            periods.append(("ps", period_ps))

        def set_tracker_period_reads(self, n_reads: int) -> None:
            periods.append(("reads", n_reads))

        def pick(self, pages: object) -> None:
            del pages

        promote = pick

    machine: Any = Noting()
    policy = parts.policy("m5", ("count=reads", "f0=0.0001", "exponent=1"), 1.0)
    policy.start(machine, 0)
    policy.act(machine)
    # 90 reads of 6 pages against 10 of 2: the density of CXL memory is 3 times that of DDR.
    assert periods == [("reads", 8192), ("reads", 3333)]
