"""YAML in which the values of text fields are quoted, so that they stay as they were written.

Without quotes, YAML takes 007, 1e3, off and 12:30 for numbers, true or false.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from hvdtma.core.errors import UserError
from hvdtma.core.field_text import component_of, field_at, is_text

TAG = "tag:yaml.org,2002:"
NULL, STRING, MERGE = f"{TAG}null", f"{TAG}str", f"{TAG}merge"


def read_quoted(kind: type[BaseModel], path: Path) -> str:
    """The YAML text of a file, with the values of text fields in quotes.

    Raises UserError for a file that does not hold keys and values.
    """
    with path.open("rb") as file:
        node = yaml.compose(file, yaml.SafeLoader)
    if node is None:
        return "{}"
    if not isinstance(node, yaml.MappingNode):
        holds = "a list" if isinstance(node, yaml.SequenceNode) else "one value"
        raise UserError(f"{path} holds {holds}; a config is keys and values")
    _quote_text(kind, node)
    return yaml.serialize(node, allow_unicode=True)


def quoted_override(kind: type[BaseModel], override: str) -> str:
    """An override `key=value`; the value of a text field is put in quotes.

    Raises UserError for a word without `=`.
    """
    key, equals, value = override.partition("=")
    if not equals:
        raise UserError(f"'{override}' is no override; write key=value, as in model.hidden=128")
    info = field_at(kind, key.split("."))
    if info is None or not value:
        return override
    node = _text_node(value) if is_text(info.annotation) else yaml.compose(value, yaml.SafeLoader)
    _quote_text(info.annotation, node)
    text = yaml.serialize(node, allow_unicode=True, width=float("inf")).removesuffix("...\n")
    return f"{key}={text.strip()}"


def _text_node(value: str) -> yaml.Node:
    """A string as it is, unless it is null or in quotes: `[a` and `a: b` are text, too."""
    try:
        node = yaml.compose(value, yaml.SafeLoader)
    except yaml.YAMLError:
        node = None
    if isinstance(node, yaml.ScalarNode) and (node.style or node.tag == NULL):
        return node
    return yaml.ScalarNode(STRING, value, style='"')


def _quote_text(annotation: Any, node: yaml.Node | None) -> None:
    """Quote the keys and the values of text fields in a YAML tree.

    Raises MarkedYAMLError for a key that stands twice in a mapping.
    """
    if isinstance(node, yaml.MappingNode):
        component = component_of(annotation)
        fields = component.model_fields if component else {}
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{name}' stands twice", problem_mark=key.start_mark
                )
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                seen.add(name)
                key.tag, key.style = STRING, key.style or '"'
            _quote_text(fields[name].annotation if name in fields else Any, value)
    elif isinstance(node, yaml.SequenceNode) and get_origin(annotation) in (list, tuple):
        for value in node.value:
            _quote_text(get_args(annotation)[0], value)
    elif isinstance(node, yaml.ScalarNode) and is_text(annotation) and node.tag != NULL:
        node.tag, node.style = STRING, node.style or '"'
