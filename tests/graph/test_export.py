"""A store goes to PyG and DGL and comes back the same graph, by the users' ids."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_graphs import stored_edges_by_id
from small_labels import labelled_store

import hvdtma
from hvdtma.core.dgl_import import dgl
from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.export import export
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.verify import verification
from hvdtma.storage.node_ids import NodeIds


@pytest.fixture(scope="module")
def weighted_store(tmp_path_factory):
    """Undirected, with weights, odd ids, and held-out links."""
    rng = np.random.default_rng(2)
    src, dst = rng.integers(0, 60, (2, 400))
    ids = [f"{n:03d} '包\"" for n in rng.permutation(60)]
    raw = RawGraph(
        src,
        dst,
        NodeIds.of(ids),
        weight=rng.uniform(0.1, 9, 400).astype(np.float32),
        undirected=True,
        feat=rng.normal(size=(60, 3)).astype(np.float32),
    )
    path = tmp_path_factory.mktemp("weighted") / "g.zarr"
    return build(path, raw, BuildOptions(negatives=7, block_nodes=9, feature_dtype="float16"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    return {
        kind: labelled_store(folder / f"{kind}.zarr", kind) for kind in ("class", "multi", "real")
    }


def by_id(store, name: str) -> dict:
    """The rows of an array by the ids of its nodes."""
    return dict(zip(store.node_ids().to_list(), store.read(name).tolist(), strict=True))


def weights_by_id(store) -> dict:
    rows, ids = store.rows(0, store.num_nodes), store.node_ids().to_list()
    ends = zip(rows.indices, rows.destinations(), strict=True)
    return {(ids[u], ids[v]): w for (u, v), w in zip(ends, rows.weight, strict=True)}


def links_by_id(store, part: str) -> list:
    links, ids = store.links(part), np.array(store.node_ids().to_list())
    types = np.zeros(len(links), int) if links.edge_type is None else links.edge_type
    negatives = ids[links.neg].tolist()
    ends = zip(ids[links.src].tolist(), ids[links.dst].tolist(), strict=True)
    return [
        (*pair, kind, neg) for pair, kind, neg in zip(ends, types.tolist(), negatives, strict=True)
    ]


def through(store, form: str, folder):
    """The store built again from an object that came out of a file."""
    out = export(store, folder / f"graph.{form}", form)
    if form == "pyg":
        raw = hvdtma.from_pyg(torch.load(out, weights_only=False))
    else:
        graphs, beside = dgl.load_graphs(str(out))
        raw = hvdtma.from_dgl(graphs[0], beside=beside)
    options = BuildOptions(
        block_nodes=9, negatives=3, seed=8, feature_dtype=str(store.feature_dtype)
    )
    return build(folder / f"{form}.zarr", raw, options)


@pytest.mark.parametrize("form", ["pyg", "dgl"])
@pytest.mark.parametrize("which", ["weighted", "typed", "community"])
def test_edges_features_weights_types_splits_and_ids_come_back(request, tmp_path, which, form):
    store = request.getfixturevalue(f"{which}_store")
    again = through(store, form, tmp_path)
    assert all(problem is None for _, problem in verification(again))
    assert again.undirected == store.undirected
    assert again.edge_type_names == store.edge_type_names
    assert stored_edges_by_id(again) == stored_edges_by_id(store)
    assert by_id(again, "feat") == by_id(store, "feat")
    if store.weighted:
        assert weights_by_id(again) == weights_by_id(store)
    if "label" in store:
        assert again.label_names == store.label_names
        assert by_id(again, "label") == by_id(store, "label")
    for part in ("valid", "test"):
        assert sorted(links_by_id(again, part)) == sorted(links_by_id(store, part))


@pytest.mark.parametrize("make", ["to_pyg", "to_dgl"])
@pytest.mark.parametrize("kind", ["class", "multi", "real"])
def test_labels_and_splits_of_nodes_come_back(labels, tmp_path, make, kind):
    store = labels[kind]
    options = {"hold_out": "nodes", "seed": 5}
    again = hvdtma.build(tmp_path / "g.zarr", getattr(store, make)(), **options)
    assert (again.label_kind, again.label_names) == (kind, store.label_names)
    np.testing.assert_equal(by_id(again, "label"), by_id(store, "label"))
    assert again.held_out == {}
    for part in ("train", "valid", "test"):
        ids = [one.node_ids().take(one.labelled_nodes(part)).to_list() for one in (again, store)]
        assert sorted(ids[0]) == sorted(ids[1])


def test_a_pyg_object_has_the_usual_names_and_no_held_out_edge(community_store, labels):
    data = community_store.to_pyg()
    assert data.edge_index.shape == (2, community_store.num_edges)
    links = community_store.links("test")
    assert torch.equal(data.test_pos_edge_index[0], torch.from_numpy(links.src.astype(np.int64)))
    edges = set(map(tuple, data.edge_index.T.tolist()))
    assert not edges & set(map(tuple, data.test_pos_edge_index.T.tolist()))
    assert data.node_id.tolist() == community_store.node_ids().to_list()
    of_labels = labels["class"].to_pyg()
    masks = of_labels.train_mask.int() + of_labels.val_mask.int() + of_labels.test_mask.int()
    assert torch.equal(masks.bool(), of_labels.y >= 0)
    assert int(masks.max()) == 1


def test_a_changed_object_is_not_built_with_old_ids(community_store):
    data = community_store.to_pyg().subgraph(torch.arange(50))
    with pytest.raises(
        hvdtma.UserError, match=r"has 50 nodes, but its attribute 'hvdtma' is of 600"
    ):
        hvdtma.from_pyg(data)


def test_parquet_has_ids_splits_and_every_column(weighted_store, labels, tmp_path, hvdtma):
    status, out, err = hvdtma("export", weighted_store.path, "--to", "parquet", tmp_path / "out")
    assert status == 0, err
    assert str(tmp_path / "out") in out
    edges = pq.read_table(tmp_path / "out/edges.parquet").to_pylist()
    weights = weights_by_id(weighted_store)
    train = [row for row in edges if row["split"] == "train"]
    assert 2 * len(train) == weighted_store.num_edges
    assert all(weights[row["src"], row["dst"]] == np.float32(row["weight"]) for row in train)
    held = [(row["src"], row["dst"]) for row in edges if row["split"] == "test"]
    assert sorted(held) == sorted(link[:2] for link in links_by_id(weighted_store, "test"))
    nodes = pq.read_table(export(labels["multi"], tmp_path / "nodes", "parquet") / "nodes.parquet")
    assert nodes.column_names == ["id", "feat", *(f"label_{n}" for n in "abcd"), "split"]
    assert nodes["id"].to_pylist() == labels["multi"].node_ids().to_list()
    unknown = (labels["multi"].read("label")[:, 0] == 255).sum()
    assert nodes["label_a"].null_count == unknown


@pytest.mark.parametrize(
    ("to", "out", "words"),
    [
        ("pig", "new", ["'pig'", "valid: pyg, dgl, parquet; did you mean 'pyg'?"]),
        ("pyg", "file", ["exists; give --overwrite"]),
        ("parquet", "folder", ["exists; give --overwrite"]),
    ],
)
def test_what_is_there_is_kept(community_store, tmp_path, hvdtma, to, out, words):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes").write_text("mine")
    status, _, err = hvdtma("export", community_store.path, "--to", to, tmp_path / out)
    assert status == 2
    for word in words:
        assert word in " ".join(err.split())
    with pytest.raises(UserError, match="no export of this form"):
        export(community_store, tmp_path / "folder", "parquet", overwrite=True)
    assert (tmp_path / "folder/notes").read_text() == "mine"
