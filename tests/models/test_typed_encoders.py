"""RGCN computes what PyTorch Geometric's does, whichever way its neighbours are given.

Legend: n nodes of a type, D features, H hidden.
"""

import numpy as np
import pytest
import torch
from typed_graphs import shop_store

from hvdtma.core.dgl_import import dgl
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import ModelConfig
from hvdtma.models.typed_encoder import check_encoder_fits, make_typed_encoder
from hvdtma.models.typed_encoders import RGCN, RGCNLayer
from hvdtma.sampling.draws import SampledEdges
from hvdtma.sampling.neighbour_sampler import NeighbourSampler
from hvdtma.sampling.typed_hop import TypedHop
from hvdtma.sampling.typed_layers import joined_block
from hvdtma.sampling.typed_shard import load_any_shard


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop_store(tmp_path_factory.mktemp("encoders") / "g.zarr")


@pytest.fixture(scope="module")
def shard(store):
    return load_any_shard(store, np.arange(store.num_blocks), first_hop=True)


def whole_block(shard):
    """A block of all edges between all nodes of the shard."""
    nodes = [np.arange(size) for size in shard.layout.sizes]
    found = [SampledEdges(csc.indptr, csc.indices.astype(np.int64), None) for csc in shard.edges]
    return joined_block(shard.schema, nodes, found)[0]


def as_homogeneous(shard):
    """edge_index [2, E] and edge_type [E] of all nodes, numbered type by type."""
    first = np.concatenate([[0], np.cumsum(shard.layout.sizes)])
    ends, kinds = [], []
    for number, (src, dst) in enumerate(shard.schema.ends.tolist()):
        csc = shard.edges[number]
        ends.append(np.stack([csc.indices + first[src], csc.destinations() + first[dst]]))
        kinds.append(np.full(csc.num_edges, number))
    return torch.from_numpy(np.concatenate(ends, 1)).long(), torch.from_numpy(np.concatenate(kinds))


def rows_of_all(shard, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = shard.layout.sizes.tolist()
    return {
        name: torch.randn(size, width, generator=generator)
        for name, size in zip(shard.schema.node_types, sizes, strict=True)
    }


def test_a_layer_is_that_of_pytorch_geometric(shard):
    geometric = pytest.importorskip("torch_geometric.nn")
    kinds, bases, width = shard.schema.edge_types, 3, 6
    torch.manual_seed(1)
    ours = RGCNLayer(kinds, width, bases)
    theirs = geometric.RGCNConv(width, width, len(kinds), num_bases=bases, aggr="mean")
    with torch.no_grad():
        theirs.weight.copy_(ours.basis)
        theirs.comp.copy_(ours.share)
        theirs.root.copy_(ours.own.weight.T)
        theirs.bias.copy_(ours.own.bias)
    h = rows_of_all(shard, width)
    edge_index, edge_type = as_homogeneous(shard)
    expected = theirs(torch.cat(list(h.values())), edge_index, edge_type)
    block = whole_block(shard)
    found = torch.cat(list(ours(block, h).values()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    hops = {}
    for kind, each in block.items():
        row = each.in_degrees.nonzero()[:, 0]
        hops[kind] = TypedHop(row, each.mean(h[kind.src])[row], each.in_degrees[row].float())
    found = torch.cat(list(ours.combine(h, hops).values()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_layer_is_that_of_dgl(shard):
    kinds, bases, width = shard.schema.edge_types, 3, 6
    torch.manual_seed(4)
    ours = RGCNLayer(kinds, width, bases)
    theirs = dgl.nn.RelGraphConv(width, width, len(kinds), "basis", bases)
    with torch.no_grad():
        theirs.linear_r.W.copy_(ours.basis)
        theirs.linear_r.coeff.copy_(ours.share)
        theirs.loop_weight.copy_(ours.own.weight.T)
        theirs.h_bias.copy_(ours.own.bias)
    h = rows_of_all(shard, width)
    (src, dst), edge_type = as_homogeneous(shard)
    place = dst * len(kinds) + edge_type  # a sum becomes a mean by the degree of the edge's type
    norm = 1 / torch.bincount(place).float()[place]
    graph = dgl.graph((src, dst), num_nodes=sum(map(len, h.values())))
    expected = theirs(graph, torch.cat(list(h.values())), edge_type, norm[:, None])
    found = torch.cat(list(ours(whole_block(shard), h).values()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_two_layers_are_those_of_pytorch_geometric_with_the_stored_first_hop(shard):
    geometric = pytest.importorskip("torch_geometric.nn")
    schema = shard.schema
    torch.manual_seed(2)
    dims = dict(zip(schema.node_types, schema.dims, strict=True))
    encoder = RGCN(dims, schema.edge_types, 2, 8, "none", "relu", bases=4).eval()
    seeds = torch.arange(0, shard.num_nodes, 3)
    hood = NeighbourSampler([-1]).sample(shard, seeds, random_seed=0)
    assert len(hood.blocks) == 1 and hood.first_hop is not None
    found = hood.embedded_by(encoder)

    projected = [
        encoder.project[number](shard.feats[number].float()) for number in range(len(dims))
    ]
    h, (edge_index, edge_type) = torch.cat(projected), as_homogeneous(shard)
    for number, layer in enumerate(encoder.layers):
        conv = geometric.RGCNConv(8, 8, len(schema.ends), num_bases=4, aggr="mean")
        with torch.no_grad():
            conv.weight.copy_(layer.basis)
            conv.comp.copy_(layer.share)
            conv.root.copy_(layer.own.weight.T)
            conv.bias.copy_(layer.own.bias)
        h = conv(h, edge_index, edge_type)
        h = h.relu() if number == 0 else h
    types, own = shard.layout.types_and_own(seeds.numpy())
    first = np.concatenate([[0], np.cumsum(shard.layout.sizes)])
    torch.testing.assert_close(found, h[first[types] + own], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["rgcn", "rgat"])
def test_every_parameter_learns(shard, name):
    torch.manual_seed(3)
    config = ModelConfig(encoder=name, hidden=8, heads=2)
    encoder = make_typed_encoder(config, shard.schema)
    seeds = torch.arange(shard.num_nodes)
    hood = NeighbourSampler([5, 5]).sample(shard, seeds, random_seed=0)
    hood.first_hop = None
    hood.embedded_by(encoder).square().sum().backward()
    assert all(value.grad is not None for value in encoder.parameters())
    assert all(value.grad.abs().sum() > 0 for value in encoder.parameters())


def test_an_encoder_of_another_kind_is_refused_with_the_valid_ones(store):
    with pytest.raises(UserError, match=r"has node types, but the encoder 'sage'.*rgcn, rgat"):
        check_encoder_fits(ModelConfig(encoder="sage"), store.schema, store.path)
    with pytest.raises(UserError, match=r"has no node types, but the encoder 'rgcn'.*sage, gcn"):
        check_encoder_fits(ModelConfig(encoder="rgcn"), None, "g.zarr")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"options": {"bases": -1}}, "bases is -1"),
        ({"options": {"base": 2}}, "takes no option 'base'.*bases"),
        ({"norm": "batch"}, "single node of a type"),
        ({"encoder": "rgat", "hidden": 10, "heads": 4}, "multiple of heads"),
    ],
)
def test_wrong_options_are_refused(store, options, message):
    config = ModelConfig(**{"encoder": "rgcn", **options})
    with pytest.raises(UserError, match=message):
        make_typed_encoder(config, store.schema)


def test_outputs_of_a_wrong_shape_are_named(shard):
    encoder = make_typed_encoder(ModelConfig(encoder="rgcn", hidden=8), shard.schema)
    encoder.out_dim = 9
    hood = NeighbourSampler([2]).sample(shard, torch.arange(4), random_seed=0)
    with pytest.raises(
        UserError, match=r"for the node type 'üser' is a tensor.*it must be \[.*9\]"
    ):
        hood.embedded_by(encoder)
