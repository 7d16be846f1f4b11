"""The collection's tables become artworks, artists, media, centuries and subjects."""

from pathlib import Path

import numpy as np
import pytest

from hvdtma.core.errors import UserError
from hypergraph import MultimodalHypergraph, from_tate

TATE = Path(__file__).parents[2].parent / "shared" / "data" / "tate"
ARTWORKS = """\
id,acno,title,artist_id,artist,medium,classification,start_year,subject_ids
3,T1,"A boat, at
the sea of 1850",21,Ann,Oil,painting,1900,7 8
4,T2,A boat,22,Ann,Oil,painting,1901,7
5,T3,Sea,23,Bob,Ink,drawing,c.1801-5,
6,T4,Sea,23,Bob,Ink,drawing,no date,9
7,T5,Boat,,,Ink,drawing,1950,9
"""
SUBJECTS = 'id,name\n7,boat\n8,"sea, calm"\n9,boat\n'


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "artworks.csv").write_text(ARTWORKS)
    (tmp_path / "subjects.csv").write_text(SUBJECTS)
    return tmp_path / "artworks.csv", tmp_path / "subjects.csv"


def links(graph: MultimodalHypergraph, name: str) -> list[tuple]:
    relation = graph.relation(name)
    return [
        tuple(graph.modality(m).id_of(at) for m, at in zip(relation.modalities, row, strict=True))
        for row in relation.indices
    ]


def test_an_artwork_of_which_all_is_known_is_a_hyperedge_the_others_are_items(tables):
    graph = from_tate(tables[0], min_artworks=1)
    assert links(graph, "artwork") == [
        (3, "Ann (21)", "Oil", 19),  # two artists are called Ann; 1900 is of the 19th century
        (4, "Ann (22)", "Oil", 20),
        (5, "Bob", "Ink", 19),
    ]
    assert graph.modality("artwork").ids.tolist() == [3, 4, 5, 6, 7]
    assert graph.modality("century").intra.edges.tolist() == [[0, 1]]


def test_subjects_are_features_or_a_modality(tables):
    four, five = from_tate(tables[0], min_artworks=1), from_tate(*tables, min_artworks=1)
    assert list(five.modalities) == ["artwork", "artist", "medium", "century", "subject"]
    assert links(five, "subject") == [
        (3, "boat (7)"), (3, "sea, calm"), (4, "boat (7)"), (6, "boat (9)"), (7, "boat (9)"),
    ]  # fmt: skip
    more = four.modality("artwork").features.shape[1] - five.modality("artwork").features.shape[1]
    assert more == 3


def test_features_know_title_and_classification_and_nothing_of_the_relation(tables):
    features = from_tate(*tables, min_artworks=1).modality("artwork").features.toarray()
    assert features.shape == (5, 4)  # boat, sea; drawing, painting: not 1850
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(features[2], features[3])


def test_what_is_wrong_is_said(tables, tmp_path):
    with pytest.raises(UserError, match="no table file"):
        from_tate(tmp_path / "none.csv")
    with pytest.raises(UserError, match="has no column 'title'"):
        from_tate(tables[1])
    tables[1].write_text("id,name\n7,boat\n")
    with pytest.raises(UserError, match="row 0 has the subject '8'"):
        from_tate(*tables)


@pytest.mark.skipif(not TATE.is_dir(), reason="the shared data are not here")
def test_the_whole_collection_is_read():
    graph = from_tate(TATE / "artworks.csv.gz", TATE / "subjects.csv.gz", neighbours=0)
    sizes = {name: modality.num_items for name, modality in graph.modalities.items()}
    assert sizes == {
        "artwork": 69_202,
        "artist": 3_280,
        "medium": 3_413,
        "century": 6,
        "subject": 16_455,
    }
    assert graph.relation("artwork").num_hyperedges == 55_551
    assert graph.relation("subject").num_hyperedges == 361_385
    turner = graph.modality("artist").index_of("Joseph Mallord William Turner")
    assert (graph.relation("artwork").column("artist") == turner).mean() > 0.5
