"""A typed store goes to PyG, DGL and Parquet, and comes back the same graph, by type and id."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typed_graphs import BUYS, edges_in, own_ids, shop_graph, shop_store

import hvdtma
from hvdtma.core.dgl_import import dgl
from hvdtma.core.errors import UserError
from hvdtma.graph.export import export
from hvdtma.graph.verify import verification
from hvdtma.storage.node_ids import NodeIds


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typed")
    texts = shop_graph()
    texts.nodes["shop/1"].ids = NodeIds.of([f"{n} '包\"" for n in range(6)])
    return {
        "links": shop_store(folder / "links.zarr", texts, valid=0.1, test=0.1),
        "nodes": shop_store(folder / "nodes.zarr", hold_out="nodes", valid=0.2, test=0.2),
    }


def held_out_in(store, part):
    """Each held-out link with its type and negatives, by type and id."""
    links, ids = store.links(part), own_ids(store)
    return sorted(
        str((ids[src], store.edge_type_names[kind], ids[dst], [ids[n] for n in neg]))
        for src, dst, kind, neg in zip(
            links.src, links.dst, links.edge_type, links.neg, strict=True
        )
    )


def features_in(store):
    found = {}
    for number, name in enumerate(store.schema.node_types):
        ids = store.node_ids().take(
            store.layout.nodes(number, np.arange(store.schema.sizes[number]))
        )
        found[name] = dict(zip(ids.to_list(), store.read(f"feat/{number}").tolist(), strict=True))
    return found


def through(store, form, folder):
    """The store built again from an object that came out of a file."""
    out = export(store, folder / f"graph.{form}", form)
    if form == "pyg":
        graph = hvdtma.from_pyg(torch.load(out, weights_only=False))
    else:
        graphs, beside = dgl.load_graphs(str(out))
        graph = hvdtma.from_dgl(graphs[0], beside=beside)
    options = {"seed": 8, "feature_dim": None, "hold_out": "links" if store.held_out else "nodes"}
    return shop_store(folder / f"{form}.zarr", graph, **options)


@pytest.mark.parametrize("form", ["pyg", "dgl"])
@pytest.mark.parametrize("which", ["links", "nodes"])
def test_everything_comes_back(stores, tmp_path, which, form):
    store = stores[which]
    again = through(store, form, tmp_path)
    assert all(problem is None for _, problem in verification(again))
    assert again.schema.node_types == store.schema.node_types
    assert again.edge_type_names == store.edge_type_names
    assert again.schema.held_out == store.schema.held_out
    assert edges_in(again) == edges_in(store)
    assert features_in(again) == features_in(store)
    assert again.schema.features[2] == "degrees"
    for part in ("valid", "test"):
        if which == "links":
            assert held_out_in(again, part) == held_out_in(store, part)
        else:
            ids = [
                np.array(own_ids(s), object)[s.labelled_nodes(part)].tolist()
                for s in (again, store)
            ]
            assert sorted(ids[0]) == sorted(ids[1])
    assert again.label_names == store.label_names
    labels = [dict(zip(own_ids(s), s.read("label").tolist(), strict=True)) for s in (again, store)]
    assert labels[0] == labels[1]


def test_a_hetero_data_has_the_usual_names_and_no_held_out_edge(stores):
    store = stores["links"]
    data = store.to_pyg()
    assert data.node_types == list(store.schema.node_types)
    assert data["üser"].x.shape == (120, 5)
    assert "x" not in data["shop/1"]
    src, dst = data[tuple(BUYS)].edge_index.numpy()
    users, items = data["üser"].node_id, data["item"].node_id
    edges = edges_in(store)
    assert len(src) == sum(n for (_, kind, _), n in edges.items() if kind == str(BUYS))
    for u, i in zip(src[:50], dst[:50], strict=True):
        assert (("üser", users[u]), str(BUYS), ("item", items[i])) in edges
    item = stores["nodes"].to_pyg()["item"]
    assert item.y.shape == (80,)
    assert int(item.train_mask.sum() + item.val_mask.sum() + item.test_mask.sum()) == 80


def test_an_exported_graph_that_was_changed_is_refused(stores):
    data = stores["links"].to_pyg()
    data["üser"].num_nodes = 121
    with pytest.raises(UserError, match="delete it to build from the changed graph"):
        hvdtma.from_pyg(data)


def test_parquet_has_every_node_with_its_type_and_width(stores, tmp_path):
    store = stores["nodes"]
    folder = export(store, tmp_path / "tables", "parquet")
    nodes = pq.read_table(folder / "nodes.parquet").to_pylist()
    expected = features_in(store)
    assert len(nodes) == store.num_nodes
    for row in nodes:
        np.testing.assert_allclose(row["feat"], expected[row["type"]][row["id"]], rtol=1e-6)
        assert (row["label"] is None) == (row["type"] != "item")
    edges = pq.read_table(folder / "edges.parquet")
    assert edges.num_rows == store.num_edges
    assert set(edges["type"].to_pylist()) == set(store.edge_type_names)
