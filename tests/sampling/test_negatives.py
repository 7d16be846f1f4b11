"""No negative is a known link, and each kind draws from where it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from small_graphs import shard_of, small_csc

from hvdtma.graph.candidates import ALL_NODES, CandidateRules, Candidates
from hvdtma.graph.csc import build_csc
from hvdtma.sampling.negatives import (
    Pool,
    in_batch_negatives,
    own_negatives,
    shared_in_batch,
    shared_negatives,
)

KINDS = ["local", "global", "in-batch", "shared", "shared global", "shared in-batch"]


def links_of(shard):
    return set(zip(shard.csc.indices.tolist(), shard.csc.destinations().tolist(), strict=True))


def draw(kind, shard, src, dst, num_negatives, seed=0, sets=None):
    """The number of the positive and the node of each negative."""
    rng = np.random.default_rng(seed)
    src, dst = np.asarray(src), np.asarray(dst)
    if kind == "in-batch":
        return in_batch_negatives(shard, src, dst, num_negatives, rng, sets)
    pool = Pool.of(shard, kind.split()[-1])
    if not kind.startswith("shared"):
        return own_negatives(pool, src, num_negatives, rng, sets)
    if kind == "shared in-batch":
        groups = shared_in_batch(shard, src, dst, num_negatives, rng, sets)
    else:
        groups = shared_negatives(pool, src, num_negatives, rng, sets)
    pairs = [np.zeros((2, 0), np.int64)]
    for group in groups:
        is_negative = np.ones((len(group.row), len(group.node)), bool)
        is_negative[tuple(group.linked)] = False
        row, node = np.nonzero(is_negative)
        pairs.append(np.stack([group.row[row], group.node[node]]))
    return tuple(np.concatenate(pairs, axis=1))


def some_positives(shard, seed, most=12):
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, shard.csc.num_edges, rng.integers(1, most))
    src, dst = shard.csc.indices[chosen], shard.csc.destinations()[chosen]
    return src.astype(np.int64), dst.astype(np.int64)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(
    csc=small_csc(),
    remote=st.integers(0, 3),
    num_negatives=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_no_negative_is_an_edge_in_either_direction_nor_the_source(
    kind, csc, remote, num_negatives, seed
):
    shard = shard_of(csc, remote=remote)
    src, dst = some_positives(shard, seed)
    row, node = draw(kind, shard, src, dst, num_negatives, seed)
    links = links_of(shard)
    for u, v in zip(src[row].tolist(), node.tolist(), strict=True):
        assert (u, v) not in links
        assert (v, u) not in links
        assert u != v
    assert (np.bincount(row, minlength=len(src)) <= num_negatives).all()
    assert (
        (node >= 0) & (node < (csc.num_nodes + remote if "global" in kind else csc.num_nodes))
    ).all()


def sparse_shard(*, remote=0):
    """60 own nodes in a ring."""
    return shard_of(build_csc(np.arange(60), (np.arange(60) + 1) % 60, 60), remote=remote)


@pytest.mark.parametrize("kind", ["local", "global"])
def test_uniform_negatives_are_uniform_over_what_is_left(kind):
    shard = sparse_shard(remote=20)
    ends = 80 if kind == "global" else 60
    src = np.array([0, 59, 30])
    row, node = draw(kind, shard, src, (src + 1) % 60, 20_000)
    assert (np.bincount(row) == 20_000).all()
    for number, u in enumerate(src):
        count = np.bincount(node[row == number], minlength=ends)
        free = np.setdiff1d(np.arange(ends), [u, (u + 1) % 60, (u - 1) % 60])
        assert count.sum() == count[free].sum()
        assert chisquare(count[free]).pvalue > 1e-3


def test_local_negatives_are_own_nodes_and_global_ones_are_all(community_store):
    shard = sparse_shard(remote=20)
    src = np.arange(60)
    _, local = draw("local", shard, src, src, 50)
    _, everywhere = draw("global", shard, src, src, 50)
    assert set(local) == set(range(60))
    assert set(everywhere) == set(range(80))


def test_shared_negatives_are_one_set_for_the_whole_batch():
    shard = sparse_shard(remote=20)
    src = np.arange(0, 60, 5)
    row, node = draw("shared", shard, src, src + 1, 7, seed=4)
    shared = np.unique(node)
    assert len(shared) <= 7
    for number, u in enumerate(src):
        linked = {u, (u + 1) % 60, (u - 1) % 60}
        assert set(node[row == number]) == set(shared) - linked
    assert shared.max() < 60


def test_in_batch_negatives_are_destinations_of_other_positives():
    shard = sparse_shard()
    src = np.arange(0, 60, 6)
    dst = src + 1
    row, node = draw("in-batch", shard, src, dst, 500)
    assert (np.bincount(row) == 500).all()
    for number in range(len(src)):
        assert set(node[row == number]) == set(dst) - {dst[number]}
    count = np.bincount(node[row == 0])[dst[1:]]
    assert chisquare(count).pvalue > 1e-3


def test_a_source_linked_to_nearly_everything_gets_the_rest_and_to_everything_none():
    hub = np.zeros(8, int)
    nearly = shard_of(build_csc(hub[:7], np.arange(1, 8), 9))
    row, node = draw("local", nearly, [0, 0], [1, 2], 40)
    assert set(node) == {8}
    full = shard_of(build_csc(hub, np.arange(1, 9), 9))
    for kind in KINDS:
        row, node = draw(kind, full, [0, 0], [1, 2], 40)
        assert len(row) == len(node) == 0
    row, node = draw("local", full, [0, 1], [1, 0], 40)  # the other positive keeps its own
    assert set(row) == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_one_gives_negatives_where_it_can(kind):
    row, node = draw(kind, sparse_shard(), [5], [6], 30)
    assert row.dtype.kind == node.dtype.kind == "i"
    assert (len(row) == 0) == ("in-batch" in kind)
    assert set(row) <= {0}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_generator_gives_the_same_negatives(kind):
    shard = sparse_shard(remote=5)
    src, dst = some_positives(shard, 3)
    first, same, other = (draw(kind, shard, src, dst, 3, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[1], other[1])


def two_sided_shard(*, remote=20):
    """40 users and 20 items, each user linked to two items; the remote nodes are items."""
    users = np.repeat(np.arange(40), 2)
    items = 40 + np.stack([np.arange(40) % 20, np.arange(1, 41) % 20], axis=1).ravel()
    src, dst = np.r_[users, items], np.r_[items, users]
    shard = shard_of(build_csc(src, dst, 60), remote=remote)
    member_NR = np.where(np.arange(60 + remote) < 40, 1, 2).astype(np.uint8)[:, None]
    rules = CandidateRules("auto", (0,), (1,), (40, 20 + remote), ("sides",))
    shard.candidates = Candidates(rules, member_NR)
    return shard, users, items


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turned", [False, True])
def test_the_node_of_a_negative_is_from_the_set_of_its_positive(kind, turned):
    shard, users, items = two_sided_shard()
    src, dst = (items, users) if turned else (users, items)
    sets = shard.candidates.sets_for(dst, None)
    row, node = draw(kind, shard, src, dst, 9, sets=sets)
    side = np.arange(40) if turned else np.arange(40, 80 if "global" in kind else 60)
    assert set(node) <= set(side.tolist())
    links = links_of(shard)
    assert not {(src[r], n) for r, n in zip(row, node.tolist(), strict=True)} & links
    if not kind.startswith("shared"):
        assert len(row) > 0.7 * 9 * len(src)


@pytest.mark.parametrize("kind", ["local", "global"])
def test_negatives_of_a_set_are_uniform_over_what_is_left(kind):
    shard, _, _ = two_sided_shard()
    src, dst = np.array([0, 40]), np.array([40, 0])  # an item is replaced, and a user
    row, node = draw(kind, shard, src, dst, 20_000, sets=np.array([1, 0]))
    links = links_of(shard)
    for number, side in enumerate((np.arange(40, 80 if kind == "global" else 60), np.arange(40))):
        count = np.bincount(node[row == number], minlength=80)
        free = np.array([other for other in side if (src[number], other) not in links])
        assert count.sum() == count[free].sum() == 20_000
        assert chisquare(count[free]).pvalue > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_one_set_of_all_nodes_draws_as_without_sets(kind):
    shard, users, items = two_sided_shard()
    without = draw(kind, shard, users, items, 5)
    everything = draw(kind, shard, users, items, 5, sets=np.full(len(users), ALL_NODES))
    assert all((a == b).all() for a, b in zip(without, everything, strict=True))


def test_shared_negatives_are_one_set_of_nodes_for_each_side():
    shard, users, items = two_sided_shard()
    src, dst = np.r_[users, items], np.r_[items, users]
    row, node = draw("shared", shard, src, dst, 7, sets=shard.candidates.sets_for(dst, None))
    of_items = row < len(users)
    assert len(np.unique(node[of_items])) <= 7
    assert len(np.unique(node[~of_items])) <= 7
    assert set(node[of_items]) <= set(range(40, 60))
    assert set(node[~of_items]) <= set(range(40))
