"""A model as a file: safetensors, with the config and what it is of beside.

    NAME/state/KEY        the state of a modality's net
    NAME/factor           what came of it, [N, R]

Legend: N items, R width of the factors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hvdtma.errors import UserError
from hvdtma.files import replacing
from hypergraph.config import TrainConfig
from hypergraph.data import MultimodalHypergraph
from hypergraph.train.learner import Factors, State

FORMAT = "hypergraph-model"


@dataclass(frozen=True)
class Saved:
    """What a file holds."""

    path: Path
    config: TrainConfig
    sizes: dict[str, int]
    states: dict[str, State]
    factors: Factors
    best: dict[str, float]

    def check(self, data: MultimodalHypergraph) -> None:
        """Raises UserError if a modality is missing in the data, or has another size there."""
        check_sizes(str(self.path), self.sizes, data)


def check_sizes(what: str, sizes: dict[str, int], data: MultimodalHypergraph) -> None:
    """Raises UserError if a modality of `what` is missing in the data or has another size there."""
    for name, size in sizes.items():
        there = data.modalities.get(name)
        if there is None or there.num_items != size:
            found = "none" if there is None else f"{there.num_items:,} items"
            raise UserError(
                f"{what} was learned from modality '{name}' of {size:,} items; the data given has "
                f"{found}"
            )


def write_saved(
    path: Path,
    data: MultimodalHypergraph,
    config: TrainConfig,
    states: dict[str, State],
    learned: Factors,
    best: dict[str, float],
) -> None:
    """Write a model, whole or not at all."""
    tensors: State = {}
    for name, state in states.items():
        tensors |= {f"{name}/state/{key}": value.contiguous() for key, value in state.items()}
        tensors[f"{name}/factor"] = torch.from_numpy(learned.rows[name]).contiguous()
    facts = {
        "format": FORMAT,
        "config": config.model_dump_json(include=set(TrainConfig.model_fields)),
        "sizes": json.dumps(data.sizes),
        "best": json.dumps(best),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    content = save(tensors, metadata=facts)
    with replacing(path) as beside:
        beside.write_bytes(content)


def read_saved(path: Path) -> Saved:
    """Read a model; raises UserError if it is none, or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"no model at {path}; model.save(path) writes one") from None
    except SafetensorError as error:
        raise UserError(f"{path} is no model, or damaged: {error}") from error
    if facts.get("format") != FORMAT:
        raise UserError(f"{path} is no model of this package")
    sizes = json.loads(facts["sizes"])
    states: dict[str, State] = {name: {} for name in sizes}
    for key, value in tensors.items():
        name, _, rest = key.partition("/")
        if rest.startswith("state/"):
            states[name][rest.removeprefix("state/")] = value
    factors = Factors(
        {name: tensors[f"{name}/factor"].numpy() for name in sizes},
        {name: states[name]["bias"].numpy() for name in sizes},
    )
    config = TrainConfig.model_validate_json(facts["config"])
    return Saved(path, config, sizes, states, factors, json.loads(facts["best"]))
