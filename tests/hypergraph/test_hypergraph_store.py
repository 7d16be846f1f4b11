"""What was saved is read again as it was, lazily; what is damaged is found and named."""

import json
import pickle
import shutil

import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from small_hypergraphs import gallery

from hvdtma.core.errors import UserError
from hypergraph import GraphRecipe, Intra, Modality, MultimodalHypergraph, Relation
from hypergraph.data.lazy import is_unread


def full() -> MultimodalHypergraph:
    """One of everything that a store keeps."""
    graph = gallery()
    sparse = sp.random_array((3, 9), density=0.4, format="csr", rng=np.random.default_rng(1))
    artist = Modality("artist", 3, ["Ann", "", "ß/x"], sparse)
    graph = graph.with_modality(artist).with_intra(
        "artwork", GraphRecipe("hyperedges", 2, ("made",))
    )
    seen = Relation("seen", ("user", "medium"), [[0, 0], [0, 0], [1, 1]], part=[0, 0, 2])
    return graph.with_relation(seen).with_intra("user", Intra(np.zeros((0, 2))))


@pytest.fixture
def path(tmp_path):
    return full().save(tmp_path / "some" / "gallery.zarr")


def test_all_is_read_as_it_was(path):
    graph, opened = full(), MultimodalHypergraph.open(path)
    assert opened.checksum() == graph.checksum()
    assert opened.summary() == graph.summary()
    for name, modality in graph.modalities.items():
        kept = opened.modality(name)
        for field in ("ids", "features"):
            expected, found = getattr(modality, field), getattr(kept, field)
            assert (expected is None) == (found is None)
            if sp.issparse(expected):
                expected, found = expected.toarray(), found.toarray()
            np.testing.assert_array_equal(found, expected)
            assert expected is None or found.dtype == expected.dtype
        assert (kept.intra is None) == (modality.intra is None)
        if modality.intra is not None:
            assert kept.intra.recipe == modality.intra.recipe
            np.testing.assert_array_equal(kept.intra.edges, modality.intra.edges)
    again = MultimodalHypergraph.of(opened.modalities.values(), opened.relations.values())
    assert again.checksum() == graph.checksum()


def test_arrays_are_read_when_first_asked_for(path):
    graph = MultimodalHypergraph.open(path)
    artwork, made = graph.modality("artwork"), graph.relation("made")
    assert "6 hyperedges" in repr(graph)
    graph.checksum()
    assert is_unread(artwork, "features")
    assert is_unread(made, "indices")
    assert is_unread(artwork.intra, "edges")
    assert made.indices.shape == (6, 3)
    assert not is_unread(made, "indices")
    assert is_unread(artwork, "features")
    assert is_unread(graph.with_intra("artwork", None).modality("artwork"), "features")


def test_an_opened_hypergraph_goes_to_another_process(path):
    graph = pickle.loads(pickle.dumps(MultimodalHypergraph.open(path)))
    assert graph.relation("rated").values.tolist() == [1.0, 2.5, 4.0]


def test_a_flipped_byte_is_found_and_the_array_named(path):
    reads = {
        "modality/0/features": lambda g: g.modality("artwork").features,
        "modality/1/ids/utf8": lambda g: g.modality("artist").ids,
        "modality/1/features/data": lambda g: g.modality("artist").features,
        "relation/1/values": lambda g: g.relation("rated").values,
    }
    for array, read in reads.items():
        chunk = next(
            file for file in (path / array).rglob("*") if "/c/" in str(file) and file.is_file()
        )
        content = chunk.read_bytes()
        chunk.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        graph = MultimodalHypergraph.open(path)
        with pytest.raises(UserError, match=f"damaged: array '{array}'.*save it again"):
            read(graph)
        chunk.write_bytes(content)
        read(MultimodalHypergraph.open(path))


@pytest.mark.parametrize("name", ["zarr.json", "relation/0/indices/zarr.json"])
def test_a_flipped_byte_beside_the_arrays_is_found_or_does_no_harm(path, name):
    content = (path / name).read_bytes()
    refused = 0
    for at in range(0, len(content), len(content) // 40):
        flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        (path / name).write_bytes(flipped)
        try:
            graph = MultimodalHypergraph.open(path)
            indices = graph.relation("made").indices
        except UserError:
            refused += 1
        else:
            assert indices.tolist() == full().relation("made").indices.tolist()
    assert refused > 20


def test_a_changed_name_and_a_lost_array_are_found(path):
    about = path / "zarr.json"
    content = about.read_text()
    about.write_text(content.replace('"medium"', '"nedium"'))
    with pytest.raises(UserError, match="names and sizes have changed since they were written"):
        MultimodalHypergraph.open(path)
    about.write_text(content)
    shutil.rmtree(path / "relation/0/indices")
    with pytest.raises(UserError, match="array 'relation/0/indices' is missing"):
        MultimodalHypergraph.open(path)


def test_what_is_no_hypergraph_is_refused(path, tmp_path):
    with pytest.raises(UserError, match="there is no hypergraph at"):
        MultimodalHypergraph.open(tmp_path / "none")
    with pytest.raises(UserError, match="no Zarr group"):
        MultimodalHypergraph.open(tmp_path)
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(UserError, match="but no hypergraph"):
        MultimodalHypergraph.open(tmp_path / "other.zarr")
    about = json.loads((path / "zarr.json").read_text())
    about["attributes"]["format_version"] = 99
    (path / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="format version 99"):
        MultimodalHypergraph.open(path)


def test_what_stands_there_is_replaced_only_when_asked(path):
    with pytest.raises(UserError, match="overwrite=True"):
        gallery().save(path)
    gallery().save(path, overwrite=True)
    assert MultimodalHypergraph.open(path).checksum() == gallery().checksum()
    assert [each.name for each in path.parent.iterdir()] == ["gallery.zarr"]


def test_what_fails_half_way_leaves_what_was_there(path, monkeypatch):
    def fail(*_):
        raise RuntimeError("the power is gone")

    monkeypatch.setattr("hypergraph.data.store.digest_of_json", fail)
    with pytest.raises(RuntimeError, match="power"):
        gallery().save(path, overwrite=True)
    monkeypatch.undo()
    assert MultimodalHypergraph.open(path).checksum() == full().checksum()
    assert [each.name for each in path.parent.iterdir()] == ["gallery.zarr"]


def test_hyperedges_that_are_unread_are_checked_against_other_items(path):
    """Fewer of a modality than they were saved with; more, or another graph, read nothing."""
    opened = MultimodalHypergraph.open(path)
    larger = opened.with_modality(Modality("artist", 9))
    assert all(is_unread(relation, "indices") for relation in larger.relations.values())
    why = "relation 'made': hyperedge 4 has item 2 of modality 'artist', whose items are 0 to 1"
    with pytest.raises(UserError, match=why):
        opened.with_modality(Modality("artist", 2))
    made = MultimodalHypergraph.open(path).relation("made")
    fewer = MultimodalHypergraph.of(
        [Modality("artwork", 6), Modality("artist", 2), Modality("medium", 2)],
        [Relation("made", ("artwork", "artist"), [[0, 0]])],
    )
    assert is_unread(made, "indices")
    with pytest.raises(UserError, match=why):
        fewer.with_relation(made)
