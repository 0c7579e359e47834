"""Parts that no memory can be are refused at the key that is wrong, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError
from simulator.memory.dram.standard import DramPart, resolve

PARTS = Path(__file__).parents[3] / "hw_configs" / "parts" / "dram"
ORG = "organisations.DDR4_8Gb_x8"


def part_of(standard: str, *sets: str) -> DramPart:
    return bind(load_part(PARTS / f"{standard}.yaml", sets), DramPart)


def refused(standard: str, *sets: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        part_of(standard, *sets)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("standard", "setting", "cause"),
    [
        ("ddr4", "org=DDR4_8Gb_x9", "unknown organisation 'DDR4_8Gb_x9'; did you mean `DDR4_8Gb_x8`?"),
        ("ddr4", "timing=DDR4_2400Z", "unknown speed grade 'DDR4_2400Z'; did you mean `DDR4_2400"),
        ("ddr4", "overrides.n_rcx=9", "unknown timing 'n_rcx'; did you mean `n_rc"),
        ("ddr4", "overrides.n_ras=9", "n_ras of 9 is less than n_rcd of 16: a row would close before its columns"),
        ("ddr4", "overrides.n_rcd=50", "n_ras of 39 is less than n_rcd of 50"),
        ("gddr6", "overrides.n_rcdwr=54", "n_ras of 53 is less than n_rcdwr of 54"),
        ("ddr4", "overrides.n_rc=20", "n_rc of 20 is less than n_ras of 39"),
        ("ddr4", "overrides.n_refi=433", "n_refi of 433 is no longer than n_rfc of 433"),
        ("ddr4", "overrides.n_rfc=9364", "nothing but refresh"),
        ("hbm3", "overrides.tck_ps=1", "a clock of 1 ps; give at least 2 ps"),
        ("ddr4", "overrides.tck_ps=0", "a clock of 0 ps"),
        ("ddr4", "overrides.rate=0", "a rate of 0"),
        ("ddr4", "overrides.n_rp=-1", "n_rp is -1, and time is not negative"),
        ("ddr4", "overrides.n_bl=0", "n_bl is 0"),
        ("ddr4", "overrides.n_wr=9000000000", "more than any memory waits"),
        ("ddr4", "speed_grades.DDR4_2400R.n_ras=1", "n_ras of 1 is less than n_rcd of 16"),
        ("ddr4", "refresh=PerBank", "DDR4 has no per-bank refresh here"),
        ("gddr6", "refresh=PerBank", "GDDR6 has no per-bank refresh here"),
        ("lpddr5", "refresh=HBM34PerBankRefresh", "LPDDR5 has no pseudo channels"),
        ("ddr4", "refresh=Sometimes", "cannot be 'Sometimes'"),
        ("hbm2", "rank=2", "2 ranks, but this standard has none"),
        ("ddr4", "queue=0", "greater than or equal to 1"),
        ("ddr4", "queue=1000000000000", "less than or equal to 65536"),
        ("ddr4", "n_channels=1048576", "less than or equal to 1024"),
        ("ddr4", "fe_ratio=1000000000", "less than or equal to 65536"),
        ("ddr4", "rank=1048576", "less than or equal to 64"),
        ("ddr4", "n_requests=100000000000000000000", "less than or equal to 1000000000"),
        ("ddr4", "overrides.tck_ps=1000000000000000000000", "more than any memory waits"),
        ("ddr4", "write_low_frac=0", "writing starts at 0.8 of the queue and would not end by 0"),
        ("ddr4", "write_low_frac=0.9", "writing starts at 0.8 of the queue and would not end by 0.9"),
        ("ddr4", f"{ORG}.sizes.bonk=2", "unknown level 'bonk'"),
        ("ddr4", f"{ORG}.n_columns=9", "9 words in a row are no whole number of bursts of 8"),
        ("ddr4", f"{ORG}.channel_width_bits=24", "an address map needs a power of two, not 24 bytes in a burst"),
        ("hbm2", "organisations.HBM2_8Gb.channel_width_bits=3", "the bytes of a burst are no whole number"),
    ],
)  # fmt: skip
def test_impossible_choices(standard: str, setting: str, cause: str) -> None:
    error = refused(standard, setting)
    assert error.where == f"--set {setting.partition('=')[0]}"
    assert cause in str(error)


def row(level: str = "bank", before: str = "ACT", after: str = "RD", latency: str = "1", window: int = 1) -> str:
    names = f"preceding: [{before}], following: [{after}]"
    return f"rules.mine=[{{level: {level}, {names}, latency: {latency}, window: {window}}}]"


@pytest.mark.parametrize(
    ("standard", "setting", "cause"),
    [
        ("ddr4", row(level="bnak"), "unknown level 'bnak'; did you mean `bank`?"),
        ("ddr4", row(before="ACT2"), "unknown command 'ACT2'; did you mean `ACT`?"),
        ("ddr4", row(after="write"), "unknown command 'write'; did you mean `writes`?"),
        ("ddr4", row(latency="n_x + 1"), "unknown timing 'n_x'"),
        ("ddr4", row(latency="n_cl * 2"), "cannot read the latency 'n_cl * 2'"),
        ("ddr4", row(window=0), "greater than 0"),
        ("hbm2", "buses=[[ACT]]", "a command is on no bus, or on two"),
        ("hbm2", "buses=[[ATC]]", "unknown command 'ATC'"),
        ("hbm2", "command_slots.ACT=1.3", "is no whole number of ticks"),
        ("hbm2", "command_slots.ATC=1", "unknown command 'ATC'"),
        ("hbm2", "command_groups.reads=[RDD]", "unknown command 'RDD'"),
        ("ddr4", "read_latency=n_cl * 2", "cannot read the latency"),
        ("ddr4", "refresh_scope=die", "unknown level 'die'"),
        ("hbm3", "density_per=[die]", "unknown level 'die'"),
        ("ddr4", "derived.n_rfc=[{clocks: 3, time: 3 ns}]", "one of `clocks`, `time` and `same_as`"),
        ("hbm3", "derived.n_rfmab=[{same_as: n_rfx}]", "there is no timing 'n_rfx' yet"),
        ("hbm3", "derived.n_refipb=[{time: 3 us, divided_by: [die]}]", "unknown level 'die'"),
    ],
)
def test_standards_that_contradict_themselves(standard: str, setting: str, cause: str) -> None:
    error = refused(standard, setting)
    assert str(error.where).startswith(f"--set {setting.partition('=')[0]}")
    assert cause in str(error)


def test_a_short_interval_counts_only_where_it_is_used() -> None:
    sets = ("overrides.n_refipb=8", "refresh=PerBank")
    assert "n_refipb of 8 is no longer than n_rrefd of 8" in str(refused("hbm3", *sets))
    assert part_of("hbm3", sets[0])
    assert part_of("ddr4", "overrides.n_refi=0", "refresh=NoRefresh")


def test_a_density_without_a_table_entry() -> None:
    error = refused("ddr4", f"{ORG}.density=64 Gibit")
    assert "`derived.n_rfc`: no case fits 2400 MT/s, 8 data pins and 68719476736 bits" in str(error)


def test_a_speed_grade_without_a_clock() -> None:
    error = refused("ddr4", "speed_grades.mine={rate: 3200}", "timing=mine")
    assert str(error.where) == "--set speed_grades.mine"
    assert "a speed grade needs a positive tck_ps" in str(error)


def test_an_organisation_without_a_level() -> None:
    own = "{density: 8 Gibit, dq_bits: 8, channel_width_bits: 64, sizes: {bank: 4}, n_rows: 64, n_columns: 64}"
    assert "lacks the level 'rank'" in str(refused("ddr4", f"organisations.mine={own}", "org=mine"))


def test_a_file_tells_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: {PARTS / 'ddr4.yaml'}\norg: DDR4_8Gb_x8\noverrides:\n  n_ras: 3\n")
    with pytest.raises(ConfigError) as caught:
        bind(load_part(file), DramPart)
    assert str(caught.value).startswith(f"{file}:4:10: `overrides.n_ras`: n_ras of 3 is less than n_rcd of 16")


def test_resolving_a_changed_part_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"`org`: unknown organisation 'x'"):
        resolve(part_of("ddr4").model_copy(update={"org": "x"}))
