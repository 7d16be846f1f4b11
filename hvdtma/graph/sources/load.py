"""Load a graph from a data source that a string names: `ogb:ogbn-arxiv`, `my_pkg.data:load`."""

from __future__ import annotations

import inspect
from typing import Any

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.options import call_with_options
from hvdtma.core.registry import names, resolve
from hvdtma.graph.source import Source, check_source


def load_source(spec: str, *, seed: int = 0) -> Source:
    """Call the data source that `spec` names, and return its graph.

    Args:
        spec: `NAME:SETTINGS`, where NAME is registered under the kind `source` or an import path
            `package.module:function`. SETTINGS are separated by commas: `key=value` is passed as a
            keyword argument, a value alone as a positional one. Values that look like a number,
            `true` or `false` are converted.
        seed: passed on if the source takes a `seed` and the settings give none.

    Raises UserError for an unknown source, for settings that the source does not take, and if the
    source returns anything but a `Source`.
    """
    name, settings = _split(spec)
    values, options = _parse(settings)
    try:
        inspect.signature(resolve("source", name)).bind_partial(*values)
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


def _parse(settings: str) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments."""
    values, options = [], {}
    for setting in filter(None, map(str.strip, settings.split(","))):
        key, equals, value = setting.partition("=")
        if equals:
            options[key.strip()] = _value(value.strip())
        else:
            values.append(_value(setting))
    return values, options


def _value(text: str) -> int | float | bool | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
