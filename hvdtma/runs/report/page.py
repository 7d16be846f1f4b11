"""The page of a report: its parts, and how it is written as one HTML file.

The page loads nothing: the file contains plotly once, and a content security policy forbids
everything else. The template escapes all text. Plotly (its basic bundle: lines and bars) and the
figures are packed with gzip, as base64; the browser unpacks them.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hvdtma.core.files import replacing
from hvdtma.runs.report.plots import Plot

# npm's plotly.js-basic-dist-min, in the version of the Python package plotly; gzip -9 -n.
PLOTLY = Path(__file__).with_name("plotly-basic.min.js.gz")


@dataclass(frozen=True)
class Card:
    """A headline number."""

    label: str
    value: str
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the row and may have a colour."""

    columns: list[str]
    rows: list[list[str]]
    colours: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """Figures and a table under one heading.

    Attributes:
        trainers: number and colour of the trainers whose lines the reader can hide.
        note: text next to the heading.
        columns: figures side by side on a wide screen, 2 or 3.
    """

    heading: str
    plots: list[Plot] = field(default_factory=list)
    table: Table | None = None
    trainers: list[tuple[int, str]] = field(default_factory=list)
    note: str = ""
    columns: int = 2


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Attributes:
        kicker: a line above the title.
        status: a word such as `finished`, and whether it is good.
        facts: name and value pairs under the title.
        notices: warnings above the numbers.
        details: heading -> text that the reader can unfold.
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
    """Write a page as one HTML file, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(render(page), encoding="utf-8")
    return path


def render(page: Page) -> str:
    """The page as HTML."""
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
    figures = gzip.compress(json.dumps(_short(plots)).encode(), mtime=0)
    return template.render(page=page, plots=_text(figures), plotly=_text(PLOTLY.read_bytes()))


def _short(value: Any) -> Any:
    """JSON with numbers of six digits: a screen shows no more."""
    match value:
        case float():
            return float(f"{value:.6g}")
        case list():
            return [_short(item) for item in value]
        case dict():
            return {key: _short(item) for key, item in value.items()}
    return value


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()
