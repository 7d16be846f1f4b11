"""A hypergraph as named arrays: what is saved, and what its checksum is of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import xxhash

from hvdtma.storage.array_writer import digest
from hvdtma.storage.node_ids import NodeIds
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.lazy import Unread, as_given


def fields(graph: MultimodalHypergraph) -> Iterator[tuple[str, object, str]]:
    """Where each array field of a hypergraph stands: its path, the object and the field's name.

    Modalities and relations are numbered, since their names may be anything.
    """
    for number, modality in enumerate(graph.modalities.values()):
        yield f"modality/{number}/ids", modality, "ids"
        yield f"modality/{number}/features", modality, "features"
        if modality.intra is not None:
            yield f"modality/{number}/edges", modality.intra, "edges"
            yield f"modality/{number}/weights", modality.intra, "weights"
    for number, relation in enumerate(graph.relations.values()):
        for field in ("indices", "values", "part"):
            yield f"relation/{number}/{field}", relation, field


def arrays_of(path: str, value: Any) -> dict[str, np.ndarray]:
    """The arrays that a field's value is kept as, by path; {} for None."""
    if value is None:
        return {}
    if sp.issparse(value):
        csr = sp.csr_array(value)
        parts: dict[str, np.ndarray] = {
            "indptr": csr.indptr.astype(np.int64),
            "indices": csr.indices.astype(np.int64),
            "data": csr.data,
            "shape": np.array(csr.shape, np.int64),
        }
    elif path.endswith("/ids"):
        parts = NodeIds.of(value).as_arrays()
    else:
        return {path: value}
    return {f"{path}/{name}": array for name, array in parts.items()}


def description(graph: MultimodalHypergraph) -> dict[str, Any]:
    """What is no array: names, sizes, recipes."""
    return {
        "modalities": [
            {
                "name": modality.name,
                "num_items": modality.num_items,
                "has_intra": modality.intra is not None,
                "recipe": modality.intra.recipe.as_dict()
                if modality.intra is not None and modality.intra.recipe is not None
                else None,
            }
            for modality in graph.modalities.values()
        ],
        "relations": [
            {
                "name": relation.name,
                "modalities": list(relation.modalities),
                "num_repeats": relation.num_repeats,
            }
            for relation in graph.relations.values()
        ],
    }


def digest_of_text(value: Any) -> str:
    """The checksum of plain values."""
    return xxhash.xxh3_128(json.dumps(value, sort_keys=True).encode()).hexdigest()


def checksum(graph: MultimodalHypergraph) -> str:
    """One xxh3 checksum of all content; of what is still on disk, by the checksums kept there."""
    digests: dict[str, str] = {}
    for path, owner, field in fields(graph):
        value = as_given(owner, field)
        if isinstance(value, Unread):
            digests |= {path + tail: found for tail, found in value.digests.items()}
        else:
            arrays = arrays_of(path, value)
            digests |= {name: digest(_little_endian(array)) for name, array in arrays.items()}
    return digest_of_text({"arrays": digests, "description": description(graph)})


def _little_endian(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
