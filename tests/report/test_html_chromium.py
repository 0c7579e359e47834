"""Reports in headless Chromium, as wide as a desk and as a telephone: they ask for nothing, and they are seen."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.contracts.results import Distribution, RunRecord, Series, Table
from simulator.report.html import report_html
from tests.report.chromium import Browser, browser, look_at

WIDTHS = (1280, 400)
LONG = "a_name_that_is_much_longer_than_any_screen_is_wide_" * 4
UNBROKEN = "x" * 300


@pytest.fixture(scope="module")
def running(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(chromium, tmp_path_factory.mktemp("profile")) as one:
        yield one


def pixels(png: bytes) -> Any:
    import matplotlib.image

    return matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3]


def check(running: Browser, path: Path, width: int) -> str:
    page = look_at(running, path, width)
    assert page.requests == [path.resolve().as_uri()]
    assert page.complaints == []
    assert page.scroll_width <= width, "something is wider than the screen"
    picture = pixels(page.screenshot)
    assert picture.shape[1] == width
    # Not blank: in every screenful something stands out from the white.
    for top in range(0, picture.shape[0] - 600, 600):
        part = picture[top : top + 600]
        assert (part.min(axis=2) < 0.6).mean() > 0.003
    assert (picture.max(axis=2) - picture.min(axis=2) > 0.3).mean() > 0.003, "no colour: bars and curves are missing"
    return page.text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "options",
    [
        ("--set", "workload.prompt_tokens=100", "--set", "workload.output_tokens=300"),
        ("--trace", "traces/conversation_2k.csv", "--requests", "200", "--qps", "20"),
    ],
    ids=["query", "trace"],
)
def test_the_report_of_a_run_is_seen(
    sim: Callable[..., Any], running: Browser, tmp_path: Path, repo_root: Path, options: tuple[str, ...], width: int
) -> None:
    small = ("--set", "workload.model=llama2-7b", "--set", "system.n_devices=8")
    there = [str(repo_root / one) if one.startswith("traces/") else one for one in options]
    config = str(repo_root / "hw_configs/cent.yaml")
    assert sim("run", config, *small, *there, "--out", str(tmp_path / "x"), "--error-bars").code == 0
    text = check(running, tmp_path / "x" / "report.html", width)
    for words in ("Operators and what bounds them", "ffn_up", "tokens/s", "What ran"):
        assert words in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [LONG, UNBROKEN, "<script>console.error(1)</script><img src=https://example.org/x>"])
def test_long_and_hostile_names_stay_in_their_place(running: Browser, tmp_path: Path, name: str, width: int) -> None:
    columns = ("operator", "time_ms", "time_frac", "bound", "achieved", "peak", "unit")
    record = RunRecord(
        name,
        name,
        {name: 1.5, f"{name}_ms_p50": 1.0, f"{name}_ms_p99": 2.0},
        breakdown={f"{name}_by_resource_ms": {name: 1.0, "b": 2.0}, name: {name: name}},
        headlines=(name,),
        notes=(name,),
        operators=Table(columns, [(name, 1.0, 0.5, name, 1.0, 2.0, name), ("b", 1.0, 0.5, "bank", 1.0, 2.0, "GB/s")]),
        distributions={name: Distribution.of([1, 2])},
        series={name: Series.of(name, [1, 2], [3, 4])},
        ranges=Table(("a", "b", "c", "d", "e", "f"), [(name, name, name, 1.0, 2.0, 3.0)]),
        error_bars={name: (1.0, 2.0)},
    )
    stated = [{"path": name, "value": name, "source": name}]
    manifest = {"command": ["sim", name], "trace_checksums": {name: name}, "parameters": {"assumed": stated}}
    path = tmp_path / "report.html"
    path.write_text(report_html(record, manifest), encoding="utf-8")
    check(running, path, width)


def test_a_page_that_misbehaves_is_found_out(running: Browser, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text('<p style="width:3000px">x</p><img src="missing.png"><script>console.error("no")</script>')
    page = look_at(running, path, 400)
    assert any(url.endswith("missing.png") for url in page.requests)
    assert any('"no"' in complaint for complaint in page.complaints)
    assert page.scroll_width > 2000
    assert (pixels(page.screenshot).min(axis=2) < 0.6).mean() < 0.003
    assert np.ptp(pixels(page.screenshot)) > 0
