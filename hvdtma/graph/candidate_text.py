"""The candidates of negatives in words, for `info` and for the start of a run."""

from __future__ import annotations

from collections.abc import Sequence

from hvdtma.graph.candidates import ALL_NODES, CandidateRules

MAX_TYPES = 12  # edge types that are described one by one


def candidate_text(rules: CandidateRules, type_names: Sequence[str], undirected: bool) -> str:
    """The nodes that negatives are drawn from, in one line."""
    if not rules.sizes:
        return "drawn from all nodes"
    numbers = range(len(rules.reasons))
    texts = [_of_type(rules, number, undirected) for number in numbers]
    if not type_names:
        return f"drawn from {texts[0]}"
    named = [f"{name}: {text}" for name, text in zip(type_names, texts, strict=True)]
    left = len(named) - MAX_TYPES
    more = f"; and {left} more types" if left > 0 else ""
    return "drawn by edge type: " + "; ".join(named[:MAX_TYPES]) + more


def _of_type(rules: CandidateRules, number: int, undirected: bool) -> str:
    src, dst, reason = rules.src[number], rules.dst[number], rules.reasons[number]
    if dst == ALL_NODES:
        return "all nodes"
    if reason == "kind":
        return f"the {rules.sizes[dst]:,} nodes of its kind"
    if src != dst:
        return (
            f"the {rules.sizes[src]:,} nodes of one side or the {rules.sizes[dst]:,} of the other"
        )
    if undirected:
        return f"the {rules.sizes[dst]:,} nodes with such a link"
    apart = ", which are no sources" if reason == "sides" else ""
    return f"the {rules.sizes[dst]:,} nodes seen as destinations{apart}"


def fewest_candidates(rules: CandidateRules, num_nodes: int) -> int:
    """The number of nodes of the smallest set that negatives are drawn from."""
    sizes = (*rules.sizes, num_nodes)
    return min(sizes[number] for number in (*rules.src, *rules.dst))
