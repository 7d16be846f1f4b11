"""Help and imports take no time: they load no heavy package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hypergraph

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "dgl", "sklearn", "numba", "scipy", "zarr", "pyarrow", "plotly", "horovod"}


@pytest.mark.parametrize("words", [["-c", "import hypergraph"], ["-m", "hypergraph", "--help"]])
def test_nothing_heavy_is_loaded(words):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "hypergraph" in loaded
    assert loaded & HEAVY == set()


def test_every_exported_name_is_there():
    for name in hypergraph.__all__:
        assert getattr(hypergraph, name).__name__ == name
    assert set(hypergraph.__all__) <= set(dir(hypergraph))
    with pytest.raises(AttributeError, match="has no attribute 'Hyperlearn'"):
        hypergraph.Hyperlearn  # noqa: B018
