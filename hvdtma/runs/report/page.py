"""The page every report is written as: what may stand on it, and how it becomes one HTML file.

Nothing on it comes from a network: plotly stands in the file once, and a content security policy
forbids everything else. All text is escaped by the template.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from hvdtma.core.files import replacing
from hvdtma.runs.report.plots import Plot


@dataclass(frozen=True)
class Card:
    """A headline number."""

    label: str
    value: str
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table of written values; the first column names the row, and may carry a colour."""

    columns: list[str]
    rows: list[list[str]]
    colours: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """Figures and a table under one heading.

    Attributes:
        trainers: number and colour of trainers whose lines the reader can switch off.
        note: said beside the heading.
        columns: figures side by side, 2 or 3, where the screen is wide enough.
    """

    heading: str
    plots: list[Plot] = field(default_factory=list)
    table: Table | None = None
    trainers: list[tuple[int, str]] = field(default_factory=list)
    note: str = ""
    columns: int = 2


@dataclass(frozen=True)
class Page:
    """All of a page.

    Attributes:
        status: a word on how it stands, and whether that is good.
        facts: name and value pairs under the title.
        notices: what the reader should know before trusting the numbers.
        details: heading -> text, folded until asked for.
    """

    title: str
    kicker: str
    status: tuple[str, bool] | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    details: dict[str, str] = field(default_factory=dict)


def write_page(page: Page, path: Path) -> Path:
    """Write a page as one HTML file; readers see the old file or the whole new one."""
    with replacing(path) as beside:
        beside.write_text(render(page), encoding="utf-8")
    return path


def render(page: Page) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("hvdtma.runs.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plots = [
        json.loads(plot.figure.to_json()) | {"choices": plot.choices}
        for section in page.sections
        for plot in section.plots
    ]
    template = environment.get_template("page.html.j2")
    return template.render(page=page, plots=plots, plotly_js=Markup(get_plotlyjs()))
