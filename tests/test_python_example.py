"""The whole job from Python: the file and the notebook of examples/ run as they stand."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from processes import run_script

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
# pyzmq and the kernel's client leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def test_the_file_builds_trains_recommends_and_fine_tunes(tmp_path):
    done = run_script(EXAMPLES / "from_python.py", tmp_path)
    found = re.search(r"test MRR (\d\.\d+), of the best round", done.stdout)
    assert float(found[1]) > 0.3  # at random it would be 0.05
    partners = re.findall(r"000 of club 0 may know \d+ of club (\d+)", done.stdout)
    assert len(partners) == 5
    assert partners.count("0") >= 4
    tuned = re.search(r"a year later, fine-tuned: (\d\.\d+)", done.stdout)
    assert float(tuned[1]) > 0.3
    assert "tensors are from the run runs/friends" in done.stderr


def test_the_notebook_runs(tmp_path, monkeypatch):
    for name in ("from_python.py", "from_python.ipynb"):
        shutil.copy(EXAMPLES / name, tmp_path / name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(tmp_path / "from_python.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    client = NotebookClient(
        notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    said = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())
    )
    assert said.count("may know") == 5
    assert re.search(r"optimizer\.lr=0\.01 valid 0\.\d+ test 0\.\d+", said)
    assert (tmp_path / "runs/compare.html").is_file()
