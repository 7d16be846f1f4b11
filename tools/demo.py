"""`make demo`: build a graph, train three trainers on it, and embed every node.

    python tools/demo.py [horovodrun | torchrun]

Runs the commands that a user would run, and prints each of them.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

STORE, RUN, CONFIG = Path("runs/demo-store.zarr"), Path("runs/demo"), "configs/demo.yaml"
SOURCE = "synthetic:nodes=20000,edges=200000,features=64,communities=200"
TRAINERS = 3
LAUNCHERS = {
    "horovodrun": ("horovodrun", "-np", TRAINERS, "hvdtma"),
    "torchrun": ("torchrun", "--nproc-per-node", TRAINERS, "-m", "hvdtma"),
}


def main(launcher: str = "horovodrun") -> None:
    """Build, train and embed; print where the results are."""
    start = time.monotonic()
    call("hvdtma", "build", STORE, SOURCE, "--overwrite")
    call(*LAUNCHERS[launcher], "train", CONFIG, "--overwrite")
    call("hvdtma", "embed", RUN, "--out", RUN / "embeddings.parquet", "--overwrite")
    summary = json.loads((RUN / "summary.json").read_text())
    print(
        f"""
Done in {time.monotonic() - start:.0f} s. {summary["trainers"]} trainers each trained on a third of
a graph of 20,000 nodes and averaged their parameters {summary["rounds"]} times; no node data was
exchanged. Test MRR {summary["test"]["mrr"]:.3f} against 1,000 negatives (chance: 0.007);
{summary["share_not_training"]:.1%} of the trainers' time was not training.

  {RUN}/report.html          open it in a browser
  {RUN}/summary.json         the figures
  {RUN}/embeddings.parquet   one vector per node, keyed by its id
  {RUN}/best.safetensors     the best round's parameters
  {RUN}/config.yaml          the config with all defaults; {CONFIG} is the short one

Next: hvdtma build --help, and README.md, "Your own graph"."""
    )


def call(*command: object) -> None:
    """Print and run a command of this environment; stop with its status if it fails."""
    words = [str(word) for word in command]
    print(f"\n$ {shlex.join(words)}", flush=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(words, env=os.environ | {"PATH": path})
    if done.returncode:
        sys.exit(f"demo: the command above failed with status {done.returncode}")


if __name__ == "__main__":
    main(*sys.argv[1:])
