"""The index page of a sweep: one HTML file, plots and first rows inside, that needs no network."""

from __future__ import annotations

import base64
import csv
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from simulator.contracts.results import RunRecord
from simulator.report import wording
from simulator.report.layout import metric_groups
from simulator.report.plot_style import COLOURS, GRID, INK, MUTED
from simulator.report.sweep_plots import DrawnPlot

ROWS_SHOWN = 200

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: {{ ink }}; font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
p, li, small { color: {{ muted }}; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; }
.facts div { border: 1px solid {{ grid }}; border-radius: .4rem; padding: .4rem .8rem; }
.facts b { display: block; font-size: 1.15rem; color: {{ accent }}; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: 0; } img { max-width: 100%; height: auto; }
.scroll { overflow: auto; max-height: 34rem; border: 1px solid {{ grid }}; border-radius: .4rem; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid {{ grid }}; }
th { position: sticky; top: 0; background: white; cursor: pointer; text-align: right; }
td.wrap { white-space: normal; min-width: 18rem; text-align: left; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for line in headlines %}<p>{{ line }}</p>{% endfor %}
<div class="facts">{% for name, value, unit in facts %}<div><b>{{ value }} {{ unit }}</b>{{ name }}</div>{% endfor %}
</div>
{% if notes %}<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
{% if plots %}<h2>Plots</h2>
<div class="plots">{% for plot in plots %}<figure><img src="{{ plot.source }}" alt="{{ plot.title }}"></figure>
{% endfor %}</div>{% endif %}
{% for table in tables %}<h2>{{ table.title }}</h2>
<p>{{ table.words }}</p>
<div class="scroll"><table><thead><tr>{% for name in table.columns %}<th title="{{ name }}">{{ name | short }}</th>
{% endfor %}</tr></thead><tbody>{% for row in table.rows %}<tr>{% for cell in row %}
<td{% if cell | length > 60 %} class="wrap"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endfor %}
<script>
// A click on a heading sorts its table.
document.querySelectorAll("th").forEach(function (head) {
  head.addEventListener("click", function () {
    var body = head.closest("table").tBodies[0], column = head.cellIndex, sign = head.dataset.up === "1" ? -1 : 1;
    head.dataset.up = sign === 1 ? "1" : "0";
    Array.from(body.rows).sort(function (a, b) {
      var x = a.cells[column].textContent, y = b.cells[column].textContent, d = Number(x) - Number(y);
      return sign * (isNaN(d) ? x.localeCompare(y) : d);
    }).forEach(function (row) { body.appendChild(row); });
  });
});
</script>
</body>
</html>
"""


def sweep_page(title: str, record: RunRecord, folder: Path, plots: Sequence[DrawnPlot]) -> str:
    """The page of a sweep's directory: what was run, plots, the first points and the first failures."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["short"] = lambda name: wording.heading(name.rpartition(".")[2])
    facts = [row for group in metric_groups(record.metrics) for row in group.rows]
    return environment.from_string(_TEMPLATE).render(
        title=title,
        headlines=record.headlines,
        notes=record.notes,
        facts=facts,
        plots=[{"title": plot.title, "source": _embedded(plot.png)} for plot in plots],
        tables=[
            _table("Points", folder / "table.csv", "table.csv and table.parquet"),
            *([_table("Failed points", folder / "failed.csv", "failed.csv")] if record.metrics["n_failed"] else []),
        ],
        ink=INK, muted=MUTED, grid=GRID, accent=COLOURS[0],
    )  # fmt: skip


def _embedded(png: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode()


def _table(title: str, path: Path, named: str) -> Mapping[str, object]:
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        columns = next(reader)
        rows = [[_shown(cell) for cell in row] for row in islice(reader, ROWS_SHOWN)]
        more = next(reader, None) is not None
    words = f"The first {ROWS_SHOWN} rows; all are in {named}." if more else f"Also in {named}."
    return {"title": title, "columns": columns, "rows": rows, "words": words}


def _shown(cell: str) -> str:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return cell if len(cell) < 9 else f"{number:.6g}"
