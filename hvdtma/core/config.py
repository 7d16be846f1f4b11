"""Reading configs: YAML and `key=value` overrides (OmegaConf), checked by pydantic.

Unknown keys, wrong types and impossible values raise UserError, which lists the valid choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.field_text import component_of, field_at, is_number, shown, valid_values
from hvdtma.core.files import replacing
from hvdtma.core.yaml_text import quoted_override, read_quoted

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = PositiveFloat
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


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
    changes = _from_words(overrides or [], partial(quoted_override, kind))
    try:
        merged = OmegaConf.merge(OmegaConf.create(read_quoted(kind, path)), changes)
        values = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = f"the value of '{error.full_key}': " if error.full_key else ""
        raise UserError(f"{path}: {key}{str(error).splitlines()[0]}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    assert isinstance(values, dict)
    return parse_as(kind, values, source=str(path))


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Options given as `key=value`; a value is read as YAML.

    Raises UserError for a word without `=` or with invalid YAML.
    """
    for word in words:
        if "=" not in word:
            raise UserError(f"'{word}' is no option; write key=value, as in parts=4")
    values = OmegaConf.to_container(_from_words(words))
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


def _from_words(words: Sequence[str], quoted: Callable[[str], str] = str) -> DictConfig:
    try:
        return OmegaConf.from_dotlist([quoted(word) for word in words])
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(f"'{' '.join(words)}' cannot be read: {error}") from error


def dump_config(config: Component, path: Path) -> None:
    """Write every value, defaults included, as YAML; the file is complete or not there."""
    with replacing(path) as beside:
        OmegaConf.save(OmegaConf.create(config.model_dump(mode="json")), beside)


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
    info = field_at(kind, path)
    if detail["type"] == "missing":
        meaning = (info.description or valid_values(info)) if info else ""
        return " ".join(f"'{key}' is missing. {meaning}".split())
    valid = f"valid: {valid_values(info)}" if info else detail["msg"].lower()
    return f"'{key}' is {shown(detail['input'])}; {valid}"


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
