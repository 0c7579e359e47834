"""What a person reads: words, digits, shares, and lines that fit 80 columns."""

from __future__ import annotations

import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from simulator.contracts.results import RunRecord, Table
from simulator.report import layout, wording
from simulator.report.printing import show_lines, show_table
from simulator.report.tables import console_for, print_record

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
RECORD = RunRecord(
    system="cent (32 devices, pp, published)",
    workload="llama2-70b, 512 in + 3,584 out",
    metrics={
        "throughput_tokens_per_s": 1185.1234,
        "token_latency_ms": 67.123456,
        "energy_mj_per_token": 63.07,
        "power_w": 1276.205,
        "block_cycles": 456689,
        "n_devices": 32,
        "kv_bytes": 343597383680,
        "offered_load_frac": 6.02,
        "ttft_ms_mean": 12.0,
        "ttft_ms_p50": math.nan,
        "ttft_ms_p99": 123456.7,
    },
    breakdown={
        "time_by_resource_ms": {"PIM": 50.1, "PNM": 10.2, "CXL": 6.1, "host": 0.0003},
        "energy_by_resource_mj": {"PIM": 50.1, "PNM": 3.2, "CXL": 6.1},
        "bound_by_resource": {"PIM": "MAC issue: 15.1 of 16.4 TB/s (t_ccd)", "CXL": "link bandwidth"},
        "time_by_operator_ms": {f"operator {index}": float(index) for index in range(30)},
        "channel0_commands": {"MAC16": 123456, "ACT16": 1234},
    },
    headlines=("Offered 6.0 times what the machine serves.",),
    notes=("80 queries of 4,096 tokens need 12.3 GiB per device more than there is; the capacity is only reported.",),
)


def printed(record: RunRecord, *, width: int = 80, terminal: bool) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True) if terminal else console_for(stream)
    print_record(console, record, "results/cent-llama2-70b-12345678")
    return ESCAPE.sub("", stream.getvalue()).splitlines()


@pytest.mark.parametrize(
    ("name", "words", "unit"),
    [
        ("prefill_throughput_tokens_per_s", "prefill throughput", "tokens/s"),
        ("token_latency_ms", "token latency", "ms"),
        ("energy_mj_per_token", "energy", "mJ/token"),
        ("makespan_s", "makespan", "s"),
        ("n_slots", "slots", ""),
        ("kv_bytes", "KV", "bytes"),
        ("offered_load_frac", "offered load", "%"),
        ("ttft_ms", "TTFT", "ms"),
        ("cxl_gb_per_s", "CXL", "GB/s"),
        ("dram_energy_pj_per_bit", "DRAM energy", "pJ/bit"),
        ("device_cycles", "device", "cycles"),
    ],
)
def test_names_are_taken_apart(name: str, words: str, unit: str) -> None:
    assert wording.take_apart(name) == wording.Named(words, unit)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1185.1234, "1,185.1"), (63.07, "63.07"), (0.4123, "0.4123"), (0.00312, "0.003120"), (3.2e-7, "3.200e-07"),
        (0, "0"),
        (0.0, "0"), (456689, "456,689"), (2.5e13, "2.500e+13"), (math.nan, "-"), (None, "-"), (-12.5, "-12.50"),
        ("text", "text"),
    ],
)  # fmt: skip
def test_numbers(value: float | str | None, text: str) -> None:
    assert wording.number(value) == text


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_a_printed_number_is_near_the_number(value: float) -> None:
    assert float(wording.number(value).replace(",", "")) == pytest.approx(value, rel=1e-3, abs=0)


def test_a_column_shares_its_decimals() -> None:
    assert wording.column([50.1, 6.1, 0.0003, 0, 7]) == ["50.10", "6.10", "<0.01", "0", "7"]
    assert wording.column([1.5, "x", None]) == ["1.500", "x", "-"]
    assert wording.column([]) == []


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.9912, "%", ("99.12", "%")),
        (343597383680, "bytes", ("320.0", "GiB")),
        (1023, "bytes", ("1,023", "bytes")),
        (1024, "bytes", ("1.000", "KiB")),
        (math.nan, "%", ("-", "%")),
        (12.0, "W", ("12.00", "W")),
    ],
)
def test_quantities(value: float, unit: str, expected: tuple[str, str]) -> None:
    assert wording.quantity(value, unit) == expected


def test_metrics_are_grouped_and_none_is_lost() -> None:
    groups = layout.metric_groups(RECORD.metrics)
    assert [group.title for group in groups] == [
        "Throughput", "Energy and power", "Time", "Use and load", "Size and traffic", "Counts",
    ]  # fmt: skip
    percentiles = layout.percentile_table(RECORD.metrics)
    assert percentiles is not None
    assert percentiles.headers == ("", "mean", "p50", "p99")
    assert percentiles.rows[0][0] == "TTFT (ms)"
    assert percentiles.rows[0][2] == "-"
    n_shown = sum(len(group.rows) for group in groups) + 3
    assert n_shown == len(RECORD.metrics)


def test_a_single_mean_is_a_plain_metric() -> None:
    assert layout.percentile_table({"power_w_mean": 3.0}) is None
    assert len(layout.metric_groups({"power_w_mean": 3.0})) == 1


def test_breakdowns_of_one_axis_share_a_table() -> None:
    by_resource, by_operator, commands = layout.breakdown_tables(RECORD.breakdown)
    assert by_resource.headers == ("resource", "time (ms)", "share", "energy (mJ)", "share", "bound by")
    assert [row[0] for row in by_resource.rows] == ["PIM", "PNM", "CXL", "host"]
    assert by_resource.rows[0][2] == "75.5%"
    assert by_resource.rows[1][-1] == ""
    assert sum(by_resource.shares) == pytest.approx(1)
    assert by_operator.rows[0][0] == "operator 29"
    assert by_operator.rows[-1][0] == "15 others"
    assert sum(by_operator.shares) == pytest.approx(1)
    assert commands.title == "Channel0 (commands)"
    assert commands.rows[0] == ("MAC16", "123,456")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_record_fits_the_screen(terminal: bool) -> None:
    lines = printed(RECORD, terminal=terminal)
    assert max(map(len, lines)) <= (80 if terminal else 100)
    text = "\n".join(lines)
    for part in ("1,185.1 tokens/s", "Offered 6.0 times", "MAC issue", "320.0 GiB", "results/cent-llama2-70b-12345678"):
        assert part in text


def test_a_file_gets_plain_text() -> None:
    lines = printed(RECORD, terminal=False)
    assert all(line == line.rstrip() for line in lines)
    assert all(ord(character) < 128 for line in lines for character in line)


def test_an_empty_record_prints() -> None:
    assert printed(RunRecord("a", "b", {}), terminal=True)[0] == "a  |  b"


def test_names_with_brackets_are_not_markup() -> None:
    stream = io.StringIO()
    show_table(stream, "[bold]", Table(("name",), [("[red]x[/red]",)]), as_json=False)
    assert "[red]x[/red]" in stream.getvalue()
    assert "[bold]" in stream.getvalue()


def test_an_empty_table_prints() -> None:
    stream = io.StringIO()
    show_table(stream, "models", Table(("name", "weights_gb"), []), as_json=False)
    assert "weights (GB)" in stream.getvalue()


def test_lines_end_once() -> None:
    stream = io.StringIO()
    show_lines(stream, (text for text in ["a", "b\n", "c"] * 3000))
    assert stream.getvalue() == "a\nb\nc\n" * 3000


def test_a_wide_table_keeps_its_names_and_breaks_its_headers() -> None:
    columns = ("policy", "oracle_gain_frac", "ddr_read_frac", *(f"part_{index}_of_time_s" for index in range(6)))
    wide = Table(columns, [("no_migration", 0.5, 0.25, *(0.125 for _ in range(6)))])
    lines = printed(RunRecord("s", "w", {}, tables={"policies": wide}, shown_tables=("policies",)), terminal=False)
    row = next(line for line in lines if line.startswith("no_migration"))
    assert (row.split()[1:3], row.count("0.1250"), max(map(len, lines)) <= 80) == (["50.00", "25.00"], 6, True)


def test_what_a_shown_table_tells_is_not_printed_again() -> None:
    told = Table(("policy", "time_s"), [("anb", 3.5)])
    record = RunRecord(
        "s", "w", {"time_s_anb": 3.5, "n_records": 7}, {"parts": {"DDR": 2.0}}, tables={"policies": told},
        shown_tables=("policies",), in_tables=frozenset({"time_s_anb", "parts"}),
    )  # fmt: skip
    text = "\n".join(printed(record, terminal=False))
    assert (text.count("anb"), text.count("3.500"), text.count("DDR"), "records" in text) == (1, 1, 0, True)
