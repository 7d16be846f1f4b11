"""A model as a safetensors file, with the config and the identity of its items.

    ["NAME", "state", "KEY"]      the state of a modality's net
    ["NAME", "factor"]            the factor that it makes, [N, R]
    ["NUMBER", "trained on"]      hyperedges [n, K] of a relation, which the metadata names

Keys are JSON, since names may be anything.

Legend: N items, R width of the factors, n hyperedges, K arity.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import xxhash

from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing
from hvdtma.core.tensor_file import DamagedFile, from_bytes, to_bytes
from hypergraph.config import HyperLearnConfig
from hypergraph.data import Modality, MultimodalHypergraph
from hypergraph.factors import Factors
from hypergraph.history import TrainingHistory
from hypergraph.run_folder import MODEL
from hypergraph.train.rank_trainer import State

FORMAT = "hypergraph-model-5"

ItemIdentity: TypeAlias = dict[str, tuple[int, str]]
"""Modality -> number of items, and a digest of their ids."""


@dataclass(frozen=True)
class SavedModel:
    """The content of a model's file.

    Attributes:
        relations_of: modality -> the relations that it was in.
        states: modality -> the state of its net.
        rows: modality -> factor [N, R].
        best: validation scores.
    """

    path: Path
    config: HyperLearnConfig
    items: ItemIdentity
    relations_of: dict[str, list[str]]
    states: dict[str, State]
    rows: dict[str, np.ndarray]
    best: dict[str, float]
    history: TrainingHistory


def items_of(data: MultimodalHypergraph) -> ItemIdentity:
    """The identity of the items of each modality: equal for the same items in the same order."""
    return {name: (m.num_items, _digest(m)) for name, m in data.modalities.items()}


def check_items(what: str, items: ItemIdentity, data: MultimodalHypergraph) -> None:
    """Raises UserError if a modality of a model is missing in the data, or has other items.

    Args:
        what: the model's name in errors.
    """
    for name, (size, ids) in items.items():
        there = data.modalities.get(name)
        if there is None or there.num_items != size:
            found = "none" if there is None else f"{there.num_items:,} items"
            raise UserError(
                f"{what} was learned from modality '{name}' of {size:,} items; the given data has "
                f"{found}"
            )
        if _digest(there) != ids:
            raise UserError(
                f"{what} was learned from other ids of modality '{name}', or from the same ids in "
                "another order"
            )


def _digest(modality: Modality) -> str:
    if modality.ids is None:
        return ""
    return xxhash.xxh3_64(json.dumps(modality.ids.tolist()).encode()).hexdigest()


def write_model(
    path: Path,
    data: MultimodalHypergraph,
    config: HyperLearnConfig,
    states: dict[str, State],
    learned: Factors,
    best: dict[str, float],
    history: TrainingHistory,
) -> None:
    """Write a model, atomically."""
    trained_on = history.tensors().items()
    tensors: State = {json.dumps([number, "trained on"]): rows for number, rows in trained_on}
    for name, state in states.items():
        for key, value in state.items():
            tensors[json.dumps([name, "state", key])] = value.contiguous()
        tensors[json.dumps([name, "factor"])] = torch.from_numpy(learned.rows[name]).contiguous()
    facts = {
        "format": FORMAT,
        "config": config.model_dump(mode="json", include=set(HyperLearnConfig.model_fields)),
        "items": items_of(data),
        "relations_of": data.relation_names,
        "best": best,
        "past": history.facts(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    content = to_bytes(tensors, facts)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_model(path: Path) -> SavedModel:
    """Read a model; raises UserError if the file is missing, damaged or no model."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; the model of a run is the file {MODEL} in its folder")
    try:
        tensors, facts = from_bytes(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"no model at {path}; model.save(path) writes one") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read as a model: {error}") from error
    except DamagedFile:
        raise UserError(f"{path} is no model of this package, or damaged") from None
    if facts["format"] != FORMAT:
        raise UserError(
            f"{path} has the format {facts['format']}; this version of hypergraph reads {FORMAT}"
        )
    items = {name: (size, ids) for name, (size, ids) in facts["items"].items()}
    states: dict[str, State] = {name: {} for name in items}
    trained_on: State = {}
    for written, value in tensors.items():
        name, kind, *key = json.loads(written)
        if kind == "state":
            states[name][key[0]] = value
        elif kind == "trained on":
            trained_on[name] = value
    return SavedModel(
        path,
        HyperLearnConfig.model_validate(facts["config"]),
        items,
        facts["relations_of"],
        states,
        {name: tensors[json.dumps([name, "factor"])].numpy() for name in items},
        facts["best"],
        TrainingHistory.read(facts["past"], trained_on),
    )
