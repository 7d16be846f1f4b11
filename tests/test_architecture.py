"""The house keeps its layers: no circle, no import upward, no name for two classes."""

import ast
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("hvdtma", "hypergraph", "slurm")
# Rooms of the same layer do not import one another, except where the order in it says so.
LAYERS = [
    "hvdtma.core",
    "hvdtma.comm",
    "hvdtma.storage",
    "hvdtma.tables",
    "hvdtma.runs",
    "hvdtma.graph",
    "hvdtma.partitioning",
    "hvdtma.sampling",
    "hvdtma.models",
    "hvdtma.tasks",
    "hvdtma.aggregate",
    "hvdtma.evaluation",
    "hvdtma.training",
    "hvdtma.plan",
    "slurm",
    "hvdtma.sweeps",
    "hvdtma.api",
    "hvdtma.cli",
    "hvdtma.__main__",
]
OF_HYPERGRAPH = ("core", "comm", "storage", "tables", "runs", "aggregate")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, ast.Module]:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {module_name(path): ast.parse(path.read_text()) for path in paths}


def imports(name: str, tree: ast.AST, known: set[str]) -> set[str]:
    """The project's modules that a module names in import statements, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known or {node.module}
    return {module for module in found if module in known and module != name}


TREES = modules()
IMPORTS = {name: imports(name, tree, set(TREES)) for name, tree in TREES.items()}


def room(module: str) -> str:
    return next(
        (layer for layer in LAYERS if module == layer or module.startswith(f"{layer}.")), module
    )


def test_every_module_has_a_room():
    homeless = [
        name
        for name in TREES
        if not name.startswith("hypergraph") and name != "hvdtma" and room(name) not in LAYERS
    ]
    assert homeless == []


def test_imports_point_downward():
    """The package `hvdtma` itself is the door for users: what it names is loaded when asked for."""
    upward = [
        f"{name} -> {other}"
        for name, others in IMPORTS.items()
        if room(name) in LAYERS
        for other in others
        if room(other) in LAYERS and LAYERS.index(room(other)) > LAYERS.index(room(name))
    ]
    assert upward == []


def test_hypergraph_stands_on_the_shared_foundation_only():
    allowed = tuple(f"hvdtma.{name}" for name in OF_HYPERGRAPH)
    beyond = [
        f"{name} -> {other}"
        for name, others in IMPORTS.items()
        for other in others
        if name.startswith("hypergraph")
        and other.startswith(("hvdtma", "slurm"))
        and not other.startswith(allowed)
    ]
    assert beyond == []


def test_nothing_imports_the_command_line_or_hypergraph():
    importers = [
        f"{name} -> {other}"
        for name, others in IMPORTS.items()
        for other in others
        if (room(other) == "hvdtma.cli" and room(name) not in ("hvdtma.cli", "hvdtma.__main__"))
        or (other.startswith("hypergraph") and not name.startswith("hypergraph"))
    ]
    assert importers == []


def test_modules_import_one_another_in_no_circle():
    """Imports inside functions count: they would only hide a circle."""
    done, path = set(), []

    def visit(name):
        if name in path:
            circle = [*path[path.index(name) :], name]
            raise AssertionError(" -> ".join(circle))
        if name in done:
            return
        path.append(name)
        for other in sorted(IMPORTS[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in sorted(IMPORTS):
        if name != "hvdtma":  # whose imports are for type checkers and for lazy attributes
            visit(name)
    assert done


def test_no_name_stands_for_two_classes():
    places = defaultdict(list)
    tools = {f"tools/{path.name}": ast.parse(path.read_text()) for path in ROOT.glob("tools/*.py")}
    for name, tree in (TREES | tools).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice == {}


def test_layers_are_all_there_in_the_order_of_the_docs():
    text = (ROOT / "docs/architecture.md").read_text()
    named = [
        text.find(f"`{layer.removeprefix('hvdtma.')}/`")
        for layer in LAYERS
        if layer != "hvdtma.__main__"
    ]
    assert -1 not in named
    assert all(lower > higher for lower, higher in pairwise(named))  # the page begins at the top


def test_the_contracts_of_plug_ins_need_no_heavy_import():
    code = "import sys, hvdtma.core.registry; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
