"""A store can have the features of an old one: the same axes, columns by name, nodes by id."""

import numpy as np
import pytest
import scipy.sparse as sp
from small_graphs import community_graph

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.builder.svd import neighbour_features
from hvdtma.graph.csc import build_csc
from hvdtma.graph.raw import EdgeStream, RawGraph
from hvdtma.graph.store import GraphStore
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.storage.node_ids import NodeIds

NODES = 600
LINKS = {"hold_out": "nodes", "negatives": 5}


def cosines(old: GraphStore, new: GraphStore) -> np.ndarray:
    """Of the features of every node that both stores have; nodes without features are left out."""
    at = {id_: row for row, id_ in enumerate(new.node_ids().to_list())}
    kept = [(row, at[id_]) for row, id_ in enumerate(old.node_ids().to_list()) if id_ in at]
    rows, others = np.array(kept).T
    left, right = old.read("feat")[rows].astype(float), new.read("feat")[others].astype(float)
    size = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(1)[size > 0] / size[size > 0]


def graph(**more) -> RawGraph:
    raw = community_graph(NODES)
    raw.feat = None
    for name, value in more.items():
        setattr(raw, name, value)
    return raw


def with_new_links(raw: RawGraph, share: float) -> RawGraph:
    rng = np.random.default_rng(1)
    num = int(share * raw.num_edges)
    raw.src = np.r_[raw.src, rng.integers(0, NODES, num)]
    raw.dst = np.r_[raw.dst, rng.integers(0, NODES, num)]
    return raw


def with_new_nodes(raw: RawGraph, num: int) -> RawGraph:
    """The ids of the old nodes are in another order; new nodes have five links to old ones each."""
    rng = np.random.default_rng(2)
    src = np.repeat(np.arange(NODES, NODES + num), 5)
    order = rng.permutation(NODES + num)
    ends = np.r_[raw.src, src], np.r_[raw.dst, rng.integers(0, NODES, len(src))]
    ids = np.r_[np.array(raw.node_id.to_list()), np.arange(num)]
    rank = np.argsort(order)
    label = np.r_[raw.label, np.full(num, -1)]
    return graph(
        src=rank[ends[0]], dst=rank[ends[1]], node_id=NodeIds.of(ids[order]), label=label[order]
    )


def words(rng, nodes=NODES, num_words=400) -> sp.csr_matrix:
    """Counts of words; each community has words of its own."""
    topic = rng.integers(0, 6, nodes)
    word = rng.integers(0, num_words // 6, (nodes, 20)) * 6 + topic[:, None]
    ones = np.ones(word.size)
    return sp.csr_matrix(
        (ones, (np.repeat(np.arange(nodes), 20), word.ravel())), (nodes, num_words)
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def old(tmp_path):
    """A store whose features are made from the graph."""
    return build(tmp_path / "old.zarr", graph(), BuildOptions(feature_dim=16, seed=1, **LINKS))


def built_like(old, path, raw, **options) -> GraphStore:
    store = build(path, raw, BuildOptions(features_like=str(old.path), **(LINKS | options)))
    assert [problem for _, problem in verification(store) if problem] == []
    assert store.features == old.features
    return store


def test_an_unchanged_graph_has_the_same_features(old, tmp_path):
    again = built_like(old, tmp_path / "new.zarr", graph(), seed=9)
    assert cosines(old, again).min() > 0.9999
    at = np.argsort(old.node_ids().to_list()), np.argsort(again.node_ids().to_list())
    np.testing.assert_allclose(old.read("feat")[at[0]], again.read("feat")[at[1]], atol=1e-4)


def test_without_the_option_another_seed_gives_other_axes(old, tmp_path):
    """The fault that the option is for; if this fails, the other tests show nothing."""
    other = with_new_links(graph(), 0.05)
    store = build(tmp_path / "new.zarr", other, BuildOptions(feature_dim=16, seed=9, **LINKS))
    assert cosines(old, store).mean() < 0.9
    assert store.features["fingerprint"] != old.features["fingerprint"]


def test_new_links_change_features_little_and_only_where_they_are(old, tmp_path):
    later = with_new_links(graph(), 0.05)
    found = cosines(old, built_like(old, tmp_path / "new.zarr", later))
    assert found.mean() > 0.95
    touched = len(np.unique(np.r_[later.src[3000:], later.dst[3000:]]))
    assert (found > 0.9999).sum() >= NODES - touched


def test_new_nodes_are_placed_by_their_old_neighbours_and_move_no_other(old, tmp_path):
    raw = with_new_nodes(graph(), 40)
    store = built_like(old, tmp_path / "new.zarr", raw)
    assert cosines(old, store).min() > 0.9999
    assert store.attrs["counts"]["nodes_not_in_features_like"] == 40
    ids, feat = store.node_ids().to_list(), store.read("feat")
    of_old = dict(zip(old.node_ids().to_list(), range(NODES), strict=True))
    matrix = old.read("projection/matrix")
    projected = dict(zip(old.read("projection/names/values").tolist(), matrix, strict=True))
    for id_ in range(0, 40, 7):  # the sum over old neighbours, by the user's ids
        node = ids.index(id_)
        first, last = store.read("indptr")[node : node + 2]
        near = [ids[v] for v in store.read("indices")[first:last]]
        near = [v for v in near if v in of_old]
        expected = sum(projected[v] for v in near) / np.sqrt(len(near))
        np.testing.assert_allclose(feat[node], expected, rtol=1e-4, atol=1e-5)


def test_made_features_are_the_singular_vectors_of_the_normalised_adjacency(tmp_path):
    """Against NumPy's full SVD: M V = U S, up to signs and to the size of the matrix."""
    store = build(tmp_path / "x.zarr", graph(), BuildOptions(feature_dim=8, **LINKS))
    adjacency = np.eye(NODES)
    dst = np.repeat(np.arange(NODES), np.diff(store.read("indptr")))
    adjacency[dst, store.read("indices")] += 1
    root = np.sqrt(adjacency.sum(1))
    left, singular, _ = np.linalg.svd(adjacency / root[:, None] / root[None, :])
    expected = (left * np.sqrt(singular))[:, :5]
    expected /= np.linalg.norm(expected[:, 0])
    feat = store.read("feat")[:, :5]
    feat = feat / np.linalg.norm(feat[:, 0])
    assert np.abs(np.abs((expected * feat).sum(0)) / (expected**2).sum(0) - 1).max() < 0.05


def test_a_partition_and_a_chain_of_stores_keep_the_projection(old, tmp_path):
    grouped = partition(
        old, tmp_path / "super.zarr", PartitionOptions("super", {"super_nodes": 20})
    )
    assert [problem for _, problem in verification(grouped) if problem] == []
    assert grouped.features == old.features
    second = built_like(grouped, tmp_path / "2.zarr", with_new_nodes(graph(), 10))
    third = built_like(second, tmp_path / "3.zarr", graph())
    assert cosines(old, third).min() > 0.9999


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("order", ["random", "given"])
def test_reduced_features_keep_their_axes(tmp_path, rng, sparse, order):
    feat = words(rng)
    given = feat if sparse else feat.toarray().astype(np.float32)
    options = {"feature_dim": 16, "order": order, **LINKS}
    old = build(tmp_path / "old.zarr", graph(feat=given), BuildOptions(**options))
    # Other nodes with other words beside: rows alone decide, not what else is in the file.
    changed = sp.vstack([feat[:300], words(rng, 300)]).tocsr()
    later = graph(feat=changed if sparse else changed.toarray().astype(np.float32))
    store = built_like(old, tmp_path / "new.zarr", later, order=order)
    found = cosines(old, store)
    assert (found > 0.9999).sum() >= 300
    plain = build(tmp_path / "plain.zarr", later, BuildOptions(**(options | {"seed": 9})))
    assert (cosines(old, plain) > 0.9999).sum() < 100


@pytest.mark.parametrize("sparse", [True, False])
def test_columns_are_matched_by_their_names(tmp_path, rng, sparse):
    feat = words(rng)
    names = [f"word {number}" for number in range(feat.shape[1])]

    def of(matrix, columns):
        given = matrix.tocsr() if sparse else matrix.toarray().astype(np.float32)
        return graph(feat=given, feature_names=columns)

    old = build(tmp_path / "o.zarr", of(feat, names), BuildOptions(feature_dim=16, **LINKS))
    order = rng.permutation(feat.shape[1] + 3)
    wider = sp.hstack([feat, words(rng, num_words=6)[:, :3]]).tocsr()[:, order]
    columns = [[*names, "new 1", "new 2", "new 3"][at] for at in order]
    store = built_like(old, tmp_path / "n.zarr", of(wider, columns))
    assert cosines(old, store).min() > 0.9999
    assert store.attrs["counts"]["features_not_in_features_like"] == 3


def test_a_missing_column_is_zero_in_counts_and_refused_in_dense_features(tmp_path, rng):
    feat = words(rng)
    names = list(range(100, 100 + feat.shape[1]))
    options = BuildOptions(feature_dim=16, **LINKS)
    old = build(tmp_path / "old.zarr", graph(feat=feat, feature_names=names), options)
    fewer = graph(feat=feat[:, 1:], feature_names=names[1:])
    store = built_like(old, tmp_path / "new.zarr", fewer)
    assert store.attrs["counts"]["features_missing"] == 1
    unused = np.asarray(feat[:, 0].todense()).ravel() == 0
    assert (cosines(old, store) > 0.9999).sum() >= unused.sum()
    fewer.feat = feat[:, 1:].toarray()
    with pytest.raises(UserError, match="1 of its 400 features are missing here, such as '100'"):
        build(tmp_path / "x.zarr", fewer, BuildOptions(features_like=str(old.path), **LINKS))


class Pieces:
    """`SequentialRows` of an array, last node first."""

    def __init__(self, feat):
        self.feat, self.shape, self.dtype = feat[::-1], feat.shape, feat.dtype
        self.nodes = np.arange(len(feat))[::-1]

    def pieces(self):
        yield from np.array_split(self.feat, 7)


def test_features_as_given_are_put_in_the_old_order_by_name(tmp_path, rng):
    feat = rng.random((NODES, 5), np.float32)
    names = ["a", "b", "c", "d", "e"]
    old = build(tmp_path / "o.zarr", graph(feat=feat, feature_names=names), BuildOptions(**LINKS))
    assert old.features["kind"] == "given"
    for given in (feat[:, ::-1], Pieces(feat[:, ::-1]), sp.csr_matrix(feat[:, ::-1])):
        later = graph(feat=given, feature_names=names[::-1])
        store = built_like(old, tmp_path / f"{type(given).__name__}.zarr", later)
        assert cosines(old, store).min() > 0.9999


def test_a_store_of_other_features_is_refused(old, tmp_path, rng):
    feat = words(rng)
    reduced = build(tmp_path / "r.zarr", graph(feat=feat), BuildOptions(feature_dim=16, **LINKS))

    def refused(raw, like, message, **options):
        with pytest.raises(UserError, match=message):
            build(tmp_path / "x.zarr", raw, BuildOptions(features_like=str(like.path), **options))
        assert not (tmp_path / "x.zarr").exists()

    refused(graph(feat=feat), old, "made from its graph, but this graph comes with features")
    refused(graph(), reduced, "made from given ones, but this graph comes with no features")
    refused(graph(feat=feat[:, :99]), reduced, "99 features here, .*of 400; without the names")
    refused(graph(), old, "--feature-dim 4 with --features-like", feature_dim=4)
    strangers = graph(node_id=NodeIds.of(np.arange(NODES)))
    refused(strangers, old, "none of the ids here")
    refused(
        graph(node_id=NodeIds.of(list(map(str, range(NODES))))), old, "integers, here .*strings"
    )
    with pytest.raises(UserError, match="no store at"):
        build(tmp_path / "x.zarr", graph(), BuildOptions(features_like="nowhere.zarr"))


def test_the_least_memory_that_is_named_is_enough(old, tmp_path):
    def attempt(memory_gb):
        options = BuildOptions(features_like=str(old.path), **LINKS)
        return build(tmp_path / "x.zarr", graph(), options, memory_gb=memory_gb)

    with pytest.raises(UserError, match="too little for building") as refused:
        attempt(0.1)
    least_gb = float(str(refused.value).partition("give memory_gb=")[2].split()[0])
    with pytest.raises(UserError, match=f"give memory_gb={least_gb:.2f} or more"):
        attempt(least_gb - 0.011)
    assert attempt(least_gb).features == old.features


def test_a_damaged_projection_is_found(old, tmp_path):
    [chunk, *_] = sorted((old.path / "projection/matrix/c").rglob("*"))[-1:]
    content = bytearray(chunk.read_bytes())
    content[5] ^= 1
    chunk.write_bytes(content)
    assert [name for name, problem in verification(old) if problem] == [
        "checksum of projection/matrix"
    ]


def test_a_source_in_batches_has_features_like_an_old_store_too(old, tmp_path):
    raw = graph()
    batches = EdgeStream(
        lambda: [(raw.src[half], raw.dst[half], None) for half in (slice(1500), slice(1500, None))],
        num_nodes=NODES,
        num_edges=raw.num_edges,
        ids=raw.node_id.to_list(),
        undirected=True,
        label=raw.label,
        label_names=raw.label_names,
    )
    assert cosines(old, built_like(old, tmp_path / "new.zarr", batches)).min() > 0.9999


@pytest.mark.parametrize("weighted", [False, True])
def test_neighbours_place_a_node_by_their_weights(rng, weighted):
    """Against a plain loop over nodes and neighbours."""
    csc = build_csc(*rng.integers(0, 30, (2, 200)), 30)
    weight = rng.random(200, np.float32) + 0.5 if weighted else None
    place, matrix = rng.integers(-1, 12, 30), rng.random((12, 4), np.float32)
    found = neighbour_features(csc, weight, place, place, matrix)
    for node in range(30):
        edges = range(csc.indptr[node], csc.indptr[node + 1])
        terms = [(place[csc.indices[e]], weight[e] if weighted else 1.0) for e in edges]
        terms = [(row, each) for row, each in [*terms, (place[node], 1.0)] if row >= 0]
        expected = sum((each * matrix[row] for row, each in terms), np.zeros(4))
        expected = expected / np.sqrt(sum(each for _, each in terms)) if terms else expected
        np.testing.assert_allclose(found[node], expected, rtol=1e-5)
