"""Groups of nodes: each node once an epoch, links inside, no target among the messages."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import dense, mean_of, shard_of, small_csc

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.graph.csc import build_csc
from hvdtma.sampling.cluster_sampler import ClusterSampler
from hvdtma.sampling.clusters import find_clusters, share_inside
from hvdtma.sampling.members import marked
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.shard import load_shard
from hvdtma.tasks import make_task
from hvdtma.tasks.links import LinkTask
from hvdtma.tasks.positives import Positives


def communities(number=20, size=30, seed=0, mixed=True):
    """An undirected graph of dense communities, with nodes in random order if `mixed`."""
    rng = np.random.default_rng(seed)
    nodes = number * size
    src = rng.integers(0, nodes, 6 * nodes)
    inside = src // size * size + rng.integers(0, size, len(src))
    dst = np.where(rng.random(len(src)) < 0.9, inside, rng.integers(0, nodes, len(src)))
    order = rng.permutation(nodes) if mixed else np.arange(nodes)
    src, dst = order[src[src != dst]], order[dst[src != dst]]
    pairs = np.unique(np.r_[src * nodes + dst, dst * nodes + src])
    return build_csc(pairs // nodes, pairs % nodes, nodes)


@pytest.mark.parametrize("method", ["auto", "order", "labels", "metis"])
@pytest.mark.parametrize("mixed", [False, True])
def test_clusters_hold_every_node_once_and_most_links(method, mixed):
    csc = communities(mixed=mixed)
    node, start = find_clusters(csc, csc.num_nodes, 30, method, seed=1)
    assert sorted(node.tolist()) == list(range(600))
    assert start[0] == 0
    assert start[-1] == 600
    assert (np.diff(start) > 0).all()
    assert np.diff(start).max() <= 60
    cluster = np.empty(600, int)
    cluster[node] = np.repeat(np.arange(len(start) - 1), np.diff(start))
    inside = (cluster[csc.indices] == cluster[csc.destinations()]).mean()
    assert inside > 0.5 or (method == "order" and mixed)
    assert share_inside(csc.indptr, csc.indices, np.arange(0, 601, 30)) == pytest.approx(
        (csc.indices // 30 == csc.destinations() // 30).mean()
    )


def test_each_node_is_in_one_group_of_an_epoch_and_groups_are_a_function_of_the_stream():
    shard = shard_of(communities(), remote=7)
    sampler = ClusterSampler([25], nodes=90, cluster_nodes=15)

    def groups(stream, first_step=0):
        return list(sampler.groups(shard, stream=stream, epochs=2, first_step=first_step))

    steps = groups([0, 5])
    assert [step for step, _ in steps] == list(range(14))
    for epoch in (steps[:7], steps[7:]):
        assert sorted(np.concatenate([nodes for _, nodes in epoch]).tolist()) == list(range(600))
        assert all((np.diff(nodes) > 0).all() for _, nodes in epoch)
    assert [a.tolist() for _, a in steps[:7]] != [a.tolist() for _, a in steps[7:]]
    for first in (3, 9):
        rest = groups([0, 5], first)
        assert [s for s, _ in rest] == list(range(first, 14))
        assert all((a == b).all() for (_, a), (_, b) in zip(rest, steps[first:], strict=True))
    assert groups([0, 6])[0][1].tolist() != steps[0][1].tolist()


def bare(pairs, num_nodes, weight=None):
    src, dst = np.array(pairs, np.int64).reshape(-1, 2).T
    return build_csc(src, dst, num_nodes, weight_E=weight)


ODD_GRAPHS = {
    "one edge": bare([(0, 1), (1, 0)], 2),
    "isolated nodes": bare([(3, 40), (40, 3), (3, 5), (5, 3)], 41),
    "no edges": bare([], 9),
    "star": bare([pair for leaf in range(1, 41) for pair in ((0, leaf), (leaf, 0))], 41),
    "directed, with duplicates": bare([(u, u * u % 17) for u in range(30)] * 3, 30),
    "weighted": bare([(u, (u + 1) % 23) for u in range(23)], 23, np.logspace(-20, 20, 23)),
    "one node": bare([], 1),
}


@pytest.mark.parametrize("method", ["auto", "order", "labels", "metis"])
@pytest.mark.parametrize("name", ODD_GRAPHS)
def test_no_cluster_and_no_group_of_an_odd_graph_is_too_large(name, method):
    csc = ODD_GRAPHS[name]
    shard = shard_of(csc, remote=3)
    for nodes, size in ((1, 1), (2, 1), (7, 3), (10, 10), (100, 4)):
        node, start = find_clusters(csc, csc.num_nodes, size, method, seed=2)
        assert sorted(node.tolist()) == list(range(csc.num_nodes))
        assert start[-1] == csc.num_nodes
        assert np.diff(start).max() <= 2 * size
        assert np.diff(start).min() > 0
        sampler = ClusterSampler([3], nodes=nodes, cluster_nodes=size, clusters=method)
        groups = [group for _, group in sampler.groups(shard, stream=[1], epochs=1)]
        assert sorted(np.concatenate(groups).tolist()) == list(range(csc.num_nodes))
        assert max(map(len, groups)) <= sampler.max_nodes


def test_groups_leave_no_marks_behind():
    with marked(np.array([1, 4]), 6) as outer:
        with marked(np.array([2]), 6) as inner:
            assert np.flatnonzero(inner).tolist() == [2]
        assert np.flatnonzero(outer).tolist() == [1, 4]
    with pytest.raises(ZeroDivisionError), marked(np.array([0, 3]), 4):
        raise ZeroDivisionError
    for size in (3, 6, 50):
        with marked(np.zeros(0, np.int64), size) as is_member:
            assert is_member.tolist() == [False] * size


@settings(max_examples=60, deadline=None)
@given(small_csc(undirected=True), st.data(), st.integers(1, 2))
def test_messages_stay_in_the_group_and_are_no_targets(csc, data, layers):
    shard = shard_of(csc)
    flags = st.lists(st.booleans(), min_size=csc.num_nodes, max_size=csc.num_nodes)
    edge = data.draw(st.integers(0, csc.num_edges - 1))
    src, dst = csc.indices[[edge]].astype(np.int64), csc.destinations()[[edge]].astype(np.int64)
    group = np.union1d(np.flatnonzero(data.draw(flags)), np.r_[src, dst])
    seeds = torch.from_numpy(np.unique(np.r_[src, dst]))
    around = ClusterSampler([1] * layers).sample(
        shard, seeds, random_seed=0, targets=Targets(src, dst), within=group
    )
    left = dense(csc)
    left[src, dst] = left[dst, src] = 0
    nodes = around.nodes.numpy()
    assert set(nodes) <= set(group.tolist())
    assert nodes[: len(seeds)].tolist() == seeds.tolist()
    for block in around.blocks:
        sources, ends = nodes[block.edge_index.numpy()]
        found = Counter(zip(ends, sources, strict=True))
        expected = {
            (v, u): left[v, u] for v in nodes[: block.num_dst] for u in group if left[v, u] > 0
        }
        assert found == expected
    assert around.first_hop.mean.numpy() == pytest.approx(
        mean_of(left, shard.feat.numpy())[nodes], abs=1e-5
    )


def config_for(store, name, batch_size=64, **options):
    return parse_config(
        {
            "store": str(store.path),
            "run": "unused",
            "rounds": 1,
            "model": {"hidden": 8},
            "sampler": {"name": "cluster", "options": {"nodes": 60, "cluster_nodes": 10} | options},
            "task": {"name": name, "batch_size": batch_size, "num_negatives": 5},
        }
    )


@pytest.mark.parametrize("shared", [False, True])
def test_links_of_a_batch_and_negatives_are_of_its_group(community_store, shared):
    config = config_for(community_store, "links")
    config = config.model_copy(
        update={"task": config.task.model_copy(update={"share_negatives": shared})}
    )
    task = make_task(config, community_store)
    shard = load_shard(community_store, np.arange(60), first_hop=True)
    groups = task.sampler.groups(shard, stream=[0, 0, 0], epochs=1)
    number = 0
    for batch, (_, group) in zip(task.batches(shard, stream=[0, 0], epochs=1), groups, strict=True):
        number += 1
        nodes = batch.neighbourhood.nodes
        assert set(nodes.tolist()) <= set(group.tolist())
        src, dst = nodes[batch.src].numpy(), nodes[batch.dst].numpy()
        assert shard.csc.has_edges(src, dst).all()
        inside = np.isin(shard.csc.indices, group) & np.isin(shard.csc.destinations(), group)
        assert batch.size == min(-(-inside.sum() // 2 // 2), 64)
        assert len(set(zip(src, dst, strict=True))) == batch.size
    assert number == 10


def test_a_group_without_links_still_gives_a_batch():
    shard = shard_of(build_csc(np.array([0, 9]), np.array([9, 0]), 10))
    config = parse_config({"store": "s", "run": "r", "rounds": 1, "model": {"hidden": 8}})
    task = LinkTask.__new__(LinkTask)
    task.config, task.task, task.undirected = config, config.task, True
    task.sampler = ClusterSampler([25])
    batch = task.make_group_batch(shard, Positives(shard, True), np.array([3, 4]), [0])
    assert batch.size == 1
    assert {int(batch.neighbourhood.nodes[i]) for i in (batch.src[0], batch.dst[0])} == {0, 9}


def test_labelled_nodes_of_a_group_are_trained_on(community_store):
    task = make_task(config_for(community_store, "nodes", batch_size=1000), community_store)
    shard = load_shard(community_store, np.arange(60), first_hop=True, labels=True)
    seen = Counter()
    for batch in task.batches(shard, stream=[0], epochs=1):
        nodes = batch.neighbourhood.nodes[: batch.size]
        assert torch.equal(batch.label, shard.label[nodes])
        seen.update(nodes.tolist())
    assert seen == Counter(shard.train_nodes.tolist())


def test_options_that_make_no_sense_are_refused():
    for options, words in (
        ({"clusters": "metsi"}, "clusters is 'metsi'.*metis"),
        ({"clusters": None}, "clusters is 'None'.*valid"),
        ({"nodes": 10, "cluster_nodes": 50}, "cluster_nodes is 50 and nodes is 10"),
        ({"cluster_nodes": 2.5}, "cluster_nodes is 2.5; it must be a whole number, at least 1"),
        ({"cluster_nodes": 0}, "cluster_nodes is 0; it must be a whole number, at least 1"),
        ({"cluster_nodes": True}, "cluster_nodes is True; it must be a whole number"),
        ({"nodes": "x"}, "nodes is 'x'; it must be a whole number, at least 1"),
        ({"nodes": None}, "nodes is None; it must be a whole number"),
    ):
        with pytest.raises(UserError, match=words):
            ClusterSampler([25], **options)


@pytest.mark.parametrize("sampler", ["neighbour", "labor", "cluster"])
@pytest.mark.parametrize("task", ["links", "nodes"])
def test_batches_do_not_depend_on_the_threads_that_make_them(community_store, sampler, task):
    config = config_for(community_store, task, batch_size=40)
    options = config.sampler.options if sampler == "cluster" else {}
    shard = load_shard(community_store, np.arange(60), first_hop=True, labels=True)

    def batches(workers, first_step=0):
        changed = config.sampler.model_copy(
            update={"name": sampler, "options": options, "workers": workers}
        )
        made = make_task(config.model_copy(update={"sampler": changed}), community_store)
        return list(islice(made.batches(shard, stream=[7], first_step=first_step), 8))

    expected = batches(0)
    for workers in (1, 2, 4):
        for left, right in zip(expected, batches(workers), strict=True):
            assert left.neighbourhood.nodes.equal(right.neighbourhood.nodes)
            assert left.neighbourhood.x.equal(right.neighbourhood.x)
            for a, b in zip(left.neighbourhood.blocks, right.neighbourhood.blocks, strict=True):
                assert a.edge_index.equal(b.edge_index)
    for left, right in zip(expected[3:], batches(2, first_step=3)[:5], strict=True):
        assert left.neighbourhood.nodes.equal(right.neighbourhood.nodes)
