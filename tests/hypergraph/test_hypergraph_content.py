"""What does not fit together is refused in one clear message; the rest is as it was given."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from small_hypergraphs import gallery

from hvdtma.core.errors import UserError
from hypergraph import GraphRecipe, Intra, Modality, MultimodalHypergraph, Relation
from hypergraph.data.checks import row_keys

PAIR = ("a", "b")


def of_two(*relations: Relation, **modality) -> MultimodalHypergraph:
    return MultimodalHypergraph.of([Modality("a", 3, **modality), Modality("b", 2)], relations)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: of_two(Relation("r", PAIR, [[0, 1], [2, 2]])),
            "relation 'r': hyperedge 1 has item 2 of modality 'b', whose items are 0 to 1",
        ),
        (lambda: of_two(Relation("r", PAIR, [[-1, 0]])), "hyperedge 0 has item -1 of modality 'a'"),
        (
            lambda: of_two(Relation("r", ("a", "bb"), [[0, 0]])),
            "names the modality 'bb'; valid: a, b; did you mean 'b'",
        ),
        (lambda: of_two(Relation("r", PAIR, np.zeros((0, 2)))), "has no hyperedges"),
        (lambda: of_two(), "at least one relation"),
        (lambda: Relation("r", ("a", "a"), [[0, 1]]), "has modality 'a' 2 times"),
        (lambda: Relation("r", ("a",), [[0]]), "at least two modalities"),
        (lambda: Relation("r", "ab", [[0, 1]]), "joins 'ab'; give a tuple of names"),
        (lambda: Relation("r", PAIR, [[0, 1, 2]]), r"int64 of shape \[1, 3\]"),
        (lambda: Relation("r", PAIR, [[0.5, 1]]), "must be whole numbers"),
        (lambda: Relation("r", PAIR, [[0, 1]] * 2, [1, np.nan]), "of relation 'r': row 1 is nan"),
        (lambda: Relation("r", PAIR, [[0, 1]], [1e300]), "row 0 is 1e[+]300"),
        (lambda: Relation("r", PAIR, [[0, 1]], [1, 2]), "one number for each of the 1 rows"),
        (lambda: Relation("r", PAIR, [[0, 1]], part=["trian"]), "is 'trian'.*did you mean 'train'"),
        (lambda: Relation("r", PAIR, [[0, 1]], part=[]), "give a part for each"),
        (lambda: Modality("a", 0), "modality 'a' has no items"),
        (lambda: Modality("a", "3"), "modality 'a' has '3' items; give a whole number"),
        (lambda: Modality("a", 2, ["x", "x"]), "has the id 'x' twice"),
        (lambda: Modality("a", 2, ["x"]), "2 items but 1 ids"),
        (lambda: Modality("a", 1, [0.5]), "modality 'a': node ids are|modality 'a': ids are"),
        (lambda: Modality("a", 2, features=np.ones((3, 1))), r"float64 of shape \[3, 1\]"),
        (lambda: Modality("a", 2, features=np.ones(2)), r"float64 of shape \[2\]"),
        (
            lambda: Modality("a", 2, features=np.array([[1, 2], [3, np.inf]])),
            "feature 1 of item 1 is NaN, infinite",
        ),
        (
            lambda: Modality("a", 2, features=sp.csr_array([[0, 0, 0], [0, 0, np.nan]])),
            "feature 2 of item 1 is NaN, infinite",
        ),
        (lambda: Modality("a", 2, intra=Intra([[0, 2]])), r"edge 0 is \[0, 2\], but the items are"),
        (lambda: Intra([[0, 1], [1, 1]]), "edge 1 .* joins item 1 with itself"),
        (lambda: Intra([[0, 1], [1, 0]]), r"edge 1 of an intra graph, \[1, 0\], is repeated"),
        (lambda: Intra([[0, 1]], [0]), "weights must be above 0"),
        (lambda: Intra([[0, 1]], [np.nan]), "row 0 is nan"),
        (lambda: GraphRecipe("feature"), "did you mean 'features'"),
        (lambda: GraphRecipe("features", 0), "k, the neighbours of an item, is 0"),
        (lambda: GraphRecipe("features", relations=("r",)), "use no relations"),
        (lambda: MultimodalHypergraph.of([Modality("a", 1)] * 2, []), "objects are named 'a'"),
        (lambda: MultimodalHypergraph({"b": Modality("a", 1)}, {}), "'a' is given as 'b'"),
        (lambda: gallery().relation("mad"), "no relation 'mad'; valid: made, rated; did you mean"),
        (lambda: gallery().modality("art"), "no modality 'art'"),
        (lambda: gallery().relation("made").column("user"), "has no modality 'user'"),
        (lambda: gallery().modality("artist").index_of("Anna"), "no item 'Anna'; .*similar: 'Ann'"),
        (lambda: gallery().modality("artist").index_of(0), "no item 0"),
        (lambda: gallery().modality("artist").index_of(["Ann"]), r"no item \['Ann'\]"),
        (lambda: gallery().modality("medium").index_of(8), "no item 8; .*from 7 to 11; similar: 7"),
        (lambda: gallery().modality("medium").index_of("7"), "no item '7'"),
        (lambda: gallery().modality("user").index_of(2), "no item 2; its ids are 0 to 1"),
        (lambda: gallery().modality("user").id_of(2), "no position 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(make, words):
    with pytest.raises(UserError, match=words):
        make()


def test_ids_and_positions_are_two_ways():
    for modality in gallery().modalities.values():
        ids = [modality.id_of(at) for at in range(modality.num_items)]
        assert [modality.index_of(each) for each in ids] == list(range(modality.num_items))
    assert gallery().modality("artist").id_of(2) == "Çem"
    assert isinstance(gallery().modality("medium").id_of(0), int)


def test_repeats_of_present_hyperedges_are_dropped_and_counted_those_with_values_are_kept():
    rows = [[0, 1], [2, 0], [0, 1], [0, 1]]
    present = Relation("r", PAIR, rows)
    assert present.indices.tolist() == [[0, 1], [2, 0]]
    assert present.num_repeats == 2
    valued = Relation("r", PAIR, rows, [1, 2, 3, 4])
    assert valued.num_hyperedges == 4
    assert valued.num_repeats == 0


def test_of_a_repeat_the_held_out_one_stays():
    relation = Relation("r", PAIR, [[0, 1], [2, 0], [0, 1]], part=["train", "train", "test"])
    assert relation.indices.tolist() == [[2, 0], [0, 1]]
    assert relation.part.tolist() == [0, 2]


def test_edges_both_ways_become_one_with_the_larger_weight():
    intra = Intra.of([[2, 0], [0, 2], [1, 1], [1, 2]], [0.25, 0.5, 1, 0.75])
    assert intra.edges.tolist() == [[0, 2], [1, 2]]
    assert intra.weights.tolist() == [0.5, 0.75]


def test_a_changed_copy_leaves_the_first_as_it_was():
    graph = gallery()
    more = graph.with_modality(Modality("year", 2)).with_relation(
        Relation("dated", ("artwork", "year"), [[0, 1]])
    )
    assert list(graph.relations) == ["made", "rated"]
    assert list(more.relations) == ["made", "rated", "dated"]
    assert more.with_intra("medium", None).modality("medium").intra is None


def test_the_checksum_is_of_all_content_and_nothing_else():
    graph = gallery()
    assert graph.checksum() == gallery().checksum()
    wide = np.array(["Ann", "Bob", "Çem"], "U40")  # the same ids in a wider array
    assert graph.with_modality(Modality("artist", 3, wide)).checksum() == graph.checksum()
    changed = [
        graph.with_modality(Modality("artist", 3, ["Ann", "Bob", "Cem"])),
        graph.with_modality(Modality("artist", 3)),
        graph.with_relation(Relation("rated", ("user", "artwork"), [[0, 0]], [1.0])),
        graph.with_relation(Relation("new", ("user", "artwork"), [[0, 0]])),
        graph.with_intra("medium", Intra([[0, 1]], [0.25])),
        graph.with_intra("medium", None),
    ]
    assert len({graph.checksum(), *(other.checksum() for other in changed)}) == 7


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.tuples(*[st.sampled_from([0, 1, 2, 2**40, 2**62]) | st.integers(0, 2**62)] * width),
            min_size=1,
            max_size=12,
        )
    )
)
def test_rows_have_the_same_key_exactly_if_they_are_the_same(rows):
    keys = row_keys(np.array(rows, np.int64))
    for key, row in zip(keys, rows, strict=True):
        assert [other == row for other in rows] == (keys == key).tolist()
