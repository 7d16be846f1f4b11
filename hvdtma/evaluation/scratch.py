"""The folder for scratch files of scoring, checked before the files are written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hvdtma.core.disk import check_disk_space
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import ScoringBudget, scoring_requirement, scratch_bytes
from hvdtma.graph.sizes import GraphFacts


def check_scoring_scratch(config: TrainConfig, store: GraphFacts) -> None:
    """`check_scratch` for the files that scoring will write."""
    check_scratch(config.scratch_dir, scoring_scratch(config, store))


def scoring_scratch(config: TrainConfig, store: GraphFacts) -> int:
    """The peak size of the files that scoring writes; 0 if a sample is scored."""
    if config.evaluate.sample:
        return 0
    return scratch_bytes(
        config, store, ScoringBudget.of(config, scoring_requirement(config, store))
    )


def check_scratch(folder: Path | None, needed_bytes: int) -> None:
    """Raise UserError if files cannot be created in `folder`, or its disk has too little space.

    Args:
        folder: `scratch_dir`; None: the system's folder for temporary files.
        needed_bytes: the size of the files.
    """
    if folder is None and not needed_bytes:
        return
    where = folder or Path(tempfile.gettempdir())
    other = "set scratch_dir to a folder on a local disk that can be written to"
    if not where.exists():
        raise UserError(f"scratch_dir {where} does not exist; make it, or {other}")
    if not where.is_dir():
        raise UserError(f"scratch_dir {where} is not a folder; {other}")
    try:
        tempfile.TemporaryFile(dir=where).close()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"scratch_dir {where} cannot be written to ({reason}); {other}") from error
    remedy = "set scratch_dir to a larger disk, give more memory_gb, or use evaluate.sample"
    check_disk_space(where, needed_bytes, "used to embed every node", remedy)
