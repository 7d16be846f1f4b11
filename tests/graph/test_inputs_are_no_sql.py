"""Names of files and columns, and the values in them, are never read as SQL."""

import csv

import pytest

from hvdtma.graph.ingest import FileSource

ODD = ['"', "'", '""; DROP TABLE edges; --', "a' OR '1'='1", "/* x", "{x}", "%s", "\\", "*", "?"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_of_files_columns_and_ids_are_taken_as_they_are(tmp_path, odd):
    src, dst, kind, weight = (f"{word} {odd}" for word in ("src", "dst", "type", "weight"))
    rows = [(odd, "b", odd, 1.5), ("b", f"{odd}{odd}", "usual", 2.5)]
    folder = tmp_path / odd.replace("/", "_")
    folder.mkdir()
    path = folder / f"edges {folder.name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([(src, dst, kind, weight), *rows])
    raw = FileSource(
        path, src_column=src, dst_column=dst, type_column=kind, weight_column=weight, id_type="str"
    ).load()
    ids = raw.node_id.to_list()
    found = {
        (ids[s], ids[d], raw.edge_type_names[t], w)
        for s, d, t, w in zip(raw.src, raw.dst, raw.edge_type, raw.weight, strict=True)
    }
    assert found == set(rows)
