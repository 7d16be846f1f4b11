"""A mutant is one change of behaviour, the tests really run it, and the tree stays as it was."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SOURCE = '''"""A docstring with 1 < 2."""
from typing import Literal

WIDTH: Literal[3] = 3


def f(rows, größe=2.5, keep=True):
    """Not 1 but 2."""
    if not rows or größe <= 1:
        raise ValueError(f"{rows + 1} is wrong")
    total = sum(row * 2 for row in rows[1:-1])
    total += min(rows)
    rows.sort()
    return total if keep and total is not None else None
'''


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import mutants
    import mutations

    yield mutants, mutations
    for name in ("mutants", "mutations", "mutant_runs"):
        sys.modules.pop(name, None)


def test_every_mutant_is_another_program_and_every_kind_occurs(tools):
    found = tools[1].mutations(SOURCE)
    trees = [ast.dump(ast.parse(each.apply(SOURCE))) for each in found]
    assert ast.dump(ast.parse(SOURCE)) not in trees
    assert len(set(trees)) == len(trees)
    programs = [ast.unparse(ast.parse(each.apply(SOURCE))) for each in found]
    lines = {line.strip() for program in programs for line in program.splitlines()}
    for line in (
        "WIDTH: Literal[3] = 4",
        "def f(rows, größe=5.0, keep=True):",
        "def f(rows, größe=2.5, keep=False):",
        "if not rows or größe < 1:",
        "if not rows or größe > 1:",
        "if not rows and größe <= 1:",
        "if rows or größe <= 1:",
        "pass",
        "total = sum((row / 2 for row in rows[1:-1]))",
        "total = sum((row * 2 for row in rows[:-1]))",
        "total = sum((row * 2 for row in rows[1:]))",
        "total = sum((row * 2 for row in rows[1:1]))",
        "total += max(rows)",
        "total -= min(rows)",
        "return total if keep or total is not None else None",
        "return total if keep and total is None else None",
        "return None",
    ):
        assert line in lines


def test_messages_docstrings_and_annotations_are_left_alone(tools):
    for each in tools[1].mutations(SOURCE):
        changed = each.apply(SOURCE)
        assert '"""A docstring with 1 < 2."""' in changed
        assert "Literal[3]" in changed
        assert "{rows + 1} is wrong" in changed or each.kind == "removed"


def test_mutants_are_run_from_the_disk_one_by_one_and_the_tree_stays(tmp_path):
    """A small project of its own, with a compiled function that another file calls."""
    project = tmp_path / "project"
    project.mkdir()
    files = {
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
        "inner.py": "import numba\n\n\n@numba.njit(cache=True)\ndef inner(n):\n    return n + 2\n",
        "outer.py": "from inner import inner\n\n\ndef outer(n):\n    return inner(n) * 3\n",
        "test_outer.py": (
            "import subprocess, sys\nfrom outer import outer\n\n\n"
            "def test_outer():\n    assert outer(5) == 21\n\n\n"
            "def test_of_another_process():\n"
            "    code = 'from outer import outer; print(outer(1))'\n"
            "    done = subprocess.run([sys.executable, '-c', code], capture_output=True)\n"
            "    assert done.stdout == b'9\\n'\n"
        ),
    }
    for name, text in files.items():
        (project / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(TOOLS)!r})\n"
        "from pathlib import Path\n"
        "import mutant_runs\n"
        "mutant_runs.WARM = ('numba', 'pytest', 'hypothesis')\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "copy = mutant_runs.Copy(folder / 'project', folder)\n"
        "copy.warm_up()\n"
        "base = copy.unchanged(['test_outer.py'])\n"
        "source = (folder / 'project/inner.py').read_text()\n"
        "print(base.result, base.tail if base.result != 'passed' else '')\n"
        "for changed in ('n + 3', 'n + 2', 'n - 2', '2 + n'):\n"
        "    text = source.replace('n + 2', changed)\n"
        "    print(copy.changed('inner.py', text, ['test_outer.py'], base).result)\n"
        "print((copy.tree / 'inner.py').read_text() == source)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=280)
    assert done.stdout.split() == ["passed", "failed", "passed", "failed", "passed", "True"], (
        done.stdout + done.stderr
    )
