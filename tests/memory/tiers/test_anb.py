from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.memory.tiers.policies.anb import Anb
from tests.memory.tiers.fake_machine import NO_PAGES, FakeMachine

MS = 10**9
# 64 windows of 16 pages: a pass takes 64 scans of 100 ms.
SETS = ("scan_size=64 KiB", "scan_limit=0.625 MiB/s", "spare_size=0 GiB", "spare_share=100 %")
N_PAGES = 1024


@pytest.fixture
def make(repo_root: Path) -> Any:
    def made(*sets: str) -> Anb:
        tree = load_part(str(repo_root / "hw_configs/parts/policies/anb.yaml"), (*SETS, *sets))
        return Anb(bind(tree, Anb.Config))

    return made


def machine_of(n_ddr_pages: int = 512, n_pages: int = N_PAGES, *, frozen: bool = False) -> FakeMachine:
    """One whose pages were all touched once, before the policy starts."""
    machine = FakeMachine(n_pages, n_ddr_pages, frozen=frozen)
    machine.touch(np.arange(n_pages), 0)
    return machine


def test_hot_pages_are_promoted_and_untouched_ones_are_not(make: Any) -> None:
    machine, hot = machine_of(), np.arange(200, 260)
    machine.run(make(), lambda now: hot, until_ps=9000 * MS, step_ps=10 * MS)
    assert np.flatnonzero(machine.on_ddr).tolist() == machine.all_picked().tolist() == hot.tolist()


def test_any_page_touched_soon_after_its_protection_is_promoted(make: Any) -> None:
    """Recency: a single touch is enough where it comes soon, and many are not where they come late."""
    machine, policy = machine_of(), make()
    machine.now_ps = policy.start(machine, 0)
    policy.act(machine)
    machine.touch(np.array([3]), machine.now_ps + 999 * MS)
    machine.touch(np.array([4]), machine.now_ps + 1000 * MS)
    machine.now_ps += 1001 * MS
    policy.act(machine)
    assert machine.all_picked().tolist() == [3]


def test_scanning_begins_after_the_delay_and_goes_by_windows(make: Any) -> None:
    machine, policy = machine_of(), make()
    due = policy.start(machine, 0)
    assert due == 1000 * MS
    machine.now_ps = due
    policy.act(machine)
    assert machine.n_protected == 16
    assert machine.charged_ps == 16 * policy.config.scan_cost_ps
    assert policy.period_ps == 100 * MS
    machine.now_ps += 100 * MS
    policy.act(machine)
    assert machine.n_protected == 16
    machine.now_ps += 32 * machine.charged_ps
    policy.act(machine)
    assert machine.n_protected == 32


def test_pages_never_touched_have_no_entry_to_protect(make: Any) -> None:
    machine = FakeMachine(N_PAGES, 512)
    machine.touch(np.arange(40), 0)
    machine.run(make(), lambda now: NO_PAGES, until_ps=9000 * MS, step_ps=100 * MS)
    assert machine.n_protected == 40


def test_pages_that_are_protected_already_are_passed_over(make: Any) -> None:
    machine = machine_of()
    machine.run(make(), lambda now: NO_PAGES, until_ps=60_000 * MS, step_ps=50 * MS)
    assert machine.n_protected == N_PAGES


def test_pages_of_ddr_never_fault(make: Any) -> None:
    machine = machine_of()
    machine.on_ddr[:500] = True
    everything = np.arange(N_PAGES)
    machine.run(make(), lambda now: everything, until_ps=20_000 * MS, step_ps=50 * MS)
    assert machine.all_picked().min() == 500
    assert machine.on_ddr[:500].all()


def test_the_promotion_rate_is_limited(make: Any) -> None:
    # 20 pages a second
    machine, policy = machine_of(1024), make("promote_limit_mib_per_s=0.078125")
    everything = np.arange(N_PAGES)
    machine.run(policy, lambda now: everything, until_ps=6000 * MS, step_ps=50 * MS)
    assert 60 <= machine.on_ddr.sum() <= 120
    free = machine_of(1024)
    free.run(make(), lambda now: everything, until_ps=6000 * MS, step_ps=50 * MS)
    assert free.on_ddr.sum() > 500


def test_free_space_is_filled_whatever_the_latency(make: Any) -> None:
    machine, policy = machine_of(100), make("spare_share=40 %")
    late = lambda now: np.arange(N_PAGES) if now % (20_000 * MS) == 0 else NO_PAGES  # noqa: E731
    machine.run(policy, late, until_ps=20_100 * MS, step_ps=50 * MS)
    assert machine.on_ddr.sum() == 60


def test_the_threshold_follows_the_rate_limit(make: Any) -> None:
    everything = np.arange(N_PAGES)
    busy, idle = make("promote_limit_mib_per_s=0.0078125"), make()
    machine = machine_of(frozen=True)
    machine.run(busy, lambda now: everything, until_ps=200_000 * MS, step_ps=100 * MS)
    assert busy.threshold_ps < 1000 * MS
    machine_of(frozen=True).run(idle, lambda now: everything, until_ps=200_000 * MS, step_ps=100 * MS)
    assert 1000 * MS < idle.threshold_ps <= 2000 * MS


def test_passes_that_promote_slow_scanning_down(make: Any) -> None:
    hot = np.arange(100)
    still, moving = make(), make()
    machine_of(frozen=True).run(still, lambda now: hot, until_ps=20_000 * MS, step_ps=50 * MS)
    assert still.period_ps == 100 * MS
    machine_of().run(moving, lambda now: hot, until_ps=20_000 * MS, step_ps=50 * MS)
    assert moving.period_ps == 200 * MS


def test_the_period_goes_by_the_windows_of_the_address_space(make: Any) -> None:
    # two windows: a pass takes 1 s at the least and 60 s at the most
    machine, policy = machine_of(n_pages=32), make("scan_limit=2560 MiB/s")
    machine.now_ps = policy.start(machine, 0)
    policy.act(machine)
    assert policy.period_ps == 500 * MS
