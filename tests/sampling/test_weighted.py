"""Neighbours are sampled in proportion to weights; their means estimate the weighted mean."""

import tempfile
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from small_graphs import dense, mean_of, sample_neighbourhood, shard_of, store_of, weighted_csc

from hvdtma.graph.csc import CSC
from hvdtma.models.layers import GATLayer, GCNLayer, SAGELayer
from hvdtma.sampling.block import block_of_rows
from hvdtma.sampling.draws import layer_key, sample_edges
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.shard import load_shard

WEIGHTS = np.array([0.2, 1, 1, 2, 4, 7], np.float32)
DRAWS = 20_000


def stars(weight, number):
    """The first `number` nodes have an in-edge from each of the `len(weight)` nodes after them."""
    size = len(weight)
    indptr = np.minimum(np.arange(number + size + 1), number) * size
    sources = np.tile(number + np.arange(size), number)
    return CSC(indptr, sources, weight=np.tile(np.asarray(weight, np.float32), number))


def samples(weight, fanout, number=DRAWS, labor=False):
    """Many samples of a star's centre: sources and weights of each."""
    rows = np.arange(number)
    indptr, sources, weights = sample_edges(
        stars(weight, number), rows, fanout, layer_key(0, 0), labor=labor
    )
    assert (np.diff(indptr) == min(fanout, len(weight))).all()
    return sources.reshape(number, -1) - number, weights.reshape(number, -1)


def splitmix(values):
    """SplitMix64's output for each state."""
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform_draws(number, size):
    """The random numbers of `samples`: a stream of SplitMix64 for each node [number, size]."""
    key = splitmix(splitmix(np.zeros(1, np.uint64)) ^ np.uint64(0))
    stream = splitmix(key ^ np.arange(number, dtype=np.uint64))
    steps = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (splitmix(stream[:, None] + steps) >> np.uint64(11)) * 2.0**-53


def inclusion(weight, size):
    """The probability of each item to be among the first `size` of successive draws."""
    share = np.zeros(len(weight))
    for chosen in permutations(range(len(weight)), size):
        left, probability = float(sum(weight)), 1.0
        for item in chosen:
            probability *= weight[item] / left
            left -= weight[item]
        share[list(chosen)] += probability
    return share


def test_a_single_neighbour_is_sampled_in_proportion_to_its_weight():
    sources, _ = samples(WEIGHTS, 1)
    found = np.bincount(sources.ravel(), minlength=6)
    expected = WEIGHTS.astype(np.float64)
    assert chisquare(found, expected / expected.sum() * DRAWS).pvalue > 1e-3


@pytest.mark.parametrize("fanout", [2, 3])
def test_several_are_sampled_as_by_successive_draws(fanout):
    sources, _ = samples(WEIGHTS, fanout)
    assert all(len(set(row)) == fanout for row in sources[:100].tolist())
    found = np.bincount(sources.ravel(), minlength=6)
    expected = inclusion(WEIGHTS.astype(float), fanout)
    error = np.sqrt(expected * (1 - expected) * DRAWS)
    assert (np.abs(found - expected * DRAWS) < 4 * error).all()


@pytest.mark.parametrize("fanout", [1, 2, 4])
def test_sums_over_samples_are_unbiased(fanout):
    values = np.array([5.0, -1, 2, 0.5, -3, 1])
    sources, weights = samples(WEIGHTS, fanout)
    # Undo the scale, which is the same for all edges of a sample: w / p = w / (1 - exp(-w t)).
    rank = -np.log1p(-uniform_draws(DRAWS, 6)) / WEIGHTS
    limit = np.sort(rank, 1)[:, [fanout]]
    chosen = WEIGHTS[sources].astype(float)
    unscaled = chosen / -np.expm1(-chosen * limit)
    assert weights / weights.sum(1, keepdims=True) == pytest.approx(
        unscaled / unscaled.sum(1, keepdims=True), rel=1e-5
    )
    total = (unscaled * values[sources]).sum(1)
    error = total.std() / np.sqrt(DRAWS)
    assert abs(total.mean() - WEIGHTS @ values) < 4 * error
    assert weights.sum(1) == pytest.approx(fanout * WEIGHTS.mean(), rel=1e-5)


def test_the_mean_over_a_sample_tends_to_the_weighted_mean_with_the_fanout():
    rng = np.random.default_rng(0)
    weight = rng.lognormal(0, 1.5, 60).astype(np.float32)
    values = rng.normal(size=60) + np.log(weight)
    exact = weight @ values / weight.sum()
    errors, plain = [], []
    for fanout in (5, 20, 50, 59):
        sources, weights = samples(weight, fanout, 3000)
        mean = (weights * values[sources]).sum(1) / weights.sum(1)
        errors.append(np.sqrt(((mean - exact) ** 2).mean()))
        plain.append(abs(values[sources].mean() - exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02
    assert plain[-1] > 0.5  # without weights, a sample of nearly all forgets the weights


@settings(max_examples=30, deadline=None)
@given(weighted_csc(), st.integers(1, 3), st.integers(0, 9))
def test_whole_neighbourhoods_have_the_weights_of_the_graph(csc, hops, extra):
    shard = shard_of(csc)
    most = int(np.diff(csc.indptr).max()) + extra
    for fanout in (-1, most):
        around = sample_neighbourhood(
            shard, torch.arange(csc.num_nodes), [fanout] * hops, random_seed=0
        )
        for block in around.blocks:
            src, dst = block.edge_index.numpy()
            found = np.zeros((csc.num_nodes,) * 2)
            np.add.at(found, (dst, src), block.edge_weight.numpy())
            assert found == pytest.approx(dense(csc))


def test_a_sample_is_a_function_of_its_seed():
    rng = np.random.default_rng(0)
    order = np.lexsort(rng.integers(0, 200, (2, 5000)))
    ends = rng.integers(0, 200, (2, 5000))
    src, dst = ends[:, np.lexsort(ends)]
    csc = CSC(np.searchsorted(dst, np.arange(201)), src, weight=rng.random(5000).astype(np.float32))
    assert len(order) == csc.num_edges
    shard = shard_of(csc)
    seeds = torch.arange(0, 200, 3)
    first, again, other = (
        sample_neighbourhood(shard, seeds, [5, 5], random_seed=seed) for seed in (3, 3, 4)
    )
    for left, right in zip(first.blocks, again.blocks, strict=True):
        assert left.edge_index.equal(right.edge_index)
        assert left.edge_weight.equal(right.edge_weight)
    assert first.x.equal(again.x)
    assert first.blocks[1].edge_index.shape == other.blocks[1].edge_index.shape
    assert not first.blocks[1].edge_weight.equal(other.blocks[1].edge_weight)


@settings(max_examples=40, deadline=None)
@given(weighted_csc(), st.data(), st.sampled_from([-1, 2]))
def test_no_target_is_in_a_block_and_none_in_the_first_hop(csc, data, fanout):
    shard = shard_of(csc)
    edge = st.integers(0, csc.num_edges - 1)
    chosen = np.array(data.draw(st.lists(edge, min_size=1, max_size=6)))
    src, dst = csc.indices[chosen].astype(np.int64), csc.destinations()[chosen].astype(np.int64)
    seeds = torch.arange(csc.num_nodes)
    around = sample_neighbourhood(shard, seeds, [fanout], random_seed=0, targets=Targets(src, dst))
    left = dense(csc)
    left[src, dst] = left[dst, src] = 0
    sources, ends = around.blocks[0].edge_index.numpy()
    assert (left[ends, sources] > 0).all()
    assert around.first_hop.mean.numpy() == pytest.approx(
        mean_of(left, shard.feat.numpy()), abs=3e-4
    )
    assert around.first_hop.weight.numpy() == pytest.approx(left.sum(1), abs=1e-6, rel=1e-6)
    assert ((around.first_hop.degree == 0).numpy() == (left.sum(1) == 0)).all()


@settings(max_examples=20, deadline=None)
@given(weighted_csc(most_nodes=12), st.data())
def test_a_shard_has_its_weights_and_the_first_hop_of_the_whole_graph(csc, data):
    blocks = data.draw(st.sets(st.integers(0, csc.num_nodes - 1), min_size=2))
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(f"{folder}/x.zarr", csc, np.arange(csc.num_nodes + 1))
        shard = load_shard(store, np.array(sorted(blocks)), first_hop=True, remote=True)
        feat = store.read("feat")
    whole = dense(csc)[np.ix_(shard.nodes, shard.nodes)]
    inside = whole.copy()
    inside[shard.num_own :] = inside[:, shard.num_own :] = 0
    assert dense(shard.csc) == pytest.approx(inside)
    assert shard.hop.weight.numpy() == pytest.approx(dense(csc).sum(1)[shard.nodes])
    assert shard.hop.mean.numpy() == pytest.approx(mean_of(dense(csc), feat)[shard.nodes], abs=1e-5)


def test_what_is_left_of_a_heavy_target_is_exact_or_nothing():
    shard = shard_of(CSC(np.array([0, 2, 2, 2]), np.array([1, 2]), weight=np.array([1e3, 1], "f4")))
    targets = Targets(np.array([1]), np.array([0]))
    around = sample_neighbourhood(shard, torch.arange(3), [], random_seed=0, targets=targets)
    assert around.first_hop.mean[0].numpy() == pytest.approx(shard.feat[2].numpy(), abs=1e-3)
    heavy = shard_of(CSC(np.array([0, 2, 2, 2]), np.array([1, 2]), weight=np.array([1e9, 1], "f4")))
    around = sample_neighbourhood(heavy, torch.arange(3), [], random_seed=0, targets=targets)
    assert around.first_hop.mean[0].tolist() == [0.0] * 5
    assert around.first_hop.degree[0] == 0
    assert around.first_hop.weight[0] == 0


def blocks_of(csc, times):
    """The graph with whole weights, and the graph with its edges repeated as often."""
    row = np.repeat(csc.destinations(), times)
    repeated = CSC(
        np.searchsorted(row, np.arange(csc.num_nodes + 1)), np.repeat(csc.indices, times)
    )
    csc.weight = times.astype(np.float32)
    return [whole_block(graph) for graph in (csc, repeated)]


def whole_block(csc):
    indptr, indices = (torch.from_numpy(a.astype(np.int64)) for a in (csc.indptr, csc.indices))
    weight = None if csc.weight is None else torch.from_numpy(csc.weight)
    return block_of_rows(indptr, indices, 0, weight)[0]


LAYERS = [SAGELayer, GCNLayer, lambda a, b: GATLayer(a, b, heads=2)]


@pytest.mark.parametrize("make", LAYERS)
@settings(max_examples=25, deadline=None)
@given(csc=weighted_csc(), seed=st.integers(0, 99))
def test_a_layer_counts_an_edge_of_weight_w_as_w_edges(make, csc, seed):
    torch.manual_seed(seed)
    layer, x = make(4, 6), torch.randn(csc.num_nodes, 4)
    times = np.random.default_rng(seed).integers(1, 5, csc.num_edges)
    weighted, repeated = (layer(block, x) for block in blocks_of(csc, times))
    torch.testing.assert_close(weighted, repeated, rtol=0, atol=1e-5)


@pytest.mark.parametrize("make", LAYERS)
@settings(max_examples=25, deadline=None)
@given(csc=weighted_csc(), seed=st.integers(0, 99))
def test_a_gpu_passes_weighted_messages_as_a_cpu_does(make, csc, seed):
    torch.manual_seed(seed)
    layer, x = make(4, 6), torch.randn(csc.num_nodes, 4)
    block = whole_block(csc)
    twin = whole_block(csc)
    twin.device = torch.device("cuda")  # the tensors stay on the CPU
    torch.testing.assert_close(layer(twin, x), layer(block, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", LAYERS)
@settings(max_examples=25, deadline=None)
@given(csc=weighted_csc(), seed=st.integers(0, 99))
def test_weights_of_one_change_nothing_at_all(make, csc, seed):
    torch.manual_seed(seed)
    layer, x = make(4, 6), torch.randn(csc.num_nodes, 4)
    csc.weight = None
    plain = layer(whole_block(csc), x)
    csc.weight = np.ones(csc.num_edges, np.float32)
    assert layer(whole_block(csc), x).equal(plain)


@settings(max_examples=25, deadline=None)
@given(csc=weighted_csc(), seed=st.integers(0, 99))
def test_equal_weights_give_exactly_the_mean_without_weights(csc, seed):
    x = torch.randn(csc.num_nodes, 4, generator=torch.Generator().manual_seed(seed))
    csc.weight = np.full(csc.num_edges, 0.3, np.float32)
    weighted = whole_block(csc)
    csc.weight = None
    assert weighted.mean(x).equal(whole_block(csc).mean(x))


@pytest.mark.parametrize("make", [SAGELayer, GCNLayer])
@settings(max_examples=25, deadline=None)
@given(csc=weighted_csc(), seed=st.integers(0, 99))
def test_a_layer_on_the_first_hop_is_the_layer_on_all_neighbours(make, csc, seed):
    torch.manual_seed(seed)
    layer, shard = make(5, 3), shard_of(csc, seed=seed)
    on_block = layer(whole_block(csc), shard.feat)
    torch.testing.assert_close(layer.combine(shard.feat, shard.hop), on_block, rtol=1e-4, atol=1e-4)
