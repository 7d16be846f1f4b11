"""The statistics of an assignment equal those of a plain count."""

from dataclasses import replace

import numpy as np
import pytest
from small_graphs import stored_edges_by_id

from hvdtma.graph.builder import BuildOptions, build
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.partitioning.describe import print_assignment
from hvdtma.partitioning.metis import metis_parts
from hvdtma.partitioning.statistics import assignment_statistics


def nodes_of(store, blocks):
    offsets = store.block_offsets
    return np.concatenate([np.arange(offsets[b], offsets[b + 1]) for b in blocks])


def plain_count(store, blocks, groups):
    """(nodes, edges, edges into them, imbalance, discrepancy) of one trainer's blocks."""
    nodes = set(nodes_of(store, blocks).tolist())
    ids = store.node_ids().to_list()
    mine = {ids[node] for node in nodes}
    edges = stored_edges_by_id(store)
    into = [edge for edge in edges if edge[1] in mine]
    within = [edge for edge in into if edge[0] in mine]
    imbalance = 0
    for group in set(groups.tolist()):
        here = sum(groups[node] == group for node in nodes) / len(nodes)
        imbalance += abs(here - (groups == group).mean()) / 2
    feat = store.read("feat").astype(np.float64)
    gap = (feat[sorted(nodes)].mean(0) - feat.mean(0)) / feat.std(0)
    return len(nodes), len(within), len(into), imbalance, np.sqrt((gap**2).mean())


@pytest.mark.parametrize("trainers", [1, 3, 7])
@pytest.mark.parametrize("which", ["community_store", "typed_store"])
def test_statistics_agree_with_counting(which, trainers, request):
    store = request.getfixturevalue(which)
    found = assignment_statistics(store, trainers, seed=2, number=5)
    if which == "community_store":
        groups, expected_of = store.read("label"), "labels"
    else:
        groups, expected_of = metis_parts(store.rows(0, 200), 32, seed=2), "communities"
    assert found.imbalance_of == expected_of
    kept = 0
    for number, blocks in enumerate(assign_blocks(store, trainers, seed=2, number=5)):
        said = found.trainers[number]
        nodes, within, into, imbalance, gap = plain_count(store, blocks, groups)
        assert (said.trainer, said.nodes, said.edges) == (number, nodes, within)
        assert said.edges_kept == pytest.approx(within / into)
        assert said.imbalance == pytest.approx(imbalance)
        assert said.feature_discrepancy == pytest.approx(gap)
        kept += within
    assert found.edges_kept == pytest.approx(kept / store.num_edges)


def test_one_trainer_keeps_everything_and_is_like_the_whole(community_store):
    whole = assignment_statistics(community_store, 1)
    assert whole.edges_kept == 1
    assert whole.trainers[0].imbalance == 0
    assert whole.trainers[0].feature_discrepancy == pytest.approx(0, abs=1e-12)


def test_a_constant_feature_does_no_harm(community_raw, tmp_path):
    feat = community_raw.feat.copy()
    feat[:, 3] = 0.1
    raw = replace(community_raw, feat=feat)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(negatives=2, block_nodes=10))
    assert all(row.feature_discrepancy < 1 for row in assignment_statistics(store, 3).trainers)


def test_the_table_has_a_row_for_each_trainer(community_store, capsys):
    print_assignment(community_store, assignment_statistics(community_store, 4))
    said = capsys.readouterr().err
    rows = [line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")]
    assert "one assignment to 4 trainers" in said
    assert "of all edges are within a shard" in said
    assert rows == ["0", "1", "2", "3"]
