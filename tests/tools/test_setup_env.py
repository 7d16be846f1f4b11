"""`tools/setup_env.py` does nothing where everything is installed; with more to do, it sets up."""

import argparse
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """The tool with an environment of its own, and the steps of every set-up that it made."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import build_horovod
    import setup_env

    python = tmp_path / "python"
    python.touch()
    steps = []
    for name, value in {
        "STAMP": tmp_path / "stamp.json",
        "PYTHON": python,
        "LOGS": tmp_path / "logs",
        "check_python": lambda: None,
        "check_tools": lambda mpi: None,
        "make_venv": lambda: steps.append("venv"),
        "has_cmake": lambda: True,
        "pip_install": lambda label, log, *words: steps.append((log, words[1:])),
        "run_step": lambda label, command, log: steps.append(" ".join(map(str, command[2:]))),
    }.items():
        monkeypatch.setattr(setup_env, name, value)
    monkeypatch.setattr(build_horovod, "ensure_horovod", lambda *_: steps.append("horovod"))
    monkeypatch.setattr(build_horovod, "gpu_parts", lambda: [])
    yield setup_env, build_horovod, steps
    for name in ("setup_env", "build_horovod", "steps"):
        sys.modules.pop(name, None)


def set_up(tool, **asked):
    """Run the tool; the steps that it took."""
    module, _, steps = tool
    steps.clear()
    wanted = {"extras": [], "mpi": False, "jobs": None, "torch_index": None} | asked
    module.set_up(argparse.Namespace(**wanted))
    return list(steps)


def test_nothing_is_done_twice_and_extras_stay(tool):
    assert "horovod" in set_up(tool)
    assert set_up(tool) == []
    assert set_up(tool, extras=["test"])
    assert set_up(tool) == set_up(tool, extras=["test"]) == []
    assert set_up(tool, mpi=True)


def test_horovod_is_looked_at_again_once_cuda_is_found(tool, monkeypatch):
    set_up(tool)
    monkeypatch.setattr(tool[1], "gpu_parts", lambda: ["/usr/local/cuda"])
    assert "horovod" in set_up(tool)
    assert set_up(tool) == []
    monkeypatch.setattr(tool[1], "gpu_parts", lambda: [])  # its module is not loaded
    assert set_up(tool) == []
    set_up(tool, extras=["test"])
    monkeypatch.setattr(tool[1], "gpu_parts", lambda: ["/usr/local/cuda"])
    assert set_up(tool) == []


@pytest.mark.parametrize("works", [True, False])
def test_a_horovod_with_nccl_stays_while_cuda_is_out_of_sight(tool, monkeypatch, tmp_path, works):
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(TOOLS))
    build, installed = tool[1], []
    facts = {"torch": "2.4", "cuda": "12.4", "python_tag": "cp311", "libc": "x", "machine": "y"}
    target = build.Target(python=tmp_path / "python", site_packages=tmp_path, **facts)
    nccl = build.Nccl(tmp_path, tmp_path, tmp_path)
    note = tmp_path / "hvdtma-horovod.txt"
    note.write_text(build.WheelRecipe(target, nccl, False, 1).key)
    wheel = tmp_path / "horovod.whl"
    for name, value in {
        "probe": lambda python: target,
        "find_nccl": lambda target: None,
        "cache_root": lambda: tmp_path / "wheels",
        "build_wheel": lambda *_: wheel,
        "run_step": lambda *_: installed.append(wheel),
        "complaint_of": lambda recipe: None if works or installed else "no libcuda",
    }.items():
        monkeypatch.setattr(build, name, value)
    build.ensure_horovod(target.python, tmp_path)
    assert installed == ([] if works else [wheel])
    assert ("_nccl_" in note.read_text()) is works
    assert (
        build.WheelRecipe(target, nccl, False, 1).good_keys == [note.read_text()] * 2 or not works
    )


def test_another_index_replaces_pytorch_and_no_index_keeps_it(tool):
    set_up(tool)
    steps = set_up(tool, torch_index="URL")
    assert steps.index("pip uninstall --yes torch") < steps.index(("torch", ("--index-url", "URL")))
    assert set_up(tool, torch_index="URL") == set_up(tool) == []


def test_toolkits_and_headers_are_found_without_asking_them(tool, monkeypatch, tmp_path):
    home = tmp_path / "cuda"
    for file in (home / "bin/nvcc", home / "include/nccl.h"):
        file.parent.mkdir(parents=True)
        file.touch()  # cannot be run
    monkeypatch.undo()
    before = set(tool[1].gpu_parts())
    monkeypatch.setenv("CUDA_HOME", str(home))
    assert set(tool[1].gpu_parts()) - before == {str(home), str(home / "include/nccl.h")}
