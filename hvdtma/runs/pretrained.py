"""The folder of a pretrained model: it needs neither the run nor the store.

model.safetensors   parameters and buffers
config.json         format and version, the config, the graph's record, metrics, a digest
README.md           the model card, for people

A folder is written beside its destination and renamed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hvdtma.core.digests import damaged, digest_of, with_digest, without_digest
from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing_folder, reporting_full_disk
from hvdtma.core.train_config import TrainConfig, parse_config
from hvdtma.core.version import __version__
from hvdtma.runs.run_folder import MODEL, write_tensors

FORMAT, VERSION = "hvdtma-model", 2
WITHOUT_DIGEST = 1  # the version whose `digest` is that of the parameters only
PARAMETERS, CONFIG, CARD = MODEL, "config.json", "README.md"
OF_A_MACHINE = {"store", "run", "scratch_dir", "init"}  # keys of the config that are left out


@dataclass(frozen=True)
class PretrainedFolder:
    """A pretrained model whose files are complete.

    Attributes:
        facts: the content of `config.json`.
    """

    path: Path
    facts: dict[str, Any]

    @property
    def config(self) -> TrainConfig:
        """The config of the run; `store` and `run` are the folder."""
        values = {**self.facts["config"], "store": str(self.path), "run": str(self.path)}
        return parse_config(values, source=str(self.path / CONFIG))

    @property
    def parameters(self) -> Path:
        """The file of the parameters."""
        return self.path / PARAMETERS


def write_pretrained(
    path: Path,
    config: TrainConfig,
    tensors: Mapping[str, torch.Tensor],
    facts: Mapping[str, Any],
    card: str,
    *,
    overwrite: bool,
) -> None:
    """Write the folder, completely or not at all.

    Args:
        facts: `graph`, `feature_dim`, `round`, `metrics`, `licence`.

    Raises UserError if something is there that may not be replaced.
    """
    check_replaceable(path, overwrite=overwrite)
    with reporting_full_disk(path), replacing_folder(path) as folder:
        write_tensors(folder / PARAMETERS, tensors, round=facts["round"])
        whole = {
            "format": FORMAT,
            "format_version": VERSION,
            "hvdtma": __version__,
            **facts,
            "parameters": digest_of((folder / PARAMETERS).read_bytes()),
            "config": config.resolved.model_dump(mode="json", exclude=OF_A_MACHINE),
        }
        (folder / CONFIG).write_text(json.dumps(with_digest(whole), indent=2) + "\n")
        (folder / CARD).write_text(card)


def check_replaceable(path: Path, *, overwrite: bool) -> None:
    """Raise UserError if `path` exists, unless it is a pretrained model to be replaced."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise UserError(f"{path} exists; give --overwrite to replace it, or another name")
    if not _has_format(path):
        raise UserError(f"{path} is no pretrained model; --overwrite will not remove it")


def is_pretrained(path: Path) -> bool:
    """Whether a folder may be a pretrained model; `read_pretrained` checks it."""
    return (path / CONFIG).is_file()


def read_pretrained(path: Path) -> PretrainedFolder:
    """Open a folder and check its files; raises UserError for another format and for damage."""
    file = path / CONFIG
    if not path.is_dir():
        raise UserError(f"there is no pretrained model at {path}; Run.save_pretrained writes one")
    if not file.is_file():
        hint = f"; it is a run: Run.load('{path}')" if (path / "config.yaml").is_file() else ""
        raise UserError(f"{path} is no pretrained model: it has no {CONFIG}{hint}")
    try:
        facts = json.loads(file.read_text())
    except ValueError:
        raise damaged(file) from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        said = f"its format is {found!r}" if found else "it names no format"
        raise UserError(
            f"{path} is no pretrained model of hvdtma: {said}, and not '{FORMAT}' ({CONFIG})"
        )
    version = facts.get("format_version")
    if version not in (WITHOUT_DIGEST, VERSION):
        raise UserError(
            f"{path} has format version {version}; this hvdtma reads {WITHOUT_DIGEST} and {VERSION}"
        )
    missing = [key for key in ("config", "graph", "feature_dim", "digest") if key not in facts]
    if missing:
        raise UserError(f"{file} is damaged: it lacks {', '.join(missing)}")
    if version == WITHOUT_DIGEST:
        facts["parameters"] = facts["digest"]
    else:
        facts = without_digest(facts, file)
    folder = PretrainedFolder(path, facts)
    if not folder.parameters.is_file():
        raise UserError(f"{path} is damaged: it has no {PARAMETERS}")
    if digest_of(folder.parameters.read_bytes()) != facts["parameters"]:
        raise damaged(folder.parameters)
    return folder


def _has_format(path: Path) -> bool:
    try:
        return json.loads((path / CONFIG).read_text()).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False
