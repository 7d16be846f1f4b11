"""A typed store has every edge, feature and mean in its place, in any order and partition.

Legend: N nodes, D features.
"""

from itertools import pairwise

import numpy as np
import pytest
from typed_graphs import BUYS, FOLLOWS, edges_given, edges_in, own_ids, shop_graph, shop_store

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.describe import description
from hvdtma.graph.store import open_store
from hvdtma.graph.typed.layout import NodeLayout
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.storage.writer import StoreWriter


@pytest.fixture(scope="module")
def graph():
    return shop_graph()


@pytest.fixture(scope="module")
def stores(graph, tmp_path_factory):
    """The store, and the same graph in three other orders."""
    folder = tmp_path_factory.mktemp("typed")
    first = shop_store(folder / "first.zarr", graph)
    methods = {
        "random": {"seed": 5},
        "super": {"options": {"super_nodes": 12}, "block_nodes": 16},
        "min-cut": {"options": {"parts": 3}, "block_nodes": 20},
    }
    others = {
        name: partition(first, folder / f"{name}.zarr", PartitionOptions(name, **options))
        for name, options in methods.items()
    }
    return {"first": first, **others}


def problems(store):
    return {name: problem for name, problem in verification(store) if problem}


def held_out(store):
    """Every held-out link as (source, edge type, destination), with ends by type and id."""
    ids, found = own_ids(store), set()
    for part in ("valid", "test"):
        pairs = store.links(part)
        ends = zip(pairs.src, pairs.edge_type, pairs.dst, strict=True)
        found |= {(ids[src], store.edge_type_names[kind], ids[dst]) for src, kind, dst in ends}
    return found


def test_every_order_passes_every_check(stores):
    for store in stores.values():
        assert problems(store) == {}


def test_training_edges_and_held_out_links_are_the_given_edges(graph, stores):
    given = edges_given(graph)
    for store in stores.values():
        found = edges_in(store)
        assert max(found.values()) == 1
        out = held_out(store)
        pairs = {frozenset((src, dst)) for src, _, dst in out}
        assert not {frozenset((src, dst)) for src, _, dst in found} & pairs
        apart = {edge for edge in given if frozenset((edge[0], edge[2])) in pairs}
        assert set(found) == given - apart
        assert out == {edge for edge in apart if "rev_" not in edge[1]}


def test_a_partition_keeps_held_out_links_and_negatives(stores):
    first = held_out(stores["first"])
    for store in stores.values():
        assert held_out(store) == first
        for part in ("valid", "test"):
            pairs, ids = store.links(part), own_ids(store)
            kinds = store.schema.ends[pairs.edge_type, 1]
            for row, kind in zip(pairs.neg, kinds, strict=True):
                assert {ids[node][0] for node in row} == {store.schema.node_types[kind]}


def test_features_degrees_and_means_are_those_of_the_type(graph, stores):
    for store in stores.values():
        schema, layout = store.schema, store.layout
        csc, ids = store.rows(0, store.num_nodes), store.node_ids().to_list()
        dst = csc.destinations()
        users = graph.nodes["üser"]
        row_of = {name: row for row, name in enumerate(users.ids.to_list())}
        nodes = layout.nodes(0, np.arange(schema.sizes[0]))
        rows = [row_of[ids[node]] for node in nodes]
        np.testing.assert_array_equal(store.read("feat/0"), users.feat[rows])
        for number, (src_type, dst_type) in enumerate(schema.ends.tolist()):
            here = csc.edge_type == number
            src_own = layout.own(src_type, csc.indices[here].astype(np.int64))
            dst_own = layout.own(dst_type, dst[here].astype(np.int64))
            degree = np.bincount(dst_own, minlength=schema.sizes[dst_type])
            np.testing.assert_array_equal(store.read(f"in_degree/{number}"), degree)
            total = np.zeros((schema.sizes[dst_type], schema.dims[src_type]))
            np.add.at(total, dst_own, store.read(f"feat/{src_type}")[src_own])
            mean = total / np.maximum(degree, 1)[:, None]
            # only nodes with in-edges of the type have a row
            found = store.read(f"first_hop/{number}")
            np.testing.assert_allclose(found, mean[degree > 0], atol=1e-5)
        degrees = [store.read(f"in_degree/{number}") for number in schema.into(2)]
        np.testing.assert_allclose(store.read("feat/2"), np.log1p(np.stack(degrees, 1)), rtol=1e-6)


def test_own_numbers_and_nodes_are_inverse_of_one_another():
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 4, (30, 3))
    counts[counts.sum(1) == 0, 0] = 1
    counts[5:9, 1] = 0
    ends = np.cumsum(counts.reshape(-1)).reshape(counts.shape)
    layout = NodeLayout(np.concatenate([(ends - counts)[:, :1], ends], axis=1))
    nodes = np.arange(layout.num_nodes)
    types, own = layout.types_and_own(nodes)
    by_hand = np.concatenate([np.repeat(np.arange(3), row) for row in counts])
    np.testing.assert_array_equal(types, by_hand)
    for kind in range(3):
        mine = nodes[by_hand == kind]
        np.testing.assert_array_equal(own[mine], np.arange(len(mine)))
        np.testing.assert_array_equal(layout.nodes(kind, own[mine]), mine)
        np.testing.assert_array_equal(layout.own(kind, mine), own[mine])
    blocks = np.array([2, 3, 11, 29])
    part = layout.of_blocks(blocks)
    expected = np.concatenate([np.repeat(np.arange(3), counts[block]) for block in blocks])
    np.testing.assert_array_equal(part.types_and_own(np.arange(part.num_nodes))[0], expected)


def test_only_links_of_the_target_are_held_out(graph, tmp_path):
    store = shop_store(tmp_path / "g.zarr", graph, target="buys")
    names = {kind for _, kind, _ in held_out(store)}
    assert names == {str(BUYS)}
    assert problems(store) == {}
    assert store.attrs["provenance"][0]["options"]["target"] == "buys"
    with pytest.raises(
        UserError, match=r"is no edge type of the graph.*did you mean 'üser:buys:item'"
    ):
        shop_store(tmp_path / "h.zarr", graph, target="user:buys:item")
    assert not (tmp_path / "h.zarr").exists()


def test_a_memory_limit_does_not_change_the_store(graph, tmp_path):
    options = BuildOptions(block_nodes=16, negatives=20, feature_dim=8)
    one, other = (
        build(tmp_path / f"{size}.zarr", graph, options, memory_gb=size) for size in (0.9, 4)
    )
    assert one.attrs["checksums"] == other.attrs["checksums"]
    with pytest.raises(UserError, match="too little for building a store of 206 nodes"):
        build(tmp_path / "small.zarr", graph, options, memory_gb=0.05)


def test_the_description_names_types_features_and_counts(stores):
    rows = description(stores["first"])
    assert "üser 120 (5 features)" in rows["node types"]
    assert "item 80 (8 features, reduced by an SVD)" in rows["node types"]
    assert "shop/1 6 (1 features of their degrees)" in rows["node types"]
    assert "item:rev_buys:üser" in rows["edge types"]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("split", "time", "held out at random"),
        ("features_like", "other.zarr", "no projection"),
        ("negative_destinations", "seen", "of the type of the end"),
    ],
)
def test_options_that_typed_graphs_lack_are_refused(graph, tmp_path, option, value, message):
    with pytest.raises(UserError, match=f"--{option.replace('_', '-')}.*{message}"):
        shop_store(tmp_path / "g.zarr", graph, **{option: value})


def rewritten(store, path, name, change):
    """A store with an array changed, whose digests are all right."""
    own = ("checksums", "chunk_crcs", "metadata", "format", "format_version", "created", "digest")
    with StoreWriter(path) as writer:
        for each in store.array_names:
            values = store.read(each)
            writer.put(each, change(values.copy()) if each == name else values)
        writer.attrs |= {key: value for key, value in store.attrs.items() if key not in own}
    return open_store(path)


def one_more(values):
    values[0] += 1
    return values


@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("in_degree/2", one_more, "in-degrees by edge type are those of the graph"),
        ("hop_offsets", lambda v: v + 1 * (v > 0) * (v < v[-1]), "in-degrees by edge type are"),
        ("first_hop/2", one_more, "first hop is the mean of the neighbours"),
        ("first_hop/5", lambda v: v[:-1], "types of nodes stand in order in every block"),
        ("feat/2", one_more, "in-degrees by edge type are those of the graph"),
        ("feat/1", lambda v: v[:, 1:], "types of nodes stand in order in every block"),
        ("feat/0", one_more, "first hop is the mean of the neighbours"),
        ("type_offsets", lambda v: v[:, [0, 2, 1, 3]], "types of nodes stand in order"),
        ("edge_type", lambda v: np.full_like(v, 2), "ends of edges are of the types that the"),
        ("split/test/edge_type", lambda v: v * 0 + 4, "ends of edges are of the types that the"),
    ],
)
def test_a_wrong_value_is_named_by_the_check_of_its_promise(stores, tmp_path, name, change, check):
    store = stores["first"]
    assert store.edge_type_names[2] == str(FOLLOWS)
    assert store.edge_type_names[6] == str(FOLLOWS.reverse)
    found = problems(rewritten(store, tmp_path / "g.zarr", name, change))
    assert any(each.startswith(check) for each in found), found


def test_a_link_whose_reverse_is_another_link_is_found(stores, tmp_path):
    """Two edges of a node exchange their types; degrees stay as they were."""
    store = stores["first"]
    csc = store.rows(0, store.num_nodes)

    def exchanged(values):
        for start, stop in pairwise(csc.indptr):
            there, back = (start + np.flatnonzero(values[start:stop] == t) for t in (2, 6))
            there = there[~np.isin(csc.indices[there], csc.indices[back])]
            if len(there) and len(back):
                values[[there[0], back[0]]] = 6, 2
                return values
        raise AssertionError("no node has edges of both types")

    found = problems(rewritten(store, tmp_path / "g.zarr", "edge_type", exchanged))
    assert "reverse edge types have the same links" in found


def test_a_flipped_byte_of_any_array_is_found_and_never_read(graph, tmp_path):
    store = shop_store(tmp_path / "g.zarr", graph)
    for name in store.array_names:
        chunk = next(
            path for path in sorted((store.path / name / "c").rglob("*")) if path.is_file()
        )
        sound = chunk.read_bytes()
        chunk.write_bytes(bytes([sound[0] ^ 4]) + sound[1:])
        assert f"checksum of {name}" in problems(open_store(store.path))
        with pytest.raises(UserError, match="damaged"):
            open_store(store.path).read(name)
        chunk.write_bytes(sound)
    assert problems(open_store(store.path)) == {}


def test_arrays_of_two_types_that_were_swapped_are_noticed(graph, tmp_path):
    store = shop_store(tmp_path / "g.zarr", graph)
    for one, other in (("in_degree/0", "in_degree/3"), ("first_hop/0", "first_hop/1")):
        folders = [store.path / name for name in (one, other)]
        folders[0].rename(tmp_path / "aside")
        folders[1].rename(folders[0])
        (tmp_path / "aside").rename(folders[1])
        with pytest.raises(UserError, match=r"has changed|not the one that was written there"):
            open_store(store.path).read(one)
        folders[0].rename(tmp_path / "aside")
        folders[1].rename(folders[0])
        (tmp_path / "aside").rename(folders[1])


def test_types_that_were_edited_are_not_used(graph, tmp_path):
    store = shop_store(tmp_path / "g.zarr", graph)
    file = store.path / "zarr.json"
    file.write_text(file.read_text().replace('"buys"', '"likes"', 1))
    with pytest.raises(UserError, match=r"zarr.json is damaged"):
        open_store(store.path)
