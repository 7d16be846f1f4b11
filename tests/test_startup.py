"""Commands that need no PyTorch start without it, and compiled code is compiled once."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hvdtma

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "dgl", "sklearn", "numba", "pyarrow")
COMMANDS = (
    *("build", "info", "verify", "partition", "plan", "train", "evaluate", "embed", "report"),
    *("compare", "sweep", "submit", "drive"),
)

# Runs a command as the console script does, then prints which of the heavy modules are loaded.
LOADED = """
import json, sys
sys.argv[0] = "hvdtma"
try:
    from hvdtma.cli import main
    main()
except SystemExit as stopped:
    status = stopped.code
print(json.dumps([status or 0, [name for name in %r if name in sys.modules]]))
"""


def run_python(code: str, *arguments: object, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(*arguments: object) -> list[str]:
    status, loaded = json.loads(run_python(LOADED % (HEAVY,), *arguments).splitlines()[-1])
    assert status == 0
    return loaded


def test_importing_hvdtma_loads_nothing_heavy():
    said = run_python(f"import hvdtma, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert said == "[]\n"


@pytest.mark.parametrize("module", ["slurm.job", "slurm.driver"])
def test_drivers_and_tasks_of_a_job_handle_signals_before_pytorch_is_loaded(module):
    printed = run_python(f"import {module}, sys; print('torch' in sys.modules)")
    assert printed == "False\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([c, "--help"] for c in COMMANDS)]
)
def test_help_and_version_load_nothing_heavy(arguments):
    assert loaded_by(*arguments) == []


def test_info_loads_neither_torch_nor_dgl_nor_scikit_learn(community_store):
    assert not {"torch", "dgl", "sklearn"} & set(loaded_by("info", community_store.path))


def test_every_export_is_there_for_people_and_for_type_checkers():
    for name in hvdtma.__all__:
        assert getattr(hvdtma, name) is not None
        assert name in dir(hvdtma)
    tree = ast.parse((ROOT / "hvdtma/__init__.py").read_text())
    seen = {
        (alias.name, node.module)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == set(hvdtma._HOMES.items())
    with pytest.raises(AttributeError, match="has no attribute 'Bild'"):
        hvdtma.Bild  # noqa: B018


def test_all_compiled_functions_go_through_the_decorator_that_keeps_them():
    for path in (ROOT / "hvdtma").rglob("*.py"):
        if path.name == "compiled.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "numba":
                assert not {"njit", "jit"} & {alias.name for alias in node.names}, path
            assert not (isinstance(node, ast.Attribute) and node.attr in ("njit", "jit")), path


@pytest.fixture
def package(tmp_path):
    """A package with a compiled function, in a folder of its own.

    Nothing can be kept beside it, whoever runs the test: a file lies where the folder would be.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "adding.py").write_text(
        "from hvdtma.core.compiled import njit\n\n\n@njit()\ndef add(a, b):\n    return a + b\n"
    )
    (folder / "__pycache__").touch()
    return folder


def add(package: Path, **env: str) -> tuple[int, int, str]:
    """How many compiled functions a process saved and loaded, and the sum that it printed."""
    env = {"PYTHONPATH": f"{package}{os.pathsep}{ROOT}", "HOME": "/dev/null"} | env
    said = run_python("import adding; print(adding.add(1, 2))", NUMBA_DEBUG_CACHE="1", **env)
    lines = said.splitlines()
    saved, loaded = (sum(word in line for line in lines) for word in ("data saved", "data loaded"))
    return saved, loaded, lines[-1]


def test_a_second_process_does_not_compile_again(package):
    (package / "__pycache__").unlink()
    assert add(package) == (1, 0, "3")
    assert add(package) == (0, 1, "3")


def test_where_package_and_home_are_read_only_compiled_code_is_kept_in_tmpdir(package, tmp_path):
    assert add(package, TMPDIR=str(tmp_path)) == (1, 0, "3")
    assert add(package, TMPDIR=str(tmp_path)) == (0, 1, "3")
    (folder,) = tmp_path.glob("hvdtma-compiled-*")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_to_is_not_used(package, tmp_path):
    add(package, TMPDIR=str(tmp_path))
    (folder,) = tmp_path.glob("hvdtma-compiled-*")
    folder.chmod(0o777)
    assert add(package, TMPDIR=str(tmp_path)) == (0, 0, "3")
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path)
    assert add(package, TMPDIR=str(tmp_path)) == (0, 0, "3")


def test_compiled_code_that_is_damaged_is_compiled_again(package):
    (package / "__pycache__").unlink()
    add(package)
    for path in (package / "__pycache__").glob("*.nb[ic]"):
        path.write_bytes(b"damaged")
    assert add(package) == (1, 0, "3")
    assert add(package) == (0, 1, "3")


def test_a_full_disk_does_not_stop_what_is_compiled(package, tmp_path):
    """The index of compiled functions cannot be written: a folder has its name."""
    (package / "__pycache__").unlink()
    add(package)
    (index,) = (package / "__pycache__").glob("*.nbi")
    index.unlink()
    index.mkdir()
    (index / "file").touch()
    assert add(package) == (0, 0, "3")


def test_a_change_of_a_called_function_in_another_file_is_compiled(package):
    (package / "__pycache__").unlink()
    (package / "more.py").write_text(
        "from adding import add\nfrom hvdtma.core.compiled import njit\n\n\n"
        "@njit()\ndef one_more(a):\n    return add(a, 1)\n"
    )

    def one_more() -> str:
        path = f"{package}{os.pathsep}{ROOT}"
        return run_python("import more; print(more.one_more(7))", PYTHONPATH=path)

    assert one_more().split() == ["8"]
    adding = package / "adding.py"
    adding.write_text(adding.read_text().replace("a + b", "a - b"))
    assert one_more().split() == ["6"]
