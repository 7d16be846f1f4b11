"""Compare runs."""

from __future__ import annotations

from collections.abc import Sequence

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.api.run import Run
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.runs.report.compare_page import write_comparison
from hvdtma.runs.report.comparison import Comparison, compare_runs


@names_arguments
def compare(
    runs: Sequence[Run | FilePath],
    *,
    metric: str | None = None,
    out: FilePath | None = None,
    overwrite: bool = False,
) -> Comparison:
    """Compare runs: groups of runs that differ in the seed only, their scores and settings.

        for group in hvdtma.compare(["runs/a", "runs/b"]).groups:
            print(group.name, group.seeds, group.valid.mean, group.valid.deviation)

    Args:
        runs: runs, or folders that hold runs, such as that of a sweep.
        metric: the metric to compare; None: the one that chooses the best round.
        out: an HTML page to write.
        overwrite: replace a page that is there.

    Raises UserError without a run, if no run has a validation score, for an unknown metric, and if
    `out` exists.
    """
    if isinstance(runs, str) or not isinstance(runs, Sequence):
        raise UserError("runs must be a list of runs, as in compare(['runs/a', 'runs/b'])")
    path = None if out is None else expanded(out)
    if path is not None and path.exists() and not overwrite:
        raise UserError(f"{path} exists; add --overwrite to replace it")
    compared = compare_runs([expanded(run) for run in runs], metric)
    if path is not None:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        write_comparison(compared, path)
    return compared
