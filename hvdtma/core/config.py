"""Reading configs: YAML and `key=value` overrides (OmegaConf), checked by pydantic.

Unknown keys, wrong types and impossible values raise UserError, which lists the valid choices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

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
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from hvdtma.core.deprecation import Renamed, current_names
from hvdtma.core.digests import text_with_digest
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.field_text import component_of, field_at, is_number, shown, valid_values
from hvdtma.core.files import expanded, replacing
from hvdtma.core.yaml_text import quoted_override, read_quoted

EXAMPLES = Path(__file__).parents[1] / "configs"

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = PositiveFloat
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Component(BaseModel):
    """Base of all config components: frozen, no unknown keys, `~` in paths is expanded.

    `RENAMED` has the keys of the last version that are called otherwise now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    RENAMED: ClassVar[Mapping[str, Renamed]] = {}

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, values: Any) -> Any:
        return current_names(values, cls.RENAMED)

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
            return expanded(value)
        except UserError as error:
            raise ValueError(str(error)) from error


C = TypeVar("C", bound=Component)


Given = str | Path | Mapping[str, Any] | Component | None
Overrides = Sequence[str] | Mapping[str, Any]  # words key=value, or values by key


def load_as(
    kind: type[C],
    given: Given,
    overrides: Overrides | None = None,
    *,
    source: str | None = None,
) -> C:
    """A config of any kind.

    Args:
        given: a YAML file, nested values, a config, or None for the defaults.
        overrides: words `model.hidden=128`, or values by key; a key may have dots.
        source: see `parse_as`; None: the file, or else "config".

    Raises UserError for an unreadable file and for values that are not valid, see `parse_as`.
    """
    source = source or (str(given) if isinstance(given, str | Path) else "config")
    changes = override_values(kind, overrides)
    try:
        values = OmegaConf.to_container(
            OmegaConf.merge(_read(kind, given), changes), resolve=True, throw_on_missing=True
        )
    except OmegaConfBaseException as error:
        key = f"the value of '{error.full_key}': " if error.full_key else ""
        raise UserError(f"{source}: {key}{str(error).splitlines()[0]}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{source} cannot be read: {error}") from error
    assert isinstance(values, dict)
    return parse_as(kind, {str(key): value for key, value in values.items()}, source=source)


def _read(kind: type[Component], given: Given) -> DictConfig:
    if isinstance(given, Component):
        return OmegaConf.create(given.model_dump(mode="json", exclude_unset=True))
    if not isinstance(given, str | Path):
        return OmegaConf.create(dict(given or {}))
    path = expanded(given)
    if not path.is_file():
        raise UserError(f"no config at {path}; examples are in {EXAMPLES}")
    values = OmegaConf.create(read_quoted(kind, path))
    assert isinstance(values, DictConfig)  # read_quoted refuses others
    return values


def config_and_words(
    config: str | Path | None, words: Sequence[str] | None
) -> tuple[Path | None, list[str]]:
    """A command line's config and overrides; the first word may be either.

    It is an override if it has a `=` and is no file; the value may be a path.
    """
    if config is None or ("=" in str(config) and not Path(config).is_file()):
        return None, [*([] if config is None else [str(config)]), *(words or [])]
    return Path(config), list(words or [])


def override_values(kind: type[Component], overrides: Overrides | None) -> dict[str, Any]:
    """Overrides as nested values; `key=value` is read as YAML, except for text.

    Raises UserError for a word without `=`, and for values that YAML has no type for.
    """
    if isinstance(overrides, Mapping):
        nested = OmegaConf.create()
        for key, value in overrides.items():
            try:
                OmegaConf.update(nested, key, value, merge=True, force_add=True)
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"the value of '{key}' cannot be used: {reason}") from error
    else:
        nested = _from_words(overrides or [], partial(quoted_override, kind))
    values = OmegaConf.to_container(nested)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


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
    """Write every value, defaults included, as YAML; the file is complete or not there.

    The first line is a comment with the digest of the others (`hvdtma.core.digests`).
    """
    text = OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json")))
    with replacing(path) as temporary:
        temporary.write_text(text_with_digest(text), encoding="utf-8")


def _explain(kind: type[Component], detail: ErrorDetails) -> str:
    """One line on one wrong value: the key, the value that came, the valid ones."""
    path = [str(part) for part in detail["loc"]]
    key = ".".join(path)
    if detail["type"] == "extra_forbidden":
        elsewhere = [name for name in all_keys(kind) if name.split(".")[-1] == path[-1]]
        hint = f" (there is {elsewhere[0]})" if elsewhere else ""
        return f"unknown key '{key}'; {nearest(path[-1], _keys_next_to(kind, path))}{hint}"
    if detail["type"] == "value_error":
        message = str(detail["ctx"]["error"])
        return f"{key}: {message}" if key else message
    info = field_at(kind, path)
    if detail["type"] == "missing":
        meaning = (info.description or valid_values(info)) if info else ""
        return " ".join(f"'{key}' is missing. {meaning}".split())
    valid = f"valid: {valid_values(info)}" if info else detail["msg"].lower()
    return f"'{key}' is {shown(detail['input'])}; {valid}"


def _keys_next_to(kind: type[Component], path: Sequence[str]) -> list[str]:
    component: type[BaseModel] | None = kind
    for key in path[:-1]:
        component = component and component_of(component.model_fields[key].annotation)
    return list(component.model_fields) if component else []


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values with their keys joined by dots; empty groups vanish."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def all_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Every key of a config, those within groups with dots."""
    keys = []
    for name, info in kind.model_fields.items():
        inner = component_of(info.annotation)
        keys += all_keys(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys
