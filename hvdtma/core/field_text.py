"""The fields of a config in words: the valid values of each, for messages and for the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

NAMES: dict[Any, tuple[str, str]] = {  # of one value, and of several
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
    NoneType: ("null", "null"),
    Any: ("any value", "values"),
}


def valid_values(info: FieldInfo) -> str:
    """The valid values of a field: `a whole number, at least 1, or null`."""
    return _words(info.annotation, info.metadata)


def field_at(kind: type[BaseModel], path: Sequence[str]) -> FieldInfo | None:
    """The field that a path of keys leads to, or the last one on it, as for an entry of a list."""
    component: type[BaseModel] | None = kind
    info = None
    for key in path:
        if component is None:
            break
        info = component.model_fields.get(key)
        component = component_of(info.annotation) if info else None
    return info


def component_of(annotation: Any) -> type[BaseModel] | None:
    """The component that a field holds, also for `Component | None`."""
    kinds = (kind for kind, _ in _members(annotation) if isinstance(kind, type))
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def takes_text(annotation: Any) -> bool:
    """Whether a field may hold a string or a path."""
    return any(_is_text(kind) for kind, _ in _members(annotation))


def takes_truth(annotation: Any) -> bool:
    """Whether a field may hold true and false."""
    return any(kind in (bool, Any) for kind, _ in _members(annotation))


def takes_other_values(annotation: Any) -> bool:
    """Whether a field may hold single values that are no text: numbers, true, false, or any."""
    kinds = [kind for kind, _ in _members(annotation)]
    return any(
        kind in (int, float, bool, Any) or (get_origin(kind) is Literal and not _is_text(kind))
        for kind in kinds
    )


def inner_annotations(annotation: Any) -> tuple[dict[str, Any], Any, Any]:
    """The annotations inside a field: of the keys of a component, of values by name, of entries.

    `Any` where there are none. A dataclass in the metadata of an `Annotated` dictionary says which
    keys it has.
    """
    fields: dict[str, Any] = {}
    of_values: Any = Any
    of_entries: Any = Any
    for kind, metadata in _members(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields |= {name: info.annotation for name, info in kind.model_fields.items()}
        for shape in (kind, *metadata):
            if isinstance(shape, type) and is_dataclass(shape):
                fields |= get_type_hints(shape)
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (dict, Mapping):
            of_values = inner[1]
        elif origin in (list, tuple, Sequence):
            of_entries = inner[0]
    return fields, of_values, of_entries


def _is_text(kind: Any) -> bool:
    words = get_args(kind) if get_origin(kind) is Literal else ()
    return kind in (str, Path) or (bool(words) and all(isinstance(word, str) for word in words))


def is_number(annotation: Any) -> bool:
    """Whether a field holds numbers, and no true or false."""
    members = [kind for kind, _ in _members(annotation)]
    return bool not in members and (int in members or float in members)


def shown(value: Any) -> str:
    """A value as YAML writes it: null, true and false; others as Python does."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _members(annotation: Any, metadata: list[Any] | None = None) -> Iterator[tuple[Any, list[Any]]]:
    """The members of a union, each with its constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *more = get_args(annotation)
        inner = [x for each in more for x in getattr(each, "metadata", None) or [each]]
        yield from _members(base, inner)
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member, metadata)
    else:
        yield annotation, metadata or []


def _words(annotation: Any, metadata: list[Any] | None = None) -> str:
    words = [_one(kind, constraints) for kind, constraints in _members(annotation, metadata)]
    return ", or ".join(words) if any("," in word for word in words) else " or ".join(words)


def _one(kind: Any, constraints: list[Any]) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        *most, last = map(str, inner)
        return f"{', '.join(most)} or {last}" if most else last
    if origin in (list, tuple):
        return f"a list of {_several(inner[0])}"
    if origin is dict:
        return f"{_several(inner[1])} by name"
    if (component := component_of(kind)) is not None:
        return f"keys and values: {', '.join(component.model_fields)}"
    name, _ = NAMES.get(kind, (str(kind), ""))
    return ", ".join([name, *_bounds(constraints)])


def _several(annotation: Any) -> str:
    words = []
    for kind, constraints in _members(annotation):
        if get_origin(kind) is dict:
            words.append("keys and values")
        elif kind is not NoneType:
            bounds = " and ".join(_bounds(constraints))
            name = NAMES.get(kind, ("", str(kind)))[1]
            words.append(f"{name} ({bounds})" if bounds else name)
    return " or ".join(words)


def _bounds(constraints: list[Any]) -> list[str]:
    found = {
        name: getattr(constraint, name)
        for constraint in constraints
        for name in ("ge", "gt", "le", "lt")
        if getattr(constraint, name, None) is not None
    }
    if "ge" in found and "le" in found:
        return [f"from {_short(found['ge'])} to {_short(found['le'])}"]
    words = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
    return [f"{words[name]} {_short(bound)}" for name, bound in found.items()]


def _short(bound: float) -> str:
    """A bound in few digits: 1e+09 for a large float, whole numbers in full."""
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
