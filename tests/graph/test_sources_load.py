"""A data source of one's own is used by its name or its import path, as the built-in ones are."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hvdtma.core import registry
from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import EdgeStream, in_memory
from hvdtma.graph.sources import load_source
from hvdtma.graph.verify import verification

OPTIONS = BuildOptions(valid=5, test=5, negatives=3, feature_dim=4)


def ring(num_nodes: int = 60, step: int = 1, *, seed: int = 0, name: str = "ring") -> EdgeStream:
    """Every node has a link to another one, in batches of arrays and of functions."""

    def batches():
        for start in range(0, num_nodes, 7):
            src = np.arange(start, min(start + 7, num_nodes))
            batch = src, (src + step) % num_nodes, None
            yield batch if start % 2 else lambda batch=batch: batch

    origin = {"name": name, "seed": seed}
    return EdgeStream(batches, num_nodes=num_nodes, num_edges=num_nodes, origin=origin)


@pytest.fixture
def own_module(monkeypatch):
    module = ModuleType("own_data")
    module.ring = ring
    module.no_source = lambda: {"edges": []}
    monkeypatch.setitem(sys.modules, "own_data", module)
    monkeypatch.setitem(registry._targets["source"], "ring", ring)


@pytest.mark.parametrize("name", ["own_data:ring", "ring"])
def test_a_source_of_ones_own_is_built_by_import_path_or_name(own_module, tmp_path, name):
    source = load_source(f"{name}:20,step=3,name=mine", seed=4)
    store = build(tmp_path / "x.zarr", source, OPTIONS)
    assert [what for what, wrong in verification(store) if wrong] == []
    assert store.num_nodes == 20
    assert store.num_edges + sum(links for links, _ in store.held_out.values()) == 20
    assert store.attrs["provenance"][0]["source"] == {"name": "mine", "seed": 4}


def test_settings_may_be_left_out(own_module):
    for spec in ("own_data:ring", "own_data:ring:", "ring", "ring:"):
        assert in_memory(load_source(spec)).num_edges == 60


def test_a_seed_in_the_settings_goes_before_that_of_the_build(own_module):
    assert load_source("ring:seed=9", seed=4).origin["seed"] == 9


@pytest.mark.parametrize("text", ["true", "007", "1e3", "1_000", "nan"])
def test_values_become_numbers_only_where_the_source_takes_no_text(own_module, text):
    graph = load_source(f"ring:num_nodes=30,name={text}")
    assert graph.num_nodes == 30
    assert graph.origin["name"] == text


def test_the_home_folder_is_expanded_in_settings_that_are_paths(own_module, monkeypatch):
    def load(plain, folder: Path, root: str | Path = "here", other=Path("x")):
        graph = EdgeStream(lambda: [], num_nodes=1, num_edges=0)
        graph.given = (plain, folder, root, other)
        return graph

    monkeypatch.setenv("HOME", "/home/me")
    sys.modules["own_data"].load = load
    given = load_source("own_data:load:7,~/a,root=~/b,other=~/c").given
    assert given == (7, Path("/home/me/a"), Path("/home/me/b"), Path("/home/me/c"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("own_data:rong", "own_data has no 'rong'; valid: .*ring"),
        ("no_such_module:load", "no_such_module:load' cannot be imported: ModuleNotFoundError"),
        ("ring:nodes=5", "takes no option 'nodes'; valid: num_nodes, .*did you mean 'num_nodes'"),
        ("ring:5,1,7", "takes no setting '7'"),
        ("own_data:no_source", "the dict that .* returned is not a source: it has no num_nodes"),
    ],
)
def test_what_is_no_source_or_no_setting_of_it_is_said(own_module, spec, words):
    with pytest.raises(UserError, match=words):
        load_source(spec)


ENDS = np.arange(5)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ((ENDS, ENDS + 1, None), r"dst of a batch of edges holds 1 to 5; valid: 0 to 4"),
        ((ENDS - 1, ENDS, None), r"src of a batch of edges holds -1 to 3"),
        ((ENDS, ENDS[:4], None), r"dst of a batch of 5 edges has shape \(4,\)"),
        ((ENDS, ENDS[::-1] / 2, None), "dst of a batch of edges is not an array of integers"),
        (([0, 1], [1, 2], None), "src of a batch of edges is not an array of integers"),
        ((ENDS,), "a batch of edges is a tuple of 1; valid: an EdgeBatch, or a tuple"),
        ((ENDS, ENDS, None, None, None, 1), "a batch of edges is a tuple of 6"),
        (np.array([ENDS, ENDS]), "a batch of edges is a ndarray; valid"),
        ((ENDS, ENDS[::-1], ENDS), "has types, but the source has 0 edge_type_names"),
    ],
)
def test_a_batch_that_fits_no_graph_is_refused(tmp_path, batch, words):
    source = EdgeStream(lambda: [batch], num_nodes=5, num_edges=5)
    with pytest.raises(UserError, match=words):
        build(tmp_path / "x.zarr", source, OPTIONS)
    assert not list(tmp_path.iterdir())


def test_ids_of_ones_own_come_back(tmp_path):
    names = [f"node {number}" for number in range(40)]
    source = ring(40)
    source.ids = names
    store = build(tmp_path / "x.zarr", source, OPTIONS)
    assert sorted(store.node_ids().to_list()) == sorted(names)
    with pytest.raises(UserError, match="39 ids for 40 nodes"):
        EdgeStream(source.batches, num_nodes=40, num_edges=40, ids=names[1:]).check()
