"""Places where nothing may be written: over the folder that a person is in, or inside a store.

A store and a run are replaced as a whole (`--overwrite`). Whatever else lies in their folders is
removed with them, so that nothing else is put there.
"""

from __future__ import annotations

from pathlib import Path

from hvdtma.core.errors import UserError

MARKS = {"store": ("zarr.json",), "run": ("versions.json", "config.yaml")}


def check_new_folder(path: Path) -> None:
    """Raise UserError for a place where no store and no run may be written.

    It may not be the current folder or one above it, and not inside a store or a run.
    """
    absolute = path.absolute()
    if Path.cwd().is_relative_to(path.resolve()):
        raise UserError(f"'{path}' is the current folder, or one above it; give a new folder")
    check_outside(absolute, *MARKS)


def check_outside(path: Path, *kinds: str) -> None:
    """Raise UserError for a path inside a folder of one of these kinds: `store`, `run`."""
    for folder in path.absolute().parents:
        for kind in kinds:
            if is_marked(folder, kind):
                raise UserError(
                    f"'{path}' is inside the {kind} {folder}, and would be removed with it; give "
                    "another place"
                )


def check_not_inside(folder: Path, *needed: Path) -> None:
    """Raise UserError if a folder that is to be replaced holds something that is needed."""
    for kept in needed:
        if kept.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{kept} is inside the run {folder}; it will not be removed")


def is_marked(folder: Path, kind: str) -> bool:
    """Whether a folder has the files of a kind: `store`, `run`."""
    return all((folder / name).is_file() for name in MARKS[kind])
