"""A score says how well links are told apart: noise scores one half, and a direction is learnt."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import hvdtma
from hvdtma.evaluation.best_model import load_best
from hvdtma.evaluation.embed import embed
from hvdtma.graph.raw import RawGraph
from hvdtma.storage.node_ids import NodeIds

BRIEF = {
    "rounds": 4,
    "trainers": 2,
    "model": {"hidden": 16},
    "optimizer.lr": 0.01,
    "evaluate.mode": "final",
    "task.batch_size": 512,
}


def noise(users, items, links, *, undirected, seed=0):
    """Links between random users and items; one feature says who is a user, the others nothing."""
    rng = np.random.default_rng(seed)
    feat = rng.normal(size=(users + items, 6)).astype(np.float32)
    feat[:, 0] = np.arange(users + items) < users
    src, dst = rng.integers(0, users, links), users + rng.integers(0, items, links)
    return RawGraph(src, dst, NodeIds.counted(users + items), undirected=undirected, feat=feat)


def auc_on_noise(folder, destinations, *, undirected):
    """The test AUC of a model that was trained on noise."""
    store = hvdtma.build(
        folder / "g.zarr",
        noise(2000, 1000, 24_000, undirected=undirected),
        test=6000,
        valid=100,
        negatives=5,
        negative_destinations=destinations,
    )
    run = hvdtma.train(store=store.path, run=folder / "run", interval_steps=30, **BRIEF)
    return run.summary["test"]["auc"]


@pytest.mark.parametrize("undirected", [True, False])
def test_noise_between_two_sides_scores_one_half(tmp_path, undirected):
    assert auc_on_noise(tmp_path, "auto", undirected=undirected) == pytest.approx(0.5, abs=0.02)


def test_noise_scores_more_if_half_of_the_negatives_are_of_the_wrong_kind(tmp_path):
    assert auc_on_noise(tmp_path, "all", undirected=True) > 0.55


def ranked(nodes=1500, links=12_000, seed=0):
    """A link goes from the smaller feature 0 to the larger one."""
    rng = np.random.default_rng(seed)
    feat = rng.normal(size=(nodes, 4)).astype(np.float32)
    ends = rng.integers(0, nodes, (links, 2))
    ends = np.take_along_axis(ends, np.argsort(feat[ends, 0], axis=1), axis=1)
    return RawGraph(ends[:, 0], ends[:, 1], NodeIds.counted(nodes), feat=feat)


def auc_of_direction(run, store):
    """The AUC of the scores of the test links against those of the reversed links."""
    model = load_best(run.path).model
    h = torch.from_numpy(np.asarray(embed(model, store)[:]))
    pairs = store.links("test")
    u, v = h[pairs.src], h[pairs.dst]
    with torch.no_grad():
        there, back = model.head(u, v, None).numpy(), model.head(v, u, None).numpy()
    return roc_auc_score(np.r_[np.ones(len(there)), np.zeros(len(back))], np.r_[there, back])


@pytest.mark.parametrize(
    ("decoder", "least"), [("cosine", 0.95), ("concat", 0.95), ("bilinear", 0.9), ("mlp", None)]
)
def test_a_direction_that_follows_from_features_is_learnt(tmp_path, decoder, least):
    store = hvdtma.build(tmp_path / "g.zarr", ranked(), test=1500, valid=100, negatives=5)
    run = hvdtma.train(
        store=store.path,
        run=tmp_path / "run",
        interval_steps=60,
        **BRIEF | {"task.decoder": decoder},
    )
    found = auc_of_direction(run, store)
    assert found == pytest.approx(0.5, abs=0.01) if least is None else found >= least


def test_a_run_on_a_directed_graph_embeds_an_undirected_one(tmp_path):
    """The decoder is the one that was trained, whatever the other store is."""
    store = hvdtma.build(tmp_path / "g.zarr", ranked(300, 2000), test=20, valid=20, negatives=5)
    run = hvdtma.train(store=store.path, run=tmp_path / "run", interval_steps=2, **BRIEF)
    other = ranked(200, 900, seed=1)
    other.undirected = True
    path = hvdtma.build(tmp_path / "u.zarr", other, test=20, valid=20, negatives=5).path
    best = load_best(run.path, path)
    assert len(best.model.head.project) == 2  # each end has its own
    assert hvdtma.train(resume=run, rounds=5).summary["rounds"] == 5
