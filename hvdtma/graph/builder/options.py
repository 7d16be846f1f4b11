"""The options of a build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hvdtma.core.bounds import check_whole
from hvdtma.core.errors import UserError, check_seed
from hvdtma.core.files import expanded

NEGATIVE_DESTINATIONS = ("auto", "all", "seen")


@dataclass(frozen=True)
class BuildOptions:
    """The options of a build. Raises UserError for invalid values.

    Attributes:
        order: of the nodes: `random` (RandomTMA) or `given` (that of the source).
        hold_out: `links` for link prediction; `nodes` keeps every link in the training graph.
        split: `random`, or `time`: the latest items are held out for test, those before them for
            validation, and no message comes from a later time than the item that it helps to score.
        valid, test: the share to hold out for each part, or a count if 1 or more.
        negatives: the number of destinations to draw for each held-out link, with replacement.
        negative_destinations: the nodes that they are drawn from: `auto` (the destinations of an
            edge type whose sources are other nodes; if there are several kinds of nodes, those of
            the kind; else all nodes), `all` nodes, or `seen` (the destinations of the edge type in
            any case). In an undirected graph either end is replaced, from its own side.
        seed: of the split, the order, the negatives and the SVD of features.
        feature_dim: reduce features to this number of columns (None: dense features are kept,
            sparse features are reduced to 128).
        features_like: a store whose features these are to be: on the axes of its SVD, or placed in
            its graph by neighbours; columns are matched by name, nodes by id (None: of its own).
        feature_dtype: `float32` or `float16`, on disk.
        first_hop: whether to store the mean of the features of each node's in-neighbours.
        target: of a typed graph, the edge types whose links are held out, such as
            `user:buys:item` (None: all).
        block_nodes: nodes per block (None: about 8 MiB of features, and at least 256 blocks).
    """

    order: str = "random"
    hold_out: str = "links"
    split: str = "random"
    valid: float = 0.05
    test: float = 0.05
    negatives: int = 1000
    negative_destinations: str = "auto"
    seed: int = 0
    feature_dim: int | None = None
    features_like: str | None = None
    feature_dtype: str = "float32"
    first_hop: bool = True
    block_nodes: int | None = None
    target: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.features_like is not None:  # text, for the store's provenance
            object.__setattr__(self, "features_like", str(expanded(self.features_like)))
        for name, valid in (
            ("order", ("random", "given")),
            ("hold_out", ("links", "nodes")),
            ("split", ("random", "time")),
            ("negative_destinations", NEGATIVE_DESTINATIONS),
            ("feature_dtype", ("float32", "float16")),
        ):
            if getattr(self, name) not in valid:
                raise UserError(f"{name} is '{getattr(self, name)}'; valid: {', '.join(valid)}")
        for name in ("valid", "test"):
            size = getattr(self, name)
            if not (0 < size < 1 or (size >= 1 and float(size).is_integer())):
                raise UserError(
                    f"--{name} is {size}; it must be above 0: a share below 1, or a whole number"
                )
        for name in ("negatives", "feature_dim", "block_nodes"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        check_seed(self.seed)
