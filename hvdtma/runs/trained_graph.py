"""The record of the graph that a model is trained on, and whether another graph fits the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hvdtma.core.errors import UserError

OLDER = {"label_kind": "class"}  # of records that do not say


class TypesOfGraph(Protocol):
    """The types of a typed graph."""

    def as_attrs(self) -> dict[str, Any]:
        """JSON values, among them `node_types` and `label_type`."""
        ...


class TrainedGraph(Protocol):
    """The identity of a graph, as a `GraphStore` has it."""

    @property
    def path(self) -> Path: ...
    @property
    def graph(self) -> str:
        """Digest of the graph and its split."""
        ...

    @property
    def features(self) -> dict[str, Any] | None:
        """The meaning of the features; None if it is not known."""
        ...

    @property
    def label_names(self) -> list[str]: ...
    @property
    def label_kind(self) -> str: ...
    @property
    def edge_type_names(self) -> list[str]: ...
    @property
    def undirected(self) -> bool: ...
    @property
    def schema(self) -> TypesOfGraph | None:
        """The node and edge types of a typed graph; None for others."""
        ...


def record_of(store: TrainedGraph) -> dict[str, Any]:
    """The graph and its held-out links, and the meaning of a model's outputs."""
    return {
        "graph": store.graph,
        "features": store.features,
        "label_names": store.label_names,
        "label_kind": store.label_kind,
        "edge_type_names": store.edge_type_names,
        "undirected": store.undirected,
        "schema": None if store.schema is None else store.schema.as_attrs(),
    }


def check_outputs(
    then: Mapping[str, Any], store: TrainedGraph, where: str, *, may_lack_labels: bool = False
) -> None:
    """Raise UserError if labels or edge types differ: outputs would have another meaning.

    Args:
        then: the record.
        where: the recorded graph, for messages.
        may_lack_labels: whether a store without labels will do, as for predictions.
    """
    now = record_of(store)
    if may_lack_labels and not now["label_names"]:
        now |= {key: then[key] for key in ("label_names", "label_kind")}
    before, current = _node_types(then), _node_types(now)
    if before != current:
        raise UserError(
            f"{store.path} has the node types {', '.join(current) or 'none'}, {where} "
            f"{', '.join(before) or 'none'}"
        )
    if then["label_kind"] != now["label_kind"]:
        raise UserError(
            f"{store.path} has labels of kind '{now['label_kind']}', {where} "
            f"of kind '{then['label_kind']}'"
        )
    for names in ("label_names", "edge_type_names"):
        if then[names] != now[names]:
            raise UserError(
                f"{store.path} has other {names} than {where}: "
                f"{', '.join(now[names]) or 'none'} instead of {', '.join(then[names]) or 'none'}"
            )


def _node_types(record: Mapping[str, Any]) -> list[str]:
    return list((record.get("schema") or {}).get("node_types", ()))


def same_features(then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether features mean the same, as far as is known: given ones may be without names."""
    prints = (then["fingerprint"], now["fingerprint"])
    same_kind = (then["kind"], then["dim"]) == (now["kind"], now["dim"])
    return same_kind and (None in prints or prints[0] == prints[1])


def check_features(then: Mapping[str, Any], store: TrainedGraph, where: str, like: str) -> None:
    """Raise UserError if the features of a store mean something else to the model.

    Args:
        like: the value of `--features-like` that would make them fit.
    """
    before, now = then.get("features"), store.features
    if before is None or now is None or same_features(before, now):
        return
    raise UserError(
        f"{store.path} has other features than {where}: {_features_text(now)} instead of "
        f"{_features_text(before)}; {_remedy(now, like)}"
    )


def _remedy(features: Mapping[str, Any], like: str) -> str:
    if features["kind"] == "typed":
        return (
            "each type must have the same columns, and features that the build reduces lie on axes "
            "of their own: give dense ones"
        )
    return f"build it with --features-like {like}"


def _features_text(features: dict[str, Any]) -> str:
    digest = f", {features['fingerprint'][:8]}" if features["fingerprint"] else ""
    return f"{features['dim']} features ({features['kind']}{digest})"
