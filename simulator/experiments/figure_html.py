"""The frame of the pages of figures and of validation: one file each, no script, and no request to anywhere."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from simulator.report.plot_style import GRID, INK, MUTED, OURS, PAPER

_FAILED = "#b3261e"
_CSS = f"""
:root {{ --ink: {INK}; --muted: {MUTED}; --line: {GRID}; --ours: {OURS}; --paper: {PAPER}; --soft: #f5f7f9; --failed: {_FAILED}; }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{ margin: 0; background: #fff; color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; }}
main {{ max-width: 1200px; margin: 0 auto; padding: 24px 20px 48px; }}
h1 {{ font-size: 26px; line-height: 1.25; margin: 2px 0 8px; }}
h2 {{ font-size: 19px; margin: 0 0 4px; }}
h3 {{ font-size: 14px; margin: 14px 0 2px; color: var(--muted); font-weight: 600; }}
p {{ margin: 4px 0; max-width: 90ch; }}
a {{ color: var(--ours); }}
.muted, footer {{ color: var(--muted); font-size: 13px; }}
section {{ margin-top: 32px; padding-top: 16px; border-top: 1px solid var(--line); }}
.columns {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 12px 32px; align-items: start; }}
.columns.wide {{ grid-template-columns: minmax(0, 1fr); }}
.columns > * {{ min-width: 0; }}
figure {{ margin: 8px 0 0; }}
figure img {{ display: block; width: 100%; height: auto; }}
.narrow img {{ max-width: 560px; }}
.wide img {{ max-width: 1000px; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }}
th, td {{ padding: 3px 12px 3px 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }}
th {{ color: var(--muted); font-weight: 500; overflow-wrap: normal; }}
td.number, th.number {{ text-align: right; white-space: nowrap; }}
td:last-child, th:last-child {{ padding-right: 2px; }}
.published {{ color: #a85e12; }}
.fail {{ color: var(--failed); font-weight: 600; }}
.pass {{ color: #1b6e5a; }}
.caution {{ border-left: 3px solid var(--paper); background: #fdf6ee; padding: 6px 10px; margin: 8px 0; font-size: 14px; max-width: 90ch; }}
.verdict {{ display: inline-block; border-radius: 10px; padding: 1px 10px; font-size: 13px; background: #e4f2ee; color: #1b6e5a; }}
.verdict.missed {{ background: #fbe9e7; color: var(--failed); }}
code {{ font: 12.5px/1.5 ui-monospace, "Liberation Mono", Menlo, monospace; }}
summary {{ cursor: pointer; color: var(--ours); font-size: 14px; margin: 6px 0; }}
ul.contents {{ columns: 340px; padding: 0; margin: 14px 0 0; list-style: none; font-size: 14px; }}
ul.contents li {{ margin: 2px 0; break-inside: avoid; }}
ul.runs {{ padding-left: 18px; margin: 4px 0; }}
footer {{ margin-top: 40px; }}
@media (max-width: 640px) {{ main {{ padding: 16px 14px 32px; }} h1 {{ font-size: 22px; }} th, td {{ padding-right: 8px; }} }}
@media print {{ section {{ break-inside: avoid; }} details > * {{ display: block; }} }}
"""
_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{css}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""


def render(title: str, template: str, values: Mapping[str, Any]) -> str:
    """A page from a template's body; every value is escaped."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    body = environment.from_string(template).render(values)
    return _FRAME.format(title=html.escape(title), css=_CSS, body=body)
