"""Modalities that join a trained model: they alone are trained at first, then all, gently."""

import numpy as np
import pytest
from small_learning import config_of, small_graph

from hvdtma.comm import InProcessGroup, SingleProcess
from hypergraph import HyperLearn, Modality, Relation, split_relation
from hypergraph.config import JoinConfig
from hypergraph.train.device_group import ModalityNet

ALONE, WARM_UP, ITERATIONS = 3, 4, 12
JOIN = {"alone": ALONE, "warm_up": WARM_UP}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A model of three modalities, saved."""
    model = HyperLearn(small_graph(3), config_of(precision="float64")).fit()
    return model.save(tmp_path_factory.mktemp("before") / "m.safetensors")


def with_newcomer():
    """One modality more in the relation of three, which has a graph inside and features."""
    new = Modality("new", 64, features=np.eye(64, 3), intra=small_graph(3).modality("m2").intra)
    graph = small_graph(3)
    rows = graph.relation("all").indices
    names = ("m0", "m1", "m2", "new")
    joined = Relation("all", names, np.c_[rows, rows[:, 2]])
    return graph.with_modality(new).with_relation(joined)


def joined(before, comm=None, **changes):
    config = config_of(**{"join": JOIN, "precision": "float64", **changes})
    return HyperLearn(with_newcomer(), config, comm=comm).warm_start(before)


def test_newcomers_alone_are_trained_at_first(before):
    trainer = joined(before).trainer
    first = trainer.factors()
    for _ in range(ALONE):
        assert set(trainer.iterate()) == {"all", "smoothness of new"}
    then = trainer.factors()
    for name in ("m0", "m1", "m2"):
        np.testing.assert_array_equal(then.rows[name], first.rows[name])
        np.testing.assert_array_equal(then.biases["all"][name], first.biases["all"][name])
    assert not np.array_equal(then.rows["new"], first.rows["new"])
    assert {"rating", "smoothness of m0"} < set(trainer.iterate())
    for name, rows in trainer.factors().rows.items():
        assert not np.array_equal(rows, then.rows[name]), name


def test_the_others_factors_are_made_once_while_newcomers_are_alone(before, monkeypatch):
    trainer = joined(before).trainer
    made = []
    forward = ModalityNet.forward
    monkeypatch.setattr(
        ModalityNet, "forward", lambda net, *asked: made.append(net) or forward(net, *asked)
    )
    for _ in range(ALONE):
        trainer.iterate()
    nets = trainer.groups[0].nets
    assert {name: made.count(net) for name, net in nets.items()} == {
        "m0": 1, "m1": 1, "m2": 1, "new": ALONE
    }  # fmt: skip


def test_what_is_loaded_while_newcomers_are_alone_is_what_they_are_trained_on(before):
    one, other = (joined(before, join={**JOIN, "alone": 9}).trainer for _ in range(2))
    one.iterate()
    changed = {name: {k: v + 0.1 for k, v in s.items()} for name, s in one.states().items()}
    one.load(changed)
    other.load(changed)
    other.batches[0].load(one.batches[0].state())
    assert one.iterate() == other.iterate()


def test_the_learning_rate_of_all_rises_after_that(before):
    trainer = joined(before).trainer
    [group] = trainer.groups[0].optimizer.param_groups
    rates = []
    for _ in range(ALONE + WARM_UP + 2):
        trainer.iterate()
        rates.append(group["lr"] / trainer.config.optimizer.lr)
    expected = [1] * ALONE + [(step + 1) / WARM_UP for step in range(WARM_UP)] + [1, 1]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("join", [{"alone": 0, "warm_up": 0}, JOIN])
def test_without_newcomers_nothing_is_other_than_plain_training(before, join):
    """From the start, and from where a model of the same modalities stands."""
    graph = small_graph(3)
    for begin in (lambda model: model, lambda model: model.warm_start(before)):
        plain, other = (
            begin(HyperLearn(graph, config_of(precision="float64", join=how))).trainer
            for how in (JoinConfig().model_dump(), join)
        )
        for _ in range(4):
            assert plain.iterate() == other.iterate()


def test_scores_while_newcomers_are_alone_do_not_stop_training():
    """What is scored may stand still all that time."""
    model = HyperLearn(split_relation(small_graph(3), "all"), config_of(iterations=5)).fit()
    tags = Relation("tag", ("m0", "tag"), [[item, item % 5] for item in range(30)])
    patient = config_of(join={"alone": 20}, evaluate={"every": 2, "patience": 3})
    scores = []
    model.add_modality(Modality("tag", 5), tags, config=patient).fit(scores.append)
    alone, later = scores[:9], scores[9:]
    assert len({score["valid"]["mrr"] for score in alone}) == 1
    assert len({score["valid"]["mrr"] for score in later}) > 1


def test_who_trains_itself_has_no_newcomers(before):
    """Whatever it begins with then; ranks that have done unlike many iterations go on together."""

    def train(comm):
        config = config_of(exchange_s=0.02, iterations=ALONE - 1, join=JOIN, precision="float64")
        model = HyperLearn(with_newcomer(), config, comm=comm).fit()
        rows = model.factors["new"]
        model.warm_start(before)
        np.testing.assert_array_equal(model.factors["new"], rows)
        assert not model.trainer.newcomers
        return model.fit().trainer.iterations

    assert min(InProcessGroup(2).run(train)) >= 2 * (ALONE - 1)


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("loss", ["ranking", "gram"])
def test_ranks_let_a_newcomer_join_as_one_process_does(before, ranks, loss):
    def train(comm):
        trainer = joined(before, comm, loss={"name": loss}).trainer
        return [trainer.iterate() for _ in range(ITERATIONS)], trainer.factors()

    [(expected, factors)] = InProcessGroup(1).run(train)
    parts = InProcessGroup(ranks).run(train)
    for step, losses in enumerate(expected):
        found = {name: value for part in parts for name, value in part[0][step].items()}
        assert found == pytest.approx(losses, rel=1e-6)
    for _, found in parts:
        for name, rows in factors.rows.items():
            np.testing.assert_allclose(found.rows[name], rows, rtol=1e-6)


def fitted(before, **changes):
    """Of each of three ranks: the iterations it did, and all factors."""

    def train(comm):
        model = joined(before, comm, iterations=ITERATIONS, **changes)
        return model.fit().trainer.iterations, model.factors

    return InProcessGroup(3).run(train)


def test_ranks_go_by_themselves_after_that(before):
    for iterations, factors in fitted(before, exchange_s=0.01):
        assert iterations >= ITERATIONS
        for name, rows in joined(before, SingleProcess()).factors.items():
            assert not np.array_equal(factors[name], rows), name


def test_the_others_have_heard_of_the_newcomer_by_then(before):
    """Who exchanges after every iteration is never behind."""
    for exact, other in zip(fitted(before), fitted(before, exchange_steps=1), strict=True):
        for name, rows in exact[1].items():
            np.testing.assert_allclose(other[1][name], rows, rtol=1e-9)
