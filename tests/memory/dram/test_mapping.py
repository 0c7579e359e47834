"""Address maps: bit fields against a slow twin written from the published description, inverses, refusals, speed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError, WorkloadError
from simulator.memory.dram.mapping import compile_map, map_addresses
from simulator.memory.dram.standard import DramPart, DramSpec, resolve
from tests.memory.dram.mapping_twin import Fields, twin_fields

PARTS = Path(__file__).parents[3] / "hw_configs" / "parts" / "dram"
STANDARDS = ("ddr4", "ddr5", "lpddr5", "gddr6", "hbm2", "hbm3")
MAPPERS = ("RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR")
ORG = "organisations.DDR4_8Gb_x8"
QUICK = settings(max_examples=40, deadline=None)


@cache
def spec_of(standard: str, *sets: str) -> DramSpec:
    return resolve(bind(load_part(PARTS / f"{standard}.yaml", sets), DramPart))


def mapped(spec: DramSpec, mapper: str, n_channels: int, *addresses: int) -> list[tuple[int, int, int]]:
    columns = map_addresses(spec, mapper, n_channels, np.array(addresses, np.int64))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def flat(spec: DramSpec, fields: Fields) -> tuple[int, int, int]:
    bank = 0
    for level, size in zip(spec.levels, spec.level_sizes, strict=True):
        bank = bank * size + fields[level]
    return fields["channel"], bank, fields["row"]


def test_the_published_example() -> None:
    # DDR4 8 Gb x8: column in a[6:0], bank group in a[8:7], bank in a[10:9], row in a[26:11].
    spec = spec_of("ddr4")
    for column, group, bank, row in ((0, 0, 0, 0), (127, 1, 0, 5), (3, 2, 3, 65535), (64, 3, 1, 32768)):
        a = column | group << 7 | bank << 9 | row << 11
        assert mapped(spec, "RoBaRaCoCh", 1, a << 6) == [(0, group * 4 + bank, row)]


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("mapper", MAPPERS)
@QUICK
@given(data=st.data())
def test_maps_equal_their_twin(standard: str, mapper: str, data: st.DataObject) -> None:
    ranks = data.draw(st.sampled_from([1, 2, 4])) if standard in ("ddr4", "ddr5", "lpddr5") else 1
    n_channels = data.draw(st.sampled_from([1, 2, 8]))
    spec = spec_of(standard, f"rank={ranks}", f"n_channels={n_channels}", f"mapper={mapper}")
    addresses = data.draw(st.lists(st.integers(0, 2 ** data.draw(st.sampled_from([24, 34, 48])) - 1), min_size=1))
    expected = [flat(spec, twin_fields(spec, mapper, n_channels, address)) for address in addresses]
    assert mapped(spec, mapper, n_channels, *addresses) == expected


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("mapper", MAPPERS)
def test_every_burst_of_a_memory_has_a_place_of_its_own(standard: str, mapper: str) -> None:
    spec = spec_of(standard, "n_channels=4")
    fields = compile_map(spec, mapper, 4).fields
    below_end = (spec.capacity_bytes * 4 - 1) & ~(spec.tx_bytes - 1)
    rows = [mask & below_end for bits in fields.values() for mask in bits]
    assert rank_of([mask for mask in rows if mask]) == below_end.bit_count()


def rank_of(masks: list[int]) -> int:
    """Rank of a matrix over the field of two elements, its rows as masks."""
    basis: list[int] = []
    for mask in masks:
        for other in basis:
            mask = min(mask, mask ^ other)
        if mask:
            basis.append(mask)
    return len(basis)


def test_a_map_of_the_users_own() -> None:
    own = "address_maps.mine=row bank column[3:] bank_group channel column[:3]; bank_group ^= row[1:]"
    spec = spec_of("ddr4", own, "n_channels=2", "mapper=mine")
    # Burst number: 3 column bits, channel, 2 bank group bits, 4 column bits, 2 bank bits, row.
    burst = 0b101 | 1 << 3 | 0b10 << 4 | 0b1111 << 6 | 0b01 << 10 | 0b1101 << 12
    assert mapped(spec, "mine", 2, burst << 6) == [(1, (0b10 ^ 0b10) * 4 + 0b01, 0b1101)]


def test_channel_bits_may_stand_higher() -> None:
    plain = spec_of("ddr4")
    spec = spec_of("ddr4", "channel_bit=12", "n_channels=4")
    rng = np.random.default_rng(1)
    for address in rng.integers(0, 2**34, 50).tolist():
        without = address & 0xFFF | address >> 14 << 12
        assert mapped(spec, "RoBaRaCoCh", 4, address) == [
            (address >> 12 & 3, *mapped(plain, "RoBaRaCoCh", 1, without)[0][1:])
        ]


def test_addresses_past_the_end_alias_or_keep_their_row_or_are_refused() -> None:
    spec = spec_of("ddr4")
    end = spec.capacity_bytes
    assert mapped(spec, "RoBaRaCoCh", 1, end + 64) == mapped(spec, "RoBaRaCoCh", 1, 64)
    assert mapped(spec, "MOP4CLXOR", 1, end) == [(0, 0, spec.n_rows)]
    corrected = spec_of("ddr4", "accounting=corrected")
    assert mapped(corrected, "MOP4CLXOR", 1, end - 1)[0][2] < spec.n_rows * 2
    with pytest.raises(WorkloadError, match="request 1 has address 0x200000000, past the end"):
        mapped(corrected, "RoBaRaCoCh", 1, 0, end)
    assert mapped(corrected, "RoBaRaCoCh", 2, end)
    with pytest.raises(WorkloadError, match="request 2 has the negative address -64"):
        mapped(spec, "RoBaRaCoCh", 1, 0, 1, -64)


def test_no_addresses_give_empty_arrays() -> None:
    assert [len(column) for column in map_addresses(spec_of("hbm3"), "MOP4CLXOR", 1, np.empty(0, np.int64))] == [0] * 3


@pytest.mark.parametrize(
    ("sets", "where", "cause"),
    [
        (["mapper=RoBaRaCoChh"], "--set mapper", "unknown address map 'RoBaRaCoChh'; did you mean `RoBaRaCoCh`?"),
        (["n_channels=3"], "--set n_channels", "an address map needs a power of two, not 3 channels"),
        (["rank=3"], "--set rank", "not 3 of rank"),
        ([f"{ORG}.sizes.bank=6"], f"--set {ORG}.sizes.bank", "not 6 of bank"),
        ([f"{ORG}.n_columns=24"], f"--set {ORG}.n_columns", "not 3 bursts"),
        (["mapper=ChRaBaRoCo", f"{ORG}.n_rows=3"], f"--set {ORG}.n_rows", "not 3 rows"),
        (["address_maps.m=row bank column channel", "mapper=m"], "--set address_maps.m", "leaves out bit 0 of bank_g"),
        (["address_maps.m=row row column", "mapper=m"], "--set address_maps.m", "bit 0 of row stands twice"),
        (["address_maps.m=row bnak column", "mapper=m"], "--set address_maps.m", "unknown field 'bnak'"),
        (["address_maps.m=row bank[", "mapper=m"], "--set address_maps.m", "cannot read 'bank['"),
        (["address_maps.m=bank row+ column", "mapper=m"], "--set address_maps.m", "`row+` takes what is left"),
        (["address_maps.m=''", "mapper=m"], "--set address_maps.m", "names no field"),
        (
            ["address_maps.m=row bank bank_group column; bank = row", "mapper=m"],
            "--set address_maps.m",
            "cannot read 'bank = row'",
        ),
        (
            ["address_maps.m=row bank bank_group column; row bank ^= row", "mapper=m"],
            "--set address_maps.m",
            "row would be folded into itself",
        ),
        (["channel_bit=3", "n_channels=2"], "--set channel_bit", "bit 3 is within a burst"),
        (["channel_bit=60", "n_channels=2"], "--set channel_bit", "bit 60 is past the memory's end"),
    ],
)  # fmt: skip
def test_maps_are_refused_at_their_place(sets: list[str], where: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec_of("ddr4", *sets)
    assert caught.value.where == where
    assert cause in str(caught.value)


def test_rows_of_any_number_may_be_topmost() -> None:
    spec = spec_of("ddr4", "organisations.DDR4_8Gb_x8.n_rows=49152", "accounting=corrected")
    assert mapped(spec, "RoBaRaCoCh", 1, spec.capacity_bytes - 1) == [(0, 15, 49151)]
