"""Complete a split of nodes that came with the data.

Legend: N nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS

Split = dict[str, np.ndarray]


def complete_node_split(
    given: Mapping[str, np.ndarray],
    labelled_N: np.ndarray,
    valid: float,
    test: float,
    rng: np.random.Generator,
) -> tuple[Split, dict[str, int]]:
    """A split with all three parts, each ascending; parts that are given stay as they are.

    A missing valid or test part is drawn from the labelled nodes in no part, as many as `valid` and
    `test` say (shares of all labelled nodes, or counts) or as there are. Without any such node it
    is drawn from the train part. A missing train part gets the labelled nodes that remain.

    Args:
        given: the numbers of the nodes of some parts, not empty.
        labelled_N: bool, whether a node has a label.

    Returns the split, and counts of the nodes that were drawn. Raises UserError if a part would be
    empty.
    """
    split = {part: np.sort(nodes) for part, nodes in given.items() if len(nodes)}
    missing = [part for part in PARTS if part not in split]
    if not missing:
        return split, {}
    free_N = labelled_N.copy()
    for nodes in split.values():
        free_N[nodes] = False
    free = rng.permutation(np.flatnonzero(free_N))
    num_labelled = int(labelled_N.sum())
    sizes = {
        part: round(size * num_labelled) if size < 1 else int(size)
        for part, size in zip(HELD_OUT_PARTS, (valid, test), strict=True)
    }
    drawn = [part for part in HELD_OUT_PARTS if part in missing]
    counts: dict[str, int] = {}
    if len(free) or "train" in missing:
        wanted = [sizes[part] for part in drawn]
        if "train" not in missing and sum(wanted) > len(free):  # what there is, in proportion
            wanted = _in_proportion(wanted, len(free))
        for part, size in zip(drawn, wanted, strict=True):
            split[part], free = np.sort(free[:size]), free[size:]
        if "train" in missing:
            split["train"] = np.sort(free)
        text = "labelled nodes that are in no given part"
        counts |= {f"{part}_nodes_drawn": len(split[part]) for part in missing}
    else:
        train = rng.permutation(split["train"])
        for part in drawn:
            split[part], train = np.sort(train[: sizes[part]]), train[sizes[part] :]
        split["train"], text = np.sort(train), "the given train part: no other node has a label"
        counts |= {f"{part}_nodes_taken_from_train": len(split[part]) for part in drawn}
    empty = [part for part in PARTS if not len(split[part])]
    if empty:
        raise UserError(
            f"the given split of nodes has no {' and no '.join(missing)} part, and too few "
            f"labelled nodes remain: {', '.join(empty)} would be empty; give all three parts, or "
            "smaller --valid and --test"
        )
    numbers = ", ".join(f"{part} {len(split[part]):,}" for part in missing)
    console.print(
        f"[yellow]the given split of nodes lacks {' and '.join(missing)}:[/] {numbers} "
        f"drawn from {text}",
        soft_wrap=True,
    )
    return {part: split[part] for part in PARTS}, counts


def _in_proportion(sizes: list[int], total: int) -> list[int]:
    """Sizes of the same proportion that add up to at most `total`."""
    return [size * total // sum(sizes) for size in sizes]
