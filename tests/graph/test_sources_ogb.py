"""OGB's graphs, splits and negatives come over unchanged, through its own package."""

import builtins
import gzip
import io
import pickle
import urllib.error

import numpy as np
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sources import load_source
from hvdtma.graph.sources.ogb import link_graph, load_ogb, node_graph
from hvdtma.graph.sources.ogb_pickles import ArraysOnly, arrays_only


def pairs(part) -> list[list[int]]:
    return np.stack([part.src, part.dst], 1).tolist()


def citation_part(num: int, negatives: int | None = None) -> dict[str, np.ndarray]:
    part = {"source_node": np.arange(num), "target_node": np.arange(num) + 1}
    if negatives:
        part["target_node_neg"] = np.arange(num * negatives).reshape(num, negatives) % 7
    return part


def test_negatives_of_a_pair_are_kept():
    split = {"train": citation_part(3), "valid": citation_part(2, 4), "test": citation_part(1, 4)}
    raw = link_graph({"num_nodes": 9, "node_feat": np.ones((9, 2))}, split)
    assert raw.undirected
    assert raw.num_nodes == 9
    assert pairs(raw) == pairs(raw.link_split["train"]) == [[0, 1], [1, 2], [2, 3]]
    assert raw.link_split["train"].neg is None
    assert raw.link_split["valid"].neg.tolist() == [[0, 1, 2, 3], [4, 5, 6, 0]]
    assert raw.link_split["test"].neg.shape == (1, 4)
    assert raw.feat.dtype == np.float32


def test_negative_pairs_for_all_are_counted_and_left_out():
    part = {"edge": np.array([[0, 1], [2, 3]])}
    held = part | {"edge_neg": np.array([[0, 2], [1, 3], [0, 3]])}
    raw = link_graph({"num_nodes": 4}, {"train": part, "valid": held, "test": held})
    assert pairs(raw.link_split["test"]) == [[0, 1], [2, 3]]
    assert raw.link_split["test"].neg is None
    assert raw.counts["ogb_negative_pairs_left_out"] == 6


def test_relations_are_edge_types_and_the_tails_negatives_are_kept():
    def part(relation, **more):
        num = len(relation)
        return {"head": [0] * num, "tail": range(1, num + 1), "relation": relation, **more}

    held = part([10], head_neg=[[3, 4]], tail_neg=[[5, 6]])
    split = {"train": part([2, 10, 2]), "valid": held, "test": held}
    raw = link_graph({"num_nodes": 7}, split)
    assert raw.edge_type_names == ["2", "10"]
    assert raw.edge_type.tolist() == [0, 1, 0]
    assert raw.link_split["valid"].edge_type.tolist() == [1]
    assert raw.link_split["valid"].neg.tolist() == [[5, 6]]


def test_a_split_of_an_unknown_form_is_refused():
    with pytest.raises(UserError, match="unknown format, with pairs"):
        link_graph({"num_nodes": 2}, {"train": {"pairs": []}})


def test_classes_and_node_splits_are_kept():
    labels = np.array([[3.0], [np.nan], [1.0], [3.0]])
    split = {"train": np.array([3, 0]), "valid": np.array([2]), "test": np.array([1])}
    raw = node_graph(
        {"edge_index": np.array([[0, 1], [1, 2]]), "num_nodes": 4, "node_feat": None}, labels, split
    )
    assert pairs(raw) == [[0, 1], [1, 2]]
    assert raw.label.tolist() == [1, -1, 0, 1]
    assert raw.label_names == ["1", "3"]
    assert {part: nodes.tolist() for part, nodes in raw.node_split.items()} == {
        "train": [0, 3],
        "valid": [2],
        "test": [1],
    }
    assert raw.counts["nodes_without_label"] == 1


@pytest.mark.parametrize("name", ["ogbl-citation", "ogbn-mag", "ogbl-biokg", ""])
def test_a_name_that_cannot_be_built_lists_those_that_can(name):
    with pytest.raises(UserError, match=r"valid: ogbl-citation2.*ogbn-products"):
        load_source(f"ogb:{name}", seed=0)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    real_import = builtins.__import__

    def no_ogb(name, *args, **more):
        if name.split(".")[0] == "ogb":
            raise ImportError(name)
        return real_import(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", no_ogb)
    with pytest.raises(UserError, match="pip install ogb"):
        load_ogb("ogbn-arxiv")


def write_raw(root, name: str, num_nodes: int, edges: list[list[int]]) -> None:
    """A data set as OGB ships it, already in its folder, so that nothing is fetched."""
    folder = root / name.replace("-", "_")
    raw = folder / "raw"
    raw.mkdir(parents=True)
    (folder / "processed").mkdir()
    (folder / "RELEASE_v1.txt").touch()
    for file, rows in (
        ("edge", edges),
        ("num-node-list", [[num_nodes]]),
        ("num-edge-list", [[len(edges)]]),
        ("node-feat", [[i, 0.5] for i in range(num_nodes)]),
        ("node_year", [[2000]] * num_nodes),
        ("edge_weight", [[1]] * len(edges)),
        ("edge_year", [[2000]] * len(edges)),
        ("node-label", [[i % 2] for i in range(num_nodes)]),
    ):
        text = "\n".join(",".join(map(str, row)) for row in rows)
        (raw / f"{file}.csv.gz").write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def ogb():
    return pytest.importorskip("ogb.linkproppred")


def test_a_real_link_data_set_is_read_through_the_package(ogb, tmp_path):
    torch = pytest.importorskip("torch")
    write_raw(tmp_path, "ogbl-citation2", 6, [[0, 1], [1, 2], [2, 3]])
    split = tmp_path / "ogbl_citation2" / "split" / "time"
    split.mkdir(parents=True)
    for part, negatives in (("train", None), ("valid", 3), ("test", 3)):
        torch.save(citation_part(2, negatives), split / f"{part}.pt", pickle_protocol=4)
    for _ in range(2):  # the second time OGB reads the pickle it made the first time
        raw = load_ogb("ogbl-citation2", tmp_path)
        assert raw.num_nodes == 6
        assert pairs(raw) == [[0, 1], [1, 2]]
        assert raw.link_split["test"].neg.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert raw.feat.tolist() == [[i, 0.5] for i in range(6)]
        assert raw.origin == {"kind": "ogb", "name": "ogbl-citation2"}


def test_a_real_node_data_set_is_read_through_the_package(ogb, tmp_path):
    write_raw(tmp_path, "ogbn-arxiv", 4, [[0, 1], [3, 2]])
    split = tmp_path / "ogbn_arxiv" / "split" / "time"
    split.mkdir(parents=True)
    for part, nodes in (("train", "1\n0"), ("valid", "2"), ("test", "3")):
        (split / f"{part}.csv.gz").write_bytes(gzip.compress(nodes.encode()))
    raw: RawGraph = load_ogb("ogbn-arxiv", tmp_path)
    assert pairs(raw) == [[0, 1], [3, 2]]
    assert raw.label.tolist() == [0, 1, 0, 1]
    assert raw.node_split["train"].tolist() == [0, 1]


def test_a_network_that_fails_is_a_user_error(ogb, monkeypatch, tmp_path):
    def no_network(url):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("ogb.linkproppred.dataset.decide_download", no_network)
    with pytest.raises(
        UserError, match=r"'ogbl-ddi' cannot be read or downloaded .*no route.*'ogbl_ddi' into"
    ):
        load_ogb("ogbl-ddi", tmp_path)


def test_a_refused_download_is_a_user_error(ogb, monkeypatch, tmp_path):
    monkeypatch.setattr("ogb.linkproppred.dataset.decide_download", lambda url: False)
    with pytest.raises(UserError, match="cannot be read or downloaded"):
        load_ogb("ogbl-ddi", tmp_path)


class Trap:
    """Runs a function where it is unpickled."""

    def __reduce__(self):
        return exec, ("raise AssertionError('the pickle ran')",)


def test_only_arrays_come_out_of_a_pickle(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = {"a": np.arange(3), "b": np.ones((2, 2), np.float32), "t": torch.arange(4)}
    torch.save(arrays, tmp_path / "good.pt", pickle_protocol=4)
    torch.save(Trap(), tmp_path / "trap.pt", pickle_protocol=4)
    before = torch.load
    with arrays_only():
        loaded = torch.load(tmp_path / "good.pt")
        with pytest.raises(RuntimeError, match="no array"):
            torch.load(tmp_path / "trap.pt")
    assert torch.load is before
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(loaded[name], array)


def test_arrays_pickled_by_an_older_numpy_are_read():
    of_now = pickle.dumps(np.arange(3), 2)
    old = of_now.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != of_now
    assert ArraysOnly(io.BytesIO(old)).load().tolist() == [0, 1, 2]
