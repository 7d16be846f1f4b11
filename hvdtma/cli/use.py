"""Commands that ask a trained model: predict, recommend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hvdtma.cli.runs import Model, Overwrite

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 20  # of an answer about many nodes or pairs
SHOWN_PARTNERS = 1000  # of a single node
SHOWN_COLUMNS = 8

Out = Annotated[
    Path | None,
    typer.Option(
        help="The file to write: .parquet or .csv. Default: a table on the terminal.",
        show_default=False,
    ),
]
Type = Annotated[
    str | None, typer.Option(help="The edge type, if edges have types.", show_default=False)
]
Store = Annotated[
    Path | None,
    typer.Option(
        help="Another store to ask about, such as a later one with new nodes (build "
        "--features-like). Default: the run's own."
    ),
]
SkipUnknown = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out unknown ids, and print how many.")
]
MemoryGb = Annotated[
    float | None, typer.Option(help="Memory limit in GiB. Default: the run's own limit.")
]
IdColumn = Annotated[str | None, typer.Option(help="Column of the ids. Default: id, or the first.")]
Header = Annotated[
    str, typer.Option(help="Whether text files have a header line: auto | yes | no.")
]
Delimiter = Annotated[str | None, typer.Option(help="Delimiter of text files. Default: detected.")]
BadRows = Annotated[
    str,
    typer.Option(help="Rows of tables that cannot be read are: error | skip (counted and shown)."),
]


def predict(
    run: Model,
    ids: Annotated[
        str | None,
        typer.Argument(help="With --nodes: a table of ids. Default: all nodes."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(help="Score these pairs: a table with the columns src and dst, as --edges."),
    ] = None,
    nodes: Annotated[
        bool, typer.Option("--nodes", help="Predict labels of nodes, of all or of IDS.")
    ] = False,
    type: Type = None,
    out: Out = None,
    store: Store = None,
    skip_unknown: SkipUnknown = False,
    src_column: Annotated[
        str | None, typer.Option(help="Column of the sources. Default: src, or the first.")
    ] = None,
    dst_column: Annotated[
        str | None, typer.Option(help="Column of the destinations. Default: dst, or the second.")
    ] = None,
    type_column: Annotated[
        str | None, typer.Option(help="Column of the pairs' edge types, in place of --type.")
    ] = None,
    id_column: IdColumn = None,
    header: Header = "auto",
    delimiter: Delimiter = None,
    bad_rows: BadRows = "error",
    memory_gb: MemoryGb = None,
    overwrite: Overwrite = False,
) -> None:
    """Score pairs of nodes, or predict labels of nodes, with the model of a run's best round.

    With --pairs: a score for each pair; likely links have higher ones. With --nodes: classes with
    probabilities, probabilities of several labels, or targets of regression.
    """
    from hvdtma.api.use import predict as predict_of_run
    from hvdtma.core.errors import UserError

    if (pairs is None) == (not nodes):
        raise UserError("give --pairs FILE or --nodes, one of them")
    if ids is not None and not nodes:
        raise UserError(f"the ids '{ids}' are for --nodes; leave them out, or give --nodes")
    answer = predict_of_run(
        run,
        out,
        pairs=pairs,
        nodes=ids,
        type=type,
        store=store,
        skip_unknown=skip_unknown,
        src_column=src_column,
        dst_column=dst_column,
        type_column=type_column,
        id_column=id_column,
        header=header,
        delimiter=delimiter,
        bad_rows=bad_rows,
        memory_gb=memory_gb,
        overwrite=overwrite,
    )
    _show(answer, out, SHOWN_ROWS)


def recommend(
    run: Model,
    node: Annotated[str | None, typer.Option(help="The id of a node.", show_default=False)] = None,
    nodes: Annotated[str | None, typer.Option(help="A table of ids, in place of --node.")] = None,
    k: Annotated[int, typer.Option("-k", help="Number of partners of each node.", min=1)] = 10,
    known: Annotated[
        str, typer.Option(help="Training links of the node are left out: exclude | include.")
    ] = "exclude",
    type: Type = None,
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Search an index (pip install faiss-cpu) in place of all candidates; the share of "
            "the exact partners that it finds is printed.",
        ),
    ] = False,
    out: Out = None,
    store: Store = None,
    skip_unknown: SkipUnknown = False,
    id_column: IdColumn = None,
    header: Header = "auto",
    delimiter: Delimiter = None,
    bad_rows: BadRows = "error",
    memory_gb: MemoryGb = None,
    overwrite: Overwrite = False,
) -> None:
    """Find the k best partners of nodes: the destinations of links from them with the best scores.

    All nodes that negatives of the edge type are drawn from are candidates, without the node
    itself. Held-out links are not known links: they may be among the partners.
    """
    from hvdtma.api.use import recommend as recommend_of_run

    answer = recommend_of_run(
        run,
        out,
        node=node,
        nodes=nodes,
        k=k,
        type=type,
        known=known,
        approximate=approximate,
        store=store,
        skip_unknown=skip_unknown,
        id_column=id_column,
        header=header,
        delimiter=delimiter,
        bad_rows=bad_rows,
        memory_gb=memory_gb,
        overwrite=overwrite,
    )
    _show(answer, out, SHOWN_ROWS if node is None else SHOWN_PARTNERS)


def _show(answer: pa.Table | tuple[Path, int], out: Path | None, most: int) -> None:
    """Print a table of at most some rows, or where it was written."""
    from rich.markup import escape
    from rich.table import Table

    from hvdtma.core.console import results

    if isinstance(answer, tuple):
        typer.echo(f"{out}: {answer[1]:,} rows")
        return
    names = answer.column_names[:SHOWN_COLUMNS]
    shown = Table()
    for name in names:
        is_text = "string" in str(answer.schema.field(name).type)
        shown.add_column(escape(name), justify="left" if is_text else "right", overflow="fold")
    for row in answer.slice(0, most).to_pylist():
        cells = [row[name] for name in names]
        texts = [f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells]
        shown.add_row(*map(escape, texts))
    results().print(shown)
    rows, columns = answer.num_rows - most, len(answer.column_names) - len(names)
    left = [
        f"{number:,} more {unit}"
        for number, unit in ((rows, "rows"), (columns, "columns"))
        if number > 0
    ]
    if left:
        typer.echo(f"{' and '.join(left)}; --out FILE writes all")
