"""The report as a page: everything of a record is on it, nothing of a record can break out of it."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.contracts.results import Distribution, RunRecord, Series, Table
from simulator.report.html import report_html
from simulator.report.plots import HEIGHT, WIDTH, Plot, cumulative_plot, lines_plot, series_plot
from tests.report.pages import read_page

OPERATOR_COLUMNS = ("operator", "time_ms", "time_frac", "bound", "achieved", "peak", "unit")
HOSTILE = '<script>alert(1)</script>"><img src=https://example.org/x onerror=alert(2)>{{ 7 * 7 }}'


def a_manifest(**changes: Any) -> dict[str, Any]:
    return {
        "command": ["sim", "run", "hw_configs/cent.yaml"],
        "config": "hw_configs/cent.yaml",
        "config_hash": "c0ffee",
        "seed": 17,
        "git_commit": "0123abc",
        "git_dirty": True,
        "trace_checksums": {"traces/x.csv": "beefbeef"},
        "parameter_kinds": {"assumed": 1, "paper": 9},
        "parameters": {
            "assumed": [{"path": "system.t_rfc", "value": "120 ns", "source": "nobody knows"}],
            "fitted": [],
        },
        **changes,
    }


def a_record(**changes: Any) -> RunRecord:
    content: dict[str, Any] = {
        "metrics": {"throughput_tokens_per_s": 1234.5, "ttft_ms_p50": 30.0, "ttft_ms_p90": 70.0, "power_w": 5.0},
        "breakdown": {
            "token_time_by_resource_ms": {"PIM": 3.0, "PNM": 1.0},
            "token_energy_by_component_mj": {"dram": 2.0, "link": 6.0},
            "channel0_commands": {"ACT": 7},
        },
        "headlines": ("one sentence",),
        "notes": ("a note",),
        "operators": Table(
            OPERATOR_COLUMNS,
            [("norm", 1.0, 0.25, "bus", 3.0, 4.0, "GB/s"), ("ffn", 3.0, 0.75, "bank", 0.5, 1.0, "of the time"),
             ("wait", 0.0, 0.0, None, None, None, None)],
        ),
        "key_metrics": ("throughput_tokens_per_s", "power_w"),
        "distributions": {"ttft_ms": Distribution.of([10, 30, 30, 90])},
        "series": {"queue_length_requests": Series.of("time_s", [0, 1, 5], [0, 2, 0], stepped=True)},
        **changes,
    }  # fmt: skip
    return RunRecord("cent", "llama2-70b-query", **content)


def test_everything_of_a_record_is_on_the_page() -> None:
    page = read_page(report_html(a_record(), a_manifest()))
    for words in (
        "cent: llama2-70b-query", "one sentence", "sim run hw_configs/cent.yaml", "1,234.5", "tokens/s", "a note",
        "75.0%", "bank", "75%: 3.000 of 4.000 GB/s", "50% of the time", "Token time by resource",
        "Token energy by component", "ACT", "TTFT (ms)", "p90 70.00", "Queue length (requests)", "system.t_rfc",
        "120 ns", "nobody knows", "None is fitted.", "9 paper", "17", "0123abc, with uncommitted changes", "beefbeef",
        "c0ffee",
    ):  # fmt: skip
        assert words in page.text, words


def test_a_record_of_metrics_alone_is_a_page() -> None:
    page = read_page(report_html(RunRecord("aim_device", "x.trace", {"device_cycles": 5}), {}))
    assert "device" in page.text
    assert page.named("svg") == []


def test_operators_stand_from_the_longest_on() -> None:
    text = read_page(report_html(a_record(), a_manifest())).text
    assert text.index("ffn") < text.index("norm") < text.index("wait")


def test_error_bars_stand_beside_their_metric() -> None:
    ranges = Table(
        ("parameter", "range", "metric", "at_low_end", "as_configured", "at_high_end"),
        [("system.t_rfc", "100 ns to 300 ns", "throughput_tokens_per_s", 1240.0, 1234.5, 1200.0)],
    )
    bars = {"throughput_tokens_per_s": (1200.0, 1240.0), "power_w": (5.0, 5.0)}
    text = read_page(report_html(a_record(error_bars=bars, ranges=ranges), a_manifest())).text
    assert text.count("1,200.0 to 1,240.0") == 2, "the key number and the list of all"
    assert "5.000 to" not in text, "a number that no range moves"
    assert "100 ns to 300 ns" in text


def test_a_page_asks_for_nothing_and_runs_nothing() -> None:
    text = report_html(a_record(), a_manifest())
    page = read_page(text)
    (policy,) = [one["content"] for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "embed", "base", "form"}
    assert {one["href"] for one in page.named("link")} == {"data:,"}
    assert not re.search(r"url\(|@import|src=|https?://", text)
    assert page.named("html") == [{"lang": "en"}]
    assert all(plot.get("role") == "img" and plot.get("aria-label") for plot in page.named("svg"))


def test_no_name_breaks_out_of_its_place() -> None:
    record = RunRecord(
        HOSTILE,
        HOSTILE,
        {HOSTILE: 1, "time_s": 2.0},
        breakdown={f"{HOSTILE}_by_resource_ms": {HOSTILE: 1.0}, HOSTILE: {HOSTILE: HOSTILE}},
        headlines=(HOSTILE,),
        notes=(HOSTILE,),
        operators=Table(OPERATOR_COLUMNS, [(HOSTILE, 1.0, 1.0, HOSTILE, 1.0, 2.0, HOSTILE)]),
        distributions={HOSTILE: Distribution.of([1, 2])},
        series={HOSTILE: Series.of(HOSTILE, [1, 2], [3, 4])},
        error_bars={HOSTILE: (0.0, 2.0)},
        ranges=Table(("a", "b", "c", "d", "e", "f"), [(HOSTILE, HOSTILE, HOSTILE, 1, 1, 1)]),
    )
    parameter = {"path": HOSTILE, "value": HOSTILE, "source": HOSTILE}
    manifest = a_manifest(
        command=["sim", HOSTILE],
        config=HOSTILE,
        trace_checksums={HOSTILE: HOSTILE},
        parameters={"assumed": [parameter], "fitted": [parameter]},
        parameter_kinds={HOSTILE: 1},
        host={"name": HOSTILE},
        versions={HOSTILE: HOSTILE},
    )
    page = read_page(report_html(record, manifest))
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 15
    assert "49" not in page.text.replace("349", ""), "a template within a name was filled"


def test_a_name_that_is_no_utf8_is_written(tmp_path: Any) -> None:
    from simulator.report.run_directory import RunTarget
    from simulator.report.run_files import RunInputs, write_run

    record = RunRecord("cent", "query", {"n": 1}, notes=("caf\udce9",))
    made_from = RunInputs(command=("sim",), config_yaml="", config_hash="", seed=1)
    write_run(RunTarget(tmp_path / "run", "run", replaces=True), record, made_from, report=True)
    assert "caf?" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


# --- plots

POSITIVE = st.floats(1e-9, 1e15)
VALUES = st.floats(-1e15, 1e15)


def numbers_of(plot: Plot) -> list[float]:
    found = [float(text) for text in re.findall(r"-?[\d.]+(?:e[+-]?\d+)?", plot.line + plot.area)]
    found += [value for point in plot.points for value in point] + [
        pixel for pixel, _ in (*plot.x_ticks, *plot.y_ticks)
    ]
    return found + [value for mark in plot.marks for value in (mark.x, mark.y)]


def inside(plot: Plot) -> bool:
    return all(math.isfinite(value) and -1 <= value <= max(WIDTH, HEIGHT) for value in numbers_of(plot))


@given(st.lists(POSITIVE | st.just(0.0), min_size=1, max_size=50), st.data())
def test_any_distribution_fits_its_plot(values: list[float], data: st.DataObject) -> None:
    metrics = {f"x_ms_p{percent}": data.draw(POSITIVE) for percent in (50, 90, 99)}
    assert inside(cumulative_plot("x_ms", Distribution.of(values), metrics))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=50, unique_by=lambda pair: pair[0]), st.booleans())
def test_any_series_fits_its_plot(pairs: list[tuple[float, float]], stepped: bool) -> None:
    x, y = zip(*sorted(pairs), strict=True)
    plot = series_plot("x_ms", Series.of("time_s", x, y, stepped=stepped))
    assert inside(plot)
    assert len(plot.y_ticks) >= 2


def test_a_long_series_shows_its_peaks_in_few_points() -> None:
    time_s = np.arange(100_000.0)
    level = np.ones(100_000)
    level[50_000] = 500.0
    plot = series_plot("queue_length_requests", Series.of("time_s", time_s, level, stepped=True))
    heights = [float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", plot.area)]
    assert min(heights) < 25, "the peak of one step in 100,000 reaches the top"
    assert len(plot.line) + len(plot.area) < 30_000
    mean = [float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", plot.line)]
    assert min(mean) > 180, "the mean does not"


def test_a_long_distribution_is_drawn_in_few_points() -> None:
    plot = cumulative_plot("ttft_ms", Distribution.of(np.random.default_rng(1).lognormal(3, 1, 200_000)), {})
    assert len(plot.line) < 10_000


@pytest.mark.parametrize(("values", "log"), [([1, 10], False), ([1, 1000], True), ([0, 1000], False)])
def test_wide_distributions_get_a_logarithmic_axis(values: list[float], log: bool) -> None:
    plot = cumulative_plot("ttft_ms", Distribution.of(values), {})
    assert ("logarithmic" in plot.x_label) is log


def test_a_stacked_table_is_drawn_in_one_scale() -> None:
    times = Table(("policy", "DDR_s", "CXL_s"), [("slow", 1.0, 3.0), ("quick", 1.0, 1.0)])
    record = RunRecord("s", "w", {}, tables={"times": times}, shown_tables=("times",), stacked_tables=("times",))
    bars = re.findall(r'aria-label="(slow|quick): ([\d.]+)">(.*?)</span></span>', report_html(record, a_manifest()))
    widths = [[float(width) for width in re.findall(r"width:([\d.]+)%", parts)] for _, _, parts in bars]
    assert ([bar[:2] for bar in bars], widths) == ([("slow", "4.000"), ("quick", "2.000")], [[25, 75], [25, 25]])


def test_lines_of_one_quantity_share_a_plot() -> None:
    lines = {f"policy {n}": Series.of("accesses", np.arange(200), np.full(200, n / 10)) for n in range(9)}
    page = report_html(RunRecord("s", "w", {}, lines={"ddr_read_frac": lines}), a_manifest())
    assert (page.count('class="plot wide"'), all(f"</svg>{name}</li>" in page for name in lines)) == (1, True)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=90), min_size=1, max_size=4))
def test_any_lines_fit_their_plot(values: list[list[float]]) -> None:
    plot = lines_plot("load_w", {str(n): Series.of("time_s", np.arange(len(y)), y) for n, y in enumerate(values)})
    drawn = [float(number) for line in plot.lines for number in re.findall(r"-?[\d.]+", line.path)]
    assert all(0 <= x <= plot.width for x in drawn[::2])
    assert all(0 <= y <= HEIGHT for y in drawn[1::2])
