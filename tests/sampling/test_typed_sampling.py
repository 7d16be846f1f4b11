"""Samples of typed shards have edges of the right type, and never a batch's own links.

Legend: S seeds, n input nodes of a type, D features.
"""

import numpy as np
import pytest
import torch
from typed_graphs import BUYS, edges_in, own_ids, shop_store

from hvdtma.sampling.cluster_sampler import ClusterSampler
from hvdtma.sampling.neighbour_sampler import LaborSampler, NeighbourSampler
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.typed_shard import load_any_shard


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop_store(tmp_path_factory.mktemp("sampling") / "g.zarr")


@pytest.fixture(scope="module")
def shard(store):
    return load_any_shard(store, np.arange(store.num_blocks), first_hop=True)


def sampled_edges(shard, hood, block):
    """(source, destination) in own numbers by edge type."""
    found = {}
    for kind, each in block.items():
        src = hood.nodes[kind.src][each.edge_source].tolist()
        dst = hood.nodes[kind.dst][each.edge_seed].tolist()
        found[kind] = list(zip(src, dst, strict=True))
    return found


def edges_of(shard, number):
    csc = shard.edges[number]
    return set(zip(csc.indices.tolist(), csc.destinations().tolist(), strict=True))


def targets_of(shard, kind, number=12):
    """Some links of an edge type in local numbers, as `Targets`, and the same in own numbers."""
    at = shard.schema.edge_types.index(kind)
    rng = np.random.default_rng(4)
    pairs = np.array(sorted(edges_of(shard, at)))[
        rng.permutation(shard.edges[at].num_edges)[:number]
    ]
    src, dst = (
        shard.layout.nodes(int(end), pairs[:, column])
        for column, end in enumerate(shard.schema.ends[at])
    )
    return Targets(src, dst), {tuple(pair) for pair in pairs.tolist()}


def test_a_shard_of_some_blocks_is_the_induced_graph(store):
    blocks = np.arange(0, store.num_blocks, 2)
    shard = load_any_shard(store, blocks, first_hop=True)
    ids, schema = own_ids(store), store.schema
    inside = {ids[node] for node in shard.nodes}
    expected = {e for e in edges_in(store) if e[0] in inside and e[2] in inside}
    found = set()
    for number, (src_type, dst_type) in enumerate(schema.ends.tolist()):
        nodes = [shard.nodes[shard.layout.nodes(t, np.arange(size))]
                 for t, size in enumerate(shard.layout.sizes.tolist())]  # fmt: skip
        for src, dst in edges_of(shard, number):
            ends = ids[nodes[src_type][src]], ids[nodes[dst_type][dst]]
            found.add((ends[0], str(schema.edge_types[number]), ends[1]))
    assert found == expected
    for node_type in range(len(schema.node_types)):
        own = store.layout.own(
            node_type,
            shard.nodes[shard.layout.nodes(node_type, np.arange(shard.layout.sizes[node_type]))],
        )
        np.testing.assert_array_equal(
            shard.feats[node_type].numpy(), store.read(f"feat/{node_type}")[own]
        )
        for number in schema.into(node_type):
            degree = store.read(f"in_degree/{number}")
            np.testing.assert_array_equal(shard.degrees[number].numpy(), degree[own])
            row = np.cumsum(degree > 0) - 1
            hop = store.read(f"first_hop/{number}")[row[own[degree[own] > 0]]]
            np.testing.assert_array_equal(shard.hops[number].numpy(), hop)


def test_nodes_of_other_trainers_come_last_and_have_no_edges(store):
    blocks = np.arange(1, store.num_blocks, 3)
    own, whole = (load_any_shard(store, blocks, first_hop=True, remote=r) for r in (False, True))
    assert whole.num_nodes == store.num_nodes and whole.num_own == own.num_nodes
    for number, csc in enumerate(own.edges):
        np.testing.assert_array_equal(whole.edges[number].indices, csc.indices)
        assert whole.edges[number].num_nodes == whole.layout.sizes[store.schema.ends[number, 1]]
    ids = own_ids(store)
    for kind, size in enumerate(whole.layout.sizes.tolist()):
        nodes = whole.nodes[whole.layout.nodes(kind, np.arange(size))]
        own_numbers = store.layout.own(kind, nodes)
        np.testing.assert_array_equal(
            whole.feats[kind].numpy(), store.read(f"feat/{kind}")[own_numbers]
        )
        assert {ids[node][0] for node in nodes} == {store.schema.node_types[kind]}


@pytest.mark.parametrize("sampler", [NeighbourSampler([3, 4]), LaborSampler([3, 4])])
def test_blocks_have_edges_of_their_type_up_to_the_fanout(shard, sampler):
    seeds = torch.from_numpy(np.random.default_rng(0).permutation(shard.num_nodes)[:40])
    hood = sampler.sample(shard, seeds, random_seed=5)
    for block, fanout in zip(hood.blocks, (3, 4), strict=True):
        for kind, found in sampled_edges(shard, hood, block).items():
            number = shard.schema.edge_types.index(kind)
            assert set(found) <= edges_of(shard, number)
            assert len(set(found)) == len(found)
            degree = np.diff(shard.edges[number].indptr)
            rows = hood.nodes[kind.dst][: block.num_dst[kind.dst]].numpy()
            if not sampler.labor:
                wanted = np.minimum(degree[rows], fanout)
                np.testing.assert_array_equal(block[kind].in_degrees, wanted)
    again = sampler.sample(shard, seeds, random_seed=5)
    for one, other in zip(hood.blocks, again.blocks, strict=True):
        assert sampled_edges(shard, hood, one) == sampled_edges(shard, again, other)
    own = shard.layout.types_and_own(seeds.numpy())[1]
    order = torch.cat([hood.nodes[name][: hood.blocks[-1].num_dst[name]] for name in hood.x])
    np.testing.assert_array_equal(order[hood.seed_row], own)


@pytest.mark.parametrize(
    "sampler", [NeighbourSampler([-1, -1]), ClusterSampler([0, 0], nodes=60, cluster_nodes=10)]
)
def test_no_message_uses_a_link_of_the_batch_in_any_type_or_direction(shard, sampler):
    targets, pairs = targets_of(shard, BUYS)
    seeds = torch.from_numpy(np.unique(np.r_[targets.src, targets.dst]))
    hood = sampler.sample(shard, seeds, random_seed=1, targets=targets)
    user, item = "üser", "item"
    num_messages = 0
    for block in hood.blocks:
        for kind, found in sampled_edges(shard, hood, block).items():
            num_messages += len(found)
            if (kind.src, kind.dst) == (user, item):
                assert not pairs & set(found)
            if (kind.src, kind.dst) == (item, user):
                assert not pairs & {(dst, src) for src, dst in found}
    assert num_messages > 100


def test_the_first_hop_without_a_batchs_links_is_the_mean_over_the_others(shard):
    targets, pairs = targets_of(shard, BUYS)
    seeds = torch.from_numpy(np.unique(np.r_[targets.src, targets.dst]))
    hood = NeighbourSampler([]).sample(shard, seeds, random_seed=1, targets=targets)
    for number, kind in enumerate(shard.schema.edge_types):
        left = edges_of(shard, number)
        if (kind.src, kind.dst) == ("üser", "item"):
            left -= pairs
        if (kind.src, kind.dst) == ("item", "üser"):
            left -= {(dst, src) for src, dst in pairs}
        feat = shard.feats[shard.schema.ends[number, 0]].numpy()
        for row, node in enumerate(hood.nodes[kind.dst].tolist()):
            sources = [src for src, dst in left if dst == node]
            mean = feat[sources].mean(0) if sources else np.zeros(feat.shape[1])
            hop = hood.first_hop[kind]
            at = hop.row.tolist().index(row) if row in hop.row else None
            np.testing.assert_allclose(0 if at is None else hop.mean[at], mean, atol=1e-4)
            assert (0 if at is None else hop.degree[at]) == len(sources)


def test_degree_features_do_not_count_a_batchs_links(shard):
    kind = next(k for k in shard.schema.edge_types if k.relation == "is in")
    targets, pairs = targets_of(shard, kind, 9)
    seeds = torch.from_numpy(np.unique(np.r_[targets.src, targets.dst]))
    hood = NeighbourSampler([]).sample(shard, seeds, random_seed=1, targets=targets)
    number = shard.schema.edge_types.index(kind)
    column = shard.schema.into(2).index(number)
    for row, shop in enumerate(hood.nodes["shop/1"].tolist()):
        degree = sum(dst == shop for _, dst in edges_of(shard, number) - pairs)
        assert hood.x["shop/1"][row, column] == pytest.approx(np.log1p(degree), abs=1e-5)


def test_a_cluster_batch_reads_no_node_outside_of_its_group(shard):
    sampler = ClusterSampler([0, 0], nodes=50, cluster_nodes=10)
    _, group = next(iter(sampler.groups(shard, stream=[0], epochs=1)))
    seeds = torch.from_numpy(group[::2])
    hood = sampler.sample(shard, seeds, random_seed=0, within=group)
    for kind, name in enumerate(shard.schema.node_types):
        local = shard.layout.nodes(kind, hood.nodes[name].numpy())
        assert np.isin(local, group).all()
