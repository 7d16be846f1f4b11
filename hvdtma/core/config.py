"""How a config is read: YAML with `key=value` overrides (OmegaConf), checked by pydantic.

Unknown keys, wrong types and impossible values raise UserError with the valid choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from yaml import YAMLError

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.files import replacing

EXAMPLES = Path(__file__).parents[1] / "configs"

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


Given = str | Path | Mapping[str, Any] | Component | None
Overrides = Sequence[str] | Mapping[str, Any]  # words key=value, or values by key


def load_as(
    kind: type[C],
    given: Given,
    overrides: Overrides | None = None,
) -> C:
    """A config of any kind.

    Args:
        given: a YAML file, nested values, a config, or None for the defaults.
        overrides: words `model.hidden=128`, or values by key; a key may have dots.

    Raises UserError for an unreadable file and for values that are not valid, see `parse_as`.
    """
    source = str(given) if isinstance(given, str | Path) else "config"
    try:
        values = OmegaConf.to_container(
            OmegaConf.merge(_read(given), override_values(overrides)), resolve=True
        )
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(f"{source} cannot be read: {error}") from error
    assert isinstance(values, dict)
    return parse_as(kind, {str(key): value for key, value in values.items()}, source=source)


def _read(given: Given) -> Any:
    if isinstance(given, Component):
        return OmegaConf.create(given.model_dump(mode="json", exclude_unset=True))
    if not isinstance(given, str | Path):
        return OmegaConf.create(dict(given or {}))
    path = Path(given)
    if not path.is_file():
        raise UserError(f"no config at {path}; examples are in {EXAMPLES}")
    loaded = OmegaConf.load(path)
    if OmegaConf.is_list(loaded):
        raise UserError(f"{path} holds a list; a config is keys and values")
    return loaded


def config_and_words(
    config: str | Path | None, words: Sequence[str] | None
) -> tuple[Path | None, list[str]]:
    """A command line's config and overrides; the first word may be either.

    It is an override if it has a `=` and is no file; the value may be a path.
    """
    if config is None or ("=" in str(config) and not Path(config).is_file()):
        return None, [*([] if config is None else [str(config)]), *(words or [])]
    return Path(config), list(words or [])


def override_values(overrides: Overrides | None) -> dict[str, Any]:
    """Overrides as nested values; `key=value` is read as YAML.

    Raises UserError for a word without `=`.
    """
    if isinstance(overrides, Mapping):
        nested = OmegaConf.create()
        for key, value in overrides.items():
            OmegaConf.update(nested, key, value, merge=True, force_add=True)
    else:
        for word in overrides or []:
            if "=" not in word:
                raise UserError(f"'{word}' is no override; write key=value, as in model.hidden=128")
        nested = OmegaConf.from_dotlist(list(overrides or []))
    values = OmegaConf.to_container(nested)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


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
