"""A hypergraph small enough to be written out."""

import numpy as np

from hypergraph import Intra, Modality, MultimodalHypergraph, Relation


def gallery() -> MultimodalHypergraph:
    """Six artworks by three artists in two media, rated by two users."""
    rng = np.random.default_rng(0)
    return MultimodalHypergraph.of(
        [
            Modality("artwork", 6, features=rng.normal(size=(6, 4))),
            Modality("artist", 3, np.array(["Ann", "Bob", "Çem"])),
            Modality("medium", 2, np.array([7, 11]), intra=Intra([[0, 1]], [0.5])),
            Modality("user", 2),
        ],
        [
            Relation(
                "made",
                ("artwork", "artist", "medium"),
                [[0, 0, 0], [1, 0, 1], [2, 1, 0], [3, 1, 1], [4, 2, 0], [5, 2, 0]],
            ),
            Relation("rated", ("user", "artwork"), [[0, 0], [0, 1], [1, 0]], [1.0, 2.5, 4.0]),
        ],
    )
