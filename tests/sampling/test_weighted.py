"""Neighbours are sampled in proportion to weights; their means estimate the weighted mean."""

import tempfile
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, ks_2samp
from small_graphs import dense, mean_of, sample_neighbourhood, shard_of, store_of, weighted_csc

from hvdtma.graph.csc import CSC
from hvdtma.models.layers import GATLayer, GCNLayer, SAGELayer
from hvdtma.sampling.block import block_of_rows
from hvdtma.sampling.draws import Exclusion, layer_key, sample_edges
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.shard import load_shard

WEIGHTS = np.array([0.2, 0.9, 1.1, 2, 4, 7], np.float32)
DRAWS = 20_000
BOTH = pytest.mark.parametrize("labor", [False, True])


def stars(weight, number, sources=None):
    """Nodes 0 .. number - 1 have in-edges of these weights, each from nodes of its own.

    Args:
        sources: which of its nodes each edge comes from, ascending; by default another one each.
    """
    size = len(weight)
    sources = np.arange(size) if sources is None else np.asarray(sources)
    num_nodes = number * (1 + size)
    indptr = np.minimum(np.arange(num_nodes + 1), number) * size
    indices = (number + np.arange(number)[:, None] * size + sources).ravel()
    return CSC(indptr, indices, weight=np.tile(np.asarray(weight, np.float32), number))


def samples(weight, fanout, number=DRAWS, *, labor=False, sources=None):
    """Independent samples of one neighbourhood: sources and weights of each."""
    indptr, found, weights = sample_edges(
        stars(weight, number, sources), np.arange(number), fanout, layer_key(0, 0), labor=labor
    )
    assert (np.diff(indptr) == min(fanout, len(weight))).all()
    found = found.reshape(number, -1) - number - np.arange(number)[:, None] * len(weight)
    return found, weights.reshape(number, -1)


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


def limits(sources, weights):
    """The smallest rank t outside of each sample: it gives w / (1 - exp(-w t)), up to a factor."""
    own = WEIGHTS[sources].astype(float)
    rows = np.arange(len(own))
    light, heavy = own.argmin(1), own.argmax(1)
    ratio = weights[rows, heavy] / weights[rows, light].astype(float)
    low, high = np.full(len(own), 1e-9), np.full(len(own), 1e4)
    for _ in range(80):
        middle = np.sqrt(low * high)
        u, v = (
            own[rows, which] / -np.expm1(-own[rows, which] * middle) for which in (light, heavy)
        )
        low, high = np.where(v / u < ratio, middle, low), np.where(v / u < ratio, high, middle)
    return np.sqrt(low * high)


@BOTH
def test_a_single_neighbour_is_sampled_in_proportion_to_its_weight(labor):
    sources, _ = samples(WEIGHTS, 1, labor=labor)
    found = np.bincount(sources.ravel(), minlength=6)
    expected = WEIGHTS.astype(np.float64)
    assert chisquare(found, expected / expected.sum() * DRAWS).pvalue > 1e-3


@BOTH
@pytest.mark.parametrize("fanout", [2, 3, 5])
def test_several_are_sampled_as_by_successive_draws(fanout, labor):
    sources, _ = samples(WEIGHTS, fanout, labor=labor)
    assert all(len(set(row)) == fanout for row in sources[:100].tolist())
    found = np.bincount(sources.ravel(), minlength=6)
    expected = inclusion(WEIGHTS.astype(float), fanout)
    error = np.sqrt(expected * (1 - expected) * DRAWS)
    assert (np.abs(found - expected * DRAWS) < 4 * error).all()


@BOTH
@pytest.mark.parametrize("fanout", [2, 4])
def test_sums_over_samples_are_unbiased(fanout, labor):
    values = np.array([5.0, -1, 2, 0.5, -3, 1])
    sources, weights = samples(WEIGHTS, fanout, labor=labor)
    limit = limits(sources, weights)[:, None]
    rank = np.random.default_rng(1).exponential(size=(DRAWS, 6)) / WEIGHTS
    assert ks_2samp(limit[:, 0], np.sort(rank, 1)[:, fanout]).pvalue > 1e-3
    # Undo the scale, which is the same for all edges of a sample.
    chosen = WEIGHTS[sources].astype(float)
    unscaled = chosen / -np.expm1(-chosen * limit)
    assert weights / weights.sum(1, keepdims=True) == pytest.approx(
        unscaled / unscaled.sum(1, keepdims=True), rel=1e-4
    )
    total = (unscaled * values[sources]).sum(1)
    error = total.std() / np.sqrt(DRAWS)
    assert abs(total.mean() - WEIGHTS @ values) < 4 * error
    assert weights.sum(1) == pytest.approx(fanout * WEIGHTS.mean(), rel=1e-5)


@BOTH
@pytest.mark.parametrize(("degree", "fanout"), [(60, 50), (3000, 20), (3000, 900)])
def test_samples_of_any_size_have_the_weights_of_the_smallest_ranks(degree, fanout, labor):
    rng = np.random.default_rng(4)
    number, weight = 300, rng.lognormal(0, 1.5, degree).astype(np.float32)
    sources, _ = samples(weight, fanout, number, labor=labor)
    assert all(len(set(row)) == fanout for row in sources.tolist())
    rank = rng.exponential(size=(number, degree)) / weight
    expected = np.log(weight)[np.argpartition(rank, fanout, 1)[:, :fanout]].mean(1)
    found = np.log(weight)[sources].mean(1)
    error = np.sqrt((found.var() + expected.var()) / number)
    assert abs(found.mean() - expected.mean()) < 4 * error


@BOTH
def test_weights_of_very_different_sizes_are_sampled_from_the_heaviest_on(labor):
    weight = 10.0 ** np.arange(-30, 30, 2.5)
    sources, weights = samples(weight, 8, 50, labor=labor)
    heaviest = set(range(len(weight) - 6, len(weight)))
    assert all(heaviest <= set(row) for row in sources.tolist())
    assert np.isfinite(weights).all()
    assert (weights > 0).all()
    single, weights = samples([1e-30, 1e30, 1e-30], 1, 50, labor=labor)
    assert (single == 1).all()
    assert weights == pytest.approx(1e30 / 3)


@BOTH
def test_excluded_edges_do_not_change_the_shares_of_the_others(labor):
    csc, rows = stars(WEIGHTS, DRAWS), np.arange(DRAWS)
    left = [0, 2, 3, 4]
    out = np.concatenate([DRAWS + rows * 6 + place for place in (1, 5)])
    excluded = Exclusion.of(out, np.tile(rows, 2), csc.num_nodes)
    indptr, sources, weights = sample_edges(csc, rows, 2, 5, excluded=excluded, labor=labor)
    assert (np.diff(indptr) == 2).all()
    found = np.bincount((sources - DRAWS) % 6, minlength=6)
    assert found[[1, 5]].tolist() == [0, 0]
    expected = inclusion(WEIGHTS[left].astype(float), 2)
    error = np.sqrt(expected * (1 - expected) * DRAWS)
    assert (np.abs(found[left] - expected * DRAWS) < 4 * error).all()
    assert weights.reshape(-1, 2).sum(1) == pytest.approx(2 * WEIGHTS[left].mean(), rel=1e-5)


@pytest.mark.parametrize("fanout", [1, 2, 3])
def test_parallel_edges_are_sampled_as_edges_of_their_own(fanout):
    for weight in (np.ones(4), np.array([1.0, 3, 2, 4])):
        sources, weights = samples(weight, fanout, labor=True, sources=[1, 1, 2, 3])
        found = np.bincount(sources.ravel(), minlength=4)
        share = inclusion(weight, fanout)
        expected = np.array([0, share[0] + share[1], share[2], share[3]]) * DRAWS
        assert (np.abs(found - expected) < 5 * np.sqrt(DRAWS)).all()
        assert weights.sum(1) == pytest.approx(fanout * weight.mean(), rel=1e-5)


def test_labor_rows_choose_the_same_sources_by_weight():
    number, degree, fanout = 200, 150, 10
    indptr = np.minimum(np.arange(number + degree + 1), number) * degree
    weight = np.random.default_rng(0).lognormal(0, 0.5, number * degree).astype(np.float32)
    csc = CSC(indptr, np.tile(number + np.arange(degree), number), weight=weight)
    distinct = [
        len(np.unique(sample_edges(csc, np.arange(number), fanout, 7, labor=labor).source))
        for labor in (False, True)
    ]
    assert distinct[0] == degree
    assert distinct[1] < degree / 2


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
