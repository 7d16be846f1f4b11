"""The chance level of a report is the score of a model that has learned nothing."""

import numpy as np
import pytest
import torch

from hvdtma.api.train import train
from hvdtma.tasks.chance import chance_of_classes, chance_of_labels, chance_of_links
from hvdtma.tasks.label_metrics import multi_label_metrics
from hvdtma.tasks.metrics import area_under_roc, class_metrics, link_metrics, ranks


@pytest.mark.parametrize("negatives", [1, 7, 120])
def test_random_scores_of_links_are_at_the_chance_level(negatives):
    scores = torch.rand(40_000, negatives + 1, generator=torch.Generator().manual_seed(0))
    auc = area_under_roc(scores[:, 0].numpy(), scores[:, 1].numpy())
    measured = link_metrics(ranks(scores[:, 0], scores[:, 1:]), auc)
    assert chance_of_links(negatives) == pytest.approx(measured, abs=0.01)


def test_the_most_frequent_class_for_every_node_is_at_the_chance_level():
    label = np.repeat([0, 1, 2], [50, 120, 30])
    measured = class_metrics(np.full(len(label), 1), label)
    assert chance_of_classes(np.array([50, 120, 30])) == pytest.approx(measured)
    assert chance_of_classes(np.zeros(3, int)) == {}


def test_random_scores_of_labels_are_at_the_chance_level():
    rng = np.random.default_rng(0)
    label = (rng.random((30_000, 3)) < [0.1, 0.5, 0]).astype(np.uint8)
    measured = multi_label_metrics(rng.normal(size=label.shape), label)
    expected = chance_of_labels(label.sum(0), np.full(3, len(label)))
    assert expected == pytest.approx({name: measured[name] for name in expected}, abs=0.02)
    assert chance_of_labels(np.zeros(2, int), np.zeros(2, int)) == {"auc": 0.5}


def test_a_run_records_the_chance_level_of_its_negatives(community_store, tmp_path):
    run = train(
        store=community_store.path, run=tmp_path / "run", rounds=1, interval_steps=1,
        **{"evaluate.mode": "final", "model.hidden": 8, "threads": 1},
    )  # fmt: skip
    assert run.metrics[0]["chance"] == run.summary["chance"] == chance_of_links(20)
    assert "chance: " in (run.path / "report.html").read_text()
