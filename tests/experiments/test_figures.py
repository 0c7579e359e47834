"""Figures of papers: what they measure, what they write, and that published numbers are compared and never used."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from simulator.core.errors import ConfigError
from simulator.experiments import figure, validate_figures
from simulator.experiments.figure import list_figures, load_figure, measure_figures
from simulator.experiments.figure_data import (
    AnyRun,
    ConfiguredRun,
    DrawnRun,
    Figure,
    Measured,
    Panel,
    Replay,
    Run,
    Value,
    printed,
)
from simulator.experiments.figure_drawing import draw
from simulator.experiments.figure_files import numbers, write_figures
from simulator.experiments.figure_study import Study, geomean, with_geomeans
from simulator.experiments.figure_targets import FigureTargets, load_baseline, with_published
from simulator.experiments.validate_figures import figure_points
from simulator.experiments.validate_records import PASS
from simulator.report.plot_style import plot_style, save
from simulator.report.records import csv_text
from tests.experiments.small_formats import small_formats
from tests.experiments.small_m5 import small_m5

ASKED = {
    "anda-bops",
    "anda-energy",
    "anda-energy-split",
    "anda-precision",
    "anda-speedup",
    "bitmod-7",
    "bitmod-8",
    "bitmod-perplexity",
    "formats-map",
    "attacc-batch",
    "attacc-throughput",
    "papi-8a",
    "papi-8b",
    "papi-9",
    "papi-10a",
    "papi-10b",
    "papi-11",
    "papi-12",
    "cent-13a",
    "cent-13b",
    "cent-13c",
    "cent-14a",
    "cent-14c",
    "cent-15c",
    "cent-gpus",
    "cent-queries",
    "cent-hybrids",
    "dram-loaded-latency",
    "gpu-end-to-end",
    "gpu-kernels",
    "gpu-power",
    "m5-3",
    "m5-4",
    "m5-7",
    "m5-8",
    "m5-9",
    "m5-11",
}
# What the project promises of CENT, within 0.1 %: figure, panel, series and position.
RATIOS = {
    ("cent-13a", "latency", "speed-up", "7B"): 6.32,
    ("cent-13a", "latency", "speed-up", "13B"): 4.65,
    ("cent-13a", "latency", "speed-up", "70B"): 3.18,
    ("cent-13b", "throughput", "end to end", "geomean"): 2.318,
    ("cent-13c", "tokens per dollar", "stated cost", "geomean"): 5.188,
    ("cent-15c", "tokens per joule", "end to end", "geomean"): 2.878,
    ("cent-14a", "CENT over GPU", "decode", "32K"): 3.330,
}


class Watched(Study):
    """A study that notes which runs each figure asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[AnyRun] = []

    @cached_property
    def m5(self):
        return small_m5()

    @cached_property
    def formats(self):
        return small_formats()

    def record(self, run: Run | ConfiguredRun):
        self.asked.append(run)
        return super().record(run)

    def query(self, run: ConfiguredRun):
        self.asked.append(run)
        return super().query(run)

    def drawn(self, run: DrawnRun):
        self.asked.append(run)
        return super().drawn(run)

    def system(self, run: ConfiguredRun):
        self.asked.append(run)
        return super().system(run)

    def part(self, replay: Replay):
        self.asked.append(replay)
        return super().part(replay)


@pytest.fixture(scope="module")
def study() -> Watched:
    return Watched()


@pytest.fixture(scope="module")
def measured(study: Watched) -> dict[str, Measured]:
    return {one.figure.name: one for one in measure_figures(list_figures(), study)}


def identity(run: AnyRun) -> tuple[str, ...]:
    if isinstance(run, ConfiguredRun | DrawnRun):
        return run.config, str(sorted(run.sets.items()))
    where = (run.model, run.scope) if isinstance(run, Run) else (run.part, run.trace, str(run.seed))
    return *where, str(sorted(run.sets.items()))


def targets(**values: dict[str, dict[str, float]]) -> FigureTargets:
    return FigureTargets(source="s", values=values)


SMALL = Figure("small", "T", "C", "S", (Panel("p", "bars"),), {}, lambda study: [])


def test_the_figures_that_were_asked_for_are_there() -> None:
    assert set(list_figures()) >= ASKED
    assert all(load_figure(name).name == name for name in list_figures())


def test_every_published_number_is_met(measured: dict[str, Measured]) -> None:
    missed = [(name, *value.key) for name, one in measured.items() for value in one.values if value.verdict == "fail"]
    assert missed == []
    assert sum(one.n_published for one in measured.values()) >= 212


@pytest.mark.parametrize(
    ("place", "ratio"), RATIOS.items(), ids=lambda item: item if isinstance(item, float) else item[0]
)
def test_ratios(place: tuple[str, str, str, str], ratio: float, measured: dict[str, Measured]) -> None:
    ours = {value.key: value.ours for value in measured[place[0]].values}
    assert ours[place[1:]] == pytest.approx(ratio, rel=1e-3)


def test_both_bars_of_figure_14c_are_shown(measured: dict[str, Measured]) -> None:
    ours = {value.key[1:]: value.ours for value in measured["cent-14c"].values}
    assert (round(ours["PIM", "80x1 as drawn"], 3), round(ours["PNM", "80x1 as drawn"], 3)) == (4.829, 0.424)
    assert (round(ours["PIM", "80x1 up to 4K"], 3), round(ours["PNM", "80x1 up to 4K"], 3)) == (4.354, 0.277)
    assert any("as drawn" in caution for caution in measured["cent-14c"].figure.cautions)


@pytest.mark.parametrize("name", list_figures())
def test_a_figure_says_what_it_is_and_what_it_runs(name: str, study: Watched, measured: dict[str, Measured]) -> None:
    one = measured[name]
    panels = {panel.name for panel in one.figure.panels}
    assert {value.panel for value in one.values} == panels
    assert len({value.key for value in one.values}) == len(one.values)
    assert all(math.isfinite(value.ours) and value.ours > 0 for value in one.values)
    assert all(panel.x_from in panels for panel in one.figure.panels if panel.kind == "scatter")
    study.asked.clear()
    one.figure.measure(study)
    assert set(map(identity, study.asked)) == set(map(identity, one.figure.runs.values()))


@pytest.mark.parametrize("name", ["cent-13b", "cent-14c", "cent-queries"])
def test_the_csv_says_the_same(name: str, measured: dict[str, Measured]) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(numbers(measured[name])))))
    assert len(rows) == len(measured[name].values)
    for row, value in zip(rows, measured[name].values, strict=True):
        assert (row["panel"], row["series"], row["at"]) == value.key
        assert float(row["ours"]) == value.ours
        assert (float(row["published"]) if row["published"] else None) == value.published
        assert row["verdict"] == value.verdict


def test_latency_rises_with_load(measured: dict[str, Measured]) -> None:
    one = measured["dram-loaded-latency"]
    for panel in one.figure.panels:
        for series in {value.series for value in one.of_panel(panel.name)}:
            curve = [value.ours for value in one.of_panel(panel.name) if value.series == series]
            assert all(later > 0.97 * earlier for earlier, later in pairwise(curve))
            assert curve[-1] > 2 * curve[0]


def test_published_numbers_change_nothing_of_ours(
    study: Watched, measured: dict[str, Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure, "all_figure_targets", dict)
    bare = measure_figures(["cent-13b", "cent-13c", "cent-cost"], study)
    assert all(value.published is None for one in bare for value in one.values)
    for one in bare:
        assert [value.ours for value in one.values] == [value.ours for value in measured[one.figure.name].values]


def test_validation_repeats_no_number(study: Watched) -> None:
    points = list(figure_points("cent_figures", study))
    assert len(points) == 44
    assert {point.group.name for point in points} == ASKED - {
        "cent-gpus",
        "cent-queries",
        "cent-hybrids",
        "dram-loaded-latency",
        *(
            name
            for name in ASKED
            if name.startswith(("anda-", "attacc-", "bitmod-", "formats-", "gpu-", "m5-", "papi-"))
        ),
    } | {"cent-cost"}
    assert all(point.verdict == PASS for point in points)


def test_a_wrong_ratio_fails(study: Watched, repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = repo_root / "simulator" / "experiments" / "targets" / "cent_figures.yaml"
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    content["figures"] = {"cent-13c": content["figures"]["cent-13c"]}
    content["figures"]["cent-13c"]["values"]["tokens per dollar"]["stated cost"]["geomean"] = 5.194
    (tmp_path / "cent_figures.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr(validate_figures, "FOLDER", tmp_path)
    verdicts = {point.quantity: point.verdict for point in figure_points("cent_figures", study)}
    assert verdicts == {"7B": "pass", "13B": "pass", "70B": "pass", "geomean": "fail"}


def test_sim_validate_fails_with_a_wrong_ratio(sim, monkeypatch: pytest.MonkeyPatch) -> None:
    right = validate_figures.load_figures_file

    def wrong(path: Path):
        file = right(path)
        one = file.figures["cent-cost"]
        changed = one.model_copy(update={"values": {"controller": {"USD": {"die": 2.75}}}})
        return file.model_copy(update={"figures": {"cent-cost": changed}})

    monkeypatch.setattr(validate_figures, "load_figures_file", wrong)
    outcome = sim("validate", "cent_figures", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["metrics"] == {"n_targets": 1, "n_met": 0, "n_failed": 1}


def test_a_published_number_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="small has no value p / s / b"):
        with_published(SMALL, [Value("p", "s", "a", 1.0)], targets(p={"s": {"b": 1.0}}))


@pytest.mark.parametrize(
    ("text", "tolerance_frac", "met", "missed"),
    [
        ("0.40", 0.001, 0.3965, 0.3949),
        (5.188, 0.001, 5.1931, 5.1933),
        (1624850, 0.0, 1624850.0, 1624851.0),
        ("3005.0", 0.0, 3005.05, 3005.06),
    ],
)
def test_what_meets_a_printed_number(text: float | str, tolerance_frac: float, met: float, missed: float) -> None:
    published, tolerance, n_decimals = printed(text, tolerance_frac)
    value = Value("p", "s", "a", met, published, tolerance, n_decimals)
    assert (value.verdict, replace(value, ours=missed).verdict) == ("pass", "fail")
    assert replace(value, contradicts="why").verdict == "reported"


def test_geometric_means() -> None:
    assert geomean([1.0, 4.0, 16.0]) == pytest.approx(4.0)
    values = with_geomeans([Value("p", "s", "a", 1.0), Value("p", "t", "a", 9.0), Value("p", "s", "b", 4.0)])
    assert [(value.series, value.at, value.ours) for value in values] == [
        ("s", "a", 1.0), ("s", "b", 4.0), ("s", "geomean", 2.0), ("t", "a", 9.0), ("t", "geomean", 9.0),
    ]  # fmt: skip


def test_a_baseline_is_measured_and_sourced() -> None:
    gpu = load_baseline("cent_gpu")
    assert gpu.source
    assert gpu.usd_per_h_of("13B") == pytest.approx(0.88)
    assert {len(gpu.service.batch), len(gpu.service.query_latency_s), len(gpu.service.queries_per_min)} == {8}


@pytest.mark.thorough  # the page's test draws them all, too
@pytest.mark.parametrize("name", list_figures())
def test_every_figure_draws(name: str, measured: dict[str, Measured], tmp_path: Path) -> None:
    with plot_style():
        png, pdf = save(draw(measured[name]), tmp_path / name)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_the_same_figure_has_the_same_bytes(measured: dict[str, Measured], tmp_path: Path) -> None:
    with plot_style():
        pairs = [save(draw(measured["cent-13b"]), tmp_path / str(turn)) for turn in range(2)]
    assert [path.read_bytes() for path in pairs[0]] == [path.read_bytes() for path in pairs[1]]


def test_a_measurement_has_an_error_and_no_verdict() -> None:
    value = Value("p", "s", "a", 1.1, 1.0, is_judged=False)
    assert value.verdict == "reported"
    assert value.error_frac == pytest.approx(0.1)
    one = Measured(SMALL, (value,))
    assert (one.n_published, one.n_met) == (0, 0)
    (row,) = csv.DictReader(io.StringIO(csv_text(numbers(one))))
    assert (row["published"], row["verdict"]) == ("1.0", "reported")


def test_a_parity_panel_names_what_is_furthest_off() -> None:
    errors = {"first": 0.02, "second": -0.3, "third": 0.1, "fourth": -0.05}
    values = [Value("p", "s", name, 100 * (1 + error), 100.0, is_judged=False) for name, error in errors.items()]
    with plot_style():
        (axes,) = draw(Measured(replace(SMALL, panels=(Panel("p", "parity", log_x=True, log_y=True),)), values)).axes
    assert axes.texts[0].get_text().split("\n") == ["second  -30%", "third  +10%", "fourth  -5%"]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_bars_of_rows_end_at_the_whole() -> None:
    values = [Value("p", series, at, share) for at in ("a", "b") for series, share in (("x", 0.6), ("y", 0.35))]
    with plot_style():
        (axes,) = draw(Measured(replace(SMALL, panels=(Panel("p", "rows", reference=1.0),)), values)).axes
    assert [text.get_text() for text in axes.texts] == ["0.95", "0.95"]
    assert max(bar.get_x() + bar.get_width() for bar in axes.patches) == pytest.approx(0.95)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_a_figure_is_named_with_hyphens_or_underscores() -> None:
    assert load_figure("gpu_end_to_end") is load_figure("gpu-end-to-end")
    measured = measure_figures(["cent_cost", "cent-cost"])
    assert [one.figure.name for one in measured] == ["cent-cost"]


def test_figures_are_listed_without_names(sim) -> None:
    outcome = sim("figure")
    assert outcome.code == 0
    assert all(name in outcome.out for name in list_figures())


def test_sim_figure_writes_what_it_says(sim, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = sim("figure", "cent-13c", "cent-cost", "--out", str(out), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    answer = json.loads(outcome.out)
    assert [(one["figure"], one["published"], one["met"]) for one in answer["figures"]] == [
        ("cent-13c", 4, 4), ("cent-cost", 6, 6),
    ]  # fmt: skip
    assert answer["run_dir"] == str(out)
    names = {f"{stem}.{suffix}" for stem in ("cent-13c", "cent-cost") for suffix in ("png", "pdf", "csv")}
    assert {path.name for path in out.iterdir()} == names | {"index.html"}


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError):
        write_figures(["cent-cost"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cent-13d",), "cent-13"),
        (("cent-13a", "--all"), "one of the two"),
    ],
)
def test_wrong_names_are_refused(arguments: tuple[str, ...], said: str, sim, tmp_path: Path) -> None:
    outcome = sim("figure", *arguments, "--out", str(tmp_path / "out"))
    assert outcome.code == 2
    assert said in outcome.err
    assert not (tmp_path / "out").exists()
