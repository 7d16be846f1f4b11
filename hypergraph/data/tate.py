"""The Tate collection's tables as a hypergraph: who made what, of what, when, and of which subject.

Modalities: artwork, artist, medium, century; and subject, if the table of subjects is given.
Relation `artwork` (artwork, artist, medium, century) has one hyperedge for each artwork of which
all three are known; artworks with a gap are items without one, whose artist, medium or century can
be asked for. Relation `subject` (artwork, subject) has one for each subject of an artwork.

The century is that of the first four digits of the start year, counted as historians do: 1801 to
1900 is 19. An artist or subject is called by name, with the id behind it where a name is not the
only one.

Features of an artwork are what is known beside its relations: words of the title (no numbers: a
year may be among them), classification, and subjects unless they are a modality; weighted by how
rare they are (tf-idf), each artwork's of length 1.

Intra graphs: artworks have neighbours by features; artists, media and subjects by shared
hyperedges; centuries are a chain.

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
from hvdtma.tables.columns import Column
from hypergraph.data.columns import as_ids, read_columns
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.intra import GraphRecipe, chain
from hypergraph.data.modality import Features, Modality
from hypergraph.data.relation import Relation

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
        neighbours: that an item looks for; 0: no such graphs.
        min_artworks: a word or subject in fewer artworks is no feature.

    Raises UserError for a missing file or column, and an id that is no number.
    """
    path = Path(artworks)
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
    whole = np.flatnonzero(np.all([code >= 0 for _, code in names.values()], axis=0))
    rows = np.stack([whole, *(code[whole] for _, code in names.values())], 1)
    modalities = [Modality("artwork", len(ids), ids, features)]
    modalities += [
        Modality(name, len(known), known, intra=chain(len(known)) if name == "century" else None)
        for name, (known, _) in names.items()
    ]
    relations = [Relation("artwork", ("artwork", *names), rows)]
    if subjects is not None:
        subject, tagged = _subjects(Path(subjects), subject_ids)
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
    """The centuries, ascending, and int64 [N]: which of them; -1 where the year is not known."""
    found = [YEAR.search(str(year)) for year in years]
    century_N = np.array([(int(year[0]) - 1) // 100 + 1 if year else -1 for year in found])
    known = np.unique(century_N[century_N >= 0])
    return known, np.where(century_N < 0, -1, np.searchsorted(known, century_N))


def _artists(ids: Column, names: Column) -> tuple[np.ndarray, np.ndarray]:
    """What the artists are called, and int64 [N]: which of them; -1 where it is not known."""
    known, artist_N = _coded(ids)
    name_of = dict(zip(ids.cast(pa.large_string()).to_pylist(), names.to_pylist(), strict=True))
    return _called([name_of[artist] or "" for artist in known.tolist()], known.tolist()), artist_N


def _called(names: list[str], ids: list) -> np.ndarray:
    """The names, with the id behind those that several have."""
    times = Counter(names)
    pairs = zip(names, ids, strict=True)
    return np.array([name if times[name] == 1 else f"{name} ({its})" for name, its in pairs])


def _coded(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The distinct texts, sorted, and int64 [N]: which of them; -1 where there is none."""
    text = column.cast(pa.large_string())
    known = np.array(sorted(pc.unique(text.drop_null()).to_pylist()))
    place = pc.index_in(text, value_set=pa.array(known, pa.large_string()))
    return known, pc.fill_null(place, -1).to_numpy().astype(np.int64)


def _subjects(path: Path, subject_ids: list[list[str]]) -> tuple[Modality, np.ndarray]:
    """The modality of subjects, by name, and its hyperedges int64 [n, 2]."""
    ids, names = (column.to_pylist() for column in read_columns(path, ("id", "name")))
    position = {str(subject): at for at, subject in enumerate(ids)}
    rows = []
    for artwork, its in enumerate(subject_ids):
        for subject in its:
            if subject not in position:
                raise UserError(
                    f"artwork in row {artwork} has the subject '{subject}', which '{path}' lacks; "
                    "are the two tables of one collection?"
                )
            rows.append((artwork, position[subject]))
    return Modality("subject", len(ids), _called(names, ids)), np.array(rows)


def _features(
    column: dict[str, Column], subject_ids: list[list[str]] | None, min_artworks: int
) -> Features | None:
    """tf-idf float32 [N, D]; None where nothing is common enough."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

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
        except ValueError:  # its way to say that nothing is common enough
            continue
    if not parts:
        return None
    return sp.csr_array(TfidfTransformer().fit_transform(sp.hstack(parts, format="csr")))
