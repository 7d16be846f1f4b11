"""The report of a build: what was read, merged, dropped and filled, how many, and why.

The store keeps it in its attributes: `counts`, and `read` in the origin of the first command.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hvdtma.graph.store import GraphStore

Row = tuple[str, str, str]

# count -> what happened, and why
REASONS: Mapping[str, tuple[str, str]] = {
    "byte_order_marks_inside": (
        "byte order marks removed",
        "they begin a line inside a file, as where files were joined",
    ),
    "comment_lines": ("comment lines skipped", "they begin with a comment character"),
    "repeated_headers": ("repeated headers skipped", "lines equal to the first one"),
    "inputs_without_rows": ("inputs left out", "files of an argument that have no rows"),
    "bad_rows_skipped": ("bad rows skipped", "bad_rows is skip; the first ones were printed"),
    "rows_with_blanks_around_fields": (
        "rows with blanks trimmed",
        "blanks around a field without quotes are no part of it",
    ),
    "self_loops": ("self-loops dropped", "a node gets no message from itself"),
    "duplicate_edges": ("repeated edges merged", "a link is kept once"),
    "duplicate_edges_with_weights_added": (
        "repeated edges merged",
        "a link is kept once, with the sum of the weights",
    ),
    "duplicate_messages": ("repeated messages merged", "a direction of a link is kept once"),
    "duplicate_messages_with_weights_added": (
        "repeated messages merged",
        "a direction of a link is kept once, with the sum of the weights",
    ),
    "zeros_in_adjacency": ("zeros dropped", "a stored zero of a matrix is no edge"),
    "edges_held_out": ("edges left out", "the given split holds their pairs out"),
    "edges_dropped_as_held_out": ("edges left out", "the given split holds their pairs out"),
    "held_out_pairs_in_train": (
        "given pairs in two parts",
        "they are in train, and also in valid or test; kept in the latter only",
    ),
    "held_out_loops": (
        "self-loops dropped from the given split",
        "a node gets no message from itself",
    ),
    "held_out_links_repeated": (
        "repeated links dropped from the given split",
        "the same link stands twice in valid, or in test",
    ),
    "later_edges_of_earlier_links_dropped": (
        "later edges dropped",
        "their link is in an earlier part of the split by time",
    ),
    "messages_from_the_future_dropped": (
        "messages dropped",
        "they would go from a later node to an earlier one",
    ),
    "held_out_links_added_for_equal_times": (
        "held-out links more than asked for",
        "links of one time are in one part",
    ),
    "held_out_nodes_added_for_equal_times": (
        "held-out nodes more than asked for",
        "nodes of one time are in one part",
    ),
    "labelled_nodes_without_time_in_no_part": ("labelled nodes in no part", "they have no time"),
    "held_out_links_turned_around": (
        "held-out links turned around",
        "their source is linked to all of its candidates",
    ),
    "links_kept_for_training_without_negatives": (
        "links kept for training",
        "no node could replace either end as a negative",
    ),
    "held_out_links_dropped_without_negatives": (
        "held-out links dropped",
        "no node could replace either end as a negative",
    ),
    "nodes_without_edges": ("nodes without edges", "they have features only, or held-out links"),
    "ids_without_features": ("nodes without features", "their features are filled with zeros"),
    "feature_columns_left_out": ("feature columns not taken", "the build printed the reasons"),
    "feature_values_filled": ("missing features filled", "as fill_missing says"),
    "features_missing": ("features missing", "features_like has them; filled with zeros"),
    "features_not_in_features_like": ("features ignored", "features_like does not have them"),
    "nodes_without_label": ("nodes without label", "they are in no part of the split"),
    "nodes_without_time": ("nodes without time", "their rows have none, or they have no row"),
    "labels_of_unknown_ids": ("labels dropped", "their ids are in no edge and have no features"),
    "labels_repeated": ("repeated labels merged", "the same label of a node stands twice"),
    "attributes_not_used": ("attributes not used", "the build printed their names"),
}


def report_rows(store: GraphStore) -> list[Row]:
    """What happened, how often, and why."""
    rows: list[Row] = []
    origin = store.attrs["provenance"][0].get("source") or {}
    for read in origin.get("read", ()):
        rows.append((f"{read['input']} read", f"{read['rows']:,}", read["text"]))
    for key, number in store.attrs["counts"].items():
        what, why = REASONS.get(key, (key.replace("_", " "), ""))
        rows.append((what, f"{number:,}", why))
    return rows


def print_report(store: GraphStore) -> None:
    """Print the report as a table, if anything happened."""
    rows = report_rows(store)
    if not rows:
        return
    table = Table("report of the build", "number", "details", box=None, title_justify="left")
    table.columns[1].justify = "right"
    for what, number, why in rows:
        table.add_row(escape(what), number, escape(why))
    console.print(table)
