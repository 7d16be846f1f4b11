"""Graphs and stores that many tests read and none changes."""

import pytest
from small_graphs import community_graph, typed_graph

from hvdtma.graph.build import BuildOptions, build


@pytest.fixture(scope="session")
def community_raw():
    """An undirected graph of 600 nodes with labels and large integer ids."""
    return community_graph()


@pytest.fixture(scope="session")
def typed_raw():
    """A directed graph of 200 nodes with typed parallel edges and strings for ids."""
    return typed_graph()


@pytest.fixture(scope="session")
def community_store(community_raw, tmp_path_factory):
    """The undirected graph built, in 60 blocks."""
    path = tmp_path_factory.mktemp("stores") / "community.zarr"
    return build(path, community_raw, BuildOptions(negatives=20, block_nodes=10))


@pytest.fixture(scope="session")
def typed_store(typed_raw, tmp_path_factory):
    """The typed graph built, in 29 blocks."""
    path = tmp_path_factory.mktemp("stores") / "typed.zarr"
    return build(path, typed_raw, BuildOptions(negatives=20, block_nodes=7))
