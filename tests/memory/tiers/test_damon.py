from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.memory.tiers.damon_regions import DamonRegions
from simulator.memory.tiers.damon_scheme import Quota, hotness
from simulator.memory.tiers.policies.damon import Damon
from tests.memory.tiers.fake_machine import NO_PAGES, FakeMachine

MS = 10**9
N_PAGES = 4096


@pytest.fixture
def make(repo_root: Path) -> Any:
    def made(*sets: str) -> Damon:
        tree = load_part(str(repo_root / "hw_configs/parts/policies/damon.yaml"), sets)
        return Damon(bind(tree, Damon.Config))

    return made


def watch(policy: Damon, hot: Any, *, seconds: float = 2.0, **machine: Any) -> FakeMachine:
    """A machine whose pages `hot` are touched all the time."""
    watched = FakeMachine(N_PAGES, 1536, **machine)
    watched.run(policy, lambda now: hot, until_ps=int(seconds * 1000) * MS, step_ps=5 * MS)
    return watched


def test_a_hot_region_is_found_and_cold_pages_are_not(make: Any) -> None:
    hot = np.arange(1000, 1400)
    machine = watch(make(), hot)
    assert set(np.flatnonzero(machine.on_ddr)) <= set(hot)
    assert machine.on_ddr[hot].mean() > 0.95
    assert machine.on_ddr.sum() == len(machine.all_picked())


def test_without_the_young_filter_whole_regions_move(make: Any) -> None:
    hot = np.arange(1000, 1400)
    machine = watch(make("young_filter=false"), hot, seconds=1.0)
    assert machine.on_ddr[hot].mean() > 0.95
    assert machine.on_ddr.sum() > 400


def test_regions_adapt_to_the_boundaries_of_what_is_hot(make: Any) -> None:
    policy = make()
    watch(policy, np.arange(1000, 1400), seconds=3.0, frozen=True)
    regions = policy.regions
    assert 10 <= len(regions) <= 1000
    hot = regions.last_accesses >= 15
    inside = (regions.start >= 960) & (regions.start + regions.size <= 1440)
    assert hot.any()
    assert inside[hot].mean() > 0.8
    assert regions.size[hot].sum() > 300


def test_pages_of_ddr_are_neither_promoted_nor_picked(make: Any) -> None:
    machine = FakeMachine(N_PAGES, 1536)
    machine.on_ddr[:1000] = True
    machine.run(make(), lambda now: np.arange(2000), until_ps=1000 * MS, step_ps=5 * MS)
    assert machine.all_picked().min() == 1000


def test_what_stays_cold_in_ddr_is_demoted(make: Any) -> None:
    machine = FakeMachine(N_PAGES, 1536)
    machine.on_ddr[:1000] = True
    policy = make("demote.min_age=1 s")
    machine.run(policy, lambda now: np.arange(500), until_ps=3000 * MS, step_ps=5 * MS)
    demoted = np.concatenate([NO_PAGES, *machine.demoted])
    assert demoted.min() >= 500
    assert len(demoted) > 400
    young = FakeMachine(N_PAGES, 1536)
    young.on_ddr[:1000] = True
    young.run(make(), lambda now: np.arange(500), until_ps=3000 * MS, step_ps=5 * MS)
    assert not young.demoted


def test_each_sample_is_charged(make: Any) -> None:
    policy = make()
    machine = FakeMachine(N_PAGES, 1536)
    machine.now_ps = policy.start(machine, 0)
    due = policy.act(machine)
    assert machine.charged_ps == 10 * policy.config.check_cost_ps
    assert due == machine.now_ps + 5 * MS


def test_the_quota_limits_what_moves_in_a_window(make: Any) -> None:
    policy = make("promote.quota_size=400 KiB", "promote.quota_reset=1 s")
    machine = watch(policy, np.arange(2000), seconds=0.95)
    assert 0 < machine.on_ddr.sum() <= 100
    machine = watch(make("promote.quota_size=400 KiB", "promote.quota_reset=1 s"), np.arange(2000), seconds=2.9)
    assert 100 < machine.on_ddr.sum() <= 300


def test_time_becomes_pages_by_the_speed_measured(make: Any) -> None:
    scheme = make().config.promote
    quota = Quota(scheme, 0)
    assert quota.left(0) == 1024 * 2000
    quota.charge(50_000, 50_000 * 54_000_000)
    assert quota.left(0) == 1024 * 2000 - 50_000
    # 2 s at 54 us a page
    assert quota.left(20_000 * MS) == 2 * 10**12 // 54_000_000


def test_without_quotas_nothing_is_held_back(make: Any) -> None:
    scheme = make("promote.quota_size=0 GiB", "promote.quota_time=0 s").config.promote
    quota = Quota(scheme, 0)
    quota.charge(1 << 40, 1)
    assert quota.left(1) > 1 << 60


def test_hotness_goes_by_age_and_by_frequency_as_weighted(make: Any) -> None:
    regions = DamonRegions(100, 4, 10)
    regions.n_accesses = np.array([0, 0, 20, 10])
    regions.age = np.array([400, 0, 40, 400])
    by_age = make().config.promote
    score = hotness(regions, by_age, 20, 100 * MS, 1000 * MS)
    assert np.argsort(score).tolist() == [0, 1, 2, 3]
    by_count = by_age.model_copy(update={"access_weight": 1.0, "age_weight": 0.0})
    assert hotness(regions, by_count, 20, 100 * MS, 1000 * MS).tolist() == [0, 0, 100, 50]
    neither = by_age.model_copy(update={"age_weight": 0.0})
    assert not hotness(regions, neither, 20, 100 * MS, 1000 * MS).any()


def test_the_hottest_regions_come_first(make: Any) -> None:
    """With a quota of less than a region, what is accessed most is taken."""
    sets = ("promote.min_age=300 ms", "promote.quota_size=200 KiB", "promote.age_weight=0", "promote.access_weight=1")
    policy, machine = make(*sets), FakeMachine(N_PAGES, 1536)
    often, seldom = np.arange(2867, 3276), np.arange(819, 1228)
    touched = lambda now: np.concatenate([often, seldom]) if now % (20 * MS) == 0 else often  # noqa: E731
    machine.run(policy, touched, until_ps=1500 * MS, step_ps=5 * MS)
    assert machine.on_ddr.sum() == 50
    assert machine.on_ddr[often].sum() == 50
