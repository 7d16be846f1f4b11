"""Layers compute what their papers say, by whichever path the messages pass."""

from copy import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import dense, mean_of, sample_neighbourhood, shard_of, small_csc

from hvdtma.core.train_config import ModelConfig, parse_config
from hvdtma.graph.csc import build_csc
from hvdtma.models import make_encoder, sampled_fanouts
from hvdtma.models.layers import GATLayer, GCNLayer, LinearLayer, SAGELayer
from hvdtma.sampling.block import Block, block_of_rows
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.sampling.neighbourhood import Targets

ENCODERS = ["sage", "gcn", "gat", "mlp"]
SEEDS = st.integers(0, 99)


def full_block(csc):
    """Every node with all its neighbours; sources and seeds are the nodes in order."""
    indices = torch.from_numpy(csc.indices.astype(np.int64))
    return block_of_rows(torch.from_numpy(csc.indptr), indices, 0)[0]


def as_on_a_gpu(block: Block) -> Block:
    """The same block made to pass messages as it does on a GPU, with all tensors on the CPU."""
    twin = copy(block)
    twin.device = torch.device("cuda")
    return twin


def features(num_nodes, dim, seed=0):
    return torch.randn(num_nodes, dim, generator=torch.Generator().manual_seed(seed))


def ring(num_nodes=12):
    """Every node linked to the next, both ways."""
    here = np.arange(num_nodes)
    there = (here + 1) % num_nodes
    return build_csc(np.r_[here, there], np.r_[there, here], num_nodes)


@settings(max_examples=40, deadline=None)
@given(small_csc(), SEEDS)
def test_sage_is_own_plus_the_neighbours_mean(csc, seed):
    torch.manual_seed(seed)
    layer, x = SAGELayer(4, 3), features(csc.num_nodes, 4, seed)
    own, neighbours = layer.own.weight.double(), layer.neighbours.weight.double()
    mean = torch.from_numpy(mean_of(dense(csc), x.numpy()))
    expected = x.double() @ own.T + layer.own.bias.double() + mean @ neighbours.T
    torch.testing.assert_close(layer(full_block(csc), x).double(), expected, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(small_csc(), SEEDS)
def test_gcn_is_the_mean_over_a_node_and_its_neighbours(csc, seed):
    torch.manual_seed(seed)
    layer, x = GCNLayer(4, 3), features(csc.num_nodes, 4, seed)
    with_self = torch.from_numpy(dense(csc)) + torch.eye(csc.num_nodes, dtype=torch.float64)
    propagated = with_self / with_self.sum(1, keepdim=True) @ x.double()
    expected = propagated @ layer.linear.weight.double().T + layer.linear.bias.double()
    torch.testing.assert_close(layer(full_block(csc), x).double(), expected, rtol=0, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(small_csc(most_nodes=6), SEEDS)
def test_gat_is_a_softmax_over_neighbours_for_each_head(csc, seed):
    torch.manual_seed(seed)
    layer, x = GATLayer(4, 6, heads=2), features(csc.num_nodes, 4, seed)
    z = layer.project(x).view(-1, 2, 3)
    found = layer(full_block(csc), x)
    for v in range(csc.num_nodes):
        expected = layer.own(x[v])
        sources = csc.indices[csc.indptr[v] : csc.indptr[v + 1]].tolist()
        for head in range(2):
            logits = [
                torch.nn.functional.leaky_relu(
                    layer.attend_src[head] @ z[u, head] + layer.attend_dst[head] @ z[v, head], 0.2
                )
                for u in sources
            ]
            if sources:
                weight = torch.softmax(torch.stack(logits), 0)
                mixed = sum(w * z[u, head] for w, u in zip(weight, sources, strict=True))
                assert weight.sum().item() == pytest.approx(1, abs=1e-6)
                expected = expected + torch.cat(
                    [mixed if head == 0 else mixed * 0, mixed if head == 1 else mixed * 0]
                )
        torch.testing.assert_close(found[v], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("make", [SAGELayer, GCNLayer])
@settings(max_examples=40, deadline=None)
@given(csc=small_csc(), seed=SEEDS)
def test_a_layer_on_the_first_hop_is_the_layer_on_all_neighbours(make, csc, seed):
    torch.manual_seed(seed)
    layer, shard = make(5, 3), shard_of(csc, seed=seed)
    on_block = layer(full_block(csc), shard.feat)
    torch.testing.assert_close(layer.combine(shard.feat, shard.hop), on_block, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sage", "gcn"])
@settings(max_examples=30, deadline=None)
@given(csc=small_csc(), layers=st.integers(1, 3), seed=SEEDS)
def test_an_encoder_with_first_hop_is_the_one_that_takes_all_neighbours(name, csc, layers, seed):
    shard = shard_of(csc, seed=seed)
    config = ModelConfig(encoder=name, layers=layers, hidden=6)
    torch.manual_seed(seed)
    sampled, with_hop = make_encoder(config, 5), make_encoder(config, 5)
    with_hop.load_state_dict(sampled.state_dict())
    edge = np.random.default_rng(seed).integers(0, csc.num_edges, 2)
    src, dst = csc.indices[edge].astype(np.int64), csc.destinations()[edge].astype(np.int64)
    around, around_hop = (
        sample_neighbourhood(
            shard,
            torch.from_numpy(np.unique(np.r_[src, dst])),
            [-1] * num_blocks,
            random_seed=0,
            targets=Targets(src, dst),
        )
        for num_blocks in (layers, layers - 1)
    )
    expected = sampled(around.blocks, around.x)
    found = with_hop(around_hop.blocks, around_hop.x, around_hop.first_hop)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def forward_and_backward(layer, block, x):
    x = x.clone().requires_grad_()
    layer.zero_grad()
    out = layer(block, x)
    (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
    return [out, x.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("make", [SAGELayer, GCNLayer, lambda i, o: GATLayer(i, o, 2)])
@settings(max_examples=30, deadline=None)
@given(csc=small_csc(), seed=SEEDS)
def test_both_paths_of_messages_agree_forward_and_backward(make, csc, seed):
    torch.manual_seed(seed)
    layer, x = make(4, 6), features(csc.num_nodes, 4, seed)
    block = full_block(csc)
    on_cpu = forward_and_backward(layer, block, x)
    on_gpu = forward_and_backward(layer, as_on_a_gpu(block), x)
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(small_csc(), st.floats(-300, 300), SEEDS)
def test_attention_stays_finite_and_whole_for_any_size_of_logits(csc, scale, seed):
    block = full_block(csc)
    left, right = (scale * features(csc.num_nodes, 2, seed + end) for end in (0, 1))
    for path in (block, as_on_a_gpu(block)):
        total = path.weighted_sum(torch.ones(csc.num_nodes, 2, 1), path.softmax(left, right))
        expected = torch.from_numpy(np.diff(csc.indptr) > 0).float()
        torch.testing.assert_close(total[..., 0], expected[:, None].expand(-1, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["sage", "gcn", "gat"])
def test_a_real_gpu_agrees_with_the_cpu(name):
    shard = shard_of(ring())
    torch.manual_seed(0)
    encoder = make_encoder(ModelConfig(encoder=name, hidden=8, heads=2), 5)
    around = sample_neighbourhood(shard, torch.arange(6), [-1, -1], random_seed=0)
    expected = encoder(around.blocks, around.x)
    there = around.to(torch.device("cuda"))
    found = encoder.to("cuda")(there.blocks, there.x)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sage", "gcn", "gat"])
def test_a_node_without_neighbours_keeps_its_own_features(name):
    lonely = build_csc(np.array([0]), np.array([1]), 3)
    torch.manual_seed(0)
    encoder = make_encoder(ModelConfig(encoder=name, layers=1, hidden=4), 5)
    x = features(3, 5).requires_grad_()
    out = encoder([full_block(lonely)], x)
    out[2].sum().backward()
    assert x.grad[2].abs().sum() > 0
    assert x.grad[:2].abs().sum() == 0
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("name", ENCODERS)
def test_the_number_of_layers_and_of_sampled_hops_is_as_asked(name, layers):
    config = ModelConfig(encoder=name, layers=layers, hidden=8)
    encoder = make_encoder(config, 5)
    assert len(encoder.layers) == layers
    whole = {"store": "s", "run": "r", "rounds": 1, "model": {"encoder": name, "layers": layers}}
    num_blocks = len(sampled_fanouts(parse_config(whole | {"first_hop": False})))
    assert num_blocks == (0 if name == "mlp" else layers)
    if name in ("sage", "gcn"):
        assert len(sampled_fanouts(parse_config(whole))) == layers - 1
    around = sample_neighbourhood(
        shard_of(ring()), torch.arange(5), [2] * num_blocks, random_seed=0
    )
    assert encoder(around.blocks, around.x).shape == (5, encoder.out_dim)
    assert encoder.out_dim == 8


@pytest.mark.parametrize("name", ["sage", "gcn", "gat"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_layer_reaches_one_hop_and_no_further(name, layers):
    torch.manual_seed(0)
    encoder = make_encoder(ModelConfig(encoder=name, layers=layers, hidden=8, norm="none"), 5)
    shard = shard_of(ring())
    around = sample_neighbourhood(shard, torch.tensor([0]), [-1] * layers, random_seed=0)
    x = around.x.clone().requires_grad_()
    encoder(around.blocks, x).square().sum().backward()
    reached = {int(node) for node in around.nodes[x.grad.abs().sum(1) > 0]}
    assert reached == {node % 12 for node in range(-layers, layers + 1)}


def test_the_mlp_does_not_look_at_the_graph():
    torch.manual_seed(0)
    encoder = make_encoder(ModelConfig(encoder="mlp", layers=3, hidden=8), 5)
    x = features(12, 5)
    expected = encoder([], x)
    assert encoder([], x[[3, 7]]).allclose(expected[[3, 7]])
    layer = LinearLayer(5, 2)
    assert layer(full_block(ring()), x).equal(layer(None, x))


@pytest.mark.parametrize("norm", ["layer", "batch", "none"])
@pytest.mark.parametrize("activation", ["prelu", "relu", "gelu"])
def test_norm_activation_and_dropout_stand_between_layers_only(norm, activation):
    config = ModelConfig(layers=3, hidden=8, norm=norm, activation=activation, dropout=0.5)
    encoder = make_encoder(config, 5)
    kinds = [[type(module).__name__.lower() for module in between] for between in encoder.between]
    expected = {"layer": ["layernorm"], "batch": ["batchnorm1d"], "none": []}[norm]
    assert kinds == [[*expected, activation, "dropout"]] * 2
    shard = shard_of(ring())
    around = sample_neighbourhood(shard, torch.arange(12), [-1] * 3, random_seed=0)
    training = [encoder(around.blocks, around.x) for _ in range(2)]
    assert not training[0].equal(training[1])
    encoder.eval()
    scoring = [encoder(around.blocks, around.x) for _ in range(2)]
    assert scoring[0].equal(scoring[1])
    first, second, third = encoder.layers
    h = encoder.between[0](first(around.blocks[0], around.x))
    h = encoder.between[1](second(around.blocks[1], h))
    assert scoring[0].equal(third(around.blocks[2], h))


def test_a_first_hop_moves_as_a_whole():
    hop = FirstHop(torch.ones(3, 2), torch.ones(3)).to(torch.device("meta"))
    assert hop.mean.device.type == hop.degree.device.type == "meta"
