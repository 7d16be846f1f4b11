"""Reading configs: YAML and `key=value` overrides (OmegaConf), checked by pydantic.

Unknown keys, wrong types and impossible values raise UserError, which lists the valid choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.field_text import component_of, is_number, is_text, shown, valid_values
from hvdtma.core.files import replacing

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = PositiveFloat
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

YAML = "tag:yaml.org,2002:"
YAML_NULL, YAML_STRING, YAML_MERGE = f"{YAML}null", f"{YAML}str", f"{YAML}merge"


class Component(BaseModel):
    """Base of all config components: frozen, no unknown keys, `~` in paths is expanded."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and is_number(field.annotation):
            raise PydanticCustomError("bool_for_number", "true and false are no numbers")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _home_is_expanded(cls, value: Any) -> Any:
        if not isinstance(value, Path):
            return value
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise ValueError(f"'{value}' names a user without a home folder") from error


C = TypeVar("C", bound=Component)


def load_as(kind: type[C], path: str | Path, overrides: Sequence[str] | None = None) -> C:
    """A config of any kind from a YAML file and `key=value` overrides; see `load_config`."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no config at {path}; examples are in configs/")
    try:
        merged = OmegaConf.merge(
            OmegaConf.create(_read(kind, path)),
            OmegaConf.from_dotlist([_override(kind, each) for each in overrides or []]),
        )
        values = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{path}: the value of '{error.full_key}': {why}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    assert isinstance(values, dict)
    return parse_as(kind, values, source=str(path))


def parse_options(words: list[str]) -> dict[str, Any]:
    """Options given as `key=value`; a value is read as YAML.

    Raises UserError for a word without `=`.
    """
    for word in words:
        if "=" not in word:
            raise UserError(f"'{word}' is no option; write key=value, as in parts=4")
    values = OmegaConf.to_container(OmegaConf.from_dotlist(words))
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def parse_as(kind: type[C], values: dict, *, source: str = "config") -> C:
    """A config of any kind from nested values.

    Args:
        source: the origin of the values; error messages begin with it. A file's path, or the name
            of the function whose keyword arguments they are.

    Raises UserError for values that are not valid, one line for each.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [_explain(kind, detail) for detail in error.errors()]
        raise UserError(f"{source}: " + "\n".join(lines)) from None


def dump_config(config: Component, path: Path) -> None:
    """Write every value, defaults included, as YAML; the file is complete or not there."""
    with replacing(path) as beside:
        OmegaConf.save(OmegaConf.create(config.model_dump(mode="json")), beside)


def _read(kind: type[Component], path: Path) -> str:
    """The YAML text of a file, with the values of text fields in quotes."""
    with path.open("rb") as file:
        node = yaml.compose(file, yaml.SafeLoader)
    if node is None:
        return "{}"
    if not isinstance(node, yaml.MappingNode):
        holds = "a list" if isinstance(node, yaml.SequenceNode) else "one value"
        raise UserError(f"{path} holds {holds}; a config is keys and values")
    _quote_text(kind, node)
    return yaml.serialize(node, allow_unicode=True)


def _override(kind: type[Component], override: str) -> str:
    """An override `key=value`; the value of a text field is put in quotes."""
    key, equals, value = override.partition("=")
    if not equals:
        raise UserError(f"'{override}' is no override; write key=value, as in model.hidden=128")
    info = _field(kind, key.split("."))
    node = yaml.compose(value, yaml.SafeLoader)
    if info is None or node is None:
        return override
    _quote_text(info.annotation, node)
    text = yaml.serialize(node, allow_unicode=True, width=float("inf")).removesuffix("...\n")
    return f"{key}={text.strip()}"


def _quote_text(annotation: Any, node: yaml.Node) -> None:
    """Mark text and keys in a YAML tree as strings.

    YAML takes 007, 1e3, off and 12:30 for numbers, true or false. Raises MarkedYAMLError for a key
    that stands twice in a mapping.
    """
    if isinstance(node, yaml.MappingNode):
        component = component_of(annotation)
        fields = component.model_fields if component else {}
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{key.value}' stands twice", problem_mark=key.start_mark
                )
            if isinstance(key, yaml.ScalarNode) and key.tag != YAML_MERGE:
                seen.add(key.value)
                key.tag, key.style = YAML_STRING, key.style or '"'
            info = fields.get(key.value)
            _quote_text(info.annotation if info else Any, value)
    elif isinstance(node, yaml.SequenceNode) and get_origin(annotation) in (list, tuple):
        for value in node.value:
            _quote_text(get_args(annotation)[0], value)
    elif isinstance(node, yaml.ScalarNode) and is_text(annotation) and node.tag != YAML_NULL:
        node.tag, node.style = YAML_STRING, node.style or '"'


def _explain(kind: type[Component], detail: ErrorDetails) -> str:
    """One line on one wrong value: the key, the value that came, the valid ones."""
    path = [str(part) for part in detail["loc"]]
    key = ".".join(path)
    if detail["type"] == "extra_forbidden":
        elsewhere = [name for name in _all_keys(kind) if name.split(".")[-1] == path[-1]]
        hint = f" (there is {elsewhere[0]})" if elsewhere else ""
        return f"unknown key '{key}'; {nearest(path[-1], _keys_beside(kind, path))}{hint}"
    if detail["type"] == "value_error":
        message = str(detail["ctx"]["error"])
        return f"{key}: {message}" if key else message
    info = _field(kind, path)
    if detail["type"] == "missing":
        meaning = (info.description or valid_values(info)) if info else ""
        return " ".join(f"'{key}' is missing. {meaning}".split())
    valid = f"valid: {valid_values(info)}" if info else detail["msg"].lower()
    return f"'{key}' is {shown(detail['input'])}; {valid}"


def _field(kind: type[BaseModel], path: Sequence[str]) -> FieldInfo | None:
    """The field that a path of keys leads to, or the last one on it, as for an entry of a list."""
    component: type[BaseModel] | None = kind
    info = None
    for key in path:
        if component is None:
            break
        info = component.model_fields.get(key)
        component = component_of(info.annotation) if info else None
    return info


def _keys_beside(kind: type[Component], path: Sequence[str]) -> list[str]:
    beside: type[BaseModel] | None = kind
    for key in path[:-1]:
        beside = beside and component_of(beside.model_fields[key].annotation)
    return list(beside.model_fields) if beside else []


def _all_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, info in kind.model_fields.items():
        inner = component_of(info.annotation)
        keys += _all_keys(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys
