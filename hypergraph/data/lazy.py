"""Fields of frozen dataclasses that may still be on disk, and are read on first access.

A rank that trains some of the modalities of a saved hypergraph reads only their features and
graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Unread(Generic[T]):
    """A value on disk, which was checked before it was saved.

    Attributes:
        read: reads the value; raises UserError if it is damaged.
        num_rows: the number of its rows.
        digests: the checksums of the arrays that it is stored as, by name.
    """

    read: Callable[[], T]
    num_rows: int
    digests: dict[str, str]


class Lazy(Generic[T]):
    """A dataclass field whose value may be given as `Unread`: `indices: Lazy[np.ndarray] = Lazy()`.

    Args:
        default: the field's default; without it, a value must be given.
    """

    def __init__(self, *default: T):
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> T:
        if instance is None:  # dataclass asks for the default
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
    """A field's value, or its `Unread` if it was not read yet."""
    return vars(instance)[field]


def is_unread(instance: object, field: str) -> bool:
    """Whether a field's value is still on disk."""
    return isinstance(as_given(instance, field), Unread)


def num_rows(instance: object, field: str) -> int:
    """The number of rows of a field; does not read the field."""
    value = as_given(instance, field)
    return value.num_rows if isinstance(value, Unread) else len(value)
