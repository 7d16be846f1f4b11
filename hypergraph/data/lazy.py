"""Fields of frozen dataclasses whose values may still be on disk, and are read once, when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Unread(Generic[T]):
    """A value on disk.

    Attributes:
        read: gives it; raises UserError where it is damaged.
        num_rows: how many rows it has.
        digests: the checksums of the arrays it is kept as, by their names.
    """

    read: Callable[[], T]
    num_rows: int
    digests: dict[str, str]


class Lazy(Generic[T]):
    """A field that may be given as `Unread`: `indices: Lazy[np.ndarray] = Lazy()`.

    Args:
        default: what the field is where nothing is given; without one, it has to be given.
    """

    def __init__(self, *default: T):
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> T:
        if instance is None:  # dataclass asks so for the default
            if not self.default:
                raise AttributeError(self.name)
            return self.default[0]
        value = vars(instance)[self.name]
        if isinstance(value, Unread):
            value = vars(instance)[self.name] = value.read()
        return value

    def __set__(self, instance: object, value: T | Unread[T]) -> None:
        vars(instance)[self.name] = value


def as_given(instance: object, field: str) -> Any:
    """A field's value, or the `Unread` that stands for it."""
    return vars(instance)[field]


def is_unread(instance: object, field: str) -> bool:
    """Whether a field's value is still on disk; then it was checked before it got there."""
    return isinstance(as_given(instance, field), Unread)


def num_rows(instance: object, field: str) -> int:
    """How many rows a field has, without reading it."""
    value = as_given(instance, field)
    return value.num_rows if isinstance(value, Unread) else len(value)
