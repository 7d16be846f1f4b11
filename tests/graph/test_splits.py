"""Held-out links leave nothing behind, and what they are ranked against is fair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from small_graphs import small_csc

from hvdtma.core.errors import UserError
from hvdtma.graph.candidates import ALL_NODES, Candidates
from hvdtma.graph.negatives import draw_negatives
from hvdtma.graph.source import Pairs
from hvdtma.graph.splits import LinkPicker, hold_out_nodes, pair_key, part_sizes


def picked(src, dst, valid=2, test=3, *, seed=0, pieces=1, most=10**6):
    """The chosen pairs as unordered ones, by part; the edges go by in pieces."""
    picker = LinkPicker(valid, test, seed, most)
    for rows in np.array_split(np.arange(len(src)), pieces):
        picker.add(src[rows], dst[rows])
    pairs, part = picker.pairs()
    chosen = list(map(frozenset, zip(pairs.src.tolist(), pairs.dst.tolist(), strict=True)))
    assert len(set(chosen)) == len(chosen)
    return [[c for c, p in zip(chosen, part, strict=True) if p == number] for number in (0, 1)]


def ends(csc):
    return csc.indices.astype(np.int64), csc.destinations().astype(np.int64)


@settings(max_examples=80, deadline=None)
@given(small_csc(), st.integers(0, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5))
def test_the_choice_depends_on_the_pairs_alone(csc, seed, valid, test, pieces):
    src, dst = ends(csc)
    pairs = set(map(frozenset, zip(src.tolist(), dst.tolist(), strict=True)))
    if len(pairs) < valid + test:
        with pytest.raises(UserError, match=rf"would take {valid + test} of {len(pairs)} links"):
            picked(src, dst, valid, test, seed=seed)
        return
    parts = picked(src, dst, valid, test, seed=seed)
    assert [len(part) for part in parts] == [valid, test]
    assert not set(parts[0]) & set(parts[1])
    assert set(parts[0]) | set(parts[1]) <= pairs
    order = np.random.default_rng(seed).permutation(np.tile(np.arange(len(src)), 2))
    turned, again = dst[order], src[order]  # shuffled, turned and twice
    assert picked(turned, again, valid, test, seed=seed, pieces=pieces) == parts


def test_self_loops_are_never_held_out():
    loops = np.arange(50)
    src, dst = np.r_[loops, 0, 1], np.r_[loops, 1, 2]
    valid, test = picked(src, dst, 1, 1)
    assert {*valid, *test} == {frozenset((0, 1)), frozenset((1, 2))}


def test_either_end_of_a_link_may_be_the_source():
    picker = LinkPicker(100, 100, 0, 1000)
    picker.add(np.zeros(400, int), np.arange(1, 401))
    pairs, _ = picker.pairs()
    assert 60 < (pairs.src == 0).sum() < 140
    assert ((pairs.src == 0) != (pairs.dst == 0)).all()


@pytest.mark.parametrize(("valid", "test"), [(2, 3), (0.1, 0.15), (0.1, 3)])
def test_every_link_is_as_likely_to_be_held_out(valid, test):
    chosen = np.zeros((2, 21))
    for seed in range(800):
        try:
            parts = picked(np.zeros(20, int), np.arange(1, 21), valid, test, seed=seed)
        except UserError as error:
            assert "would be empty" in str(error)
            continue
        for number, part in enumerate(parts):
            for pair in part:
                chosen[number, max(pair)] += 1
    assert (chisquare(chosen[:, 1:], axis=1).pvalue > 1e-3).all()


def test_a_share_is_that_share_and_a_count_that_count():
    src, dst = np.divmod(np.arange(300 * 300), 300)
    pairs = 300 * 299 / 2
    shares = picked(src, dst, 0.05, 0.02)
    assert len(shares[0]) == pytest.approx(0.05 * pairs, rel=0.1)
    assert len(shares[1]) == pytest.approx(0.02 * pairs, rel=0.1)
    valid, test = picked(src, dst, 0.05, 70, pieces=7)
    assert set(valid) == set(shares[0])
    assert len(test) == 70


def test_more_than_memory_holds_is_refused():
    with pytest.raises(UserError, match=r"more than 50 links would be held out.*--valid"):
        picked(np.zeros(400, int), np.arange(1, 401), 0.2, 0.2, most=50)
    src, dst = np.zeros(400, int), np.arange(1, 401)
    assert [len(part) for part in picked(src, dst, 20, 30, most=50)] == [20, 30]
    with pytest.raises(UserError, match="more than 49 links"):
        picked(src, dst, 20, 30, most=49)


@pytest.mark.parametrize(("valid", "test"), [(5, 7), (0.1, 7), (5, 0.1), (0.1, 0.2)])
def test_dropping_what_is_not_chosen_on_the_way_changes_nothing(valid, test):
    src, dst = np.divmod(np.arange(60 * 60), 60)
    expected = picked(src, dst, valid, test)
    picker = LinkPicker(valid, test, 0, 10**6)
    picker.shrink_at = 10
    for row in range(60):
        picker.add(src[row * 60 : row * 60 + 60], dst[row * 60 : row * 60 + 60])
        assert picker.num_chosen == sum(len(hashes) for hashes, *_ in picker.chosen)
        assert picker.num_chosen <= picker.shrink_at
    if valid >= 1 and test >= 1:
        assert picker.num_chosen < 200  # of 1,770 pairs, each seen twice
    pairs, part = picker.pairs()
    found = list(map(frozenset, zip(pairs.src.tolist(), pairs.dst.tolist(), strict=True)))
    assert [[f for f, p in zip(found, part, strict=True) if p == n] for n in (0, 1)] == expected


def test_a_share_of_all_and_a_count_after_it_leave_nothing():
    src, dst = np.zeros(50, int), np.arange(1, 51)
    with pytest.raises(UserError, match="would take 3 of 50 links"):
        picked(src, dst, 1 - 1e-12, 3)
    with pytest.raises(UserError, match=r"the test split would be empty: 1e-12 of the links"):
        picked(src, dst, 3, 1e-12)


def test_a_pair_has_one_key_in_either_direction_and_no_other_pair_has_it():
    src, dst = (ends.ravel() for ends in np.meshgrid(np.arange(9, dtype=np.int32), np.arange(9)))
    key = pair_key(src, dst, 9)
    assert key.dtype == np.int64
    assert len(set(key.tolist())) == 9 * 10 // 2
    assert (key == pair_key(dst, src, 9)).all()
    large = np.int32([2**31 - 2])
    assert pair_key(large, large, 2**31 - 1)[0] == (2**31 - 2) * 2**31


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
    split = hold_out_nodes(label >= 0, 2, 3, np.random.default_rng(seed))
    assert list(split) == ["train", "valid", "test"]
    assert [len(split["valid"]), len(split["test"])] == [2, 3]
    assert np.sort(np.concatenate(list(split.values()))).tolist() == (
        np.flatnonzero(label >= 0).tolist()
    )
    assert all((np.diff(nodes) > 0).all() for nodes in split.values())


def drawn_for(src, known, num_nodes, each, *, undirected, seed=0):
    if undirected:
        known = Pairs(np.r_[known.src, known.dst], np.r_[known.dst, known.src])
    rng = np.random.default_rng(seed)
    sets, candidates = np.full(len(src), ALL_NODES), Candidates.all_nodes(num_nodes)
    drawn = draw_negatives(src, sets, known, candidates, each, rng=rng)
    return np.concatenate([np.zeros((0, each), np.int64), *drawn])


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
    neg = drawn_for(src, known, csc.num_nodes, 60, undirected=undirected, seed=seed)
    assert neg.shape == (len(src), 60)
    for u, drawn in zip(src, neg, strict=True):
        assert set(drawn.tolist()) <= allowed[u]
    full = [u for u in allowed if not allowed[u]]
    if full:
        with pytest.raises(UserError, match="source that is linked to every one"):
            drawn_for(np.array(full), known, csc.num_nodes, 1, undirected=undirected)


@pytest.mark.parametrize("undirected", [False, True])
def test_negatives_are_uniform_over_what_is_left(undirected):
    num_nodes, each = 40, 20_000
    rng = np.random.default_rng(3)
    src, dst = rng.integers(0, num_nodes, (2, 500))
    src, dst = np.r_[0, 0, 39, src[src != dst]], np.r_[1, 2, 0, dst[src != dst]]
    known = Pairs(src, dst)
    asked = np.array([0, 39, 17])  # the lowest id, the highest, one between
    neg = drawn_for(asked, known, num_nodes, each, undirected=undirected)
    for u, drawn in zip(asked, neg, strict=True):
        linked = set(dst[src == u]) | {u} | (set(src[dst == u]) if undirected else set())
        count = np.bincount(drawn, minlength=num_nodes)
        free = np.array([v not in linked for v in range(num_nodes)])
        assert 5 < free.sum() < num_nodes - 5
        assert count[~free].sum() == 0
        assert chisquare(count[free]).pvalue > 1e-3
