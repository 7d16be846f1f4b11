"""The model card of a pretrained model: a README for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hvdtma.core.train_config import TrainConfig
from hvdtma.core.version import __version__

MOST_NAMES = 20  # classes, or edge types, that are listed


def model_card(config: TrainConfig, facts: Mapping[str, Any], num_parameters: int) -> str:
    """The card as Markdown."""
    graph, model, task = facts["graph"], config.model, config.task
    head = f"decoder `{task.decoder}`" if not graph["label_names"] or task.name == "links" else ""
    lines = [
        f"# {model.encoder} for {task.name}",
        "",
        f"A graph neural network of hvdtma {__version__}: {num_parameters:,} parameters, "
        f"{model.layers} layers of width {model.hidden}{', ' + head if head else ''}. "
        f"Parameters of round {facts['round']}.",
        "",
        "## Data",
        "",
        f"- fingerprint of the graph and its split: `{graph['graph']}`",
        f"- {facts['num_nodes']:,} nodes, {facts['num_edges']:,} stored training edges, "
        f"{'undirected' if graph.get('undirected') else 'directed'}",
        f"- {facts['feature_dim']} features{_features(graph.get('features'))}",
        *_names("edge types", graph["edge_type_names"]),
        *_names(f"labels ({graph['label_kind']})", graph["label_names"]),
        f"- licence of the data: {facts['licence'] or 'not given'}",
        "",
        "## Scores",
        "",
        *_scores(facts["metrics"]),
        "",
        "## Use",
        "",
        "```python",
        "import hvdtma",
        "",
        'model = hvdtma.from_pretrained("THIS_FOLDER")',
        'answers = model.on("graph.zarr")  # a store with the same features',
        "```",
        "",
        "`config.json` has the config of the run. Features of another graph must mean the same: "
        "build its store with `--features-like`.",
    ]
    return "\n".join(lines) + "\n"


def _features(features: Mapping[str, Any] | None) -> str:
    if features is None:
        return ""
    digest = f", fingerprint `{features['fingerprint']}`" if features["fingerprint"] else ""
    return f" ({features['kind']}{digest})"


def _names(title: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return [f"- {title}: {', '.join(names[:MOST_NAMES])}{more}"]


def _scores(metrics: Mapping[str, Mapping[str, float]]) -> list[str]:
    if not metrics:
        return ["The run is not over: its best round has no test scores."]
    names = list(metrics["test"])
    rows = ["| part | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for part, scores in metrics.items():
        values = [scores.get(name) for name in names]
        shown = ["" if value is None else f"{value:.4f}" for value in values]
        rows.append(f"| {part} | " + " | ".join(shown) + " |")
    return rows
