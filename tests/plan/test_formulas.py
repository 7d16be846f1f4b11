"""Predictions grow with the graph, and are made by the functions that the stages use."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.budget import (
    NO_LIMIT,
    ScoringBudget,
    embedding_requirement,
    scoring_requirement,
    scratch_bytes,
)
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.describe import disk_bytes
from hvdtma.graph.neighbour_means import BAND_BYTES, bytes_taken
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.sources import SyntheticGraph
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.plan import Network, PlannedGraph, memory
from hvdtma.plan.averaging import allreduce_seconds, averaging_plan
from hvdtma.plan.disk import bytes_on_disk
from hvdtma.plan.stages import assignment_plan, scoring_stages
from hvdtma.sampling.budget import ShardFootprint
from hvdtma.sampling.shard import load_shard
from hvdtma.tasks import make_model, make_task
from hvdtma.training.budget import resident_sets

NETWORK = Network(latency_s=1e-5, bytes_per_s=1e9)
NODES = st.integers(1000, 10**8)
DEGREE = st.integers(1, 50)


def config_of(**changes):
    return parse_config({"store": "no.zarr", "run": "no", "rounds": 1} | changes)


def graph_of(nodes, edges, **changes):
    options = BuildOptions(valid=10, test=10, negatives=10)
    return PlannedGraph(nodes, edges, 16, options=options, **{"memory_gb": 64, **changes})


@settings(deadline=None, max_examples=50)
@given(NODES, DEGREE, st.booleans(), st.sampled_from([1, 2]))
def test_a_larger_or_a_denser_graph_takes_no_less(nodes, degree, undirected, times):
    """Without limits; for scoring, up to a part of a band, as bands depend on edges per node.

    Under a limit, a larger graph may need less memory, as it is kept on disk.
    """
    small = graph_of(nodes, nodes * degree, undirected=undirected, memory_gb=1 << 20)
    large = dataclasses.replace(small, nodes=times * nodes, edges=2 * small.edges)
    config, slack = config_of(), BAND_BYTES // 4
    less, more = (graph.sizes(config) for graph in (small, large))
    assert memory.build_bytes(small, less) <= memory.build_bytes(large, more)
    assert memory.train_bytes(config, less, 2) <= memory.train_bytes(config, more, 2)
    assert memory.scoring_bytes(config, less) <= memory.scoring_bytes(config, more) + slack
    assert memory.partition_bytes(less, 1 << 20) <= memory.partition_bytes(more, 1 << 20)


@settings(deadline=None, max_examples=50)
@given(NODES, DEGREE, st.floats(4, 64))
def test_a_build_is_predicted_to_stay_within_its_limit(nodes, degree, memory_gb):
    graph = graph_of(nodes, nodes * degree, memory_gb=memory_gb)
    assert memory.build_bytes(graph, graph.sizes(config_of())) <= memory_gb * 2**30


@settings(deadline=None, max_examples=50)
@given(NODES, DEGREE, st.integers(1, 64))
def test_resident_sets_use_less_memory_than_the_shard_and_have_fewer_edges(nodes, degree, trainers):
    sizes = graph_of(nodes, nodes * degree).sizes(config_of())
    whole = memory.train_bytes(config_of(), sizes, trainers)
    limited = config_of(memory_gb=2.5)
    try:
        assigned = assignment_plan(limited, sizes, trainers)
    except UserError as error:
        assert "more" in str(error)
        return
    assert 0 < assigned.share_resident <= 1
    if assigned.sets == 1:
        assert assigned.share_resident == pytest.approx(1)
        assert memory.train_bytes(limited, sizes, trainers) == whole
    else:
        assert assigned.share_resident < 0.51
        assert memory.train_bytes(limited, sizes, trainers) < whole
    assert assigned.share_kept == pytest.approx(1 / trainers)


def test_global_negatives_need_the_memory_of_all_nodes_for_links_only():
    for name, needs_remote in (("links", True), ("nodes", False)):
        local, global_uniform = (
            config_of(task={"name": name, "negatives": kind}) for kind in ("local", "global")
        )
        sizes = graph_of(10**6, 10**7, classes=5).sizes(local)
        more = memory.train_bytes(global_uniform, sizes, 2) - memory.train_bytes(local, sizes, 2)
        assert (more > 0) is needs_remote


@given(st.integers(2, 1000), st.floats(1, 1e9))
def test_an_all_reduce_sends_less_than_twice_the_bytes_and_waits_for_every_step(
    trainers, num_bytes
):
    seconds = allreduce_seconds(trainers, num_bytes, NETWORK)
    latency_s = 3 * (trainers - 1) * NETWORK.latency_s
    assert latency_s < seconds <= 2 * num_bytes / NETWORK.bytes_per_s + latency_s


@given(st.integers(1, 10**6), st.integers(1, 64), st.booleans(), st.integers(1 << 30, 1 << 33))
def test_means_over_neighbours_stay_within_their_memory(nodes, dim, in_memory, num_bytes):
    taken = bytes_taken(nodes, dim, 4, 10 * nodes, 4, in_memory=in_memory, memory_bytes=num_bytes)
    assert taken <= num_bytes


def test_the_sizes_of_a_store_are_those_of_the_store(community_store, typed_store):
    for store in (community_store, typed_store):
        sizes, config = GraphSizes.of(store), config_of(memory_gb=4)
        footprints = [ShardFootprint.of(graph, first_hop=True) for graph in (sizes, store)]
        assert footprints[0] == footprints[1]
        block_nodes = np.diff(store.block_offsets)[assign_blocks(store, 3)[0]]
        assert memory.expected_sets(config, sizes, 3) == resident_sets(config, store, block_nodes)
        assert sizes.held_out["test"] == (len(store.links("test")), 20)


def test_the_predicted_edges_of_an_assignment_are_about_those_of_its_shards(community_store):
    assigned = assignment_plan(config_of(), GraphSizes.of(community_store), 3)
    kept = sum(
        load_shard(community_store, blocks).csc.num_edges
        for blocks in assign_blocks(community_store, 3)
    )
    assert assigned.share_kept * community_store.num_edges == pytest.approx(kept, rel=0.25)


@pytest.mark.parametrize("undirected", [False, True])
def test_the_disk_space_of_a_store_is_predicted(undirected, tmp_path):
    options = BuildOptions(negatives=50, feature_dtype="float16")
    source = SyntheticGraph(6000, 60_000, 16, 10, directed=not undirected)
    graph = PlannedGraph(6000, 60_000, 16, undirected, 10, options)
    path = tmp_path / "graph.zarr"
    predicted = bytes_on_disk(graph.sizes(config_of(store=str(path))))
    store = build(path, source, options)
    assert predicted == pytest.approx(disk_bytes(path), rel=0.25)
    assert bytes_on_disk(GraphSizes.of(store)) == disk_bytes(path)
    assert graph.sizes(config_of()).num_blocks == store.num_blocks


@pytest.mark.parametrize("task", ["links", "nodes"])
def test_the_bytes_of_an_aggregation_are_the_real_models(task, community_store):
    config = config_of(task={"name": task}, interval_s=2)
    model = make_model(config, community_store, make_task(config, community_store))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    sizes = GraphSizes.of(community_store)
    found = averaging_plan(config, sizes, 4, NETWORK)
    assert found.num_parameters == parameters
    assert found.num_bytes == 4 * (parameters + 1)  # and the weight
    assert found.lost_share == pytest.approx((found.allreduce_s + found.copy_s) / 2)
    assert averaging_plan(config, sizes, 1, NETWORK).lost_s == 0
    average = config_of(task={"name": task}, aggregate={"optimizer_state": "average"})
    assert averaging_plan(average, sizes, 4, NETWORK).num_bytes == 4 * (3 * parameters + 1)


@pytest.mark.parametrize("encoder", ["sage", "gcn", "gat", "mlp"])
def test_every_encoder_can_be_planned(encoder):
    config = config_of(model={"encoder": encoder}, first_hop=encoder in ("sage", "gcn"))
    sizes = graph_of(10_000, 100_000).sizes(config)
    embedding = memory.embedding_bytes(config, sizes, NO_LIMIT)
    assert embedding > 2 * 4 * 10_000 * 256
    sampled = config_of(evaluate={"sample": 5})
    held_out = make_task(config, sizes).held_out_bytes()
    assert memory.scoring_bytes(sampled, sizes) < embedding + held_out


@pytest.mark.parametrize("heads", [1, 16])
def test_the_memory_of_attention_grows_with_its_heads(heads):
    config = config_of(model={"encoder": "gat", "heads": heads}, first_hop=False)
    sizes = graph_of(10**6, 10**7).sizes(config)
    work = embedding_requirement(config, sizes).work_bytes
    layers = 2 * 4 * 10**6 * 256
    assert memory.embedding_bytes(config, sizes, NO_LIMIT) == 8 * (10**6 + 1) + layers + work


@settings(deadline=None, max_examples=50)
@given(NODES, DEGREE, st.sampled_from(["sage", "gcn", "gat"]), st.booleans(), st.floats(1, 64))
def test_embedding_is_predicted_to_stay_within_its_limit(
    nodes, degree, encoder, first_hop, memory_gb
):
    first_hop = first_hop and encoder != "gat"
    config = config_of(model={"encoder": encoder}, first_hop=first_hop, memory_gb=memory_gb)
    sizes = graph_of(nodes, nodes * degree).sizes(config)
    try:
        budget = ScoringBudget.of(config, embedding_requirement(config, sizes))
    except UserError as error:
        assert "more" in str(error)
        return
    indptr = 8 * (nodes + 1)
    assert memory.embedding_bytes(config, sizes, budget) <= indptr + budget.num_bytes


def test_the_predicted_scratch_space_is_the_one_that_a_run_checks():
    config = config_of(memory_gb=6)
    sizes = graph_of(50_000_000, 500_000_000).sizes(config)
    evaluate, embed = scoring_stages(config, sizes, None)
    for stage, requirement in ((evaluate, scoring_requirement), (embed, embedding_requirement)):
        budget = ScoringBudget.of(config, requirement(config, sizes))
        assert stage.scratch_bytes == scratch_bytes(config, sizes, budget) > 0


def test_a_graph_without_training_edges_or_of_impossible_sizes_is_refused():
    graph = PlannedGraph(100, 200, 4, options=BuildOptions(valid=100, test=100))
    with pytest.raises(UserError, match="every one of 200 edges"):
        graph.sizes(config_of())
    with pytest.raises(UserError, match="at least 2"):
        PlannedGraph(1, 1, 1)
    with pytest.raises(UserError, match="40000 edge types; at most 32767"):
        PlannedGraph(100, 200, 4, edge_types=40_000)
    assert np.dtype(graph.options.feature_dtype) == np.float32
