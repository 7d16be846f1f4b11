"""The kinds of labels of nodes, and the form of each kind in a source and in a store.

| kind    | label in the store | no label  | label_names                             |
|---------|--------------------|-----------|-----------------------------------------|
| `class` | int64 [N]          | -1        | the C classes                           |
| `multi` | uint8 [N, C], 0, 1 | `UNKNOWN` | the C labels; a node may have several   |
| `real`  | float64 [N, T]     | NaN       | the T targets of regression             |

A node of kind `multi` or `real` may have some entries only; it is without a label if it has none. A
node that has all entries of kind `multi` and only zeros is labelled: no label applies to it.

Legend: N nodes, n nodes of a piece, C classes, T targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hvdtma.core.errors import UserError, nearest

KINDS = ("class", "multi", "real")
UNKNOWN = 255  # an entry of kind `multi` that is not known
NO_CLASS = -1
VALUES_AT_ONCE = 1 << 18
_DTYPES: dict[str, np.dtype] = {
    "class": np.dtype(np.int64),
    "multi": np.dtype(np.uint8),
    "real": np.dtype(np.float64),
}
_VALID = {
    "class": ("iu", "integers: positions in label_names, -1 for none"),
    "multi": ("iub", f"uint8 or bool [nodes, labels]: 0, 1, {UNKNOWN} for unknown"),
    "real": ("f", "floats [nodes] or [nodes, targets], NaN for unknown"),
}


def kind_of(source: object) -> str:
    """The kind of a source's labels; `class` for a source that does not say."""
    return getattr(source, "label_kind", "class")


def stored_dtype(kind: str) -> np.dtype:
    """The dtype of labels in a store."""
    return _DTYPES[kind]


def row_shape(kind: str, num_names: int) -> tuple[int, ...]:
    """The shape of a node's label in a store."""
    return () if kind == "class" else (num_names,)


def label_row_bytes(kind: str, num_names: int) -> int:
    """The size of a node's label in a store; 0 without label_names, that is without labels."""
    values = 1 if kind == "class" and num_names else num_names
    return _DTYPES[kind].itemsize * values


def stored_form(label_n: np.ndarray, kind: str) -> np.ndarray:
    """Some rows of a source's labels as a store has them."""
    values = label_n.astype(_DTYPES[kind], copy=False)
    return values[:, None] if kind == "real" and values.ndim == 1 else values


def known_entries(label_n: np.ndarray, kind: str) -> np.ndarray:
    """Bool, of the shape of the labels: whether each entry is known."""
    if kind == "real":
        return ~np.isnan(label_n)
    known: np.ndarray = label_n >= 0 if kind == "class" else label_n != UNKNOWN
    return known


def has_label(label_N: np.ndarray, kind: str) -> np.ndarray:
    """Bool [N]: whether each node has a label."""
    labelled_N = np.zeros(len(label_N), bool)
    for rows in label_rows(len(label_N), label_N.shape[1:]):
        known = known_entries(label_N[rows], kind)
        labelled_N[rows] = known if known.ndim == 1 else known.any(1)
    return labelled_N


def label_rows(num_nodes: int, shape: tuple[int, ...]) -> Iterator[slice]:
    """Ranges of nodes whose labels are small enough to be copied some times."""
    step = max(VALUES_AT_ONCE // max(int(np.prod(shape)), 1), 1)
    for start in range(0, num_nodes, step):
        yield slice(start, min(start + step, num_nodes))


def check_targets(
    label: np.ndarray | None, kind: str, names: Sequence[str], num_nodes: int
) -> None:
    """Raise UserError for labels that do not fit their kind, their names or the graph."""
    if kind not in KINDS:
        raise UserError(f"label_kind is '{kind}'; {nearest(kind, list(KINDS))}")
    repeated = len(names) - len(set(names))
    if repeated:
        raise UserError(f"label_names has {repeated} repeated names; each must stand once")
    if label is None:
        return
    if len(label) != num_nodes:
        raise UserError(f"label has {len(label)} rows; there are {num_nodes} nodes")
    letters, valid = _VALID[kind]
    shape = row_shape(kind, len(names))
    single = kind == "real" and len(names) == 1 and label.ndim == 1
    if label.dtype.kind not in letters or (label.shape[1:] != shape and not single):
        raise UserError(
            f"label has shape {list(label.shape)} and type {label.dtype}, for {len(names)} "
            f"label_names; labels of kind '{kind}' are {valid}"
        )
    for rows in label_rows(num_nodes, label.shape[1:]):
        problem = range_problem(label[rows], kind, len(names))
        if problem:
            raise UserError(f"label {problem}")


def range_problem(label_n: np.ndarray, kind: str, num_names: int) -> str | None:
    """The values that labels of this kind cannot have, in words; None if there are none."""
    if not label_n.size:
        return None
    if kind == "real":
        return "holds infinite values" if np.isinf(label_n).any() else None
    if kind == "class":
        low, high, last = label_n.min(), label_n.max(), num_names - 1
        return (
            None
            if NO_CLASS <= low <= high <= last
            else f"holds {low} to {high}; valid: -1 to {last}"
        )
    odd = (label_n != 0) & (label_n != 1) & (label_n != UNKNOWN)
    return f"holds {label_n[odd][0]}; valid: 0, 1 and {UNKNOWN}" if odd.any() else None
