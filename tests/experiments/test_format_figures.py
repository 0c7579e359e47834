"""What figures of number formats say of themselves: orderings in words, fronts, names that do not hide each other."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.text import Text

from simulator.experiments.figure_data import Figure, Measured, Panel, Value
from simulator.experiments.figure_dots_drawing import verdict
from simulator.experiments.figure_drawing import draw
from simulator.experiments.figure_map_drawing import pareto_front
from simulator.experiments.figure_targets import FigureTargets, with_published
from simulator.experiments.figures.bitmod_perplexity import NAMES, PAIRS, paper_perplexities
from simulator.report.plot_style import plot_style


def ratios(ours: list[float], paper: list[float]) -> list[Value]:
    return [
        *(Value("p", f"ours {at}", "a / b", one) for at, one in enumerate(ours)),
        *(Value("p", f"paper {at}", "a / b", one, is_baseline=True) for at, one in enumerate(paper)),
    ]


@pytest.mark.parametrize(
    ("ours", "paper", "said"),
    [
        ([0.9, 0.8], [0.7, 0.99], ("holds", False)),
        ([0.9, 1.1], [0.7, 0.99], ("reversed on 1 of 2", True)),
        ([1.2, 1.1], [0.7, 1.0], ("reversed on all", True)),
        ([1.2], [0.7, 1.1], ("paper: even", False)),
    ],
)
def test_whether_an_ordering_holds_is_computed(ours, paper, said) -> None:
    assert verdict(ratios(ours, paper), "a / b") == said


def test_every_pair_has_both_papers_and_names() -> None:
    for by_format in paper_perplexities().by_text().values():
        assert set(by_format) <= {"fp16", *NAMES}
        assert all(one in by_format and other in by_format for one, other in PAIRS)


def test_a_front_has_what_nothing_beats() -> None:
    assert pareto_front([(3, 1), (1, 3), (2, 3), (2, 2), (4, 2)]) == [(1, 3), (2, 2), (3, 1)]


def test_a_contradicted_number_is_shown_and_not_counted() -> None:
    figure = Figure("f", "T", "C", "S", (Panel("p", "bars"),), {}, lambda study: [])
    targets = FigureTargets(
        source="s", tolerance=3, values={"p": {"s": {"a": 10}}}, contradicted={"p": {"s": {"b": 1}}}, contradicts="why"
    )
    values = with_published(figure, [Value("p", "s", "a", 12.5), Value("p", "s", "b", 9.0)], targets)
    assert [value.verdict for value in values] == ["pass", "reported"]


def test_names_on_a_map_hide_neither_each_other_nor_leave_it() -> None:
    points = {
        "A (x)": [(1.0, 3.0), (0.9, 3.01), (0.8, 3.3)],
        "B (x)": [(0.98, 3.0), (0.5, 3.02)],
        "C (y)": [(1.0, 3.1)],
    }
    values = [
        value
        for series, own in points.items()
        for at, (x, y) in enumerate(own)
        for value in (Value("m", series, f"{at}b", y), Value("x", series, f"{at}b", x))
    ]
    panels = (Panel("m", "map", x_from="x", log_x=True), Panel("x", "hidden"))
    with plot_style():
        drawing = draw(Measured(Figure("f", "T", "C", "S", panels, {}, lambda study: []), tuple(values)))
        drawing.draw_without_rendering()
        (axes,) = drawing.axes
        # Of the letters alone: an annotation's own extent has its leading line, too.
        boxes = [Text.get_window_extent(text).shrunk(1.0, 0.8) for text in axes.texts]
        frame = axes.get_window_extent()
    assert {text.get_text() for text in axes.texts} == {"A", "B", "C", "0b", "1b", "2b"}
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
