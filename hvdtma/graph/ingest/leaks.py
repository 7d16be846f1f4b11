"""Features that tell the label: a column that equals it, under whatever names of the classes.

Legend: N nodes, D features, n nodes of a piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError

LEAST_NODES = 20  # labelled; among fewer, columns may be equal by chance


def check_leaks(
    pieces: Iterable[tuple[np.ndarray, np.ndarray]], label: np.ndarray, kind: str, names: Any
) -> None:
    """Raise UserError if a feature determines the label of every labelled node, and the reverse.

    Args:
        pieces: node numbers [n] and their features [n, D].
        label: class int64 [N] or real float64 [N, T]; other kinds are not checked.
        names: of the features, or None.
    """
    if kind not in ("class", "real"):
        return
    target_N = (
        label if kind == "class" else np.asarray(label, np.float64).reshape(len(label), -1)[:, 0]
    )
    same: np.ndarray | None = None
    to_label: dict[int, dict[float, float]] = {}
    seen = 0
    for nodes, feat_nD in pieces:
        known = target_N[nodes] >= 0 if kind == "class" else np.isfinite(target_N[nodes])
        value_nD, target_n = feat_nD[known], target_N[nodes][known]
        if not len(target_n):
            continue
        seen += len(target_n)
        if same is None:
            same = np.ones(feat_nD.shape[1], bool)
        for column in np.flatnonzero(same):
            values = value_nD[:, column]
            if kind == "real":
                same[column] = np.allclose(values, target_n, rtol=1e-6)
            else:
                same[column] = _agrees(values, target_n, to_label.setdefault(int(column), {}))
        if not same.any():
            return
    if same is None or seen < LEAST_NODES:
        return
    for column in np.flatnonzero(same):
        pairs = to_label.get(int(column), {})
        if kind == "class" and (len(pairs) < 2 or len(set(pairs.values())) < len(pairs)):
            continue
        feature = f"'{names[column]}'" if names else str(column)
        drop = names[column].split("=")[0] if names else column
        raise UserError(
            f"feature {feature} tells the label of each of the {seen:,} labelled nodes; leave it "
            f"out: --drop-columns {drop}"
        )


def _agrees(values: np.ndarray, target_n: np.ndarray, known: dict[float, float]) -> bool:
    """Whether each value stands for one class; adds the pairs to `known`."""
    pairs = np.unique(np.stack([values.astype(np.float64), target_n.astype(np.float64)], 1), axis=0)
    if len(pairs) > len(np.unique(pairs[:, 0])) or len(pairs) > len(np.unique(pairs[:, 1])):
        return False
    return all(known.setdefault(value, target) == target for value, target in pairs.tolist())
