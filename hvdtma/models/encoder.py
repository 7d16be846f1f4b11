"""The contract of an encoder, which turns sampled neighbourhoods into embeddings.

    class MyEncoder(torch.nn.Module):
        first_layer = "sampled"

        def __init__(self, in_dim, hidden=64):
            super().__init__()
            self.out_dim = hidden
            self.linear = torch.nn.Linear(2 * in_dim, hidden)

        def forward(self, blocks, x, first_hop=None):
            (block,) = blocks                                # with model.layers=1
            return self.linear(torch.cat([x[: block.num_dst], block.mean(x)], 1))

Legend: n input nodes, S seeds, D features, H width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal, Protocol, get_args

import torch

from hvdtma.core.contract import not_a
from hvdtma.core.errors import UserError
from hvdtma.core.options import call_with_options
from hvdtma.core.registry import resolve
from hvdtma.core.train_config import ModelConfig, TrainConfig
from hvdtma.models.contract import check_module, shape_of
from hvdtma.sampling.block import Block
from hvdtma.sampling.first_hop import FirstHop

FirstLayer = Literal["mean", "sampled", "none"]


class Encoder(Protocol):
    """An `nn.Module` that embeds nodes from their features and neighbourhoods.

    The class is called with the width of the features, the keys of `ModelConfig` that its
    signature names (`hidden`, `layers`, `heads`, `norm`, `activation`, `dropout`) and the user's
    `model.options`.

    Attributes:
        first_layer: class attribute. `mean`: the first layer reads only the mean over a node's
            neighbours, and uses the stored mean if `first_hop` is given. `sampled`: every layer
            reads a block of sampled neighbours. `none`: no layer reads neighbours.
        out_dim: width H of the embeddings.
    """

    first_layer: ClassVar[FirstLayer]
    out_dim: int

    def forward(
        self, blocks: list[Block], x_nD: torch.Tensor, first_hop: FirstHop | None = None
    ) -> torch.Tensor:
        """Embeddings float [S, H] of the seeds, which are the first S input nodes.

        Args:
            blocks: one per sampled layer, input layer first: `model.layers` of them, one fewer
                with `first_hop`, none if `first_layer` is `none`.
            x_nD: float32 features of the input nodes, which are the first block's sources.
            first_hop: mean over all training neighbours of each input node, and their number. With
                edge weights the weighted mean, and the sum of the weights.
        """
        ...


def check_encoder(name: str, target: Any) -> None:
    """Raises UserError if a class is not an encoder."""
    check_module("encoder", name, target, ("blocks", "x", "first_hop"))
    if getattr(target, "first_layer", None) not in get_args(FirstLayer):
        valid = ", ".join(get_args(FirstLayer))
        raise not_a("encoder", name, f"its class attribute first_layer must be one of {valid}")


def make_encoder(config: ModelConfig, in_dim: int) -> Any:
    """Make the config's encoder for features of width `in_dim`.

    Raises UserError for an option that the encoder does not take, and if it has no `out_dim`. The
    encoder raises UserError when its output is not [S, `out_dim`].
    """
    return make_checked(config, _check_output, in_dim)


def make_checked(config: ModelConfig, check: Callable[..., None], *arguments: Any) -> Any:
    """Make the config's encoder; each of its outputs is passed to `check`.

    Args:
        check: a forward hook, after the encoder's name.
        arguments: the encoder's first ones; its others are options and keys of the config.

    Raises UserError for an option that the encoder does not take, and if it has no `out_dim`.
    """
    defaults = config.model_dump(exclude={"encoder", "options", "fanouts"})
    encoder = call_with_options(
        "encoder", config.encoder, config.options, *arguments, defaults=defaults
    )
    out_dim = getattr(encoder, "out_dim", None)
    if not isinstance(out_dim, int) or out_dim < 1:
        raise UserError(
            f"the out_dim of the encoder '{config.encoder}' is {out_dim}; it must be the width of "
            "its output, a whole number, at least 1"
        )
    encoder.register_forward_hook(partial(check, config.encoder))
    return encoder


def _check_output(name: str, encoder: Any, arguments: tuple[Any, ...], output: Any) -> None:
    """A forward hook. Raises UserError for an output that is not [S, out_dim]."""
    expected = [-1, encoder.out_dim]  # -1: any
    if len(arguments) == 3:
        blocks, x_nD, _ = arguments
        expected[0] = blocks[-1].num_dst if blocks else len(x_nD)
    shape = list(output.shape) if torch.is_tensor(output) else []
    if len(shape) == 2 and expected in ([-1, shape[1]], shape):
        return
    seeds = "number of seeds" if expected[0] < 0 else expected[0]
    raise UserError(
        f"the output of the encoder '{name}' is {shape_of(output)}; it must be [{seeds}, "
        f"{encoder.out_dim}]: a row for each seed, and out_dim columns"
    )


def first_layer(config: ModelConfig) -> FirstLayer:
    """`Encoder.first_layer` of the config's encoder."""
    return resolve("encoder", config.encoder).first_layer


def sampled_fanouts(config: TrainConfig) -> list[int]:
    """Fanouts of the layers that read sampled blocks, input layer first; -1 takes all."""
    if first_layer(config.model) == "none":
        return []
    return config.model.fanout_per_layer[int(config.first_hop) :]
