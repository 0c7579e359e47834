"""PAPI's stacks as parts: what they hold, what their dies have room for, and the power that their units draw."""

from __future__ import annotations

import pytest

from simulator.core.errors import ConfigError
from simulator.devices.dram import Dram
from tests.devices.pim_stack_parts import NAMES, pim_stack

GIB = 1 << 30


@pytest.mark.parametrize(
    ("name", "n_banks", "n_gib", "n_units", "design"),
    [
        ("attacc", 1024, 16, 1024, "1P1B"), ("fc_pim", 768, 12, 3072, "4P1B"),
        ("attn_pim", 1024, 16, 512, "1P2B"), ("hbm_pim", 1024, 16, 512, "1P2B"),
    ],
)  # fmt: skip
def test_what_papi_prints_of_its_stacks(name: str, n_banks: int, n_gib: int, n_units: int, design: str) -> None:
    stack = pim_stack(name)
    assert (stack.n_banks, stack.capacity_bytes) == (n_banks, n_gib * GIB)
    assert stack.area is not None
    assert (stack.area.n_stack_banks, stack.area.capacity_bytes) == (n_banks, n_gib * GIB)
    assert (stack.area.n_stack_units, stack.area.design) == (n_units, design)
    assert stack.area.area_mm2 <= 121


def test_a_die_without_room_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"128 banks of a 4P1B stack take 158.7 mm2, 37.7 mm2 more than the die's 121"
    ):
        pim_stack("attacc", "units_per_place=4")
    with pytest.raises(ConfigError, match=r"0.75 units for a bank cannot be built"):
        pim_stack("attacc", "units_per_place=0.75")


def test_energy_is_counted_for_the_banks_that_are_read() -> None:
    words = "a product reads 48 banks of HBM3_12Gb_8hi_3bg, but its energy is counted for 64"
    with pytest.raises(ConfigError, match=words):
        pim_stack("attacc", "dram.org=HBM3_12Gb_8hi_3bg", "dram.mapper=none")


def test_power_is_reported() -> None:
    words = "a 4P1B stack of 768 banks draws 82.5 W at a reuse of 4, 33.5 W below its budget of 116 W"
    assert pim_stack("fc_pim").power is not None
    assert pim_stack("fc_pim").power.words == words  # type: ignore[union-attr]
    above = pim_stack("fc_pim").power_at(2)
    assert above is not None
    assert above.words == "a 4P1B stack of 768 banks draws 154.5 W at a reuse of 2, 38.5 W above its budget of 116 W"


def test_power_is_enforced() -> None:
    """At construction for the least reuse that is promised, and at each product that has less."""
    with pytest.raises(
        ConfigError, match=r"draws 298.5 W at a reuse of 1, 182.5 W above .*\n.*from a reuse of 2.7"
    ) as no:
        pim_stack("fc_pim", "power_budget=enforce", "least_reuse=1")
    assert no.value.exit_code == 2
    stack = pim_stack("fc_pim", "power_budget=enforce")
    assert stack.linear(4, 64, 64).ticks > 0
    with pytest.raises(ConfigError, match=r"154.5 W at a reuse of 2"):
        stack.linear(2, 64, 64)


@pytest.mark.parametrize("name", NAMES)
def test_columns_as_banks_give_them_are_within_budget(name: str) -> None:
    """Limited by the memory no stack comes near 116 W: its highest is where columns and units keep pace."""
    stack = pim_stack(name, "power_column_rate=dram", "power_budget=enforce", "least_reuse=1")
    assert stack.power is not None
    for reuse in (1, 2, 4, 8, 16, 64):
        drawn = stack.power_at(reuse)
        assert drawn is not None
        assert drawn.power_w <= stack.power.power_w + 1e-9


def test_units_elsewhere_have_no_rule_of_area_or_power() -> None:
    stack = pim_stack("attacc", "placement=buffer")
    assert stack.area is stack.power is None


def test_a_memory_without_map_takes_no_addresses() -> None:
    memory = Dram(pim_stack("fc_pim").config.dram)
    with pytest.raises(ConfigError, match="this memory takes no addresses"):
        memory.synthetic_requests(0)
    with pytest.raises(ConfigError, match="an address map needs a power of two, not 3 of bank_group"):
        pim_stack("fc_pim", "dram.mapper=RoBaRaCoCh")
