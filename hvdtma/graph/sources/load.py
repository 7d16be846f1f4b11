"""Load a graph from a data source that a string names: `ogb:ogbn-arxiv`, `my_pkg.data:load`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.files import expanded
from hvdtma.core.options import call_with_options
from hvdtma.core.registry import names, resolve
from hvdtma.graph.source import Source, check_source


def load_source(spec: str, *, seed: int = 0) -> Source:
    """Call the data source that `spec` names, and return its graph.

    Args:
        spec: `NAME:SETTINGS`, where NAME is registered under the kind `source` or an import path
            `package.module:function`. SETTINGS are separated by commas: `key=value` is passed as a
            keyword argument, a value alone as a positional one. The text of a parameter that is
            annotated as a string, or whose default is one, is kept, and `~` is expanded in paths.
            Other values that look like a number, `true` or `false` are converted.
        seed: passed on if the source takes a `seed` and the settings give none.

    Raises UserError for an unknown source, for settings that the source does not take, and if the
    source returns anything but a `Source`.
    """
    name, settings = _split(spec)
    signature = inspect.signature(resolve("source", name))
    values, options = _parse(settings, signature)
    try:
        signature.bind_partial(*values)
    except TypeError:
        raise UserError(f"the data source '{name}' takes no setting '{values[-1]}'") from None
    graph = call_with_options("source", name, options, *values, defaults={"seed": seed})
    check_source(f"the {type(graph).__name__} that the data source '{name}' returned", graph)
    return graph


def _split(spec: str) -> tuple[str, str]:
    """The name and the settings in `NAME:SETTINGS`."""
    name, _, rest = spec.partition(":")
    if name in names("source"):
        return name, rest
    function, _, settings = rest.partition(":")
    if not function.replace(".", "").isidentifier():
        others = "an import path package.module:function, or for files --edges FILE"
        raise UserError(f"unknown data source '{spec}'; {nearest(name, names('source'), others)}")
    return f"{name}:{function}", settings


def _parse(settings: str, signature: inspect.Signature) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments."""
    by_name = signature.parameters
    in_order = [p for p in by_name.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    values: list[Any] = []
    options: dict[str, Any] = {}
    for setting in filter(None, map(str.strip, settings.split(","))):
        key, equals, value = setting.partition("=")
        if equals:
            options[key.strip()] = _value(value.strip(), by_name.get(key.strip()))
        else:
            parameter = in_order[len(values)] if len(values) < len(in_order) else None
            values.append(_value(setting, parameter))
    return values, options


def _value(text: str, parameter: inspect.Parameter | None) -> int | float | bool | str | Path:
    kind = None if parameter is None else parameter.annotation
    default = None if parameter is None else parameter.default
    words = re.findall(r"\w+", str(getattr(kind, "__name__", kind)))
    if "Path" in words or isinstance(default, Path):
        return expanded(text)
    if isinstance(default, str) or ("str" in words and not {"int", "float", "bool"} & set(words)):
        return text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
