"""The index page of figures: every picture with its numbers, ours beside the published ones, source and cautions."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.experiments.figure_data import Figure, Measured, Run, Value
from simulator.experiments.figure_html import render
from simulator.experiments.figure_table_drawing import error_text, ours_text, published_text
from simulator.experiments.validate_records import FAIL

_N_ROWS_OPEN = 16  # longer tables are folded
_WIDE_INCHES = 5.0
_CONFIG = "hw_configs/cent.yaml"
_TEMPLATE = """
<p class="muted">{{ subtitle }}</p>
<h1>{{ title }}</h1>
<p>{{ counts }} Published numbers are read by figures and validation only; none is an input of the simulation.
Each number is met within the tolerance that the source's digits allow, or 0.1&nbsp;% of a ratio.</p>
<ul class="contents">
{% for entry in entries %}
<li><a href="#{{ entry.name }}">{{ entry.title }}</a>
<span class="muted">{{ entry.name }}{% if entry.n_published %}, {{ entry.n_met }}/{{ entry.n_published }}{% endif %}</span></li>
{% endfor %}
</ul>
{% for entry in entries %}
<section id="{{ entry.name }}">
<h2>{{ entry.title }}</h2>
<p>{{ entry.caption }}</p>
<p class="muted">{{ entry.source }}.
{% if entry.n_published %}<span class="verdict{% if entry.n_met < entry.n_published %} missed{% endif %}">
{{ entry.n_met }} of {{ entry.n_published }} published numbers met</span>{% endif %}</p>
<div class="columns {{ 'wide' if entry.is_wide else 'narrow' }}">
<figure><img src="{{ entry.picture }}" alt="{{ entry.title }}: {{ entry.caption }}" width="{{ entry.width }}" height="{{ entry.height }}">
</figure>
<div>
{% for caution in entry.cautions %}<p class="caution">{{ caution }}</p>{% endfor %}
<details{% if entry.is_open %} open{% endif %}><summary>{{ entry.rows | length }} numbers</summary>
<div class="scroll"><table>
<thead><tr><th>panel</th><th>series</th><th>at</th><th class="number">ours</th><th class="number">published</th>
<th class="number">error</th><th></th></tr></thead>
<tbody>
{% for row in entry.rows %}
<tr><td>{{ row.panel }}</td><td>{{ row.series }}</td><td>{{ row.at }}</td><td class="number">{{ row.ours }}</td>
<td class="number published">{{ row.published }}</td><td class="number">{{ row.error }}</td>
<td class="{{ row.verdict }}">{{ row.remark }}</td></tr>
{% endfor %}
</tbody></table></div></details>
<details><summary>{{ entry.runs | length }} runs behind it</summary>
<ul class="runs">{% for run in entry.runs %}<li><code>{{ run }}</code></li>{% endfor %}</ul></details>
<p class="muted">{% for suffix in ("png", "pdf", "csv") %}<a href="{{ entry.name }}.{{ suffix }}">{{ entry.name }}.{{ suffix }}</a>
{% endfor %}</p>
</div></div>
</section>
{% endfor %}
<footer><p>{{ footer }}</p></footer>
"""


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A row of a figure's table of numbers."""

    panel: str
    series: str
    at: str
    ours: str
    published: str
    error: str
    verdict: str
    remark: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A figure on the page; `picture` is a data address."""

    name: str
    title: str
    caption: str
    source: str
    cautions: tuple[str, ...]
    n_published: int
    n_met: int
    picture: str
    width: int
    height: int
    is_wide: bool
    is_open: bool
    rows: tuple[NumberRow, ...]
    runs: tuple[str, ...]


def index_page(measured: Sequence[Measured], pictures: Mapping[str, Path], models: Mapping[str, Mapping[str, object]],
               footer: str) -> str:  # fmt: skip
    """The page of the figures, their PNG files by name inside it; `models` are the overrides that a model's label means."""
    n_met, n_published = sum(one.n_met for one in measured), sum(one.n_published for one in measured)
    missed = n_published - n_met
    return render(
        "Figures, ours beside the published",
        _TEMPLATE,
        {
            "title": "Figures, ours beside the published",
            "subtitle": "Simulator of memory-centric machines",
            "counts": f"{len(measured)} figures with {n_published} published numbers: {n_met} met, {missed} missed.",
            "entries": [_entry(one, pictures[one.figure.name], models) for one in measured],
            "footer": footer,
        },
    )


def command_of(run: Run, models: Mapping[str, Mapping[str, object]]) -> str:
    """The command line that repeats a run."""
    sets = {**models[run.model], "workload.scope": run.scope, **run.sets}
    return shlex.join(["sim", "run", _CONFIG, *(part for path, value in sets.items() for part in ("--set", f"{path}={value}"))])


def _entry(one: Measured, picture: Path, models: Mapping[str, Mapping[str, object]]) -> Entry:
    figure = one.figure
    width, height = (round(inches * 100) for inches in figure.inches)
    encoded = base64.b64encode(picture.read_bytes()).decode("ascii")
    return Entry(
        name=figure.name,
        title=figure.title,
        caption=figure.caption,
        source=figure.source,
        cautions=figure.cautions,
        n_published=one.n_published,
        n_met=one.n_met,
        picture=f"data:image/png;base64,{encoded}",
        width=width,
        height=height,
        is_wide=figure.inches[0] > _WIDE_INCHES,
        is_open=len(one.values) <= _N_ROWS_OPEN,
        rows=tuple(_row(figure, value) for value in one.values),
        runs=tuple(dict.fromkeys(command_of(run, models) for run in figure.runs.values())),
    )


def _row(figure: Figure, value: Value) -> NumberRow:
    remarks = [f"{who}: {number:g}" for who, number in value.others]
    if value.is_baseline:
        remarks.append("measured")
    if value.verdict:
        remarks.insert(0, "missed" if value.verdict == FAIL else "met" if value.verdict == "pass" else value.verdict)
    return NumberRow(
        panel=value.panel if len(figure.panels) > 1 else "",
        series=value.series,
        at=value.at.replace("\n", " "),
        ours=ours_text(value),
        published=published_text(value),
        error=error_text(value),
        verdict=value.verdict,
        remark="; ".join(remarks),
    )
