"""Typed graphs from tables, PyG HeteroData and DGL heterographs are the graphs that they hold.

Legend: N nodes of a type, D features.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typed_graphs import edges_in, own_ids

import hvdtma
from hvdtma.cli.typed import by_type, is_typed_edges
from hvdtma.core.errors import UserError
from hvdtma.graph.sources import from_dgl, from_pyg
from hvdtma.graph.store import open_store
from hvdtma.graph.verify import verification

OPTIONS = {"negatives": 5, "valid": 2, "test": 2, "block_nodes": 4}


def write_tables(folder):
    """Users with features, tags without a table; an item that only an edge names."""
    users = ["Zoë", "bob", "0012", "包", "eve", "NA-1"]
    (folder / "users.csv").write_text(
        "name,age,score\n" + "\n".join(f"{u},{20 + i},{i / 4}" for i, u in enumerate(users))
    )
    items = pa.table({"id": [7, 8, 9, 10, 11], "price": [1.5, 2.0, 0.0, -1.0, 3.0]})
    pq.write_table(items, folder / "items.parquet")
    rng = np.random.default_rng(0)
    buys = {(users[rng.integers(6)], int(rng.choice([7, 8, 9, 10, 11, 12]))) for _ in range(30)}
    (folder / "buys.csv").write_text("src,dst\n" + "\n".join(f"{u},{i}" for u, i in sorted(buys)))
    tags = [(item, tag) for item in range(7, 12) for tag in ("red", "blue; 2")]
    (folder / "tags.csv").write_text("src,dst\n" + "\n".join(f"{i},{t}" for i, t in tags))
    (folder / "kinds.csv").write_text("id,label\n7,a\n8,b\n9,a\n10,b\n11,a\n")
    return users, buys, tags


def built(folder, **more):
    return hvdtma.build(
        folder / "g.zarr",
        nodes={"user": folder / "users.csv", "item": folder / "items.parquet"},
        edges={
            ("user", "buys", "item"): folder / "buys.csv",
            "item:has:tag": folder / "tags.csv",
        },
        **OPTIONS,
        **more,
    )


def test_tables_by_type_become_the_graph_that_they_hold(tmp_path):
    users, buys, tags = write_tables(tmp_path)
    store = built(tmp_path, undirected=True, labels={"item": tmp_path / "kinds.csv"})
    assert [problem for _, problem in verification(store) if problem] == []
    schema = store.schema
    assert schema.node_types == ("user", "item", "tag")
    assert schema.sizes == (6, 6, 2)
    assert schema.dims[:2] == (2, 1)
    assert schema.label_type == "item"
    ids = own_ids(store)
    assert {name for kind, name in ids if kind == "user"} == set(users)
    assert {name for kind, name in ids if kind == "item"} == {str(i) for i in range(7, 13)}
    held = {
        (ids[src], ids[dst])
        for part in ("valid", "test")
        for src, dst in zip(store.links(part).src, store.links(part).dst, strict=True)
    }
    given = {(("user", u), ("item", str(i))) for u, i in buys}
    given |= {(("item", str(i)), ("tag", tag)) for i, tag in tags}
    found = {(src, dst) for src, kind, dst in edges_in(store) if "rev_" not in kind}
    assert found | held == given and not found & held
    for kind, name in ids:
        if (kind, name) == ("item", "12"):  # it has no row of features
            node = ids.index((kind, name))
            own = store.layout.own(1, np.array([node]))[0]
            assert store.read("feat/1", own, own + 1).tolist() == [[0.0]]
    labels = {ids[node][1]: store.label_names[value]
              for node, value in enumerate(store.read("label")) if value >= 0}  # fmt: skip
    assert labels == {"7": "a", "8": "b", "9": "a", "10": "b", "11": "a"}


def test_the_command_line_takes_types_before_files(tmp_path, hvdtma):
    write_tables(tmp_path)
    status, _, _ = hvdtma(
        "build", tmp_path / "g.zarr", "--nodes", f"user={tmp_path / 'users.csv'}",
        "--edges", f"user:buys:item={tmp_path / 'buys.csv'}", "--undirected",
        "--target", "buys", "--valid", "2", "--test", "2", "--negatives", "5",
    )  # fmt: skip
    assert status == 0
    store = open_store(tmp_path / "g.zarr")
    assert store.edge_type_names == ["user:buys:item", "item:rev_buys:user"]
    assert hvdtma("verify", tmp_path / "g.zarr")[0] == 0


def test_arguments_with_and_without_types_are_told_apart():
    assert is_typed_edges("user:buys:item=buys.csv")
    assert not is_typed_edges("buys.csv")
    assert not is_typed_edges("sql:SELECT a::INT=b::INT FROM 'x.csv'")
    assert by_type(["a=1.csv", "a=2.csv", "b=sql:SELECT 1=1"]) == {
        "a": ["1.csv", "2.csv"],
        "b": "sql:SELECT 1=1",
    }
    with pytest.raises(UserError, match=r"'users.csv' names no type"):
        by_type(["users.csv"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": {"users": "users.csv"}}, r"'users', which is no end.*did you mean 'user'"),
        ({"labels": {"itme": "kinds.csv"}}, r"labels.*'itme'.*did you mean 'item'"),
        ({"edges": {"user-buys": "buys.csv"}}, "not source:relation:destination"),
        ({"edges": {"user:buys:item": "nothing.csv"}}, "no edges file 'nothing.csv'"),
        ({"edges": "buys.csv"}, "needs edges by edge type"),
        ({"features": "users.csv"}, "not for typed graphs"),
        ({"target": "sells"}, "target 'sells' is no edge type"),
        ({"weight_column": "age"}, "weight.column.*age is not for typed graphs.*no weights"),
        ({"time_column": "age"}, "time.column.*age is not for typed graphs.*no times"),
        ({"type_column": "age"}, "type.column.*age is not for typed graphs"),
        ({"edges": {"user:buys:item": "nothing.csv"}, "split": "time"}, "held out at random"),
        ({"edges": {"user:buys:item": "nothing.csv"}, "features_like": "a.zarr"}, "no projection"),
        ({"edges": {"user:buys:item": "nothing.csv"}, "target": "sells"}, "no edge type"),
        ({"splits": "users.csv"}, "not for typed graphs"),
    ],
)
def test_bad_input_is_one_message(tmp_path, monkeypatch, changes, message):
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    given = {"nodes": {"user": "users.csv"}, "edges": {("user", "buys", "item"): "buys.csv"}}
    with pytest.raises(UserError, match=message):
        hvdtma.build("g.zarr", **{**given, **OPTIONS, **changes})
    assert not (tmp_path / "g.zarr").exists()


def hetero_data(geometric, torch):
    data = geometric.HeteroData()
    data["paper"].x = torch.arange(60.0).reshape(20, 3)
    data["paper"].y = torch.arange(20) % 2
    data["paper"].train_mask = torch.arange(20) < 10
    data["author"].x = torch.ones(8, 1)
    data["field"].num_nodes = 3
    generator = torch.Generator().manual_seed(0)
    for src, kind, dst, number in (
        ("author", "writes", "paper", 40),
        ("paper", "cites", "paper", 40),
        ("paper", "in", "field", 20),
    ):
        sizes = data[src].num_nodes, data[dst].num_nodes
        ends = [torch.randint(0, size, (number,), generator=generator) for size in sizes]
        data[src, kind, dst].edge_index = torch.stack(ends)
    data["author", "writes", "paper"].colour = torch.ones(40, 2)
    return data


def expected_edges(data):
    found = set()
    for src, kind, dst in data.edge_types:
        for u, v in data[src, kind, dst].edge_index.T.tolist():
            if (src, u) != (dst, v):
                found.add(((src, u), f"{src}:{kind}:{dst}", (dst, v)))
    return found


def test_hetero_data_comes_back_with_features_labels_and_split(tmp_path, capsys):
    geometric, torch = pytest.importorskip("torch_geometric.data"), pytest.importorskip("torch")
    data = hetero_data(geometric, torch)
    store = hvdtma.build(
        tmp_path / "g.zarr", data, hold_out="nodes", valid=3, test=3, block_nodes=4
    )
    assert set(edges_in(store)) == expected_edges(data)
    assert "author:writes:paper.colour [40, 2]" in capsys.readouterr().err
    schema, layout = store.schema, store.layout
    assert schema.dims[:2] == (3, 1) and schema.features[2] == "degrees"
    ids = own_ids(store)
    papers = layout.nodes(0, np.arange(20))
    rows = [ids[node][1] for node in papers]
    np.testing.assert_array_equal(store.read("feat/0"), data["paper"].x.numpy()[rows])
    label = store.read("label")
    assert [store.label_names[value] for value in label[papers]] == [str(row % 2) for row in rows]
    train = {ids[node] for node in store.labelled_nodes("train")}
    assert train <= {("paper", number) for number in range(10)}
    assert [problem for _, problem in verification(store) if problem] == []


def test_a_heterograph_of_dgl_is_read_like_hetero_data(tmp_path):
    dgl, torch = pytest.importorskip("dgl"), pytest.importorskip("torch")
    geometric = pytest.importorskip("torch_geometric.data")
    data = hetero_data(geometric, torch)
    ends = {kind: tuple(data[kind].edge_index) for kind in data.edge_types}
    sizes = {name: data[name].num_nodes for name in data.node_types}
    graph = dgl.heterograph(ends, num_nodes_dict=sizes)
    graph.nodes["paper"].data["feat"] = data["paper"].x
    one, other = from_dgl(graph), from_pyg(data)
    assert set(one.edges) == set(other.edges)
    for kind, (src, dst) in other.edges.items():
        np.testing.assert_array_equal(one.edges[kind][0], src)
        np.testing.assert_array_equal(one.edges[kind][1], dst)
    np.testing.assert_array_equal(one.nodes["paper"].feat, other.nodes["paper"].feat)


def test_ids_by_type_may_be_text_beside_numbers(tmp_path):
    geometric, torch = pytest.importorskip("torch_geometric.data"), pytest.importorskip("torch")
    data = hetero_data(geometric, torch)
    names = [f"autör {number}" for number in range(8)]
    store = hvdtma.build(
        tmp_path / "g.zarr", from_pyg(data, ids={"author": names}), **{**OPTIONS, "valid": 0.1}
    )
    ids = own_ids(store)
    assert {name for kind, name in ids if kind == "author"} == set(names)
    assert ("paper", "0") in ids
    with pytest.raises(UserError, match="ids of 'writer'"):
        from_pyg(data, ids={"writer": names})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("edge_attr", "'edge_attr' of 'author:writes:paper' .* have no edge features, and no enc"),
        ("edge_weight", "have no edge weights"),
        ("time", "have no edge times"),
    ],
)
def test_data_of_edges_are_refused_by_name(name, message):
    geometric, torch = pytest.importorskip("torch_geometric.data"), pytest.importorskip("torch")
    data = hetero_data(geometric, torch)
    data["author", "writes", "paper"][name] = torch.ones(40)
    with pytest.raises(UserError, match=message):
        from_pyg(data)


def test_a_link_split_of_hetero_data_is_refused():
    geometric, torch = pytest.importorskip("torch_geometric.data"), pytest.importorskip("torch")
    data = hetero_data(geometric, torch)
    data["author", "writes", "paper"].edge_label_index = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(UserError, match="link splits of HeteroData are not read"):
        from_pyg(data)
