"""Losses, weights and metrics of each kind of labels are scikit-learn's or written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from small_labels import KINDS, labelled_store

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import load_train_config, parse_config
from hvdtma.graph.targets import UNKNOWN
from hvdtma.sampling.shard import load_shard
from hvdtma.tasks import best_metric, make_model, make_task
from hvdtma.tasks.target_kinds.weights import balanced_classes


@pytest.fixture(scope="module", params=KINDS)
def store(request, tmp_path_factory):
    return labelled_store(tmp_path_factory.mktemp("kinds") / "graph.zarr", request.param)


@pytest.fixture(scope="module")
def store_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: labelled_store(folder / f"{kind}.zarr", kind) for kind in KINDS}


def config_for(store, *, evaluate=None, **task):
    values = {"store": str(store.path), "run": "unused", "rounds": 1, "first_hop": False}
    model = {"hidden": 8, "fanouts": [3, 3]}
    task = {"name": "nodes", "batch_size": 64} | task
    return parse_config(values | {"model": model, "task": task, "evaluate": evaluate or {}})


def batch_of(store, **task):
    """Task, model, a batch, and the head's outputs for it."""
    config = config_for(store, **task)
    made = make_task(config, store)
    model = make_model(config, store, made)
    batch = next(made.batches(load_shard(store, np.arange(20), labels=True), stream=[0]))
    hood = batch.neighbourhood
    outputs = model.head(model.encoder(hood.blocks, hood.x, hood.first_hop))
    return made, model, batch, outputs.detach().double().numpy()


def test_a_whole_step_of_every_kind_moves_to_another_device(store):
    made, model, batch, _ = batch_of(store)
    there = torch.device("meta")
    assert made.loss(model.to(there), batch.to(there)).device == there


def test_weighted_cross_entropy_is_the_weighted_mean(store_of):
    weights = np.array([0.5, 3.0])
    named = {"no": 0.5, "yes": 3}
    made, model, batch, logits = batch_of(store_of["class"], class_weights=named)
    label = batch.label.numpy()
    nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(64), label]
    expected = (weights[label] * nll).sum() / weights[label].sum()
    assert made.loss(model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_classes_without_weight_has_no_loss(store_of):
    made, model, batch, _ = batch_of(store_of["class"], class_weights={"no": 0, "yes": 1})
    batch.label[:] = 0
    assert made.loss(model, batch).item() == 0


def test_the_loss_of_several_labels_is_the_mean_over_known_entries(store_of):
    made, model, batch, logits = batch_of(store_of["multi"], class_weights={"b": 4})
    label, weight = batch.label.numpy(), np.array([1, 4, 1, 1])
    assert (label == UNKNOWN).any()
    share = 1 / (1 + np.exp(-logits))
    entry = -np.where(label == 1, weight * np.log(share), np.log(1 - share))
    expected = entry[label != UNKNOWN].mean()
    assert made.loss(model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_targets_is_the_squared_error_in_deviations(store_of):
    store = store_of["real"]
    made, model, batch, outputs = batch_of(store)
    train = store.read("label")[store.labelled_nodes("train")]
    wanted = (batch.label.numpy() - np.nanmean(train, 0)) / np.nanstd(train, 0)
    assert np.isnan(wanted).any()
    expected = np.nanmean((outputs - wanted) ** 2)
    assert made.loss(model, batch).item() == pytest.approx(expected, rel=1e-4)
    back = model.head.in_units(model.head.standardised(batch.label)).numpy()
    assert back == pytest.approx(batch.label.numpy(), rel=1e-6, nan_ok=True)


def test_balanced_weights_are_scikit_learns_of_the_whole_store(store_of):
    store = store_of["class"]
    train = store.read("label")[store.labelled_nodes("train")]
    expected = compute_class_weight("balanced", classes=np.arange(2), y=train)
    made = make_task(config_for(store, class_weights="balanced"), store)
    assert made.target.weights.numpy() == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_classes_that_do_not_occur_do_not_count_in_balanced_weights(label):
    present = np.unique(label)
    expected = compute_class_weight("balanced", classes=present, y=np.array(label))
    found = balanced_classes(np.bincount(label, minlength=5))
    assert found[present] == pytest.approx(expected)
    assert set(found) - set(found[present]) <= {1.0}


def test_balanced_weights_of_several_labels_are_negatives_per_positive(store_of):
    store = store_of["multi"]
    train = store.read("label")[store.labelled_nodes("train")]
    expected = (train == 0).sum(0) / (train == 1).sum(0)
    made = make_task(config_for(store, class_weights="balanced"), store)
    assert made.target.positive_weights.numpy() == pytest.approx(expected, rel=1e-6)


def test_weights_of_unknown_classes_and_for_targets_are_refused(store_of):
    for kind in ("class", "multi"):
        config = config_for(store_of[kind], class_weights={"yess": 2})
        with pytest.raises(UserError, match="names 'yess', which is none of the"):
            make_task(config, store_of[kind])
    with pytest.raises(UserError, match="did you mean 'yes'"):
        make_task(config_for(store_of["class"], class_weights={"yess": 2}), store_of["class"])
    with pytest.raises(UserError, match="all 0"):
        make_task(
            config_for(store_of["class"], class_weights={"no": 0, "yes": 0}), store_of["class"]
        )
    with pytest.raises(UserError, match="real numbers; leave them out"):
        make_task(config_for(store_of["real"], class_weights="balanced"), store_of["real"])


def test_weights_are_read_from_yaml_and_the_command_line(tmp_path):
    (tmp_path / "c.yaml").write_text("task: {class_weights: {0: 2, '1': 0.5, spam: 1}}\n")
    words = ["store=s", "run=r", "rounds=1"]
    config = load_train_config(tmp_path / "c.yaml", words)
    assert config.task.class_weights == {"0": 2, "1": 0.5, "spam": 1}
    assert (
        load_train_config(None, [*words, "task.class_weights=balanced"]).task.class_weights
        == "balanced"
    )
    given = load_train_config(None, [*words, "task.class_weights.spam=3"]).task.class_weights
    assert given == {"spam": 3}
    for wrong in ("heavy", "{spam: -1}", "{spam: .inf}", "{spam: x}", "[1, 2]"):
        with pytest.raises(UserError, match=r"'task.class_weights' is .*; valid: none or balanced"):
            load_train_config(None, [*words, f"task.class_weights={wrong}"])


def test_the_kind_chooses_the_metrics_and_others_are_refused(store):
    firsts = {"class": "accuracy", "multi": "micro_f1", "real": "r2"}
    config = config_for(store)
    assert best_metric(config, make_task(config, store)).name == firsts[store.label_kind]
    other = {"class": "rmse", "multi": "accuracy", "real": "micro_f1"}[store.label_kind]
    with pytest.raises(UserError, match=f"'{other}', which the task 'nodes' does not have on"):
        make_task(config_for(store, evaluate={"metric": other}), store)


def test_the_lowest_error_is_the_best(store_of):
    for name, least in (("rmse", True), ("mae", True), ("r2", False)):
        config = config_for(store_of["real"], evaluate={"metric": name})
        found = best_metric(config, make_task(config, store_of["real"]))
        assert (found.name, found.least_is_best) == (name, least)
        better, worse = ({name: 1.0}, {name: 2.0}) if least else ({name: 2.0}, {name: 1.0})
        assert found.order(better) > found.order(worse) > found.order({name: None})


def test_a_store_without_labelled_nodes_is_refused(store_of, monkeypatch):
    store = store_of["class"]
    monkeypatch.setitem(store.attrs, "label_names", [])
    with pytest.raises(UserError, match=r"no node of .* has a label"):
        make_task(config_for(store), store)
