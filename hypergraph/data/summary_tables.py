"""A hypergraph's summary as tables for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hypergraph.data.hypergraph import MultimodalHypergraph


def describe(graph: MultimodalHypergraph) -> None:
    """Print the summary of a hypergraph."""
    console.print(tables(graph.summary()))


def tables(summary: dict[str, Any]) -> Group:
    """A summary as a table of modalities and a table of relations."""
    modalities = Table("modality", "items", "features", "degree: median, p99, most",
                       "in no hyperedge", "intra edges", "made by", box=None)  # fmt: skip
    for name, m in summary["modalities"].items():
        degree, intra = m["degree"], m["intra"]
        modalities.add_row(
            escape(name), f"{m['items']:,}", "-" if m["features"] is None else f"{m['features']:,}",
            f"{degree['median']:,.0f}, {degree['p99']:,.0f}, {degree['most']:,.0f}",
            f"{m['in_no_hyperedge']:.1%}",
            "-" if intra is None else f"{intra['edges']:,}", _made_by(intra),
        )  # fmt: skip
    relations = Table("relation", "joins", "hyperedges", "density", "values", "repeats dropped",
                      "train, valid, test", box=None)  # fmt: skip
    for name, r in summary["relations"].items():
        values, parts = r["values"], r["parts"]
        relations.add_row(
            escape(name), escape(", ".join(r["modalities"])), f"{r['hyperedges']:,}",
            f"{r['density']:.2g}",
            "present" if values is None else f"{values['least']:.3g} to {values['most']:.3g}",
            f"{r['repeats_dropped']:,}",
            "-" if parts is None else ", ".join(f"{n:,}" for n in parts.values()),
        )  # fmt: skip
    return Group(modalities, "", relations)


def _made_by(intra: dict[str, Any] | None) -> str:
    if intra is None or intra["recipe"] is None:
        return "-" if intra is None else "given"
    return f"{intra['recipe']['k']} nearest by {intra['recipe']['kind']}"
