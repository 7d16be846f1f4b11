"""How a config is read: YAML with `key=value` overrides (OmegaConf), checked by pydantic.

Unknown keys, wrong types and impossible values raise UserError with the valid choices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from yaml import YAMLError

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.files import replacing

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = PositiveFloat
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Component(BaseModel):
    """What all config components share: no unknown keys, frozen, every value checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


C = TypeVar("C", bound=Component)


def load_as(kind: type[C], path: str | Path, overrides: list[str] | None = None) -> C:
    """A config of any kind; see `load_config`."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no config at {path}; examples are in configs/")
    for override in overrides or []:
        if "=" not in override:
            raise UserError(f"'{override}' is no override; write key=value, as in model.hidden=128")
    try:
        loaded = OmegaConf.load(path)
        if OmegaConf.is_list(loaded):
            raise UserError(f"{path} holds a list; a config is keys and values")
        merged = OmegaConf.merge(loaded, OmegaConf.from_dotlist(list(overrides or [])))
        values = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
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
    """A config of any kind; see `parse_config`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [_explain(kind, detail) for detail in error.errors()]
        raise UserError(f"{source}: " + "\n".join(lines)) from None


def dump_config(config: Component, path: Path) -> None:
    """Write every value, defaults included, as YAML, whole or not at all."""
    with replacing(path) as beside:
        OmegaConf.save(OmegaConf.create(config.model_dump(mode="json")), beside)


WORDS = {  # for what pydantic says in names of classes
    "model_type": "input should be keys and values, as in model.hidden=128",
    "path_type": "input should be a path",
}


def _explain(kind: type[Component], detail: ErrorDetails) -> str:
    """One line on one thing that is wrong: the key, what came, what is valid."""
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        siblings = _keys_beside(kind, detail["loc"])
        elsewhere = [name for name in _all_keys(kind) if name.split(".")[-1] == detail["loc"][-1]]
        hint = f" (there is {elsewhere[0]})" if elsewhere else ""
        return f"unknown key '{key}'; {nearest(str(detail['loc'][-1]), siblings)}{hint}"
    if detail["type"] == "missing":
        return f"'{key}' is missing"
    if detail["type"] == "value_error":
        message = str(detail["ctx"]["error"])
        return f"{key}: {message}" if key else message
    what = WORDS.get(detail["type"]) or detail["msg"].lower()
    return f"'{key}' is {detail['input']!r}: {what}"


def _keys_beside(kind: type[Component], loc: tuple) -> list[str]:
    component: type[BaseModel] | None = kind
    for part in loc[:-1]:
        component = component and _component(component.model_fields[str(part)].annotation)
    return list(component.model_fields) if component else []


def _all_keys(kind: type[Component]) -> list[str]:
    keys = []
    for name, info in kind.model_fields.items():
        inner = _component(info.annotation)
        keys += [f"{name}.{key}" for key in inner.model_fields] if inner else [name]
    return keys


def _component(annotation: Any) -> type[Component] | None:
    """The component that a field holds, be it `Component | None`."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, Component)), None)
