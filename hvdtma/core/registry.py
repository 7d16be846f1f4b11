"""Plug-ins by name or by import path: encoders, tasks, samplers, partition methods and others.

A registered name stands for a class or a function. The built-in ones are registered at the end of
this file, in the same way as anybody else's:

    hvdtma.register("encoder", "mine", MyEncoder)              # an object
    hvdtma.register("encoder", "mine", "my_pkg.models:MyEncoder")  # imported when it is used

A config may also name an import path directly: `model: {encoder: "my_pkg.models:MyEncoder"}`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hvdtma.core.errors import UserError, nearest

LABELS = {
    "encoder": "encoder",
    "decoder": "decoder",
    "task": "task",
    "sampler": "sampler",
    "partition": "partition method",
    "aggregator": "aggregator",
    "source": "data source",
    "logger": "logger",
}
KINDS = tuple(LABELS)
Target = TypeVar("Target", bound=Callable[..., Any])

_targets: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}


def register(kind: str, name: str, target: Any = None) -> Any:
    """Register a class or a function under a name; also a class decorator.

    Args:
        kind: one of `KINDS`.
        name: without a colon; a name is registered once.
        target: the object, or its import path `package.module:Name`, which is imported when it is
            first used. None: return a decorator that registers what it decorates.

    Returns the target. Raises UserError for an unknown kind, a name with a colon, a target that
    cannot be called, and a name that stands for another target already.
    """
    _check_kind(kind)
    if target is None:

        def decorate(decorated: Target) -> Target:
            register(kind, name, decorated)
            return decorated

        return decorate
    if not name or ":" in name:
        raise UserError(f"the name '{name}' cannot be registered: it is empty or has a colon")
    if not callable(target) and not isinstance(target, str):
        raise UserError(
            f"the {LABELS[kind]} '{name}' is {target!r}; register a class, a function or an import "
            "path"
        )
    known = _targets[kind].get(name)
    if known is not None and import_path(known) != import_path(target):
        raise UserError(
            f"the {LABELS[kind]} '{name}' is registered twice: as {import_path(known)} and as "
            f"{import_path(target)}; register one of them under another name"
        )
    _targets[kind][name] = target
    return target


def names(kind: str) -> list[str]:
    """The registered names of a kind."""
    _check_kind(kind)
    return list(_targets[kind])


def resolve(kind: str, name: str) -> Any:
    """The object that a registered name, or an import path `package.module:Name`, stands for.

    Modules are also looked for in the working directory. Raises UserError for an unknown name
    (valid ones are listed, the nearest is suggested), and with the reason if an import fails.
    """
    _check_kind(kind)
    target = _targets[kind].get(name)
    if target is None:
        if ":" not in name:
            valid = nearest(name, names(kind), "an import path package.module:Name")
            raise UserError(f"unknown {LABELS[kind]} '{name}'; {valid}")
        target = name
    if isinstance(target, str):
        target = _import(kind, target)
    if not callable(target):
        raise UserError(f"the {LABELS[kind]} '{name}' is {target!r}, which cannot be called")
    if kind in _CONTRACTS:
        _import(kind, _CONTRACTS[kind])(name, target)
    return target


def import_path(target: Any) -> str:
    """The import path of a registered object: `package.module:Name`."""
    if isinstance(target, str):
        return target
    return f"{target.__module__}:{getattr(target, '__qualname__', repr(target))}"


def portable_name(kind: str, name: str) -> str:
    """A name that other processes can resolve: built-in, or an import path.

    Raises UserError if the object cannot be imported elsewhere: it was defined in the main script
    or inside a function.
    """
    if name in _BUILT_IN.get(kind, {}):
        return name
    target = resolve(kind, name)
    path = name if ":" in name else import_path(target)
    if path.startswith("__main__:") or "<locals>" in path:
        raise UserError(
            f"the {LABELS[kind]} '{name}' is {path}: other processes (the evaluator, other "
            "trainers) cannot import it; move it to a module of its own"
        )
    if _import(kind, path) is not target:
        raise UserError(
            f"the {LABELS[kind]} '{name}' is not what {path} imports; give it a module name"
        )
    return path


def built_in(kind: str) -> list[str]:
    """The names of a kind that come with hvdtma."""
    return list(_BUILT_IN.get(kind, {}))


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UserError(f"unknown kind '{kind}'; {nearest(kind, list(KINDS))}")


def _import(kind: str, path: str) -> Any:
    """Import `package.module:Name`; raises UserError with the reason if that fails."""
    module_name, _, attribute = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # as `python -m` does; console scripts do not
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may fail with anything
        raise UserError(
            f"the {LABELS[kind]} '{path}' cannot be imported: {type(error).__name__}: {error}. "
            f"Modules are looked for in PYTHONPATH and in the working directory {here}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in vars(found) if not name.startswith("_")]
            raise UserError(f"{module_name} has no '{attribute}'; {nearest(part, public)}")
        found = getattr(found, part)
    return found


# Functions (name, target) that raise UserError where a target does not keep its kind's contract.
# A data source is any function; `hvdtma.graph.source.check_source` checks the graph it returns.
_CONTRACTS = {
    "encoder": "hvdtma.models.encoder:check_encoder",
    "decoder": "hvdtma.models.decoders:check_decoder",
    "task": "hvdtma.tasks.task:check_task",
    "sampler": "hvdtma.sampling.sampler:check_sampler",
    "partition": "hvdtma.partitioning.method:check_method",
    "aggregator": "hvdtma.aggregate.aggregator:check_aggregator",
    "logger": "hvdtma.runs.loggers.logger:check_logger",
}

_BUILT_IN: dict[str, dict[str, str]] = {
    "encoder": {
        "sage": "hvdtma.models.encoders:SAGE",
        "gcn": "hvdtma.models.encoders:GCN",
        "gat": "hvdtma.models.encoders:GAT",
        "mlp": "hvdtma.models.encoders:MLP",
        "rgcn": "hvdtma.models.typed_encoders:RGCN",
        "rgat": "hvdtma.models.typed_encoders:RGAT",
    },
    "decoder": {
        "mlp": "hvdtma.models.decoders:HadamardMLPDecoder",
        "dot": "hvdtma.models.decoders:DotDecoder",
        "cosine": "hvdtma.models.decoders:CosineDecoder",
        "distmult": "hvdtma.models.decoders:DistMultDecoder",
        "concat": "hvdtma.models.decoders:ConcatMLPDecoder",
        "bilinear": "hvdtma.models.decoders:BilinearDecoder",
    },
    "task": {
        "links": "hvdtma.tasks.links:LinkTask",
        "nodes": "hvdtma.tasks.nodes:NodeTask",
    },
    "sampler": {
        "neighbour": "hvdtma.sampling.neighbour_sampler:NeighbourSampler",
        "labor": "hvdtma.sampling.neighbour_sampler:LaborSampler",
        "cluster": "hvdtma.sampling.cluster_sampler:ClusterSampler",
    },
    "partition": {
        "random": "hvdtma.partitioning.methods:RandomOrder",
        "super": "hvdtma.partitioning.methods:SuperNodes",
        "min-cut": "hvdtma.partitioning.methods:MinCut",
    },
    "aggregator": {"average": "hvdtma.aggregate.average:Average"},
    "source": {
        "debian": "hvdtma.graph.sources.debian:load_debian",
        "synthetic": "hvdtma.graph.sources.synthetic:SyntheticGraph",
        "ogb": "hvdtma.graph.sources.ogb:load_ogb",
    },
    "logger": {
        "tensorboard": "hvdtma.runs.loggers.tensorboard:TensorBoard",
        "csv": "hvdtma.runs.loggers.csv_table:CSVTable",
        "wandb": "hvdtma.runs.loggers.wandb:WeightsAndBiases",
        "mlflow": "hvdtma.runs.loggers.mlflow:MLflow",
    },
}

for _kind, _entries in _BUILT_IN.items():
    for _name, _path in _entries.items():
        register(_kind, _name, _path)
