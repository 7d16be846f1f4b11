"""What a report of a bug should say about the machine and the run, without ids or paths."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import psutil
import torch

from hvdtma.comm.transport import has_horovod
from hvdtma.core.config import Component
from hvdtma.core.errors import UserError
from hvdtma.core.launcher import launcher_name
from hvdtma.core.train_config import TrainConfig, load_train_config
from hvdtma.runs.folder import BaseRunFolder
from hvdtma.runs.report.record import RunRecord
from hvdtma.runs.versions import versions

# Quoted words may be ids; words with a slash are paths.
PRIVATE = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`|\S*/\S*")
HIDDEN = "..."
CHOICE = re.compile(r"[a-z0-9@_-]+")  # such as gat, bfloat16 or hits@10


def bug_report(run: Path | None = None) -> str:
    """A report in Markdown: versions, transports, Slurm, GPUs, and a run's end and settings.

    Args:
        run: the folder of a run of any kind; None: no run.

    Raises UserError if there is no run in the folder.
    """
    rows = [*_software(), *_machine()]
    lines = ["| what | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join([*lines, *(_about_run(run) if run else [])]) + "\n"


def without_private_words(text: str) -> str:
    """Text without paths and without quoted words, which may be ids or names of columns."""
    return PRIVATE.sub(HIDDEN, text)


def _software() -> list[tuple[str, object]]:
    found = versions()
    git = found.pop("git") or {}
    for name in ("format", "command"):
        found.pop(name)
    commit = f"{git['commit'][:12]}{', changed' if git['changed'] else ''}" if git else "none"
    transports = [*(["Horovod"] if has_horovod() else []), "torch.distributed"]
    return [
        *((name, version or "not installed") for name, version in found.items()),
        ("commit", commit),
        ("transports", ", ".join(transports)),
        ("launcher of this command", launcher_name() or "none"),
        ("Slurm", _slurm()),
    ]


def _machine() -> list[tuple[str, object]]:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [
        ("cores of this process", len(os.sched_getaffinity(0))),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("GPUs", ", ".join(gpus) or "none"),
        ("CUDA of PyTorch", torch.version.cuda or "none"),
    ]


def _slurm() -> str:
    if not shutil.which("sbatch"):
        return "not installed"
    try:
        done = subprocess.run(["sbatch", "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        return f"sbatch fails: {type(error).__name__}"
    said = next(iter(done.stdout.splitlines()), "")
    return said or f"sbatch ends with status {done.returncode}, as without a configuration"


def _about_run(folder: Path) -> list[str]:
    """How a run ended, and the settings that are not the defaults."""
    run = BaseRunFolder(folder)
    record = RunRecord.read(run)
    state = "finished" if record.summary else record.end.get("kind", "unfinished")
    why = without_private_words(str(record.end.get("why", "")))
    lines = [
        "",
        f"The run: {state}, {record.start.get('trainers', '?')} trainer(s), "
        f"{len(record.of_kind('round'))} rounds; made with hvdtma "
        f"{record.versions.get('hvdtma', '?')}.",
    ]
    if why:
        lines += ["", "```", why, "```"]
    try:
        settings = _changed(load_train_config(run.config_file))
    except UserError:
        return lines  # a run of another kind, or a damaged config
    shown = [f"{key}: {value}" for key, value in settings.items()]
    return [*lines, "", "Settings that are not the defaults:", "", "```", *shown, "```"]


def _changed(config: TrainConfig) -> dict[str, object]:
    """Values by key that are not the defaults."""

    def walk(part: Component, default: Component | None, prefix: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, field in type(part).model_fields.items():
            value = getattr(part, name)
            usual = (
                getattr(default, name) if default else field.get_default(call_default_factory=True)
            )
            if isinstance(value, Component):
                found |= walk(value, usual, f"{prefix}{name}.")
            elif value != usual:
                found[prefix + name] = _shown(value)
        return found

    return walk(config, None, "")


def _shown(value: object) -> str:
    if isinstance(value, str) and CHOICE.fullmatch(value):
        return value
    return without_private_words(repr(value))
