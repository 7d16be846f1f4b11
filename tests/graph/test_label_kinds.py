"""A store keeps labels of every kind, with the statistics of its training nodes."""

import numpy as np
import pytest
from small_labels import KINDS, labelled_graph, labelled_store

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.builder.budget import BuildSizes
from hvdtma.graph.describe import description
from hvdtma.graph.label_statistics import LabelStatistics, training_labels
from hvdtma.graph.raw import EdgeStream, in_memory
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.store import GraphStore
from hvdtma.graph.targets import UNKNOWN
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.partitioning.statistics import assignment_statistics
from hvdtma.sampling.budget import ShardFootprint
from hvdtma.sampling.shard import load_shard

NODES = BuildOptions(hold_out="nodes", block_nodes=20, valid=0.2, test=0.2)


@pytest.fixture(scope="module", params=KINDS)
def stored(request, tmp_path_factory):
    """A source and its store."""
    path = tmp_path_factory.mktemp("labels") / "graph.zarr"
    return labelled_graph(request.param), labelled_store(path, request.param)


def labels_by_id(store):
    label = store.read("label")
    return label[np.argsort(store.node_ids().values.to_numpy())]


def known(label, kind):
    if kind == "class":
        return label >= 0
    return (label != UNKNOWN if kind == "multi" else ~np.isnan(label)).any(1)


def test_labels_come_back_as_given(stored):
    raw, store = stored
    assert store.label_kind == raw.label_kind
    assert np.array_equal(labels_by_id(store), raw.label, equal_nan=raw.label_kind == "real")
    assert in_memory(raw).label_kind == raw.label_kind


def test_a_split_holds_every_labelled_node_once_and_no_other(stored):
    raw, store = stored
    nodes = np.concatenate([store.labelled_nodes(part) for part in ("train", "valid", "test")])
    assert sorted(nodes) == np.flatnonzero(known(store.read("label"), raw.label_kind)).tolist()
    assert len(nodes) == known(raw.label, raw.label_kind).sum()
    held_out = {part: len(store.labelled_nodes(part)) for part in ("valid", "test")}
    assert store.held_out_nodes == GraphSizes.of(store).held_out_nodes == held_out


def test_a_sound_store_passes_and_a_partition_keeps_labels_and_statistics(stored, tmp_path):
    raw, store = stored
    made = partition(store, tmp_path / "p.zarr", PartitionOptions("super", {"super_nodes": 30}))
    for each in (store, made):
        assert [text for _, text in verification(each) if text] == []
        assert np.array_equal(labels_by_id(each), raw.label, equal_nan=raw.label_kind == "real")
    assert made.attrs["training_labels"] == store.attrs["training_labels"]
    assert made.label_kind == raw.label_kind
    statistics = assignment_statistics(made, 3)
    assert statistics.imbalance_of == "labels"
    assert all(0 <= part.imbalance < 0.5 for part in statistics.trainers)


def test_the_statistics_are_those_of_the_training_nodes(stored):
    raw, store = stored
    label = store.read("label")[store.labelled_nodes("train")]
    found = training_labels(store)
    assert found.labelled == len(label)
    if raw.label_kind == "class":
        assert found.count_C.tolist() == np.bincount(label, minlength=2).tolist()
    elif raw.label_kind == "multi":
        assert found.count_C.tolist() == (label == 1).sum(0).tolist()
        assert found.known_C.tolist() == (label != UNKNOWN).sum(0).tolist()
    else:
        assert found.known_C.tolist() == (~np.isnan(label)).sum(0).tolist()
        assert found.mean_C == pytest.approx(np.nanmean(label, 0), rel=1e-12)
        assert found.deviation == pytest.approx(np.nanstd(label, 0), rel=1e-12)


def test_statistics_do_not_depend_on_the_pieces(stored):
    raw, _ = stored
    whole = LabelStatistics.of([raw.label], raw.label_kind, len(raw.label_names))
    pieces = [raw.label[:1], raw.label[1:1], raw.label[1:50], raw.label[50:]]
    cut = LabelStatistics.of(pieces, raw.label_kind, len(raw.label_names))
    for name, values in whole.as_attribute().items():
        assert cut.as_attribute()[name] == pytest.approx(values, rel=1e-12), name
    if raw.label_kind == "real":
        assert cut.least_C.tolist() == np.nanmin(raw.label, 0).tolist()
        assert cut.most_C.tolist() == np.nanmax(raw.label, 0).tolist()


def test_an_old_store_has_classes_and_its_statistics_are_read(tmp_path):
    store = labelled_store(tmp_path / "x.zarr", "class")
    expected = training_labels(store).count_C
    del store.attrs["label_kind"], store.attrs["training_labels"]
    assert store.label_kind == "class"
    assert training_labels(store).count_C.tolist() == expected.tolist()


def test_a_shard_reads_the_labels_of_its_nodes_and_its_memory_counts_them(stored):
    raw, store = stored
    shard = load_shard(store, np.arange(0, store.num_blocks, 2), labels=True)
    rows = store.read("label")[shard.nodes]
    assert np.array_equal(shard.label.numpy(), rows, equal_nan=raw.label_kind == "real")
    with_labels = ShardFootprint.of(store, first_hop=False, labels=True).node_bytes
    row_bytes = raw.label.itemsize * (1 if raw.label.ndim == 1 else raw.label.shape[1])
    without = ShardFootprint.of(store, first_hop=False).node_bytes
    assert with_labels - without == row_bytes + 16
    assert GraphSizes.of(store).label_row_bytes == row_bytes
    assert BuildSizes.of(raw, NODES).label_bytes() == raw.label.nbytes


def test_the_description_names_sizes_or_ranges(tmp_path):
    raw = labelled_graph("class")
    text = description(labelled_store(tmp_path / "class.zarr", "class"))["labels"]
    no, yes = np.bincount(raw.label[raw.label >= 0])
    assert text == f"2 classes; {no + yes} labelled nodes: no {no}, yes {yes}"
    raw = labelled_graph("multi")
    text = description(labelled_store(tmp_path / "multi.zarr", "multi"))["labels"]
    sizes = ", ".join(f"{n} {k}" for n, k in zip("abcd", (raw.label == 1).sum(0), strict=True))
    assert text.startswith("4 labels, several per node; ")
    assert text.endswith(f"labelled nodes: {sizes}")
    raw = labelled_graph("real")
    text = description(labelled_store(tmp_path / "real.zarr", "real"))["labels"]
    low, high = np.nanmin(raw.label[:, 0]), np.nanmax(raw.label[:, 0])
    assert f"price {low:g} to {high:g}, mean {np.nanmean(raw.label[:, 0]):g}" in text
    assert f"change of {(~np.isnan(raw.label[:, 1])).sum()} nodes" in text


def test_the_largest_of_many_classes_are_named(tmp_path):
    raw = labelled_graph("class")
    raw.label, raw.label_names = np.arange(600) % 40, [f"c{n}" for n in range(40)]
    raw.label[:100] = 7
    text = description(build(tmp_path / "x.zarr", raw, NODES))["labels"]
    assert text.startswith("40 classes; 600 labelled nodes: c7 1")
    assert text.endswith("and 20 more")


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("class", lambda label: label * 0, "class 'no' has 100.00% of the labelled nodes"),
        ("multi", lambda label: label * [1, 0, 1, 1], "same value at every known node: 'b'"),
        ("real", lambda label: label * [1, 0], "same value at every known node: 'change'"),
    ],
)
def test_labels_that_hardly_vary_are_warned_of(tmp_path, capsys, kind, change, words):
    raw = labelled_graph(kind, unlabelled=0)
    raw.label = np.where(raw.label == UNKNOWN, 0, raw.label) if kind == "multi" else raw.label
    said = _said(tmp_path / "a.zarr", raw, capsys)
    assert "labels: the same" not in said
    assert "labels: class" not in said
    raw.label = change(raw.label).astype(raw.label.dtype)
    assert words in _said(tmp_path / "b.zarr", raw, capsys)


def _said(path, raw, capsys):
    capsys.readouterr()
    build(path, raw, NODES)
    return " ".join(capsys.readouterr().err.split())


def test_a_split_with_a_node_without_a_label_is_refused(stored):
    raw, _ = stored
    without = np.flatnonzero(~known(raw.label, raw.label_kind))[:2]
    with_label = np.flatnonzero(known(raw.label, raw.label_kind))
    parts = {"train": with_label[:5], "valid": without, "test": with_label[5:9]}
    graph = labelled_graph(raw.label_kind)
    graph.node_split = parts
    with pytest.raises(UserError, match="the valid split has 2 nodes that have no label"):
        graph.check()


def test_a_column_of_targets_and_float32_are_taken(tmp_path):
    values = np.linspace(0, 1, 50, dtype=np.float32)

    def batches():
        yield np.arange(50), (np.arange(50) + 1) % 50, None

    source = EdgeStream(
        batches,
        num_nodes=50,
        num_edges=50,
        feat=np.ones((50, 2), np.float32),
        label=values,
        label_names=["share"],
        label_kind="real",
    )
    store = build(tmp_path / "x.zarr", source, NODES)
    assert store.array("label").shape == (50, 1)
    assert np.array_equal(labels_by_id(store)[:, 0], values)


def test_a_store_with_impossible_labels_does_not_verify(stored, monkeypatch):
    raw, store = stored
    other = GraphStore(store.path)
    read = GraphStore.read

    def damaged(store, name, *place, **more):
        values = read(store, name, *place, **more)
        if name != "label":
            return values
        return values * 9 + 9 if raw.label_kind != "real" else values * np.inf

    problems = dict(verification(other))
    assert problems["labels, types and splits are in range"] is None
    monkeypatch.setattr(GraphStore, "read", damaged)
    monkeypatch.setattr("hvdtma.graph.verify._checksum", lambda store, name: None)
    with np.errstate(invalid="ignore"):
        problems = dict(verification(other))
    assert "label holds" in problems["labels, types and splits are in range"]
