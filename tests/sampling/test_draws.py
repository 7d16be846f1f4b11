"""Samples follow their distribution, and depend on nothing but key and node."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from small_graphs import dense, small_csc, weighted_csc

from hvdtma.graph.csc import CSC, build_csc
from hvdtma.sampling.draws import (
    NOTHING,
    Exclusion,
    edges_within,
    layer_key,
    renumber,
    sample_edges,
)
from hvdtma.sampling.draws.uniform import FLOYD_MOST

KEY = layer_key(3, 0)


def stars(number, degree):
    """Nodes 0 .. number - 1 have an in-edge from each of the `degree` nodes after them."""
    indptr = np.minimum(np.arange(number + degree + 1), number) * degree
    return CSC(indptr, np.tile(number + np.arange(degree), number))


@pytest.mark.parametrize("fanout", [1, 4, 9, FLOYD_MOST + 2])
def test_every_set_of_neighbours_is_as_likely(fanout):
    number, degree = 20_000, FLOYD_MOST + 12
    sample = sample_edges(stars(number, degree), np.arange(number), fanout, KEY)
    assert (np.diff(sample.indptr) == fanout).all()
    chosen = np.zeros((number, degree), bool)
    chosen[np.repeat(np.arange(number), fanout), sample.source - number] = True
    assert (chosen.sum(1) == fanout).all()  # without replacement
    # Frequencies of places within a sample of fixed size vary less than a multinomial's.
    expected, spread = number * fanout / degree, (degree - fanout) / (degree - 1)
    statistic = (((chosen.sum(0) - expected) ** 2) / expected).sum() / spread
    assert abs(statistic - (degree - 1)) < 5 * np.sqrt(2 * (degree - 1))
    both = (chosen[:, 0] & chosen[:, 5]).sum()  # pairs, as by the hypergeometric distribution
    share = fanout * (fanout - 1) / (degree * (degree - 1))
    assert abs(both - number * share) <= 5 * np.sqrt(number * share * (1 - share)) + 1e-9


@pytest.mark.parametrize("degree", [5, 64, 3000])
def test_labor_takes_each_neighbour_with_probability_k_over_d(degree):
    number, fanout = 4000, 4
    counts = np.zeros(degree)
    sizes = []
    for seed in range(number):
        sample = sample_edges(stars(1, degree), np.array([0]), fanout, layer_key(seed, 1), labor=1)
        counts[sample.source - 1] += 1
        sizes.append(len(sample.source))
    share = fanout / degree
    assert np.mean(sizes) == pytest.approx(fanout, rel=0.05)
    assert np.var(sizes) == pytest.approx(degree * share * (1 - share), rel=0.15)
    statistic = ((counts - number * share) ** 2).sum() / (number * share * (1 - share))
    assert 1e-3 < chi2.cdf(statistic, degree) < 1 - 1e-3


def test_labor_rows_choose_the_same_sources_and_a_mean_stays_unbiased():
    number, degree, fanout = 300, 200, 10
    csc = stars(number, degree)
    rows = np.arange(number)
    shared = sample_edges(csc, rows, fanout, KEY, labor=True)
    alone = sample_edges(csc, rows, fanout, KEY)
    assert len(np.unique(shared.source)) < 3 * fanout  # all rows have the same neighbours
    assert len(np.unique(alone.source)) == degree
    values = np.random.default_rng(0).normal(size=degree)
    means = [
        values[sample_edges(csc, rows[:1], fanout, layer_key(seed, 0), labor=True).source - number]
        for seed in range(6000)
    ]
    total = np.array([mean.sum() for mean in means]) / fanout  # Horvitz-Thompson
    assert abs(total.mean() - values.mean()) < 4 * total.std() / np.sqrt(len(total))


@pytest.mark.parametrize("labor", [False, True])
@pytest.mark.parametrize("fanout", [1, 5, FLOYD_MOST + 2])
def test_excluded_edges_leave_the_others_equally_likely(fanout, labor):
    number, degree = 4000, FLOYD_MOST + 30
    csc = stars(1, degree)
    out = np.r_[0, 3, 4, np.arange(40, 50), degree - 1]
    left = np.setdiff1d(np.arange(degree), out)
    excluded = Exclusion.of(out + 1, np.zeros(len(out), np.int64), csc.num_nodes)
    count, sizes = np.zeros(degree), []
    for seed in range(number):
        found = sample_edges(
            csc, np.array([0]), fanout, layer_key(seed, 0), excluded=excluded, labor=labor
        ).source
        count[found - 1] += 1
        sizes.append(len(found))
    assert not count[out].any()
    share = fanout / len(left)
    error = np.sqrt(number * share * (1 - share))
    assert (np.abs(count[left] - number * share) < 4.5 * error).all()
    spread = 1 if labor else len(left) / (len(left) - 1)  # without labor, the sizes are fixed
    statistic = ((count[left] - number * share) ** 2).sum() / error**2 / spread
    assert 1e-3 < chi2.cdf(statistic, len(left) - (not labor)) < 1 - 1e-3
    assert np.mean(sizes) == pytest.approx(fanout, rel=0.05 if labor else 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labor", [False, True])
def test_a_hub_with_many_excluded_edges_keeps_all_its_others(labor, weighted):
    rng = np.random.default_rng(5)
    nodes, degree = 3000, 5000  # so there are parallel edges
    csc = build_csc(rng.integers(1, nodes, degree), np.zeros(degree, np.int64), nodes)
    csc.weight = rng.random(degree).astype(np.float32) + 1 if weighted else None
    out = rng.choice(nodes, 1200, replace=False)
    excluded = Exclusion.of(out, np.zeros(len(out), np.int64), nodes)
    kept = ~np.isin(csc.indices, out)
    for found in (
        sample_edges(csc, np.array([0, 1]), -1, KEY, excluded=excluded, labor=labor),
        edges_within(csc, np.array([0, 1]), np.ones(nodes, bool), excluded),
    ):
        assert found.source.tolist() == csc.indices[kept].tolist()
        assert found.indptr.tolist() == [0, kept.sum(), kept.sum()]
        if weighted:
            assert found.weight.tolist() == csc.weight[kept].tolist()
    some = sample_edges(csc, np.array([0]), 300, KEY, excluded=excluded, labor=labor).source
    assert not np.isin(some, out).any()
    assert np.isin(some, csc.indices).all()
    assert len(some) == pytest.approx(300, abs=90 if labor and not weighted else 0)


def test_labor_tells_sources_apart_that_differ_beyond_32_bits():
    number = 3000
    low = np.arange(number, dtype=np.int64)
    csc = CSC(np.array([0, 2 * number]), np.r_[low, low + (5 << 32)])
    found = sample_edges(csc, np.array([0]), number, KEY, labor=True).source
    first, second = np.isin(low, found), np.isin(low + (5 << 32), found)
    assert (first & second).mean() == pytest.approx(0.25, abs=0.05)
    assert (first | second).mean() == pytest.approx(0.75, abs=0.05)


def large(seed=0):
    rng = np.random.default_rng(seed)
    return build_csc(*rng.integers(0, 30_000, (2, 300_000)), 30_000)


@pytest.mark.parametrize("labor", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_threads_and_the_order_of_rows_change_nothing(labor, weighted):
    csc, rows = large(), np.arange(30_000)
    if weighted:
        csc.weight = np.random.default_rng(1).random(csc.num_edges).astype(np.float32) + 0.1
    targets = np.random.default_rng(2).integers(0, csc.num_edges, 500)
    ends = csc.indices[targets].astype(np.int64), csc.destinations()[targets].astype(np.int64)
    excluded = Exclusion.of(*ends, csc.num_nodes)
    samples = [
        sample_edges(csc, rows, 4, KEY, excluded=excluded, labor=labor, threads=threads)
        for threads in (1, 2, 4)
    ]
    for other in samples[1:]:
        for left, right in zip(samples[0], other, strict=True):
            assert (left is None and right is None) or (left == right).all()
    order = np.random.default_rng(3).permutation(rows)
    mixed = sample_edges(csc, order, 4, KEY, excluded=excluded, labor=labor)
    for row in range(0, 30_000, 997):
        place = int(np.flatnonzero(order == row)[0])
        whole = samples[0].source[samples[0].indptr[row] : samples[0].indptr[row + 1]]
        found = mixed.source[mixed.indptr[place] : mixed.indptr[place + 1]]
        assert whole.tolist() == found.tolist()
    other = sample_edges(csc, rows, 4, layer_key(3, 1), excluded=excluded, labor=labor)
    assert not np.array_equal(other.source, samples[0].source)


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(small_csc(), weighted_csc()),
    st.data(),
    st.sampled_from([-1, 1, 2, 60]),
    st.booleans(),
)
def test_no_excluded_edge_is_sampled_and_the_others_fill_the_fanout(csc, data, fanout, labor):
    edge = st.integers(0, csc.num_edges - 1)
    chosen = np.array(data.draw(st.lists(edge, min_size=1, max_size=8)))
    src, dst = csc.indices[chosen].astype(np.int64), csc.destinations()[chosen].astype(np.int64)
    rows = np.arange(csc.num_nodes)
    sample = sample_edges(
        csc, rows, fanout, KEY, excluded=Exclusion.of(src, dst, csc.num_nodes), labor=labor
    )
    csc.weight = None
    left = dense(csc)
    left[src, dst] = left[dst, src] = 0
    row = np.repeat(rows, np.diff(sample.indptr))
    found = np.zeros_like(left)
    np.add.at(found, (row, sample.source), 1)
    assert (found <= left).all()
    if fanout in (-1, 60):
        assert (found == left).all()
    elif not labor:
        assert (found.sum(1) == np.minimum(left.sum(1), fanout)).all()


@settings(max_examples=40, deadline=None)
@given(st.one_of(small_csc(), weighted_csc()), st.data())
def test_edges_within_are_those_between_members(csc, data):
    flags = st.lists(st.booleans(), min_size=csc.num_nodes, max_size=csc.num_nodes)
    is_member = np.array(data.draw(flags))
    rows = np.flatnonzero(is_member)
    found = edges_within(csc, rows, is_member, NOTHING)
    expected = dense(csc)[np.ix_(is_member, is_member)]
    matrix = np.zeros((len(rows), csc.num_nodes))
    weight = 1 if found.weight is None else found.weight
    np.add.at(
        matrix, (np.repeat(np.arange(len(rows)), np.diff(found.indptr)), found.source), weight
    )
    assert matrix[:, is_member] == pytest.approx(expected)
    assert not matrix[:, ~is_member].any()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40), unique=True), st.lists(st.integers(0, 2**40) | st.integers(0, 40))
)
def test_nodes_are_numbered_in_the_order_in_which_they_come(seeds, sources):
    nodes, local = renumber(np.array(seeds, np.int64), np.array(sources, np.int64))
    assert nodes.tolist() == list(dict.fromkeys(seeds + sources))
    assert nodes[local].tolist() == sources
