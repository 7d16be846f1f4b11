"""The script of a dry run, with a list of the files that it needs beside it."""

from __future__ import annotations

import os
import sys

from slurm.executor import JobRequest
from slurm.specs import JobSpec

SHEBANG = "#!/bin/bash\n"


def with_needs(script: str, request: JobRequest, specs: list[JobSpec]) -> str:
    """The script, with comments on the files that `hvdtma submit` writes and the nodes must see."""
    stores = dict.fromkeys(str(spec.config.store) for spec in specs if spec.config)
    runs = dict.fromkeys(str(spec.config.run.parent) for spec in specs if spec.config)
    lines = [
        "A dry run: nothing is written. The script alone does not run; hvdtma submit writes",
        f"beside it, in {request.folder} (mode 0700):",
        *("  config-*.yaml        the config of each run",) * bool(stores),
        "  *_submitted.pkl      the code of the tasks, pickled under the id of the job",
        "All nodes must see:",
        f"  {sys.executable}  (with hvdtma and submitit)",
        *(f"  {folder}  (in PYTHONPATH)" for folder in request.python_path.split(os.pathsep)),
        *(f"  {store}  (the store)" for store in stores),
        *(f"  {run}  (the folder of the run; written)" for run in runs),
        "For a script to change and submit yourself, copy slurm/train.sbatch.",
    ]
    # A path with a line break must not begin a line of the script.
    comments = "".join(f"# {''.join(c if c.isprintable() else '?' for c in x)}\n" for x in lines)
    head = SHEBANG if script.startswith(SHEBANG) else ""
    return f"{head}{comments}{script.removeprefix(head)}"
