"""Extreme values are refused in one message, before memory is taken or anything is written."""

import math
from pathlib import Path
from typing import Any, get_args

import pytest
from annotated_types import Ge, Gt, Le, Lt

from hvdtma.core.config import load_as
from hvdtma.core.errors import UserError
from hvdtma.core.field_text import component_of
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.train_config import TrainConfig, load_train_config
from hvdtma.graph.builder import BuildOptions
from hvdtma.graph.ingest.asked_ids import asked_nodes, asked_pairs
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.partitioning import PartitionOptions
from hvdtma.plan import PlannedGraph
from hvdtma.training.launch import train_here
from hypergraph.config import HyperLearnConfig, RunConfig

SMALL = {"model.hidden": 8, "interval_steps": 2, "rounds": 1, "evaluate.mode": "final", "log": []}


def bounds_of(annotation: Any, metadata: list[Any]) -> tuple[bool, bool]:
    """Whether every number of a field has a lower and an upper bound."""
    inner = [*metadata]
    for each in metadata + list(getattr(annotation, "__metadata__", ())):
        inner += getattr(each, "metadata", None) or [each]
    parts = get_args(annotation)
    if parts and annotation not in (int, float):
        found = [bounds_of(part, inner) for part in parts if not isinstance(part, str)]
        return all(low for low, _ in found), all(high for _, high in found)
    if annotation not in (int, float):
        return True, True
    return (
        any(isinstance(each, Ge | Gt) for each in inner),
        any(isinstance(each, Le | Lt) for each in inner),
    )


@pytest.mark.parametrize("kind", [TrainConfig, RunConfig, HyperLearnConfig])
def test_every_number_of_a_config_has_a_least_and_a_largest_value(kind):
    unbounded = []

    def look(component, prefix=""):
        for name, info in component.model_fields.items():
            inner = component_of(info.annotation)
            if inner:
                look(inner, f"{prefix}{name}.")
            elif "Any" not in str(info.annotation):
                low, high = bounds_of(info.annotation, list(info.metadata))
                unbounded.extend([f"{prefix}{name}"] * (not (low and high)))

    look(kind)
    assert not unbounded


@pytest.mark.parametrize(
    ("override", "valid"),
    [
        ("model.hidden=10000000", "from 1 to 65536"),
        ("model.layers=1000000", "from 1 to 1000"),
        ("model.fanouts=[9223372036854775806,10]", "(from -1 to 2147483647)"),
        ("task.num_negatives=100000000", "from 0 to 1048576"),
        ("threads=100000", "from 1 to 1024"),
        ("sampler.workers=100000", "from 0 to 1024"),
        ("optimizer.weight_decay=1e300", "from 0 to 1e+09"),
        ("memory_gb=.inf", "at most 1048576"),
        ("interval_s=1.5e9", "at most 1e+08"),
        ("rounds=9223372036854775808", "from 1 to 2147483647"),
        ("trainers=1000000", "from 1 to 65536"),
    ],
)
def test_a_value_beyond_its_bound_is_refused_with_the_key_and_what_is_valid(override, valid):
    key, _, value = override.partition("=")
    with pytest.raises(UserError) as refused:
        load_train_config({"store": "g", "run": "r", "rounds": 1}, [override])
    message = str(refused.value)
    assert f"'{key}" in message and valid in message
    assert value.strip("[.").partition(",")[0][:3].rstrip(".5") in message.replace("+", "")
    assert "\n" not in message


@pytest.mark.parametrize("word", ["rounds=" + "9" * 5000, "model.options=" + "[" * 5000])
def test_a_word_that_yaml_gives_up_on_is_refused_in_a_few_lines(word):
    with pytest.raises(UserError, match="cannot be read") as refused:
        load_train_config({"store": "g", "run": "r", "rounds": 1}, [word])
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("key", "value"), [("model.dim", 10**7), ("model.order", 10**6), ("loss.negatives", 10**8)]
)
def test_hyperlearn_has_bounds_too(key, value):
    with pytest.raises(UserError, match=f"'{key}' is {value}; valid: .* to "):
        load_as(RunConfig, {"run": "r", "data": {"hypergraph": "g"}}, [f"{key}={value}"])


@pytest.mark.parametrize("memory_gb", [math.inf, math.nan, 0, -1, 1e300, True])
def test_a_memory_limit_is_a_number_of_bytes(memory_gb):
    with pytest.raises(UserError, match=r"memory_gb is .*; it must be .*, at most 1\.04858e\+06"):
        MemoryBudget.limit(memory_gb)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BuildOptions(negatives=2**40),
        lambda: BuildOptions(block_nodes=2**70),
        lambda: BuildOptions(feature_dim=1.5),
        lambda: PartitionOptions(block_nodes=2**70),
        lambda: PartitionOptions("super", {"super_nodes": 2**70}),
        lambda: PlannedGraph(2**60, 10, 3),
    ],
)
def test_numbers_outside_of_configs_are_bounded(make):
    with pytest.raises(UserError, match="it must be a whole number"):
        make()


@pytest.fixture
def refused(community_store, tmp_path):
    """Calls `train_here` and returns its message; nothing may have been written."""

    def refused(changes, **how) -> str:
        given = {"store": community_store.path, "run": tmp_path / "run"} | SMALL | changes
        with pytest.raises(UserError) as error:
            train_here(None, given, **how)
        assert list(tmp_path.iterdir()) == []
        return str(error.value)

    return refused


@pytest.mark.parametrize(
    "changes",
    [
        {"model.hidden": 65536},
        {"model.hidden": 65536, "model.layers": 1000},
        {"task.num_negatives": 1_000_000, "task.share_negatives": False},
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_memory_is_taken(refused, changes):
    message = refused(changes)
    assert "GiB of memory, and" in message and "give a smaller model.hidden" in message


def test_trainers_in_one_process_are_bounded_and_their_models_counted_together(refused):
    assert "is 1000000; it must be a whole number, from 1 to 1024" in refused(
        {}, in_process=1_000_000
    )
    assert "of 60 trainers in one process" in refused({"model.hidden": 8192}, in_process=60)


def test_elastic_trainers_in_one_process_are_refused(refused):
    assert "Leave it out, or --in-process" in refused({"elastic": True}, in_process=2)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: asked_nodes(["a"], ReadOptions(id_column="id")),
        lambda: asked_pairs([("a", "b")], ReadOptions(header="no")),
        lambda: asked_pairs(Path("pairs.csv"), ReadOptions(id_column="id")),
        lambda: asked_nodes(Path("nodes.csv"), ReadOptions(type_column="t")),
    ],
)
def test_an_option_for_tables_without_a_table_of_its_kind_is_refused(ask):
    with pytest.raises(UserError, match="has no effect"):
        ask()


def test_one_column_is_not_both_the_type_and_an_end_of_an_edge():
    with pytest.raises(UserError, match="--dst-column and --type-column are both 'b'"):
        ReadOptions(src_column="a", dst_column="b", type_column="b")
