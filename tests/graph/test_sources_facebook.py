"""A real graph is read from its files as they are."""

from pathlib import Path

import numpy as np
import pytest

from hvdtma.graph.ingest import FileSource

FACEBOOK = Path(__file__).parents[2].parent / "shared" / "data" / "facebook"

pytestmark = pytest.mark.skipif(not FACEBOOK.is_dir(), reason="the shared data are not here")


@pytest.fixture(scope="module")
def facebook():
    return FileSource(
        FACEBOOK / "edges.csv.gz",
        FACEBOOK / "features.json.gz",
        FACEBOOK / "target.csv.gz",
        label_column="page_type",
        undirected=True,
    ).load()


def test_every_page_edge_and_loop_is_there(facebook):
    assert facebook.num_nodes == 22_470
    assert len(facebook.src) == 171_002
    assert int((facebook.src == facebook.dst).sum()) == 179
    assert facebook.node_id.to_list() == list(range(22_470))
    assert not any(facebook.counts.values())


def test_features_and_labels_belong_to_their_pages(facebook):
    assert facebook.feat.shape == (22_470, 4_714)
    assert set(facebook.feat.data) == {1.0}
    # page 554 in features.json.gz has 22 feature ids, page 10772 has 5
    assert np.diff(facebook.feat.indptr)[[554, 10_772]].tolist() == [22, 5]
    assert facebook.label_names == ["company", "government", "politician", "tvshow"]
    first = [facebook.label_names[code] for code in facebook.label[:5]]
    assert first == ["tvshow", "government", "company", "government", "politician"]
    assert np.bincount(facebook.label).tolist() == [6495, 6880, 5768, 3327]
