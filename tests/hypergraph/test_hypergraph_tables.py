"""Tables become a hypergraph with the ids they have; what is wrong in one is said, and where."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import yaml

from hvdtma.core.errors import UserError
from hypergraph import GraphRecipe, from_tables, given_split
from hypergraph.data import ModalityTables

RATINGS = "user,item,stars,part\nu1,007,4,train\nu2,8,3.5,train\nu1,8,1,valid\nu3,007,5,test\n"
COLUMNS = ["user", "item"]


@pytest.fixture
def folder(tmp_path):
    def write(**texts: str):
        for name, text in texts.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return tmp_path

    return write


def ratings(folder, more: dict | None = None, **relation):
    spec = {"table": folder / "ratings.csv", "columns": COLUMNS} | relation
    return from_tables({"user": {}, "item": {}} | (more or {}), {"rating": spec})


def test_ratings_with_graphs_on_both_sides_and_a_given_split(folder):
    here = folder(
        ratings=RATINGS,
        friends="from,to,w\nu1,u2,0.5\nu2,u1,0.25\nu9,u1,1\n",
        related="a,b\n007,8\n8,9\n",
    )
    graph = ratings(
        here,
        {
            "user": {"edges": str(here / "friends.csv"), "weight": "w"},
            "item": {"edges": here / "related.csv", "edge_columns": ["a", "b"]},
        },
        value="stars",
        split="part",
    )
    user, item, rating = graph.modality("user"), graph.modality("item"), graph.relation("rating")
    assert user.ids.tolist() == ["u1", "u2", "u3", "u9"]  # a friend who rated nothing is a user
    assert item.ids.tolist() == ["007", "8", "9"]  # no integers: 007 is not 7
    assert user.intra.edges.tolist() == [[0, 1], [0, 3]]
    assert user.intra.weights.tolist() == [0.5, 1.0]
    assert item.intra.edges.tolist() == [[0, 1], [1, 2]]
    assert rating.values.tolist() == [4, 3.5, 1, 5]
    split = given_split(graph, "rating")
    assert split.train.relation("rating").values.tolist() == [4, 3.5]
    assert split.valid.values.tolist() == [1]
    assert split.test.values.tolist() == [5]


def test_a_row_of_a_parquet_table_without_a_part_is_named(tmp_path):
    path = tmp_path / "r.parquet"
    rows = {"user": [1, 2, 3], "item": [1, 1, 2], "part": ["train", None, "test"]}
    pq.write_table(pa.table(rows), path)
    spec = {"table": path, "columns": COLUMNS, "split": "part"}
    with pytest.raises(UserError, match=r"column 'part' of '.*r\.parquet': row 1 is empty; give"):
        from_tables({"user": None, "item": None}, {"r": spec})


def test_a_yaml_file_says_the_same(folder, monkeypatch):
    here = folder(ratings=RATINGS, friends="from,to\nu1,u2\n")
    monkeypatch.chdir(here)
    said = """
    modalities:
      user: {edges: friends.csv}
      item: {neighbours: {kind: hyperedges, k: 3}}
    relations:
      rating: {table: ratings.csv, columns: [user, item], value: stars, split: part}
    """
    graph = from_tables(**yaml.safe_load(said))
    same = ratings(
        here,
        {
            "user": ModalityTables(edges="friends.csv"),
            "item": ModalityTables(neighbours=GraphRecipe("hyperedges", 3)),
        },
        value="stars",
        split="part",
    )
    assert graph.checksum() == same.checksum()


def test_parts_are_numbered_in_text_as_in_parquet(folder, tmp_path):
    here = folder(ratings="user,item,part\nu1,7,0\nu2,8,1\nu1,8,2\n")
    columns = {"user": ["u1", "u2", "u1"], "item": [7, 8, 8], "part": [0, 1, 2]}
    pq.write_table(pa.table(columns), tmp_path / "r.parquet")
    for table in (here / "ratings.csv", tmp_path / "r.parquet"):
        found = ratings(here, table=table, split="part").relation("rating")
        assert found.part.tolist() == [0, 1, 2]


def test_a_table_for_each_part(folder):
    here = folder(a="user,item\n1,5\n2,6\n", b="user,item\n2,5\n")
    tables = {"train": here / "a.csv", "test": here / "b.csv"}
    graph = ratings(here, table=tables)
    assert graph.modality("user").ids.tolist() == [1, 2]
    assert graph.relation("rating").part.tolist() == [0, 0, 2]


def test_csv_tsv_parquet_and_gzip_are_the_same_and_columns_may_have_other_names(folder, tmp_path):
    here = folder(ratings="a,who,what\n.,1,x\n.,-2,y\n")
    (tmp_path / "r.tsv.gz").write_bytes(gzip.compress(b"a\twho\twhat\n.\t1\tx\n.\t-2\ty\n"))
    pq.write_table(pa.table({"what": ["x", "y"], "who": [1, -2]}), tmp_path / "r.parquet")
    (tmp_path / "r.txt").write_text("1 x\n-2 y\n")
    columns = {"user": "who", "item": "what"}
    sums = {ratings(here, columns=columns).checksum()}
    for name in ("r.tsv.gz", "r.parquet"):
        sums.add(ratings(here, columns=columns, table=tmp_path / name).checksum())
    sums.add(ratings(here, columns={"user": 1, "item": 2}, table=tmp_path / "r.txt").checksum())
    assert len(sums) == 1


def test_one_string_makes_all_ids_of_a_modality_strings(folder, tmp_path):
    here = folder(ratings="user,item\n1,5\n2,6\n", friends="src,dst\n1,x\n")
    graph = ratings(here, {"user": {"edges": here / "friends.csv"}})
    assert graph.modality("user").ids.tolist() == ["1", "2", "x"]
    assert graph.modality("item").ids.tolist() == [5, 6]


def feature_files(folder):
    feat = np.array([[0, 1.5], [2, 0], [0, 3]], np.float32)
    columns = {"id": ["u3", "u1", "u2"], "x": feat[:, 0], "y": feat[:, 1]}
    pq.write_table(pa.table(columns), folder / "f.parquet")
    (folder / "f.csv").write_text("id,x,y\nu3,0,1.5\nu1,2,0\nu2,0,3\n")
    np.savez(folder / "f.npz", ids=np.array(["u3", "u1", "u2"]), feat=feat)
    return feat


@pytest.mark.parametrize("name", ["f.parquet", "f.csv", "f.npz"])
def test_features_name_the_items(folder, name):
    here = folder(ratings=RATINGS)
    feat = feature_files(here)
    graph = ratings(here, {"user": {"features": here / name}})
    assert graph.modality("user").ids.tolist() == ["u3", "u1", "u2"]
    assert graph.modality("user").features.dtype == np.float32
    np.testing.assert_array_equal(graph.modality("user").features, feat)
    assert graph.relation("rating").column("user").tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize("sparse", [False, True])
def test_features_by_order_belong_to_the_ids_0_1_2(folder, sparse):
    here = folder(ratings="user,item\n2,5\n0,6\n")
    path = here / ("f.npz" if sparse else "f.npy")
    if sparse:
        sp.save_npz(path, sp.csr_matrix(np.eye(4)))
    else:
        np.save(path, np.eye(4))
    graph = ratings(here, {"user": {"features": path}})
    assert graph.modality("user").num_items == 4
    assert graph.modality("user").ids is None
    assert graph.relation("rating").column("user").tolist() == [2, 0]


def test_columns_without_a_header_have_numbers(folder):
    """As YAML reads them: unquoted."""
    here = folder(ratings="u1,7,4,train\nu2,8,3.5,test\n", friends="u1,u2,0.5\nu2,u3,2\n")
    graph = from_tables(
        {"user": {"edges": here / "friends.csv", "edge_columns": [1, 2], "weight": 3}, "item": {}},
        {"rating": {"table": here / "ratings.csv", "columns": {"user": 1, "item": 2}, "value": 3,
                    "split": 4}},
    )  # fmt: skip
    assert graph.relation("rating").values.tolist() == [4, 3.5]
    assert graph.relation("rating").part.tolist() == [0, 2]
    assert graph.modality("user").intra.weights.tolist() == [0.5, 2]


def test_neighbours_may_be_called_by_their_kind_alone(folder):
    graph = ratings(folder(ratings=RATINGS), {"user": {"neighbours": "hyperedges"}})
    assert graph.modality("user").intra.recipe == GraphRecipe("hyperedges")


def test_neighbours_are_made_by_recipe(folder):
    here = folder(ratings=RATINGS)
    graph = ratings(here, {"user": {"neighbours": {"kind": "hyperedges", "k": 2}}}, split="part")
    intra = graph.modality("user").intra
    assert intra.recipe == GraphRecipe("hyperedges", 2)
    assert intra.num_edges == 0  # in training no two users share an item


@pytest.mark.parametrize(
    ("modality", "relation", "words"),
    [
        ({}, {"columns": ["user", "itm"]}, "names the modality 'itm'.*did you mean 'item'"),
        ({}, {"columns": {"user": "usr", "item": "item"}}, "no column 'usr'.*did you mean 'user'"),
        ({}, {"value": "star"}, "no column 'star'; valid: user, item, stars, part"),
        ({}, {"value": "part"}, "column 'part' of .* has 'train', which is no number"),
        ({}, {"split": "stars"}, "part of hyperedge 0 is '4'"),
        ({}, {"table": "nowhere.csv"}, "no table file 'nowhere.csv'"),
        ({}, {"table": "ratings.doc"}, "unknown ending; valid: .csv"),
        ({}, {"colour": 1}, "relation 'rating' has the unknown key 'colour'"),
        ({"feature": "x"}, {}, "modality 'user' has the unknown key 'feature'.*'features'"),
        ({"features": "short.csv"}, {}, "no item 'u3'; .*items are those of 'short.csv'"),
        ({"features": "words.csv"}, {}, "column 'x' of 'words.csv' has 'tall', which is no number"),
        ({"edges": "e.csv", "neighbours": {"kind": "features"}}, {}, "both edges and neighbours"),
        ({"neighbours": {"kind": "features"}}, {}, "'user' has no features"),
        ({"weight": "w"}, {}, "has 'weight' without 'edges'"),
        ({"neighbours": {}}, {}, "neighbours lacks a key"),
        ({"neighbours": "edges"}, {}, "kind of neighbours is 'edges'"),
        ({"neighbours": {"kind": "hyperedges", "k": "a"}}, {}, "neighbours: k is 'a'; .*integer"),
        ({"edges": ["e.csv"]}, {}, r"modality 'user': edges is \['e.csv'\]"),
        ({"edges": "e.csv", "edge_columns": "ab"}, {}, "edge_columns is 'ab'"),
        ({"edges": "e.csv", "weight": ["w"]}, {}, r"weight is \['w'\]; .*string"),
        ("users.csv", {}, "modality 'user' is 'users.csv'; give keys and values, of edges,"),
        ({}, {"columns": None}, "relation 'rating': columns is None"),
        ({}, {"columns": "user"}, "relation 'rating': columns is 'user'"),
        ({}, {"table": None}, "relation 'rating': table is None"),
        ({}, {"table": ["a.csv"]}, r"relation 'rating': table is \['a.csv'\]"),
        ({}, {"split": True}, "relation 'rating': split is True; .*string"),
        ({"edges": "e.csv", "edge_columns": ["a"]}, {}, "give two columns"),
        ({"edges": "ab.csv"}, {}, "its first line, a, b, may be a header or a row; name the"),
        ({"edges": "e.csv", "weight": "w"}, {}, "weights of an intra graph: row 0 is nan"),
        ({"features": "f.npy"}, {}, "modality 'user' has no item 'u1'; its ids are 0 to 2"),
        ({"features": "f.npy"}, {"table": "odd.csv"}, "'user' has no item 'x'; its ids are 0 to 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(folder, monkeypatch, modality, relation, words):
    here = folder(
        ratings=RATINGS,
        short="id,x\nu1,1\nu2,2\n",
        words="id,x\nu1,tall\n",
        e="a,b,w\nu1,u2,nan\n",
        ab="a,b\nu1,u2\n",
        odd="user,item\n0,5\n1,6\nx,5\n",
    )
    np.save(here / "f.npy", np.eye(3))
    monkeypatch.chdir(here)
    with pytest.raises(UserError, match=words):
        ratings(here, {"user": modality}, **relation)


def test_a_field_that_is_empty_is_said_with_its_line(folder):
    here = folder(ratings="user,item\nu1,5\n,6\n")
    with pytest.raises(UserError, match="line 3: column 'user' is empty"):
        ratings(here)
    with pytest.raises(UserError, match="no rows"):
        ratings(folder(ratings="user,item\n"))


def test_a_modality_that_nothing_names_has_no_items(folder):
    with pytest.raises(UserError, match="modality 'tag' has no items"):
        ratings(folder(ratings=RATINGS), {"tag": None})
