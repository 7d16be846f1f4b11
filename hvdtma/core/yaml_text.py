"""YAML in which the values of text fields are quoted, so that they stay as they were written.

Without quotes, YAML takes 007, 1e3, off and 12:30 for numbers, true or false.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from hvdtma.core.errors import UserError
from hvdtma.core.field_text import (
    field_at,
    inner_annotations,
    takes_other_values,
    takes_text,
    takes_truth,
)

TAG = "tag:yaml.org,2002:"
NULL, STRING, TRUTH, MERGE = f"{TAG}null", f"{TAG}str", f"{TAG}bool", f"{TAG}merge"
NULLS = ("~", "null", "Null", "NULL")
USUAL_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)


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
    if field_at(kind, key.split(".")) is None or not value:
        return override
    annotation = annotation_at(kind, key.split("."))
    if takes_text(annotation) and not takes_other_values(annotation):
        node = _text_node(value, annotation)
    else:
        node = yaml.compose(value, yaml.SafeLoader)
    _quote_text(annotation, node)
    text = yaml.serialize(node, allow_unicode=True, width=float("inf")).removesuffix("...\n")
    return f"{key}={text.strip()}"


def annotation_at(kind: type[BaseModel], path: Sequence[str]) -> Any:
    """The annotation that a path of keys leads to; `Any` for an unknown key."""
    annotation: Any = kind
    for key in path:
        fields, of_values, _ = inner_annotations(annotation)
        annotation = fields.get(key, of_values)
    return annotation


def _text_node(value: str, annotation: Any) -> yaml.Node | None:
    """A string as it is, unless it is null or in quotes: `[a` and `a: b` are text, too."""
    text = value.strip()
    if text in NULLS:
        return yaml.ScalarNode(NULL, "null")
    in_quotes = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    holds_several = text[:1] in ("[", "{") and not _is_plain(annotation)
    if in_quotes or holds_several:
        try:
            node = yaml.compose(text, yaml.SafeLoader)
        except yaml.YAMLError:
            node = None
        if holds_several or (isinstance(node, yaml.ScalarNode) and node.style):
            return node
    return yaml.ScalarNode(STRING, value, style='"')


def _is_plain(annotation: Any) -> bool:
    """Whether a field has neither keys nor entries."""
    fields, of_values, of_entries = inner_annotations(annotation)
    return not fields and of_values is Any and of_entries is Any


def _quote_text(annotation: Any, node: yaml.Node | None) -> None:
    """Quote the keys and the values of text fields in a YAML tree.

    Raises MarkedYAMLError for a key that stands twice in a mapping.
    """
    if isinstance(node, yaml.ScalarNode):
        _quote_scalar(annotation, node)
    elif isinstance(node, yaml.SequenceNode):
        _, _, of_entries = inner_annotations(annotation)
        for value in node.value:
            _quote_text(of_entries, value)
    elif isinstance(node, yaml.MappingNode):
        fields, of_values, _ = inner_annotations(annotation)
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
            _quote_text(fields.get(name, of_values), value)


def _quote_scalar(annotation: Any, node: yaml.ScalarNode) -> None:
    """Quote text; where numbers are valid too, all but the usual forms of a number are text."""
    if node.style or node.tag == NULL or not takes_text(annotation):
        return
    is_truth = node.tag == TRUTH and takes_truth(annotation)
    is_other = is_truth or USUAL_NUMBER.fullmatch(node.value)
    if not (takes_other_values(annotation) and is_other):
        node.tag, node.style = STRING, '"'
