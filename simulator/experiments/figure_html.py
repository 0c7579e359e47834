"""The frame of the pages of figures and of validation: one file each, no script, and no request to anywhere."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.report.plot_style import GRID, INK, MUTED, OURS, PAPER

_TEMPLATES = Path(__file__).parent / "page_templates"
_COLOURS = f":root {{ --ink: {INK}; --muted: {MUTED}; --line: {GRID}; --ours: {OURS}; --paper: {PAPER}; }}"
_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{colours}
{css}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""


def render(title: str, template: str, values: Mapping[str, Any]) -> str:
    """A page whose body is a template of `page_templates`; every value is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    body = environment.get_template(template).render(values)
    css = (_TEMPLATES / "pages.css").read_text(encoding="utf-8")
    return _FRAME.format(title=html.escape(title), colours=_COLOURS, css=css, body=body)
