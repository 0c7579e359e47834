"""Derived timings over every organisation and grade, both accountings, and variants."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.memory.dram.standard import DramPart, DramSpec, resolve

PARTS = Path(__file__).parents[3] / "hw_configs" / "parts" / "dram"
STANDARDS = ("ddr4", "ddr5", "lpddr5", "gddr6", "hbm2", "hbm3")


@cache
def part_of(standard: str, *sets: str) -> DramPart:
    return bind(load_part(PARTS / f"{standard}.yaml", sets), DramPart)


def spec_of(standard: str, *sets: str) -> DramSpec:
    return resolve(part_of(standard, *sets))


def combinations(standard: str) -> list[DramSpec]:
    part = part_of(standard)
    return [
        resolve(part.model_copy(update={"org": org, "timing": grade}))
        for org in part.organisations
        for grade in part.speed_grades
    ]


def test_every_organisation_resolves_with_every_grade() -> None:
    numbers = {standard: len(combinations(standard)) for standard in STANDARDS}
    assert numbers == {"ddr4": 288, "ddr5": 72, "lpddr5": 2, "gddr6": 24, "hbm2": 12, "hbm3": 5}
    assert sum(numbers.values()) == 403


def up_to(value: float, *steps: tuple[float, int]) -> int:
    """The entry of the first step that is not below a value."""
    return next(entry for limit, entry in steps if value <= limit)


def ddr4_derived(spec: DramSpec) -> dict[str, int]:
    rate, tck, gb = spec.timing["rate"], spec.timing["tck_ps"], spec.density_bits / 2**30
    wide = spec.dq_bits == 16
    rrdl = [(1866, 5), (2400, 6), (2666, 7), (3200, 8)]
    wide_rrdl = [(1866, 6), (2133, 7), (2400, 8), (2666, 9), (2933, 10), (3200, 11)]
    x8 = [(1600, 20), (1866, 22), (2133, 23), (2400, 26), (2666, 28), (2933, 31), (3200, 34)]
    x16 = [(1866, 28), (2133, 32), (2400, 36), (2666, 40), (2933, 44), (3200, 48)]
    return {
        "n_rrds": up_to(rate, (1866, 5), (2133, 6), (2400, 7), (2933, 8), (3200, 9)) if wide else 4,
        "n_rrdl": up_to(rate, *(wide_rrdl if wide else rrdl)),
        "n_faw": 16 if spec.dq_bits == 4 else up_to(rate, *(x16 if wide else x8)),
        "n_rfc": math.ceil(up_to(gb, (2, 160), (4, 260), (8, 360), (16, 550)) * 1000 / tck),
        "n_refi": math.ceil(7_800_000 / tck),
    }


def ddr5_derived(spec: DramSpec) -> dict[str, int]:
    rate, tck, gb = spec.timing["rate"], spec.timing["tck_ps"], spec.density_bits / 2**30
    exact = 2_000_000 / rate
    usual = max(8, math.ceil(5000 / exact))
    return {
        "n_rrds": 8 if rate in (3200, 4800) else usual,
        "n_rrdl": {3200: 5, 4800: 12}.get(rate, usual),
        "n_faw": max(32, math.ceil((25_000 if spec.dq_bits == 16 else 20_000) / exact)),
        "n_rfc": math.ceil(up_to(gb, (8, 195), (16, 295), (32, 410)) * 1000 / tck),
        "n_refi": math.ceil(3_900_000 / tck),
    }


def hbm2_derived(spec: DramSpec) -> dict[str, int]:
    tck, gb = spec.timing["tck_ps"], spec.density_bits / 2**30
    return {
        "n_rrds": max(4, math.ceil(4000 / tck)),
        "n_rrdl": max(4, math.ceil(4000 / tck)),
        "n_faw": max(8, math.ceil(15_000 / tck)),
        "n_rfc": math.ceil(up_to(gb, (1, 110), (2, 160), (4, 260), (8, 350)) * 1000 / tck),
        "n_rfcpb": math.ceil(160_000 / tck),
        "n_rrefd": max(4, math.ceil(8000 / tck)),
        "n_refi": math.ceil(3_900_000 / tck),
        "n_refipb": math.ceil(3_900_000 / 32 / tck),
    }


def hbm3_derived(spec: DramSpec) -> dict[str, int]:
    n_sids = spec.level_sizes[1]
    rfc = math.ceil(up_to(spec.density_bits / 2**30 / n_sids, (4, 260), (8, 350), (16, 450)) * 1000 / 625)
    return {
        "n_rfc": rfc,
        "n_rfmab": rfc,
        "n_rfmpb": 320,
        "n_refipb": math.ceil(3_900_000 / 16 / n_sids / 625),
    }


@pytest.mark.parametrize(
    ("standard", "derived"),
    [("ddr4", ddr4_derived), ("ddr5", ddr5_derived), ("hbm2", hbm2_derived), ("hbm3", hbm3_derived)],
)
def test_derived_timings_equal_their_twin(standard: str, derived: Callable[[DramSpec], dict[str, int]]) -> None:
    for spec in combinations(standard):
        expected = derived(spec)
        assert {name: spec.timing[name] for name in expected} == expected, (spec.organisation, spec.speed_grade)


def test_overrides_come_last() -> None:
    spec = spec_of("ddr4", "overrides.n_rrds=6", "overrides.n_rcd=20")
    assert (spec.timing["n_rrds"], spec.timing["n_rcd"]) == (6, 20)
    names = [name for name in spec.rule_names if name == "rank ACT->ACT n_faw (window 4)"]
    assert len(names) == 1
    row = spec.rules[spec.rule_names.index("bank ACT->RD n_rcd")]
    assert row.tolist() == [3, spec.command_index("ACT"), spec.command_index("RD"), 20, 1, 0]


def rows(spec: DramSpec) -> Counter[tuple[int, ...]]:
    return Counter(tuple(row) for row in spec.rules.tolist())


@pytest.mark.parametrize("standard", STANDARDS)
def test_corrected_accounting_only_adds_or_exchanges(standard: str) -> None:
    published, corrected = spec_of(standard), spec_of(standard, "accounting=corrected")
    assert rows(corrected) > rows(published) if standard != "lpddr5" else rows(corrected) - rows(published)
    assert corrected.refuses_beyond_capacity
    assert not published.refuses_beyond_capacity


def row_latency(spec: DramSpec, name: str) -> int:
    return int(spec.rules[spec.rule_names.index(name)][3])


def test_corrected_rows() -> None:
    gddr6 = spec_of("gddr6", "accounting=corrected")
    assert row_latency(gddr6, "channel PREpb->REFab n_rp") == gddr6.timing["n_rp"]
    hbm2 = spec_of("hbm2", "accounting=corrected")
    assert row_latency(hbm2, "pseudo_channel REFpb->REFpb n_rrefd") == 8
    lpddr5 = spec_of("lpddr5", "accounting=corrected", "rank=2")
    assert row_latency(lpddr5, "rank WR->RD n_cwl + n_bl_min + n_cs - n_cl (sibling)") == -4
    assert not [name for name in lpddr5.rule_names if name == "rank WR->RD n_cl + n_bl_min + n_cs - n_cwl (sibling)"]
    assert row_latency(lpddr5, "rank PREab->REFab n_rpab") == 17
    ddr4 = spec_of("ddr4", "accounting=corrected", "rank=2")
    assert row_latency(ddr4, "rank RD->WR n_cl + n_bl + n_cs - n_cwl (sibling)") == 10


@pytest.mark.parametrize(
    ("standard", "refresh", "at_once"),
    [
        ("lpddr5", "PerBank", 1),
        ("hbm2", "PerBank", 1),
        ("hbm2", "HBM34PerBankRefresh", 2),
        ("hbm3", "PerBank", 1),
        ("hbm3", "HBM34PerBankRefresh", 2),
        ("gddr6", "PerBank", 1),
    ],
)
def test_corrected_intervals_refresh_every_bank_once(standard: str, refresh: str, at_once: int) -> None:
    spec = spec_of(standard, "accounting=corrected", f"refresh={refresh}")
    assert spec.timing["n_refipb"] * spec.n_banks / at_once == pytest.approx(spec.timing["n_refi"], rel=0.01)


def test_corrected_intervals_count_ranks() -> None:
    spec = spec_of("lpddr5", "accounting=corrected", "refresh=PerBank", "rank=2")
    assert spec.timing["n_refipb"] == math.ceil(3_906_000 / 32 / 1250)


def test_hbm2e_is_hbm2_with_other_grades() -> None:
    hbm2, hbm2e = part_of("hbm2"), part_of("hbm2e")
    assert hbm2e.rules == hbm2.rules
    at_2400 = hbm2.speed_grades["HBM2_2400Mbps"]
    for rate, name in ((3200, "HBM2E_3200Mbps"), (3600, "HBM2E_3600Mbps")):
        scaled = {key: math.ceil(value * rate / 2400) for key, value in at_2400.items()}
        fixed = {"rate": rate, "tck_ps": int(2_000_000 / rate), "n_bl": 2, "n_ccds": 2}
        assert hbm2e.speed_grades[name] == scaled | fixed
    assert resolve(hbm2e).peak_gb_per_s == pytest.approx(2 * 64 / 8 * 3.2)


VARIANT = """\
extends: {base}
standard: GDDR6-PIM
commands: [ACT, PREab, PREpb, RD, WR, RDA, WRA, REFab, REFpb, ACTab, MACab]
speed_grades: {{GDDR6_14000_1350mV_double: {{n_rcdmac: 32}}}}
rules:
  pim:
    - {{level: channel, preceding: [ACTab], following: [MACab], latency: n_rcdmac}}
    - {{level: channel, preceding: [MACab], following: [PREab], latency: n_rtp}}
    - {{level: channel, preceding: [PREab, PREpb], following: [ACTab], latency: n_rp}}
"""


def test_a_variant_states_only_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "pim.yaml"
    file.write_text(VARIANT.format(base=PARTS / "gddr6.yaml"))
    spec, base = resolve(bind(load_part(file), DramPart)), spec_of("gddr6")
    assert rows(spec) > rows(base)
    assert row_latency(spec, "channel ACTab->MACab n_rcdmac") == 32
    assert spec.command_index("MACab") == 10
