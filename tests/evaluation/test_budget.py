"""Scoring says before it begins if memory or the scratch folder do not suffice."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from small_graphs import store_of

from hvdtma.core.errors import UserError
from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.budget import (
    TRAINED_BYTES,
    ScoringBudget,
    embedding_requirement,
    scoring_requirement,
    scratch_bytes,
)
from hvdtma.evaluation.embed import embed
from hvdtma.evaluation.sampled import NeighbourhoodTooLarge, embed_sampled, neighbourhood_bytes
from hvdtma.evaluation.score import Scorer
from hvdtma.evaluation.scratch import check_scratch
from hvdtma.graph.csc import build_csc
from hvdtma.graph.source import Pairs
from hvdtma.tasks import make_model, make_task

LEAVES = 60_000
TIGHT_GB = (BASE_BYTES + TRAINED_BYTES + LEAST_WORK_BYTES) / 2**30 + 0.02  # nothing more


def config_of(store, **changes):
    values = {"store": str(store.path), "run": "unused", "rounds": 1, "model": {"hidden": 8}}
    return parse_config(values | changes)


def model_of(config, store):
    return make_model(config, store, make_task(config, store))


def open_files(folder):
    """The open files of this process in a folder, deleted ones included."""
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            if str(link.readlink()).startswith(str(folder)):
                yield link


def least_gb(error) -> float:
    return float(re.search(r"give memory_gb=(\d+\.\d+) or more", str(error.value))[1])


@pytest.mark.parametrize("requirement_of", [scoring_requirement, embedding_requirement])
@pytest.mark.parametrize("encoder", ["sage", "gat", "mlp"])
def test_a_limit_that_is_too_small_names_one_that_does(community_store, encoder, requirement_of):
    model = {"encoder": encoder, "hidden": 256}
    config = config_of(community_store, memory_gb=0.1, first_hop=False, model=model)
    requirement = requirement_of(config, community_store)
    with pytest.raises(UserError, match=f"0.1, too little for {requirement.purpose}") as error:
        ScoringBudget.of(config, requirement)
    least = least_gb(error)
    ScoringBudget.of(config.model_copy(update={"memory_gb": least}), requirement)
    with pytest.raises(UserError, match="too little"):
        ScoringBudget.of(config.model_copy(update={"memory_gb": least - 0.01}), requirement)


def test_layers_are_held_in_memory_only_if_there_is_enough_left_to_work_in(community_store):
    config = config_of(community_store, memory_gb=4)
    requirement = embedding_requirement(config, community_store)
    model = model_of(config, community_store)
    layers = 2 * 4 * community_store.num_nodes * model.encoder.out_dim
    tight = ScoringBudget(2 * layers, work_bytes=layers + 1)
    enough = ScoringBudget.of(config, requirement)
    assert isinstance(embed(model, community_store, budget=enough), np.ndarray)
    assert not isinstance(embed(model, community_store, budget=tight), np.ndarray)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("encoder", "first_hop"), [("sage", True), ("gcn", False), ("mlp", False)])
def test_the_size_of_scratch_files_is_predicted(
    community_store, tmp_path, encoder, first_hop, layers
):
    model = {"encoder": encoder, "hidden": 32, "layers": layers}
    config = config_of(community_store, first_hop=first_hop, model=model)
    budget = ScoringBudget(0, tmp_path)
    written = []

    def look(_):
        written.append(sum(file.stat().st_size for file in open_files(tmp_path)))

    embed(model_of(config, community_store), community_store, budget=budget, progress=look)
    predicted = scratch_bytes(config, community_store, budget)
    assert 0.5 * predicted <= max(written) <= predicted


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "gone does not exist; make it, or set scratch_dir to"),
        ("file", "file is not a folder; set scratch_dir to"),
        ("/proc", r"/proc cannot be written to \(.*\); set scratch_dir to"),
    ],
)
def test_a_scratch_folder_that_cannot_be_used_is_refused(tmp_path, name, words):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"scratch_dir .*{words}"):
        check_scratch(tmp_path / name, 0)


@pytest.mark.parametrize("given", [True, False])
def test_a_disk_with_too_little_space_for_layers_is_refused(tmp_path, given):
    with pytest.raises(
        UserError, match=r"needs up to .* GB of disk .* set scratch_dir to a larger"
    ):
        check_scratch(tmp_path if given else None, 1 << 60)
    check_scratch(tmp_path if given else None, 1)
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    """Four hubs (0 to 3) of 15,000 leaves each. A test link touches one hub, a valid link all."""
    leaves = np.arange(4, LEAVES)
    hub = leaves % 4
    csc = build_csc(np.r_[leaves, hub], np.r_[hub, leaves], LEAVES)
    links = {
        "valid": Pairs(np.array([0]), np.array([1]), np.array([[2, 3]])),
        "test": Pairs(np.arange(4), np.arange(4) + 8, np.arange(16, 24).reshape(4, 2)),
    }
    offsets = np.linspace(0, LEAVES, 21).astype(int)
    return store_of(tmp_path_factory.mktemp("stars") / "x.zarr", csc, offsets, links=links)


def config_of_stars(stars, memory_gb=None):
    model = {"hidden": 256, "layers": 1, "fanouts": [-1]}
    return config_of(
        stars, first_hop=False, memory_gb=memory_gb, model=model, evaluate={"sample": 8}
    )


def test_one_link_whose_neighbours_do_not_fit_is_refused_with_the_memory_it_needs(stars):
    config = config_of_stars(stars, memory_gb=TIGHT_GB)
    model = model_of(config, stars)
    with pytest.raises(UserError, match="single held-out link") as error:
        Scorer(config, stars)(model, "valid")
    enough = Scorer(config_of_stars(stars, memory_gb=least_gb(error)), stars)
    assert enough(model, "valid") == Scorer(config_of_stars(stars), stars)(model, "valid")
    less = Scorer(config_of_stars(stars, memory_gb=least_gb(error) - 0.01), stars)
    with pytest.raises(UserError, match="single held-out link"):
        less(model, "valid")


def test_links_whose_neighbours_do_not_fit_together_are_scored_one_after_the_other(stars):
    limited, free = config_of_stars(stars, memory_gb=TIGHT_GB), config_of_stars(stars)
    model, limit = model_of(free, stars), Scorer(limited, stars).budget.num_bytes
    with pytest.raises(NeighbourhoodTooLarge):
        embed_sampled(model, stars, np.arange(4), [-1], seed=0, limit_bytes=limit)
    assert Scorer(limited, stars)(model, "test") == Scorer(free, stars)(model, "test")


def test_fanouts_that_may_need_more_than_the_limit_are_refused_before_training(community_store):
    model = {"hidden": 20_000, "fanouts": [25, 25]}
    changes = {"first_hop": False, "model": model, "evaluate": {"sample": 5}}
    config = config_of(community_store, memory_gb=0.75, **changes)
    with pytest.raises(UserError, match="single held-out link") as error:
        Scorer(config, community_store)
    Scorer(config_of(community_store, memory_gb=least_gb(error), **changes), community_store)


@pytest.mark.parametrize("fanouts", [[3, 5], [-1, -1]])
@pytest.mark.parametrize("first_hop", [True, False])
def test_a_sample_is_refused_below_what_it_says_it_needs(community_store, fanouts, first_hop):
    shape = {"hidden": 8, "fanouts": fanouts}
    config = config_of(community_store, first_hop=first_hop, model=shape)
    model = model_of(config, community_store)
    nodes, hops = torch.arange(5).numpy(), fanouts[int(first_hop) :]
    limit, refusals = 1000, 0
    while True:
        try:
            found = embed_sampled(model, community_store, nodes, hops, seed=0, limit_bytes=limit)
            break
        except NeighbourhoodTooLarge as error:
            assert error.needed_bytes > limit
            limit, refusals = error.needed_bytes, refusals + 1
    assert 1 <= refusals <= len(hops)
    assert (found == embed_sampled(model, community_store, nodes, hops, seed=0)).all()
    if fanouts[0] > 0:
        assert limit <= neighbourhood_bytes(config, community_store, 5)
