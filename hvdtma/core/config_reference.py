"""The reference of a config's keys, from its models: as a commented YAML file and as Markdown.

The meaning of a key is the docstring below the field; of a component, the docstring of its class.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hvdtma.core.errors import UserError
from hvdtma.core.field_text import component_of, valid_values
from hvdtma.core.files import replacing

WIDTH = 100
MISSING = "???"  # OmegaConf refuses a config in which this is left


def commented_yaml(kind: type[BaseModel], intro: str, examples: Mapping[str, Any]) -> str:
    """A config with every key at its default, its meaning and its valid values.

    Args:
        intro: paragraphs at the top, with an empty line between them.
        examples: dotted key -> value, for required keys; others without a default are `???`.
    """
    lines = [*_comment(intro), "", *_yaml(kind, examples, "")]
    return "\n".join(lines) + "\n"


def markdown(kind: type[BaseModel], title: str, intro: str) -> str:
    """The same as Markdown: a section per component, with a table of its keys."""
    lines = [f"# {title}", "", intro.strip(), ""]
    return "\n".join(lines + list(_sections(kind, "", ""))).rstrip() + "\n"


def write_reference(text: str, out: Path | None, *, overwrite: bool) -> None:
    """Write a reference to a file, or to stdout without one.

    Raises UserError if the file exists, unless it may be overwritten.
    """
    if out is None:
        print(text, end="")
        return
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; add --overwrite to replace it")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_text(text)


def _yaml(kind: type[BaseModel], examples: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """The lines of a component, without indentation; an empty line is between its keys."""
    for at, (name, info) in enumerate(_fields(kind)):
        key, component = f"{prefix}{name}", component_of(info.annotation)
        if at:
            yield ""
        if component is None:
            yield from _comment(_meaning(info))
            needed = "required; " if info.is_required() else ""
            yield f"{name}: {_value(info, examples.get(key))}  # {needed}{valid_values(info)}"
            continue
        yield from _comment(_about(info, component))
        optional = not info.is_required() and info.get_default() is None
        mark = "# " if optional else ""
        yield f"{mark}{name}:"
        for line in _yaml(component, examples, f"{key}."):
            yield f"{mark}  {line}" if line else mark.strip()


def _sections(kind: type[BaseModel], prefix: str, about: str) -> Iterator[str]:
    if prefix:
        yield from (f"## `{prefix.rstrip('.')}`", "", about, "")
    fields = _fields(kind)
    plain = [(name, info) for name, info in fields if not component_of(info.annotation)]
    if plain:
        yield from ("| key | default | valid values | meaning |", "|---|---|---|---|")
    for name, info in plain:
        default = "required" if info.is_required() else f"`{_value(info, None)}`"
        cells = (f"`{prefix}{name}`", default, valid_values(info), _meaning(info))
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
    yield ""
    for name, info in fields:
        if component := component_of(info.annotation):
            yield from _sections(component, f"{prefix}{name}.", _about(info, component))


def _fields(kind: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """The fields; required ones first, components last."""

    def place(item: tuple[str, FieldInfo]) -> tuple[bool, bool]:
        _, info = item
        return (component_of(info.annotation) is not None, not info.is_required())

    return sorted(kind.model_fields.items(), key=place)


def _meaning(info: FieldInfo) -> str:
    """The docstring of a field, with null for None as in YAML."""
    return re.sub(r"\bNone\b", "null", " ".join((info.description or "").split()))


def _about(info: FieldInfo, component: type[BaseModel]) -> str:
    """The meaning of a component: of the field, or else the first paragraph of its class."""
    paragraph = (inspect.getdoc(component) or "").split("\n\n")[0]
    about = _meaning(info) or " ".join(paragraph.split())
    return f"{about} Required." if info.is_required() else about


def _value(info: FieldInfo, example: Any) -> str:
    """An example or else the default, as YAML on one line."""
    value = example
    if value is None:
        value = MISSING if info.is_required() else info.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    elif isinstance(value, Path):
        value = str(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _comment(text: str) -> list[str]:
    """Paragraphs as comment lines."""
    lines = []
    for paragraph in text.split("\n\n"):
        lines += ["", *textwrap.wrap(paragraph, WIDTH - 8, break_on_hyphens=False)]
    return [f"# {line}".rstrip() for line in lines[1:]]
