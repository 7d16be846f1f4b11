"""`verify` finds every broken promise and every flipped byte, and names it."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import zarr
from graph_in_memory import read_graph, write_graph
from processes import command, peak_gib

from hvdtma.core.errors import UserError
from hvdtma.graph import verify as verify_module
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.csc import CSC, build_csc
from hvdtma.graph.sources import SyntheticGraph
from hvdtma.graph.store import open_store
from hvdtma.graph.verify import print_verification, verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.storage.node_ids import NodeIds

BLOCKS = np.append(np.arange(0, 600, 10), 600)


@pytest.fixture
def graph(community_store):
    """The undirected graph in memory, to be broken."""
    return read_graph(community_store)


def wrong_in(store):
    return {what: wrong for what, wrong in verification(store) if wrong}


def written(graph, path, blocks=BLOCKS, **more):
    return write_graph(path / "broken.zarr", graph, np.asarray(blocks), order={}, **more)


def with_edges(csc, src, dst):
    """The graph and further edges."""
    all_src = np.r_[csc.indices.astype(np.int64), src]
    return build_csc(all_src, np.r_[csc.destinations().astype(np.int64), dst], csc.num_nodes)


def long_row(csc):
    """Where the edges of some row with several begin."""
    return csc.indptr[np.argmax(np.diff(csc.indptr))]


def falling_indptr(graph):
    graph.csc.indptr[1:3] = graph.csc.indptr[[2, 1]] + [1, 0]


def too_few_counted(graph):
    graph.csc.indptr[-1] -= 1


def source_outside(graph):
    graph.csc.indices[graph.csc.indptr[-1] - 1] = 600


def source_below_zero(graph):
    graph.csc.indices[0] = -1


def unsorted_row(graph):
    start = long_row(graph.csc)
    graph.csc.indices[start : start + 2] = graph.csc.indices[start : start + 2][::-1]


def one_way_only(graph):
    gone, csc = 5, graph.csc
    row = np.searchsorted(csc.indptr, gone, side="right") - 1
    indptr = csc.indptr - (np.arange(601) > row)
    graph.csc = CSC(indptr, np.delete(csc.indices, gone))


def leaked(graph):
    pairs = graph.links["test"]
    graph.csc = with_edges(graph.csc, [pairs.src[0], pairs.dst[0]], [pairs.dst[0], pairs.src[0]])
    graph.first_hop = None


def negative_in_training(graph):
    u = graph.links["valid"].src[3]
    v = graph.csc.destinations()[np.flatnonzero(graph.csc.indices == u)[0]]
    graph.links["valid"].neg[3, 4] = v


def negative_held_out(graph):
    test, valid = graph.links["test"], graph.links["valid"]
    valid.src[0], valid.neg[0, 0] = test.dst[0], test.src[0]  # the other way round


def negative_is_source(graph):
    graph.links["test"].neg[2, 0] = graph.links["test"].src[2]


def wrong_mean(graph):
    graph.first_hop[13, 2] += 0.5


def not_a_number(graph):
    graph.first_hop[13, 2] = np.nan


def repeated_id(graph):
    ids = graph.node_id.to_list()
    graph.node_id = NodeIds.of([*ids[:-1], ids[0]])


def missing_id(graph):
    graph.node_id = NodeIds.of(graph.node_id.to_list()[:-1])


def missing_row(graph):
    graph.feat = graph.feat[:-1]


def nameless_label(graph):
    graph.label[0] = 6


def link_to_nowhere(graph):
    graph.links["valid"].dst[0] = 600


def negative_to_nowhere(graph):
    graph.links["valid"].neg[0, 0] = -1


def node_in_two_parts(graph):
    graph.nodes["test"] = np.append(graph.nodes["test"], graph.nodes["train"][0])


@pytest.mark.parametrize(
    ("spoil", "check", "wrong"),
    [
        (falling_indptr, "in-edges are sorted", "indptr does not add up"),
        (too_few_counted, "in-edges are sorted", "indptr does not add up"),
        (source_outside, "in-edges are sorted", "outside the graph"),
        (source_below_zero, "in-edges are sorted", "outside the graph"),
        (unsorted_row, "in-edges are sorted", "do not ascend"),
        (one_way_only, "undirected links", "in one direction only"),
        (leaked, "held-out links", "1 held-out test links"),
        (negative_in_training, "negatives are not known", "1 valid negatives are known"),
        (negative_held_out, "negatives are not known", "1 valid negatives are known"),
        (negative_is_source, "negatives are not known", "1 test negatives are their own source"),
        (wrong_mean, "first hop", "off by up to 0.5"),
        (not_a_number, "first hop", "off by up to nan"),
        (repeated_id, "ids are distinct", "599 distinct ids in 600"),
        (missing_id, "ids are distinct", "599 distinct ids in 599, for 600"),
        (missing_row, "arrays have the right", "feat has 599 rows, not 600"),
        (nameless_label, "in range", "label holds -1 to 6; valid: -1 to 5"),
        (link_to_nowhere, "in range", "split/valid/dst holds"),
        (negative_to_nowhere, "in range", "split/valid/neg holds -1"),
        (node_in_two_parts, "two parts of the split", "1 nodes are in the split more than once"),
    ],
)
def test_a_broken_promise_is_the_one_thing_that_is_found(spoil, check, wrong, graph, tmp_path):
    spoil(graph)
    if spoil is one_way_only:
        graph.first_hop = None
    (what, found), *others = wrong_in(written(graph, tmp_path)).items()
    assert not others
    assert check in what
    assert wrong in found


@pytest.mark.parametrize(
    "blocks", [[0, 10, 10, 600], [0, 300], [10, 600], [0, 300, 200, 600], [0, 601]]
)
def test_blocks_must_cover_the_nodes(blocks, graph, tmp_path):
    assert (
        "blocks do not cover"
        in wrong_in(written(graph, tmp_path, blocks))["blocks cover the nodes"]
    )


def test_parts_must_cover_the_blocks(graph, tmp_path):
    store = written(graph, tmp_path, part_offsets=np.array([0, 20, 59]))
    assert "parts do not cover" in wrong_in(store)["blocks cover the nodes"]


def test_a_leak_in_one_direction_and_of_another_type_is_found(typed_store, tmp_path):
    graph = read_graph(typed_store)
    pairs, csc = graph.links["valid"], graph.csc
    src = np.r_[csc.indices.astype(np.int64), pairs.dst[0]]
    dst = np.r_[csc.destinations().astype(np.int64), pairs.src[0]]
    graph.csc = build_csc(src, dst, 200, np.r_[csc.edge_type, (pairs.edge_type[0] + 1) % 3])
    graph.first_hop = None
    store = write_graph(tmp_path / "x.zarr", graph, np.array([0, 200]), order={})
    wrong = wrong_in(store)
    assert list(wrong) == ["held-out links are not in the training graph"]
    graph.csc.edge_type[9] = 3
    store = write_graph(tmp_path / "y.zarr", graph, np.array([0, 200]), order={})
    assert "edge_type holds 0 to 3, not 0 to 2" in wrong_in(store).popitem()[1]


def test_a_negative_that_is_held_out_is_found_in_a_directed_graph(typed_store, tmp_path):
    graph = read_graph(typed_store)
    test, valid = graph.links["test"], graph.links["valid"]
    linked_back = graph.csc.has_edges(test.dst, test.src)
    assert not linked_back.any()
    valid.src[0], valid.neg[0] = test.src[0], test.dst[0]
    store = write_graph(tmp_path / "x.zarr", graph, np.array([0, 200]), order={})
    assert "20 valid negatives are known" in wrong_in(store).popitem()[1]


def test_given_negatives_are_taken_as_they_are(graph, tmp_path):
    negative_in_training(graph)
    graph.attrs["negatives_given"] = ["valid"]
    store = written(graph, tmp_path)
    assert wrong_in(store) == {}
    again = partition(store, tmp_path / "again.zarr", PartitionOptions(seed=3))
    assert wrong_in(again) == {}


def test_every_array_is_checked_down_to_the_byte(community_store, tmp_path, capsys):
    for name in community_store.array_names:
        path = tmp_path / f"{name.replace('/', '-')}.zarr"
        shutil.copytree(community_store.path, path)
        chunk = next(file for file in (path / name / "c").rglob("*") if file.is_file())
        damaged = bytearray(chunk.read_bytes())
        damaged[len(damaged) // 2] ^= 0x10
        chunk.write_bytes(damaged)
        wrong = wrong_in(open_store(path))
        assert list(wrong) == [f"checksum of {name}"]
        assert name in wrong[f"checksum of {name}"]
        with pytest.raises(UserError, match="1 checks failed; build it again"):
            print_verification(open_store(path))
        assert f"checksum of {name}" in capsys.readouterr().err


def test_values_that_changed_under_a_valid_code_are_found(community_store, tmp_path):
    path = tmp_path / "x.zarr"
    shutil.copytree(community_store.path, path)
    array = zarr.open_group(path, mode="r+")["feat"]
    array[3, 1] = array[3, 1] + 1
    wrong = wrong_in(open_store(path))
    assert list(wrong) == ["checksum of feat"]
    assert "is not the one that was written there" in wrong["checksum of feat"]


def test_a_chunk_that_is_gone_is_found(community_store, tmp_path):
    path = tmp_path / "x.zarr"
    shutil.copytree(community_store.path, path)
    next(file for file in (path / "feat" / "c").rglob("*") if file.is_file()).unlink()
    assert list(wrong_in(open_store(path))) == ["checksum of feat"]


def test_too_little_memory_is_refused_before_the_first_check_with_what_is_enough(
    community_store, capsys
):
    with pytest.raises(UserError, match="too little for verifying 600 nodes") as refused:
        print_verification(community_store, 0.5)
    least_gb = float(re.search(r"memory_gb=(\d+\.\d\d)", str(refused.value))[1])
    assert "checksum" not in capsys.readouterr().err
    print_verification(community_store, least_gb)
    with pytest.raises(UserError, match=f"give memory_gb={least_gb:.2f}"):
        print_verification(community_store, least_gb - 0.011)


@pytest.mark.parametrize("pairs_at_once", [7, 5000])
def test_negatives_are_checked_in_pieces_of_any_size(graph, tmp_path, monkeypatch, pairs_at_once):
    monkeypatch.setattr(verify_module, "LEAST_PAIRS", pairs_at_once)
    monkeypatch.setattr(verify_module, "MAX_PAIRS", pairs_at_once)
    assert wrong_in(written(graph, tmp_path)) == {}
    negative_in_training(graph)
    wrong = wrong_in(written(graph, tmp_path, overwrite=True))
    assert wrong == {"negatives are not known links": "1 valid negatives are known links"}


def test_memory_stays_under_the_least_that_is_named(tmp_path):
    store = build(
        tmp_path / "x.zarr",
        SyntheticGraph(300_000, 1_000_000, 16),
        BuildOptions(valid=3000, test=3000, feature_dtype="float16"),
    )
    with pytest.raises(UserError) as refused:
        list(verification(store, 0.1))
    least_gb = re.search(r"memory_gb=(\d+\.\d\d)", str(refused.value))[1]
    assert peak_gib("verify", store.path, "--memory-gb", least_gb) < float(least_gb)


def test_the_path_of_a_lost_chunk_is_in_one_line_however_narrow_the_terminal(
    community_store, tmp_path
):
    path = tmp_path / "a folder [of mine] with a long name" / "x.zarr"
    shutil.copytree(community_store.path, path)
    chunk = path / "feat" / "c" / "0" / "0"
    chunk.unlink()
    verify = subprocess.run(
        command("verify", path),
        env=os.environ | {"COLUMNS": "40"},
        capture_output=True,
        text=True,
    )
    assert verify.returncode == 2
    assert f"chunk {chunk} is missing" in verify.stderr


def test_a_sound_store_passes_in_words(community_store, capsys):
    print_verification(community_store)
    said = capsys.readouterr().err
    assert "BAD" not in said
    assert said.count("ok") == len(list(verification(community_store))) > 20
