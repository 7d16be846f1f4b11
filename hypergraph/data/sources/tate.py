"""The tables of the Tate collection as a hypergraph: artworks, artists, media, centuries, subjects.

Modalities: artwork, artist, medium, century; and subject, if the table of subjects is given.
Relation `artwork` (artwork, artist, medium, century) has a hyperedge for each artwork whose artist,
medium and century are known; other artworks are items without a hyperedge, which the model can
complete. Relation `subject` (artwork, subject) has a hyperedge for each subject of an artwork.

The century is that of the first four digits of the start year: 1801 to 1900 is 19. The ids of
artists and subjects are their names; a name that several have is followed by the collection's id.

The features of an artwork are the words of its title (no numbers: they may be years), its
classification, and its subjects unless they are a modality; tf-idf weights, each row of length 1.

Graphs: artworks have neighbours by features; artists, media and subjects by hyperedges; centuries
are a chain.

Legend: N artworks, n hyperedges.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.tables.columns import Column
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.intra import GraphRecipe, chain
from hypergraph.data.modality import Features, Modality
from hypergraph.data.relation import Relation
from hypergraph.data.tables.columns import as_ids, read_columns

COLUMNS = (
    "id",
    "title",
    "artist_id",
    "artist",
    "medium",
    "classification",
    "start_year",
    "subject_ids",
)
YEAR = re.compile("[0-9]{4}")
WORD = r"(?u)\b[^\W\d]\w+\b"  # two letters or more, no number
MIN_ARTWORKS = 5


def from_tate(
    artworks: str | Path,
    subjects: str | Path | None = None,
    *,
    neighbours: int = 10,
    min_artworks: int = MIN_ARTWORKS,
) -> MultimodalHypergraph:
    """Read the collection; four modalities, or five with subjects.

    Args:
        artworks: table with the columns `COLUMNS`.
        subjects: table with the columns id and name; None: subjects are features.
        neighbours: neighbours per item; 0: no graphs of neighbours.
        min_artworks: words and subjects in fewer artworks are no features.

    Raises UserError for a missing file or column, and for an id that is no number.
    """
    path = expanded(artworks)
    read = read_columns(path, COLUMNS, may_be_empty=True, multiline=True)
    column = dict(zip(COLUMNS, read, strict=True))
    ids = as_ids(column["id"], f"column 'id' of '{path}'").to_numpy()
    subject_ids = [str(each or "").split() for each in column["subject_ids"].to_pylist()]
    features = _features(column, None if subjects else subject_ids, min_artworks)
    names = {
        "artist": _artists(column["artist_id"], column["artist"]),
        "medium": _coded(column["medium"]),
        "century": _centuries(column["start_year"].to_pylist()),
    }
    complete = np.flatnonzero(np.all([code >= 0 for _, code in names.values()], axis=0))
    rows = np.stack([complete, *(code[complete] for _, code in names.values())], 1)
    modalities = [Modality("artwork", len(ids), ids, features)]
    modalities += [
        Modality(name, len(ids_), ids_, intra=chain(len(ids_)) if name == "century" else None)
        for name, (ids_, _) in names.items()
    ]
    relations = [Relation("artwork", ("artwork", *names), rows)]
    if subjects is not None:
        subject, tagged = _subjects(expanded(subjects), subject_ids)
        modalities.append(subject)
        relations.append(Relation("subject", ("artwork", "subject"), tagged))
    graph = MultimodalHypergraph.of(modalities, relations)
    return _with_neighbours(graph, neighbours) if neighbours else graph


def _with_neighbours(graph: MultimodalHypergraph, k: int) -> MultimodalHypergraph:
    graph = graph.with_intra("artwork", GraphRecipe("features", k))
    for name in ("artist", "medium", "subject"):
        if name in graph.modalities:
            graph = graph.with_intra(name, GraphRecipe("hyperedges", k))
    return graph


def _centuries(years: list[str | int | None]) -> tuple[np.ndarray, np.ndarray]:
    """The centuries, ascending, and the position of each artwork's, int64 [N]; -1 if unknown."""
    found = [YEAR.search(str(year)) for year in years]
    century_N = np.array([(int(year[0]) - 1) // 100 + 1 if year else -1 for year in found])
    distinct = np.unique(century_N[century_N >= 0])
    return distinct, np.where(century_N < 0, -1, np.searchsorted(distinct, century_N))


def _artists(ids: Column, names: Column) -> tuple[np.ndarray, np.ndarray]:
    """The names of the artists, and the position of each artwork's, int64 [N]; -1 if unknown."""
    distinct, artist_N = _coded(ids)
    name_of = dict(zip(ids.cast(pa.large_string()).to_pylist(), names.to_pylist(), strict=True))
    artists = distinct.tolist()
    return _distinct_names([name_of[artist] or "" for artist in artists], artists), artist_N


def _distinct_names(names: list[str], ids: list) -> np.ndarray:
    """The names; a repeated name is followed by the id."""
    times = Counter(names)
    pairs = zip(names, ids, strict=True)
    return np.array([name if times[name] == 1 else f"{name} ({id_})" for name, id_ in pairs])


def _coded(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The distinct texts, sorted, and the position of each row's, int64 [N]; -1 if missing."""
    text = column.cast(pa.large_string())
    distinct = np.array(sorted(pc.unique(text.drop_null()).to_pylist()))
    position = pc.index_in(text, value_set=pa.array(distinct, pa.large_string()))
    return distinct, pc.fill_null(position, -1).to_numpy().astype(np.int64)


def _subjects(path: Path, subject_ids: list[list[str]]) -> tuple[Modality, np.ndarray]:
    """The modality of subjects, and the hyperedges int64 [n, 2] of artworks and subjects."""
    ids, names = (column.to_pylist() for column in read_columns(path, ("id", "name")))
    position = {str(subject): at for at, subject in enumerate(ids)}
    rows = []
    for artwork, its in enumerate(subject_ids):
        for subject in its:
            if subject not in position:
                raise UserError(
                    f"the artwork in row {artwork} has the subject '{subject}', which is not in "
                    f"'{path}'; are both tables of the same collection?"
                )
            rows.append((artwork, position[subject]))
    return Modality("subject", len(ids), _distinct_names(names, ids)), np.array(rows)


def _features(
    column: dict[str, Column], subject_ids: list[list[str]] | None, min_artworks: int
) -> Features | None:
    """tf-idf weights float32 [N, D]; None if no word is common enough."""
    from sklearn.feature_extraction.text import (  # takes seconds to import
        CountVectorizer,
        TfidfTransformer,
    )

    kinds: list[tuple[list, dict[str, Any]]] = [
        (["" if t is None else t for t in column["title"].to_pylist()],
         {"token_pattern": WORD, "stop_words": "english"}),
        ([[c] if c else [] for c in column["classification"].to_pylist()], {"analyzer": list}),
    ]  # fmt: skip
    if subject_ids is not None:
        kinds.append((subject_ids, {"analyzer": list}))
    parts = []
    for documents, how in kinds:
        vectorizer = CountVectorizer(min_df=min_artworks, binary=True, dtype=np.float32, **how)
        try:
            parts.append(vectorizer.fit_transform(documents))
        except ValueError:  # scikit-learn's error if no word is common enough
            continue
    if not parts:
        return None
    return sp.csr_array(TfidfTransformer().fit_transform(sp.hstack(parts, format="csr")))
