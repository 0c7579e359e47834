from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.parameters import parameters
from simulator.core.registry import list_kinds, load_kind
from simulator.memory.tiers.policy import NEVER_PS
from tests.memory.tiers.fake_machine import FakeMachine

PACKAGE = "simulator.memory.tiers.policies"
MS = 10**9
FACTOR = 1 / 1024


@pytest.fixture
def make(repo_root: Path) -> Any:
    """A policy of a kind from its part, with overrides, scaled by `factor`."""

    def made(kind: str, *sets: str, factor: float = 1.0) -> Any:
        policy = load_kind(PACKAGE, kind)
        tree = load_part(str(repo_root / f"hw_configs/parts/policies/{kind}.yaml"), sets)
        return policy(bind(tree, policy.Config).scaled(factor))

    return made


@pytest.mark.parametrize("kind", ["anb", "damon", "no_migration"])
def test_each_policy_has_a_part_whose_every_number_has_a_source(kind: str, make: Any, repo_root: Path) -> None:
    assert kind in list_kinds(PACKAGE)
    policy = make(kind)
    assert policy.name == policy.config.kind == kind
    tree = load_part(str(repo_root / f"hw_configs/parts/policies/{kind}.yaml"))
    flat = [value for value in _leaves(policy.config.model_dump()) if value != kind]
    assert len(parameters(tree)) == len(flat)


def _leaves(values: dict[str, Any]) -> list[Any]:
    return [leaf for value in values.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]


def test_no_migration_never_acts(make: Any) -> None:
    machine, policy = FakeMachine(8, 4), make("no_migration")
    assert policy.start(machine, 0) == policy.act(machine) == NEVER_PS


def test_scaling_multiplies_times_and_sizes_but_no_costs_and_rates(make: Any) -> None:
    whole, small = make("anb").config, make("anb", factor=1 / 256).config
    assert small.scan_period_min_ps * 256 == whole.scan_period_min_ps
    assert small.scan_size_bytes * 256 == whole.scan_size_bytes
    assert small.scan_cost_ps == whole.scan_cost_ps
    assert small.promote_limit_mib_per_s == whole.promote_limit_mib_per_s
    assert make("anb", factor=1e-9).config.scan_size_bytes == 4096
    with pytest.raises(ValueError, match="cannot be scaled by 0"):
        whole.scaled(0)


def test_scaling_reaches_sections_and_keeps_the_share_that_sampling_takes(make: Any) -> None:
    whole, small = make("damon").config, make("damon", factor=1 / 250).config
    assert small.promote.quota_reset_ps * 250 == whole.promote.quota_reset_ps
    assert small.demote.min_age_ps * 250 == whole.demote.min_age_ps
    assert small.n_samples == whole.n_samples == 20
    assert small.check_cost_ps * 250 == whole.check_cost_ps
    assert small.migration_cost_ps == whole.migration_cost_ps
    assert small.n_max_regions == whole.n_max_regions


@pytest.mark.parametrize(
    ("kind", "override", "cause"),
    [
        ("anb", "scan_period_max=1 ms", "below `scan_period_min`"),
        ("damon", "aggregation=1 ms", "shorter than `sampling`"),
        ("damon", "n_max_regions=5", "below `n_min_regions`"),
    ],
)
def test_impossible_policies_are_refused(kind: str, override: str, cause: str, make: Any) -> None:
    from simulator.core.errors import ConfigError

    with pytest.raises(ConfigError, match=cause):
        make(kind, override)


@pytest.mark.parametrize("kind", ["anb", "damon"])
def test_a_seed_gives_the_same_run_again(kind: str, make: Any) -> None:
    def picked(seed: int) -> list[list[int]]:
        machine = FakeMachine(2000, 500)
        rng = np.random.default_rng(7)
        policy = make(kind, factor=FACTOR)
        machine.run(
            policy, lambda now: rng.integers(0, 2000, 20), until_ps=4000 * MS // 1024, step_ps=MS // 512, seed=seed
        )
        return [pages.tolist() for pages in machine.picked]

    assert picked(3) == picked(3) != []
    assert (picked(3) == picked(4)) == (kind == "anb")


@pytest.mark.parametrize("kind", ["anb", "damon"])
def test_identification_alone_picks_and_is_charged_but_moves_nothing(kind: str, make: Any) -> None:
    machine = FakeMachine(2000, 500, frozen=True)
    hot = np.arange(300, 400)
    machine.run(make(kind, factor=FACTOR), lambda now: hot, until_ps=4000 * MS // 1024, step_ps=MS // 512)
    assert len(machine.all_picked())
    assert machine.charged_ps > 0
    assert not machine.on_ddr.any()
