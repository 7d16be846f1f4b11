"""From the values that a person has to labels of a kind: classes, several labels, real numbers.

Arrays and files follow the same rule, `kind_of_labels`. Without a given kind:

- one column of text, integers or booleans are classes; negative integers are no label;
- one column of floats are real numbers. They are classes only if all of them are whole numbers
  from 0 on, or -1, at most `MAX_CLASSES_IN_FLOATS` different ones, and at most half as many as
  there are labelled nodes (class numbers become floats where some are missing);
- several columns of 0 and 1 are labels of which a node may have several; -1 and NaN are unknown;
- several columns of floats are targets of regression.

Everything else is an error. NaN is no label. Several columns of 0 and 1 beside columns of other
numbers are an error too: they may be one or the other.

Legend: N nodes, C classes or columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from hvdtma.core.console import console
from hvdtma.core.errors import UserError, nearest
from hvdtma.graph.targets import KINDS, NO_CLASS, UNKNOWN

MAX_CLASSES_IN_FLOATS = 1000  # the largest public data sets of nodes have some hundred classes
LAST_EXACT = 2.0**53  # floats hold whole numbers exactly up to here
SMALL_GRAPH = 10  # labelled nodes; in a graph of a few nodes each may have a class of its own
ONE_TARGET = "target"  # the name of a single column of real numbers


class LabelColumn(NamedTuple):
    """The facts about a column of labels that decide its kind.

    Attributes:
        name: of the column.
        known: the number of values that are not missing.
        labelled, distinct: of those, the ones that would be classes, and the different ones.
        is_number: whether all known values are numbers.
        is_float: whether they are written, or stored, as floats.
        is_binary: whether they are 0, 1, or -1 for unknown, and not all unknown.
        has_fractions: whether some are numbers with fractions.
        least, largest: the range of the numbers.
    """

    name: str
    known: int
    labelled: int
    distinct: int
    is_number: bool
    is_float: bool
    is_binary: bool
    has_fractions: bool
    least: float
    largest: float


class NodeLabels(NamedTuple):
    """Labels of nodes, in the form of their kind (`hvdtma.graph.targets`), and their names."""

    label: np.ndarray
    names: list[str]
    kind: str


def targets_of(
    values: np.ndarray | sp.spmatrix | sp.sparray,
    where: str,
    *,
    kind: str | None = None,
    names: Sequence[str] | None = None,
) -> NodeLabels:
    """The labels in an array of values [N] or [N, C]; see above for the choice of the kind.

    Args:
        where: the place of the values, for messages.
        kind: `class`, `multi` or `real`; None: chosen by the values.
        names: of the columns; None: their numbers. A single column of classes has no name.

    Raises UserError for values of no kind or not of the given one, for infinite values, and for
    another number of names than of columns.
    """
    values = values.toarray() if sp.issparse(values) else np.asarray(values)  # type: ignore[union-attr]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2) or values.dtype.kind not in "iufb" or 0 in values.shape[1:]:
        raise _of_no_kind(f"{where} has labels of shape {list(values.shape)} and {values.dtype}")
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise UserError(f"{where} has infinite values; a label is finite, NaN is no label")
    values_NC = values[:, None] if values.ndim == 1 else values
    of_columns = _names_of_columns(values_NC.shape[1], names, where)
    facts = [_facts(values_NC[:, c], name, values.ndim == 1) for c, name in enumerate(of_columns)]
    kind = kind_of_labels(facts, where, kind)
    if kind == "real":
        return NodeLabels(_real(values_NC, where), of_columns, kind)
    if kind == "class":
        if values.ndim == 1:
            return _classes(values, where)
        return NodeLabels(_position_of_one(values, where), of_columns, kind)
    if values.ndim == 1:
        raise UserError(f"{where} has one column; several labels need one column of 0 and 1 each")
    return NodeLabels(_several(values, where), of_columns, kind)


def _names_of_columns(columns: int, names: Sequence[str] | None, where: str) -> list[str]:
    if names is None:
        return [ONE_TARGET] if columns == 1 else [str(column) for column in range(columns)]
    if len(names) != columns:
        raise UserError(
            f"{where} has {columns} columns, but {len(names)} names: {', '.join(names)}"
        )
    return list(names)


def kind_of_labels(columns: Sequence[LabelColumn], where: str, kind: str | None) -> str:
    """The kind of labels in some columns; see above.

    Raises UserError for columns of no kind, of two kinds, or not of the given one.
    """
    first, given = columns[0], kind
    if kind is not None and kind not in KINDS:
        raise UserError(f"label_kind is '{kind}'; {nearest(kind, list(KINDS))}")
    if kind is None:
        kind = _kind_of_column(first, where) if len(columns) == 1 else _kind_of(columns, where)
    texts = [column.name for column in columns if not column.is_number]
    if texts and (kind != "class" or len(columns) > 1):
        raise UserError(
            f"{where}: '{texts[0]}' holds text; several labels are 0 and 1, and targets of "
            "regression are numbers (missing ones are empty)"
        )
    if given is None and kind == "class" and first.has_fractions:
        raise UserError(
            f"{where} holds text and numbers with fractions; numbers with fractions are targets "
            "of regression, never classes. Give label_kind='class' if they are names"
        )
    if kind == "class" and len(columns) == 1 and first.distinct == first.labelled > SMALL_GRAPH:
        raise UserError(
            f"{where} has {first.distinct:,} classes for {first.labelled:,} labelled nodes, one "
            "each; these are no classes. Name another column, or for regression give "
            "label_kind='real'"
        )
    return kind


def _of_no_kind(found: str) -> UserError:
    return UserError(
        f"{found}; valid: one class per node, an integer or text; several labels per node, columns "
        "of 0 and 1; targets of regression, floats, or numbers with label_kind='real'"
    )


def _kind_of_column(column: LabelColumn, where: str) -> str:
    if not (column.is_number and column.is_float and column.known):
        return "class"
    whole = not column.has_fractions and column.least >= NO_CLASS and column.largest <= LAST_EXACT
    few = column.distinct <= MAX_CLASSES_IN_FLOATS and 2 * column.distinct <= column.labelled
    if not whole or not few:
        return "real"
    if column.labelled:
        console.print(
            f"{where}: whole numbers in floats are taken as {column.distinct} classes; for "
            "regression give label_kind='real'",
            markup=False,
            soft_wrap=True,
        )
    return "class"


def _kind_of(columns: Sequence[LabelColumn], where: str) -> str:
    """The kind of several columns. Columns without any value fit all kinds."""
    binary = [column.name for column in columns if column.is_binary]
    others = [column for column in columns if not column.is_binary and column.known]
    if not others:
        return "multi"
    if all(column.is_number and not column.is_float for column in others):
        named = ", ".join(column.name for column in others[:5])
        raise _of_no_kind(f"{where} has columns of whole numbers that are not 0 and 1 ({named})")
    if binary:
        raise UserError(
            f"{where} has columns of 0 and 1 ({', '.join(binary[:5])}) beside columns of other "
            "numbers; give the columns of one kind, or label_kind='real' if all are targets of "
            "regression"
        )
    return "real"


def _facts(values_N: np.ndarray, name: str, alone: bool) -> LabelColumn:
    """The facts about a column of an array; different values are counted if it is alone."""
    is_float = values_N.dtype.kind == "f"
    known = values_N[~np.isnan(values_N)] if is_float else values_N
    classes = known[known >= 0]
    return LabelColumn(
        name,
        int((~_is_unknown(known)).sum()),
        len(classes),
        len(np.unique(classes)) if alone else 0,
        is_number=True,
        is_float=is_float,
        is_binary=bool(len(classes) and _binary(known[:, None]).all()),
        has_fractions=is_float and bool((known != np.floor(known)).any()),
        least=float(known.min()) if len(known) else 0.0,
        largest=float(known.max()) if len(known) else 0.0,
    )


def _classes(values: np.ndarray, where: str) -> NodeLabels:
    """The classes of a column of numbers."""
    known_N = values >= 0  # NaN is not
    if values.dtype.kind == "f":
        odd_N = known_N & ((values != np.floor(values)) | (values > LAST_EXACT))
        if odd_N.any():
            raise UserError(
                f"{where} holds {values[odd_N][0]:g}, which is no class: classes are whole numbers"
            )
    known = values[known_N].astype(np.int64)
    distinct, code = np.unique(known, return_inverse=True)
    label_N = np.full(len(values), NO_CLASS, np.int64)
    label_N[known_N] = code
    return NodeLabels(label_N, [str(name) for name in distinct], "class")


def _position_of_one(values_NC: np.ndarray, where: str) -> np.ndarray:
    """The column with the 1 of each row, -1 for rows of zeros and for unknown rows."""
    one_NC = values_NC == 1
    if not _binary(values_NC).all() or (one_NC.sum(1) > 1).any():
        raise UserError(
            f"{where} has {values_NC.shape[1]} columns and is no one-hot matrix; a class is one "
            "column of integers, or a single 1 in each row"
        )
    return np.where(one_NC.any(1), one_NC.argmax(1), NO_CLASS)


def _binary(values_NC: np.ndarray) -> np.ndarray:
    """Bool [C]: whether the known values of each column are 0 and 1. NaN and -1 are unknown."""
    if values_NC.dtype.kind == "b":
        return np.ones(values_NC.shape[1], bool)
    known = (values_NC == 0) | (values_NC == 1) | _is_unknown(values_NC)
    return known.all(0)


def _is_unknown(values_NC: np.ndarray) -> np.ndarray:
    unknown: np.ndarray = values_NC == NO_CLASS
    return unknown | np.isnan(values_NC) if values_NC.dtype.kind == "f" else unknown


def _several(values_NC: np.ndarray, where: str) -> np.ndarray:
    """Labels uint8 [N, C] from 0 and 1."""
    if not _binary(values_NC).all():
        raise UserError(f"{where} holds other values than 0 and 1; each column is a label or not")
    label_NC = np.where(_is_unknown(values_NC), UNKNOWN, values_NC == 1).astype(np.uint8)
    partly = (values_NC == NO_CLASS).any(1) & (label_NC != UNKNOWN).any(1)
    if partly.any() and not (label_NC == 0).any():
        raise UserError(f"{where} has labels of 1 and -1; give 1 and 0 (-1 stands for unknown)")
    ones_N = (label_NC == 1).sum(1)[(label_NC != UNKNOWN).any(1)]
    if len(ones_N) >= SMALL_GRAPH and (ones_N == 1).all():
        console.print(
            f"{where}: every node has exactly one of {values_NC.shape[1]} labels; if they exclude "
            "one another, give label_kind='class'",
            markup=False,
            soft_wrap=True,
        )
    return label_NC


def _real(values_NC: np.ndarray, where: str) -> np.ndarray:
    """Targets float [N, T]."""
    if values_NC.dtype.kind not in "fiu":
        raise UserError(f"{where} holds {values_NC.dtype}; targets of regression are numbers")
    return values_NC.astype(np.float64)
