"""The index page of figures and the page of validation: whole, escaped, offline, readable on any width."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.experiments import figure_study
from simulator.experiments.figure import list_figures, load_figure
from simulator.experiments.figure_data import ConfiguredRun, Figure, Measured, Panel, Replay, Run, Value
from simulator.experiments.figure_files import write_figures
from simulator.experiments.figure_page import command_of, index_page
from simulator.experiments.validate_page import validation_page, write_validation_page
from simulator.experiments.validate_records import Group, Point, rows_of
from tests.experiments.small_formats import small_formats
from tests.experiments.small_m5 import small_m5
from tests.report.chromium import Browser, browser, look_at

WIDTHS = (400, 1280)
# Figures that set no published number beside each of ours: measured ones, and those of which papers print means only.
WITHOUT_PUBLISHED = {"anda-precision", "bitmod-perplexity", "cent-gpus", "formats-map"} | {
    name
    for name in list_figures()
    if name.startswith(("dram-", "gpu-", "attacc-", "m5-", "papi-", "tiers-")) and name != "papi-7"
}
SAMPLE = {"anda-energy", "attacc-batch", "bitmod-7", "formats-map", "gpu-power", "m5-11", "papi-9"}
MODELS = {"70B": {"workload.model": "llama2-70b", "system.n_devices": 32}}
HOSTILE = "<b>&\"'{{ x }}"


@pytest.fixture(scope="module")
def names(request: pytest.FixtureRequest) -> list[str]:
    """Figures that are on the page: a sample of every kind, or all with --thorough."""
    if request.config.getoption("--thorough"):
        return list_figures()
    return [name for name in list_figures() if name.startswith("cent-1") or name in SAMPLE]


@pytest.fixture(scope="module")
def folder(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Figures with their index page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_study, "M5Study", small_m5)
        patch.setattr(figure_study, "FormatStudy", small_formats)
        return write_figures(names, tmp_path_factory.mktemp("pages") / "figures").folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def validated(verdict: str = "pass") -> str:
    group = Group("g", HOSTILE, HOSTILE, folded=False)
    ours = 1.0 if verdict == "pass" else 2.0
    return validation_page(rows_of([Point(group, HOSTILE, HOSTILE, 1.0, ours, 0.1, 1)]))


def one_figure(tmp_path: Path) -> str:
    figure = Figure(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (Panel(HOSTILE, "bars"),), {}, lambda study: [], (HOSTILE,))
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    value = Value(HOSTILE, HOSTILE, HOSTILE, 1.0, 1.0, 0.1, others=((HOSTILE, 2.0),))
    return index_page([Measured(figure, (value,))], {HOSTILE: picture}, MODELS, HOSTILE)


def test_every_figure_is_on_the_page(page: str, folder: Path, names: list[str]) -> None:
    for name in names:
        assert f'<section id="{name}">' in page
        assert f'href="#{name}"' in page
        for suffix in ("png", "pdf", "csv"):
            assert f'href="{name}.{suffix}"' in page
            assert (folder / f"{name}.{suffix}").stat().st_size > 100
        assert load_figure(name).source.split("'")[0] in page


def test_the_page_has_numbers_errors_and_cautions(page: str, names: list[str]) -> None:
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    for said in ("2.3180", "2.318", "5.1881", "5.188", "2.8778", "2.878", "missed"):
        assert said in text
    assert "80x1 as drawn" in text
    assert "averages in tokens at contexts" in text
    assert page.count("published numbers met") == len(set(names) - WITHOUT_PUBLISHED)


@pytest.mark.parametrize("where", ["figures", "validation"])
def test_a_page_asks_for_nothing(where: str, page: str) -> None:
    text = page if where == "figures" else validated()
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(?:https?:)?//', text) == []
    assert all(
        link.startswith(("#", "data:")) or "/" not in link for link in re.findall(r'(?:src|href)="([^"]+)"', text)
    )


def test_every_name_is_escaped(tmp_path: Path) -> None:
    for text in (one_figure(tmp_path), validated()):
        assert "<b>" not in text
        assert "&lt;b&gt;&amp;" in text
        assert "{{ x }}" in text


def test_a_miss_is_shown_as_one() -> None:
    text = validated("fail")
    assert '<td class="fail">missed</td>' in text
    assert "0 of 1 targets met" in text
    assert "1 of 1 targets met" in validated()


def test_the_command_of_a_run_repeats_it() -> None:
    command = command_of(Run("70B", sets={"system.parallelism": "tp"}), MODELS)
    assert command == (
        "sim run hw_configs/cent.yaml --set workload.model=llama2-70b --set system.n_devices=32 "
        "--set workload.scope=query --set system.parallelism=tp"
    )


def test_the_command_of_a_configuration_or_a_replay_repeats_it() -> None:
    run = ConfiguredRun("gpu_h200.yaml", {"workload.batch": 8})
    assert command_of(run, MODELS) == "sim run hw_configs/gpu_h200.yaml --set workload.batch=8"
    replay = Replay("parts/gpu_h200.yaml", {"board_limit": "2 kW"}, trace="kernels.csv")
    assert command_of(replay, MODELS) == (
        "sim replay hw_configs/parts/gpu_h200.yaml kernels.csv --set 'board_limit=2 kW' --seed 1"
    )


def test_sim_validate_writes_a_page(sim, tmp_path: Path) -> None:
    file = tmp_path / "new" / "validation.html"
    outcome = sim("validate", "cent_figures", "--html", str(file))
    assert outcome.code == 0
    assert "targets met" in outcome.out
    text = file.read_text(encoding="utf-8")
    assert "Tokens per dollar" in text
    assert "44 of 44 targets met" in text


def test_a_page_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    from simulator.core.errors import ConfigError

    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        write_validation_page([], tmp_path / "file" / "page.html")


@pytest.fixture(scope="module")
def running(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(chromium, tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("where", ["figures", "validation"])
def test_a_page_in_a_browser(where: str, width: int, running: Browser, folder: Path, tmp_path: Path) -> None:
    file = folder / "index.html"
    if where == "validation":
        file = tmp_path / "validation.html"
        file.write_text(validated(), encoding="utf-8")
    seen = look_at(running, file, width)
    assert [address for address in seen.requests if not address.startswith(("file:", "data:"))] == []
    assert seen.complaints == []
    assert seen.scroll_width <= width
    assert is_drawn(seen.screenshot)


def is_drawn(png: bytes) -> bool:
    """Whether a screenshot holds more than one colour: blank pixels compress to almost nothing."""
    pixels = png_data(png)
    return len(pixels) > 5000 and len(set(zlib.decompress(pixels))) > 16


def png_data(png: bytes) -> bytes:
    """The compressed pixels of a PNG."""
    position, found = 8, b""
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"IDAT":
            found += png[position + 8 : position + 8 + length]
        position += 12 + length
    return found
