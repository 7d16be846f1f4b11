"""A graph that every machine has: which Python module imports which.

    python docs/module_graph.py edges.csv --labels labels.csv torch sympy scipy sklearn

Writes a row `source,target` for each import between modules of these packages, and a row
`id,package` for each module. Nothing is imported: the sources are read.
"""

import argparse
import ast
import csv
from importlib.util import find_spec
from pathlib import Path


def modules_of(package: str) -> dict[str, Path]:
    """Name -> file of every module of an installed package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"no package {package} is installed; name others")
    found = {}
    for root in map(Path, spec.submodule_search_locations):
        for path in sorted(root.rglob("*.py")):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, path: Path) -> set[str]:
    """The names that a module imports: modules, or attributes of modules."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported = set()
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and tests of other Pythons
        return imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            imported |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return imported


def main() -> None:
    """Read the sources of the packages, and write the files."""
    """Read the sources of the packages, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("edges", type=Path, help="the file of edges to write")
    parser.add_argument("--labels", type=Path, help="the file of packages to write")
    parser.add_argument("packages", nargs="+", help="installed packages to read")
    asked = parser.parse_args()
    modules = {
        name: path for package in asked.packages for name, path in modules_of(package).items()
    }
    edges = sorted(
        {
            (name, imported)
            for name, path in modules.items()
            for imported in imports_of(name, path)
            if imported in modules and imported != name
        }
    )
    write(asked.edges, [("source", "target"), *edges])
    if asked.labels:
        labels = [(name, name.partition(".")[0]) for name in sorted(modules)]
        write(asked.labels, [("id", "package"), *labels])
    print(f"{len(modules):,} modules, {len(edges):,} imports")


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    """Write rows as CSV."""
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
