"""Held-out links leave nothing behind, and what they are ranked against is fair."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from small_graphs import small_csc

from hvdtma.errors import UserError
from hvdtma.graph.csc import build_csc
from hvdtma.graph.raw import Pairs
from hvdtma.graph.splits import (
    draw_negatives,
    hold_out_links,
    hold_out_nodes,
    pair_key,
    part_sizes,
)


def hold_out(csc, valid=2, test=3, *, undirected=False, seed=0):
    src, dst = csc.indices.astype(np.int64), csc.destinations().astype(np.int64)
    if undirected:
        src, dst = src[src < dst], dst[src < dst]
    types = None if undirected else csc.edge_type
    rng = np.random.default_rng(seed)
    left, held_out = hold_out_links(
        src, dst, types, csc.num_nodes, undirected=undirected, valid=valid, test=test, rng=rng
    )
    return src, dst, types, left, held_out


def pairs_in(csc):
    return len(np.unique(pair_key(csc.indices, csc.destinations(), csc.num_nodes)))


@settings(max_examples=80, deadline=None)
@given(small_csc(), st.integers(0, 9), st.integers(1, 3), st.integers(1, 3))
def test_no_direction_and_no_type_of_a_held_out_pair_is_left(csc, seed, valid, test):
    if pairs_in(csc) <= valid + test:
        return
    src, dst, types, left, held_out = hold_out(csc, valid, test, seed=seed)
    trained_on = {frozenset(pair) for pair in zip(src[left], dst[left], strict=True)}
    parts = {
        part: {frozenset(pair) for pair in zip(pairs.src, pairs.dst, strict=True)}
        for part, pairs in held_out.items()
    }
    assert [len(parts["valid"]), len(parts["test"])] == [valid, test]
    assert not parts["valid"] & parts["test"]
    assert not trained_on & (parts["valid"] | parts["test"])
    everything = Counter(zip(src, dst, types, strict=True))
    found = Counter(zip(src[left], dst[left], types[left], strict=True))
    for pairs in held_out.values():
        found += Counter(zip(pairs.src, pairs.dst, pairs.edge_type, strict=True))
    assert found == everything


def test_either_end_of_an_undirected_link_may_be_the_source():
    csc = build_csc(np.zeros(400, int), np.arange(1, 401), 401)
    held_out = hold_out(csc, 100, 100, undirected=True)[-1]
    for pairs in held_out.values():
        assert 20 < (pairs.src == 0).sum() < 80
        assert ((pairs.src == 0) != (pairs.dst == 0)).all()


def test_every_link_is_as_likely_to_be_held_out():
    csc = build_csc(np.zeros(20, int), np.arange(1, 21), 21)
    chosen = np.zeros(21)
    for seed in range(600):
        held_out = hold_out(csc, 2, 3, seed=seed)[-1]
        chosen[np.concatenate([pairs.dst for pairs in held_out.values()])] += 1
    assert chisquare(chosen[1:]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("valid", "test", "message"),
    [
        (0.0004, 0.1, r"valid split would be empty: 0\.0004 of 1000 links.*--valid"),
        (0.1, 0.0004, "test split would be empty"),
        (0.5, 0.5, "would take 1000 of 1000 links and leave none to train on"),
        (400, 700, "would take 1100 of 1000"),
    ],
)
def test_an_empty_split_or_one_too_large_is_refused(valid, test, message):
    with pytest.raises(UserError, match=message):
        part_sizes(1000, valid, test, "links")


def test_below_one_is_a_share_and_from_one_on_a_count():
    assert part_sizes(1000, 0.05, 7, "links") == (50, 7)
    assert part_sizes(1000, 1, 0.998, "links") == (1, 998)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 3), min_size=10, max_size=60), st.integers(0, 99))
def test_labelled_nodes_are_each_in_one_part(labels, seed):
    label = np.array(labels)
    if (label >= 0).sum() < 6:
        return
    split = hold_out_nodes(label, 2, 3, np.random.default_rng(seed))
    assert list(split) == ["train", "valid", "test"]
    assert [len(split["valid"]), len(split["test"])] == [2, 3]
    assert np.sort(np.concatenate(list(split.values()))).tolist() == (
        np.flatnonzero(label >= 0).tolist()
    )
    assert all((np.diff(nodes) > 0).all() for nodes in split.values())


@settings(max_examples=80, deadline=None)
@given(small_csc(), st.booleans(), st.integers(0, 99))
def test_a_negative_is_no_known_edge_of_its_source_nor_the_source(csc, undirected, seed):
    known = Pairs(csc.indices.astype(np.int64), csc.destinations().astype(np.int64))
    linked = {(u, v) for u, v in zip(known.src, known.dst, strict=True)}
    if undirected:
        linked |= {(v, u) for u, v in linked}
    allowed = {
        u: {v for v in range(csc.num_nodes) if v != u and (u, v) not in linked}
        for u in range(csc.num_nodes)
    }
    src = np.array([u for u in allowed if allowed[u]], np.int64)
    rng = np.random.default_rng(seed)
    neg = draw_negatives(src, known, csc.num_nodes, 60, undirected=undirected, rng=rng)
    assert neg.shape == (len(src), 60)
    for u, drawn in zip(src, neg, strict=True):
        assert set(drawn.tolist()) <= allowed[u]
    full = [u for u in allowed if not allowed[u]]
    if full:
        with pytest.raises(UserError, match="source that is linked to every node"):
            draw_negatives(np.array(full), known, csc.num_nodes, 1, undirected=undirected, rng=rng)


@pytest.mark.parametrize("undirected", [False, True])
def test_negatives_are_uniform_over_what_is_left(undirected):
    num_nodes, each = 40, 20_000
    rng = np.random.default_rng(3)
    src, dst = rng.integers(0, num_nodes, (2, 500))
    src, dst = np.r_[0, 0, 39, src[src != dst]], np.r_[1, 2, 0, dst[src != dst]]
    known = Pairs(src, dst)
    asked = np.array([0, 39, 17])  # the lowest id, the highest, one between
    neg = draw_negatives(asked, known, num_nodes, each, undirected=undirected, rng=rng)
    for u, drawn in zip(asked, neg, strict=True):
        linked = set(dst[src == u]) | {u} | (set(src[dst == u]) if undirected else set())
        count = np.bincount(drawn, minlength=num_nodes)
        free = np.array([v not in linked for v in range(num_nodes)])
        assert 5 < free.sum() < num_nodes - 5
        assert count[~free].sum() == 0
        assert chisquare(count[free]).pvalue > 1e-3
