"""The contract of an encoder of typed graphs, and the check that an encoder fits a store.

    class MyTypedEncoder(torch.nn.Module):
        typed = True
        first_layer = "sampled"

        def __init__(self, in_dims, edge_types, hidden=64):
            super().__init__()
            self.out_dim = hidden
            self.linear = torch.nn.ModuleDict(
                {name: torch.nn.Linear(dim, hidden) for name, dim in in_dims.items()}
            )

        def forward(self, blocks, x, first_hop=None):
            (block,) = blocks                                # with model.layers=1
            h = {name: self.linear[name](rows) for name, rows in x.items()}
            out = {name: h[name][:number] for name, number in block.num_dst.items()}
            for (src, _, dst), each in block.items():
                out[dst] = out[dst] + each.mean(h[src])
            return out

Legend: n input nodes, S seeds, D features, H width of the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch

from hvdtma.core.errors import UserError
from hvdtma.core.registry import built_in, resolve
from hvdtma.core.train_config import ModelConfig
from hvdtma.graph.typed.schema import EdgeType, GraphSchema
from hvdtma.models.contract import shape_of
from hvdtma.models.encoder import FirstLayer, make_checked
from hvdtma.sampling.typed_block import TypedBlock
from hvdtma.sampling.typed_hop import TypedHop


class TypedEncoder(Protocol):
    """An `nn.Module` that embeds nodes of a typed graph.

    The class is called with the widths of the features by node type, the edge types as triples
    (source type, relation, destination type), the keys of `ModelConfig` that its signature names
    and the user's `model.options`.

    Attributes:
        typed: class attribute, True.
        first_layer: class attribute, `mean` or `sampled`; see `hvdtma.models.encoder.Encoder`. The
            first hop is that of every edge type.
        out_dim: width H of the embeddings, the same for all node types.
    """

    typed: ClassVar[bool]
    first_layer: ClassVar[FirstLayer]
    out_dim: int

    def forward(
        self,
        blocks: list[TypedBlock],
        x: Mapping[str, torch.Tensor],
        first_hop: Mapping[EdgeType, TypedHop] | None = None,
    ) -> Mapping[str, torch.Tensor]:
        """Embeddings float [S, H] of the seeds by node type, the first S input nodes of the type.

        Args:
            blocks: one per sampled layer, input layer first; one fewer with `first_hop`. A block
                maps edge types to blocks; those without sampled edges are missing.
            x: float32 [n, D] features of the input nodes by node type.
            first_hop: by edge type the input nodes that have training neighbours of the type, the
                means over all of these, and their numbers (`TypedHop`).
        """
        ...


def is_typed_encoder(target: Any) -> bool:
    """Whether an encoder class, or an encoder, is one of typed graphs."""
    return bool(getattr(target, "typed", False))


def check_encoder_fits(config: ModelConfig, schema: GraphSchema | None, where: object) -> None:
    """Raise UserError for an untyped encoder on a typed store, and the reverse.

    Args:
        where: the store, for messages.
    """
    typed = schema is not None
    if is_typed_encoder(resolve("encoder", config.encoder)) == typed:
        return
    fitting = [n for n in built_in("encoder") if is_typed_encoder(resolve("encoder", n)) == typed]
    has, reads = ("", "no node types") if typed else ("no ", "node types")
    raise UserError(
        f"{where} has {has}node types, but the encoder '{config.encoder}' reads {reads}; set "
        f"model.encoder to one of {', '.join(fitting)}, or to an encoder of your own with the "
        f"class attribute typed = {typed}"
    )


def make_typed_encoder(config: ModelConfig, schema: GraphSchema) -> Any:
    """Make the config's encoder for the types of a store.

    Raises UserError for an option that the encoder does not take, and if it has no `out_dim`. The
    encoder raises UserError when its outputs are not [S, `out_dim`].
    """
    in_dims = dict(zip(schema.node_types, schema.dims, strict=True))
    return make_checked(config, _check_outputs, in_dims, schema.edge_types)


def _check_outputs(name: str, encoder: Any, arguments: tuple[Any, ...], output: Any) -> None:
    """A forward hook. Raises UserError for outputs that are not [S, out_dim] of each node type."""
    blocks, x, _ = arguments
    for node_type, rows in x.items():
        seeds = blocks[-1].num_dst[node_type] if blocks else len(rows)
        found = output.get(node_type) if isinstance(output, Mapping) else output
        if not torch.is_tensor(found) or list(found.shape) != [seeds, encoder.out_dim]:
            raise UserError(
                f"the output of the encoder '{name}' for the node type '{node_type}' is "
                f"{shape_of(found)}; it must be [{seeds}, {encoder.out_dim}]: a row for each seed, "
                "and out_dim columns, for every node type"
            )
