"""What is held out takes no part in training, by no way."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_hypergraphs import gallery

from hvdtma.core.errors import UserError
from hypergraph import (
    GraphRecipe,
    Modality,
    MultimodalHypergraph,
    Relation,
    Split,
    given_split,
    split_relation,
)

SIZES = (12, 7, 5)
RECIPE = GraphRecipe("hyperedges", 3)


def random_graph(seed: int, num_rows: int, valued: bool) -> MultimodalHypergraph:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.integers(0, size, num_rows) for size in SIZES], 1)
    rows = np.concatenate([rows, rows[: num_rows // 3]])  # some are repeated
    values = rng.normal(size=len(rows)) if valued else None
    names = ("a", "b", "c")
    modalities = [Modality(n, size) for n, size in zip(names, SIZES, strict=True)]
    modalities[0] = Modality("a", SIZES[0], features=rng.normal(size=(SIZES[0], 3)))
    other = Relation("other", ("b", "c"), [[0, 0], [1, 0]])
    graph = MultimodalHypergraph.of(modalities, [Relation("r", names, rows, values), other])
    graph = graph.with_intra("a", GraphRecipe("features", 2))
    return graph.with_intra("b", RECIPE).with_intra("c", GraphRecipe("hyperedges", 2, ("other",)))


def as_rows(relation: Relation) -> list[tuple]:
    values = [None] * relation.num_hyperedges if relation.values is None else relation.values
    pairs = zip(relation.indices.tolist(), values, strict=True)
    return [(*row, value) for row, value in pairs]


def parts(split: Split) -> list[Relation]:
    return [split.train.relation(split.relation), split.valid, split.test]


MANY = settings(max_examples=40, deadline=None)
GRAPHS = st.builds(random_graph, st.integers(0, 10**6), st.integers(30, 60), st.booleans())


@MANY
@given(GRAPHS, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.3]), st.booleans())
def test_every_hyperedge_falls_in_one_part_and_repeats_fall_together(graph, seed, share, by_a):
    together = "a" if by_a else None
    split = split_relation(graph, "r", valid=share, test=0.2, seed=seed, together=together)
    found = [as_rows(part) for part in parts(split)]
    assert sorted(itertools.chain(*found), key=str) == sorted(as_rows(graph.relation("r")), key=str)
    keys = [{row[0] if by_a else row[:-1] for row in rows} for rows in found]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    groups = len(set().union(*keys))
    assert len(keys[1]) == (max(round(share * groups), 1) if share else 0)
    assert len(keys[2]) == max(round(0.2 * groups), 1)


@MANY
@given(GRAPHS, st.integers(0, 2**32 - 1))
def test_intra_graphs_are_as_if_what_is_held_out_had_never_been(graph, seed):
    split = split_relation(graph, "r", seed=seed)
    never = MultimodalHypergraph.of(
        [Modality("a", SIZES[0]), Modality("b", SIZES[1]), Modality("c", SIZES[2])],
        [parts(split)[0], graph.relation("other")],
    )
    expected = never.make_intra("b", RECIPE)
    b = split.train.modality("b").intra
    assert b.edges.tolist() == expected.edges.tolist()
    assert b.weights.tolist() == expected.weights.tolist()
    for name in ("a", "c"):  # made of features, and of another relation
        assert split.train.modality(name).intra is graph.modality(name).intra


@MANY
@given(GRAPHS, st.integers(0, 2**32 - 1))
def test_items_that_must_be_seen_are_trained_on(graph, seed):
    split = split_relation(graph, "r", valid=0.05, test=0.05, seed=seed, seen=("b", "c"))
    train, *held_out = parts(split)
    for part in held_out:
        for name in ("b", "c"):
            assert set(part.column(name)) <= set(train.column(name))


def test_the_seed_decides():
    graph = random_graph(0, 60, valued=False)
    once, again, other = (split_relation(graph, "r", seed=seed) for seed in (5, 5, 6))
    assert as_rows(once.test) == as_rows(again.test)
    assert as_rows(once.test) != as_rows(other.test)
    assert once.train.checksum() == again.train.checksum() != other.train.checksum()


def test_a_given_split_is_kept():
    split = given_split(gallery(), "made", ["train", "val", "train", "test", "training", "dev"])
    assert [part.column("artwork").tolist() for part in parts(split)] == [[0, 2, 4], [1, 5], [3]]
    assert split.num_left_out == 0
    assert list(split.train.relations) == ["made", "rated"]


def test_validation_hyperedges_that_a_given_split_lacks_are_held_out_of_training():
    """Whole groups of repeats, the same for a seed; intra graphs are made of what is left."""
    rows = np.repeat(np.arange(40), 2)
    its = Relation("r", ("a", "b"), np.stack([rows, rows], 1), np.arange(80.0))
    graph = MultimodalHypergraph.of([Modality("a", 40), Modality("b", 40)], [its])
    graph = graph.with_intra("a", GraphRecipe("hyperedges", k=1))
    part = np.where(rows < 30, "train", "test")
    split, again = (given_split(graph, "r", part, valid=0.2, seed=3) for _ in range(2))
    assert split.checksum() == again.checksum()
    assert split.checksum() != given_split(graph, "r", part, valid=0.2, seed=4).checksum()
    train, valid, test = parts(split)
    assert test.column("a").tolist() == rows[rows >= 30].tolist()
    assert valid.num_hyperedges == 2 * 6
    assert set(train.column("a")) | set(valid.column("a")) == set(range(30))
    assert not set(train.column("a")) & set(valid.column("a"))
    assert split.train.modality("a").intra is not graph.modality("a").intra
    assert given_split(graph, "r", part).valid.num_hyperedges == 0
    given = given_split(graph, "r", np.where(rows == 0, "valid", part), valid=0.2)
    assert given.valid.column("a").tolist() == [0, 0]
    one = given_split(graph, "r", np.where(rows == 0, "train", "test"), valid=0.9)
    assert parts(one)[0].num_hyperedges == 2  # not all of it
    with pytest.raises(UserError, match="valid is 1; it is a share of the training part"):
        given_split(graph, "r", part, valid=1)


def test_what_is_in_several_parts_of_a_given_split_stays_in_the_last():
    rows = [[0, 0], [0, 0], [1, 0], [1, 0], [2, 1]]
    relation = Relation("r", ("a", "b"), rows, [1, 2, 3, 4, 5])
    graph = MultimodalHypergraph.of([Modality("a", 3), Modality("b", 2)], [relation])
    split = given_split(graph, "r", ["train", "test", "valid", "test", "train"])
    assert [part.values.tolist() for part in parts(split)] == [[5], [], [2, 4]]
    assert split.num_left_out == 2


@pytest.mark.parametrize("how", [split_relation, given_split])
def test_what_another_relation_holds_out_is_not_trained_on_either(how):
    """Nor is a graph made of it; a value for training and test is one for test."""
    names, rng = ("a", "b"), np.random.default_rng(0)
    its = Relation("its", names, rng.integers(0, 6, (40, 2)), part=np.arange(40) % 3)
    rows = [[0, 0], [1, 0], [0, 0], [2, 1], [3, 1], [4, 1]]
    parts_of_other = ["train", "train", "test", "train", "valid", "train"]
    other = Relation("other", names, rows, np.arange(6.0), parts_of_other)
    graph = MultimodalHypergraph.of([Modality(name, 6) for name in names], [its, other])
    recipe = GraphRecipe("hyperedges", 2, ("other",))
    train = how(graph.with_intra("a", recipe), "its").train
    assert train.relation("other").values.tolist() == [1, 3, 5]
    assert train.relation("other").part is None
    assert train.modality("a").intra.edges.tolist() == [[2, 4]]
    none = Relation("other", names, rows, np.arange(6.0), part=["valid"] * 6)
    with pytest.raises(UserError, match="'other': no hyperedge is left to train on"):
        how(graph.with_relation(none), "its")


def test_the_split_that_came_along_is_used():
    relation = Relation("r", ("a", "b"), [[0, 0], [1, 0]], part=["test", "train"])
    graph = MultimodalHypergraph.of([Modality("a", 2), Modality("b", 1)], [relation])
    split = given_split(graph, "r")
    assert split.test.indices.tolist() == [[0, 0]]
    assert split.train.relation("r").part is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda g: split_relation(g, "made", valid=0.5, test=0.5), "together below 1"),
        (lambda g: split_relation(g, "made", valid=-0.1), "shares of the hyperedges"),
        (lambda g: split_relation(g, "made", valid=0.5, test=0.4, together="artist"), "most 2"),
        (lambda g: split_relation(g, "made", seen=("artwork",)), "every item of artwork is to be"),
        (lambda g: split_relation(g, "made", seen=("user",)), "has no modality 'user'"),
        (lambda g: split_relation(g, "maid"), "did you mean 'made'"),
        (lambda g: split_relation(g, "made", seed=-1), "seed is -1"),
        (lambda g: given_split(g, "made"), "came without a split"),
        (lambda g: given_split(g, "made", ["test"] * 6), "no hyperedge is left to train on"),
        (lambda g: given_split(g, "made", ["train"] * 5), "give a part for each"),
        (lambda g: given_split(g, "made", ["train"] * 5 + ["tset"]), "hyperedge 5 is 'tset'"),
        (lambda g: given_split(g, "made", ["train"] * 5 + [None]), "hyperedge 5 is 'None'"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_said(make, words):
    with pytest.raises(UserError, match=words):
        make(gallery())


def test_parts_of_rows_that_were_dropped_are_refused_with_the_way_out():
    relation = Relation("r", ("a", "b"), [[0, 0], [0, 0], [1, 0]])
    graph = MultimodalHypergraph.of([Modality("a", 2), Modality("b", 1)], [relation])
    with pytest.raises(UserError, match=r"1 repeats were dropped.*Relation\(\.\.\., part="):
        given_split(graph, "r", ["train", "train", "test"])
