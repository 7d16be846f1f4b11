"""The content of a hypergraph as named arrays, for saving and for the checksum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from hvdtma.core.digests import digest_of_json
from hvdtma.storage.array_writer import digest
from hvdtma.storage.node_ids import NodeIds
from hypergraph.data.lazy import Unread, as_given
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation


def fields(
    modalities: Mapping[str, Modality], relations: Mapping[str, Relation]
) -> Iterator[tuple[str, object, str]]:
    """Each array field of a hypergraph: its path, the object that has it, and the field's name.

    Paths have the numbers of modalities and relations, since their names may be anything.
    """
    for number, modality in enumerate(modalities.values()):
        yield f"modality/{number}/ids", modality, "ids"
        yield f"modality/{number}/features", modality, "features"
        if modality.intra is not None:
            yield f"modality/{number}/edges", modality.intra, "edges"
            yield f"modality/{number}/weights", modality.intra, "weights"
    for number, relation in enumerate(relations.values()):
        for field in ("indices", "values", "part"):
            yield f"relation/{number}/{field}", relation, field


def arrays_of(path: str, value: Any) -> dict[str, np.ndarray]:
    """The arrays that a field's value is stored as, by path; none for None."""
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


def description(
    modalities: Mapping[str, Modality], relations: Mapping[str, Relation]
) -> dict[str, Any]:
    """Everything that is not an array: names, sizes, recipes."""
    return {
        "modalities": [_of_modality(modality) for modality in modalities.values()],
        "relations": [
            {
                "name": relation.name,
                "modalities": list(relation.modalities),
                "num_repeats": relation.num_repeats,
            }
            for relation in relations.values()
        ],
    }


def _of_modality(modality: Modality) -> dict[str, Any]:
    intra = modality.intra
    recipe = None if intra is None else intra.recipe
    return {
        "name": modality.name,
        "num_items": modality.num_items,
        "has_intra": intra is not None,
        "recipe": None if recipe is None else recipe.as_dict(),
    }


def checksum(modalities: Mapping[str, Modality], relations: Mapping[str, Relation]) -> str:
    """The xxh3 checksum of all content; fields on disk are not read: they have stored checksums."""
    digests: dict[str, str] = {}
    for path, owner, field in fields(modalities, relations):
        value = as_given(owner, field)
        if isinstance(value, Unread):
            digests |= {path + tail: found for tail, found in value.digests.items()}
        else:
            arrays = arrays_of(path, value)
            digests |= {name: digest(_little_endian(array)) for name, array in arrays.items()}
    return digest_of_json({"arrays": digests, "description": description(modalities, relations)})


def _little_endian(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
