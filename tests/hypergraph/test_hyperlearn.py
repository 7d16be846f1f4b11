"""HyperLearn as its users see it."""

from itertools import permutations

import numpy as np
import pytest
import torch
from small_learning import GROUPS, config_of, small_graph

from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.errors import UserError
from hypergraph import (
    HyperLearn,
    Modality,
    MultimodalHypergraph,
    Relation,
    given_split,
    split_relation,
)
from hypergraph.baselines import JointGCN, cp_config, popularity, without_context
from hypergraph.baselines.gcn import JoinedGraph
from hypergraph.scoring import held_out, score

K = 3
LONG = {"iterations": 300, "evaluate": {"every": 50}, "optimizer": {"lr": 0.02}}


@pytest.fixture(scope="module")
def graph():
    return small_graph(K)


@pytest.fixture(scope="module")
def split(graph):
    return split_relation(graph, "all", valid=0.15, test=0.15)


@pytest.fixture(scope="module")
def model(split):
    return HyperLearn(split, config_of(**LONG)).fit()


def test_it_completes_held_out_hyperedges_better_than_what_knows_less(split, model):
    train, config = split.train, config_of(**LONG)
    test = held_out(split.test, train.relation("all"), split.valid)
    found = {"hyperlearn": model.evaluate("test")["mrr"]}
    found["popularity"] = score(popularity(train, "all"), test)["mrr"]
    bare = HyperLearn(without_context(train), cp_config(config)).fit()
    found["cp"] = score(bare.learned, test)["mrr"]
    assert found["hyperlearn"] > max(found["popularity"], found["cp"]), found


def test_the_graph_convolution_beside_it_learns_too(split):
    gram = JointGCN(split.train, config_of(loss={"name": "gram"}))
    losses = [gram.iterate() for _ in range(100)]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    gcn = JointGCN(split.train, config_of())
    losses = [gcn.iterate() for _ in range(100)]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    test = held_out(split.test, split.train.relation("all"), split.valid)
    assert score(gcn.factors(), test)["mrr"] > score(popularity(split.train, "all"), test)["mrr"]


def unseen_items():
    """Hyperedges of two relations, which leave out items 1 and 3 of a, and 0 of c."""
    return MultimodalHypergraph.of(
        [Modality("a", 4), Modality("b", 2), Modality("c", 2)],
        [Relation("ab", ("a", "b"), [[0, 0], [2, 1]]), Relation("ac", ("a", "c"), [[2, 1]])],
    )


@pytest.mark.parametrize("loss", ["ranking", "gram"])
@pytest.mark.parametrize("kind", [JointGCN, lambda *args: HyperLearn(*args).trainer])
def test_items_without_a_hyperedge_are_the_mean_of_those_with_one(kind, loss):
    config = config_of(loss={"name": loss, "negatives": 2}, model={"dim": 8, "steps": 0})
    trainer = kind(unseen_items(), config)
    for _ in range(5):
        trainer.iterate()
    found = trainer.factors()
    if not isinstance(trainer, JointGCN):  # there they differ by their own loops
        rows = found.rows["a"]
        for item in (1, 3):
            np.testing.assert_allclose(rows[item], rows[[0, 2]].mean(0), rtol=1e-6)
        np.testing.assert_allclose(found.rows["c"][0], found.rows["c"][1])
    bias = found.biases["ab"]["a"]
    np.testing.assert_allclose(bias[[1, 3]], bias[[0, 2]].mean(), rtol=1e-6)
    np.testing.assert_allclose(found.biases["ac"]["a"], found.biases["ac"]["a"][2])


@pytest.mark.parametrize("dropout", [0.0, 0.6])
def test_nothing_is_learned_of_an_item_without_a_hyperedge(dropout):
    model = {"dim": 8, "row_dropout": {"a": dropout}}
    trainer = HyperLearn(unseen_items(), config_of(loss={"negatives": 2}, model=model)).trainer
    [net] = [group.nets["a"] for group in trainer.groups]
    before = net.net.factor.detach().clone()
    for _ in range(20):
        trainer.iterate()
    assert before[[1, 3]].equal(net.net.factor.detach()[[1, 3]])
    assert not before[[0, 2]].equal(net.net.factor.detach()[[0, 2]])


@pytest.mark.parametrize("kind", [JointGCN, lambda *args: HyperLearn(*args).trainer])
def test_rows_are_dropped_in_training_only(kind):
    """What is asked for before training is what it is without dropping; training is not."""
    graph = small_graph(3)
    trainer, without = (
        kind(graph, config_of(model={"dim": 8, "row_dropout": dropped}))
        for dropped in ({"m0": 0.9}, {})
    )
    for name, rows in trainer.factors().rows.items():
        np.testing.assert_array_equal(rows, without.factors().rows[name])
    assert trainer.iterate() != without.iterate()


@pytest.mark.parametrize("dropped", [[], [0, 3], range(50)])
def test_the_joined_graph_has_no_hyperedges_of_dropped_items(graph, dropped):
    begin = {"m0": 0, "m1": 30, "m2": 77}
    joined = JoinedGraph(graph, begin, 141, torch.float64)
    kept = torch.ones(141, 1, dtype=torch.bool)
    kept[list(dropped)] = False
    dense = torch.eye(141, dtype=torch.float64)
    for name, modality in graph.modalities.items():
        for u, v in modality.intra.edges + begin[name]:
            dense[u, v] += 1
            dense[v, u] += 1
    for relation in graph.relations.values():
        for items in relation.indices + [begin[name] for name in relation.modalities]:
            for u, v in permutations(items[kept[items, 0].numpy()].tolist(), 2):
                dense[u, v] += 1
    root = dense.sum(1).rsqrt()
    hidden = torch.randn(141, 3, dtype=torch.float64)
    expected = root[:, None] * (dense @ (root[:, None] * hidden))
    torch.testing.assert_close(joined.propagated(hidden, kept), expected)
    if not dropped:
        torch.testing.assert_close(joined.propagated(hidden), expected)


def test_factors_that_do_not_fit_are_refused_before_memory_is_taken(graph):
    model = {"dim": 65536, "order": 1000, "steps": 1}
    with pytest.raises(UserError, match=r"the factors of m0, m1, m2 take at least .* GiB"):
        HyperLearn(graph, config_of(model=model))


def test_values_are_predicted(graph):
    split = split_relation(graph, "rating", valid=0.15, test=0.15)
    model = HyperLearn(split, config_of(**LONG)).fit()
    metrics = model.evaluate()
    assert metrics["rmse"] < 0.8 * split.test.values.std()
    assert metrics["mae"] <= metrics["rmse"]
    [row] = split.test.indices[:1].tolist()
    [value] = model.score([row], "rating")
    assert 1 < value < 5


def test_training_stops_when_validation_stops_getting_better(split):
    config = config_of(iterations=10_000, evaluate={"every": 10, "patience": 3})
    events = []
    model = HyperLearn(split, config).fit(events.append)
    assert model.stopped == "early stopping"
    best = max(events, key=lambda event: event["valid"]["mrr"])
    assert model.best == best["valid"]
    assert model.evaluate("valid") == pytest.approx(best["valid"])  # its factors are those
    assert events[-1]["iteration"] == best["iteration"] + 30


def scores_by(split, ranks, **changes):
    """Of what `ranks` learned together: MRR of all held-out hyperedges."""
    config = config_of(**changes)

    def fit(comm):
        model = HyperLearn(split, config, comm=comm).fit()
        return np.mean([model.evaluate(part)["mrr"] for part in ("valid", "test")])

    scores = InProcessGroup(ranks).run(fit)
    assert len(set(scores)) == 1
    return scores[0]


def test_stale_factors_lead_to_the_same_score():
    """To within two percent of it; and exactly, where they are never stale."""
    graph = small_graph(K, num_hyperedges=3000)
    split = split_relation(graph, "all", valid=0.2, test=0.2)
    long = {"iterations": 400, "evaluate": {"every": 25}}
    exact = scores_by(split, 1, **long)
    assert scores_by(split, K, **long, exchange_steps=10) > 0.98 * exact
    brief = {"iterations": 20, "precision": "float64"}
    one, other = (scores_by(split, K, **brief, exchange_steps=steps) for steps in (None, 1))
    assert one == pytest.approx(other)


def test_factors_exchanged_by_the_clock_are_learned_too(split):
    learned = scores_by(split, K, **LONG, exchange_s=0.02)
    assert learned > 1.5 * scores_by(split, 1, iterations=1)


def test_a_hyperedge_is_completed_by_items_of_its_group(graph, model):
    """Ids are positions here; groups show in the features."""
    group_of = {n: graph.modality(n).features.argmax(1) for n in ("m0", "m1", "m2")}
    right = []
    for own in range(GROUPS):
        known = {n: int(np.flatnonzero(group_of[n] == own)[0]) for n in ("m0", "m1")}
        best = model.complete("all", known, missing="m2", top=5)
        assert [score for _, score in best] == sorted((s for _, s in best), reverse=True)
        right += [group_of["m2"][item] == own for item, _ in best]
        [expected] = model.score([{**known, "m2": best[0][0]}], "all")
        assert best[0][1] == pytest.approx(expected, rel=1e-5)
    assert np.mean(right) > 0.5  # one in four by chance


def test_similar_items_are_of_the_same_kind_and_across(graph, model):
    near = model.similar("m2", 0, top=5)
    assert 0 not in [item for item, _ in near]
    assert len(model.similar("m0", 3, across="m1", top=4)) == 4
    assert len(model.similar("m0", 3, top=10_000)) == graph.modality("m0").num_items - 1


def test_what_was_saved_is_what_is_loaded(split, model, tmp_path):
    path = model.save(tmp_path / "models" / "m.safetensors")
    again = HyperLearn.load(path, split)
    for name, rows in model.factors.items():
        np.testing.assert_array_equal(again.factors[name], rows)
    assert again.best == model.best
    assert again.evaluate() == model.evaluate()
    with pytest.raises(UserError, match="modality 'm1' of 47 items; the given data has none"):
        HyperLearn.load(path, MultimodalHypergraph.of(
            [Modality("m0", 30), Modality("x", 3)], [Relation("r", ("m0", "x"), [[0, 0]])]
        ))  # fmt: skip
    content = path.read_bytes()
    flipped = [
        content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        for at in np.linspace(0, len(content) - 1, 40, dtype=int)
    ]
    for damaged in (content[:1000], content[:4], b"", *flipped):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="is no model of this package, or damaged"):
            HyperLearn.load(path, split)
    with pytest.raises(UserError, match="no model at"):
        HyperLearn.load(tmp_path / "nothing", split)
    with pytest.raises(
        UserError, match=r"is a folder; the model of a run is the file model\.safetensors in its"
    ):
        HyperLearn.load(tmp_path, split)


def test_a_modality_is_added_and_the_rest_begins_where_it_stands(model):
    random = np.random.default_rng(0)
    tags = Relation("tag", ("m0", "tag"), np.stack([np.arange(30), random.integers(0, 5, 30)], 1))
    larger = model.add_modality(Modality("tag", 5), tags)
    for name, rows in model.factors.items():
        np.testing.assert_array_equal(larger.factors[name], rows)
    assert larger.fit().factors["tag"].shape == (5, 8)
    with pytest.raises(UserError, match="has the modality 'tag' already"):
        larger.add_modality(Modality("tag", 5), tags)
    with pytest.raises(UserError, match="no given relation names the modality 'x'"):
        model.add_modality(Modality("x", 5), tags)


def test_what_was_learned_on_placed_ranks_is_loaded_and_added_to_anywhere(split, tmp_path):
    path = tmp_path / "m.safetensors"
    placed = config_of(iterations=2, placement={"m0": 0, "m1": 1, "m2": 0})
    tags = Relation("tag", ("m1", "tag"), [[0, 0], [1, 2]])

    def fit(comm):
        model = HyperLearn(split, placed, comm=comm).fit()
        model.save(path)
        larger = model.add_modality(Modality("tag", 3), tags)
        with pytest.raises(UserError, match="no rank for the modality 'tag'"):
            model.add_modality(Modality("tag", 3), tags, config=placed)
        return model.factors, larger.placement

    (learned, placement), _ = InProcessGroup(2).run(fit)
    assert {slot.rank for slot in placement.slots.values()} == {0, 1}
    again = HyperLearn.load(path, split)
    for name, rows in learned.items():
        np.testing.assert_array_equal(again.factors[name], rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_was_learned_on_a_gpu_is_loaded_without_one(split, tmp_path):
    config = config_of()
    model = HyperLearn(split, config)
    model.config = config.model_copy(update={"device": "cuda"})
    again = HyperLearn.load(model.save(tmp_path / "m.safetensors"), split)
    np.testing.assert_array_equal(again.factors["m0"], model.factors["m0"])


def test_a_modality_that_joins_the_relation_held_out_of_needs_a_new_split(graph, model):
    names = ("m0", "m1", "m2", "new")
    rows = graph.relation("all").indices
    all_ = Relation("all", names, np.c_[rows, rows[:, 0] % 7])
    with pytest.raises(UserError, match="hyperedges of 'all' are held out; split the new relation"):
        model.add_modality(Modality("new", 7), all_)
    larger = graph.with_modality(Modality("new", 7)).with_relation(all_)
    again = HyperLearn(split_relation(larger, "all"), model.config).warm_start(model)
    nets = again.trainer.groups[0].nets
    for name, state in model.trainer.states().items():
        assert nets[name].net.factor.equal(state["net.factor"])
    with pytest.raises(UserError, match="learned from modality 'new' of 7 items; the given data"):
        model.warm_start(again)


def test_what_a_newcomer_joins_is_predicted_as_before(graph, model):
    """But for the spread of its first rows; one with a relation of its own begins as any other."""
    rows = graph.relation("all").indices
    joined = Relation("all", ("m0", "m1", "m2", "new"), np.c_[rows, rows[:, 0] % 7])
    apart = Relation("apart", ("m0", "other"), [[0, 0], [1, 1]])
    larger = graph.with_modality(Modality("new", 7)).with_modality(Modality("other", 2))
    larger = larger.with_relation(joined).with_relation(apart)
    before = HyperLearn(graph, model.config)
    before.warm_start(model)
    fresh = HyperLearn(larger, model.config)
    again = HyperLearn(larger, model.config).warm_start(before)
    assert again.factors["new"].mean() == pytest.approx(1)
    assert again.factors["new"].std() == pytest.approx(fresh.factors["new"].std())
    np.testing.assert_array_equal(again.factors["other"], fresh.factors["other"])
    again.learned.rows["new"][:] = again.learned.rows["new"].mean()
    found, expected = again.score(joined.indices, "all"), before.score(rows, "all")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_rows_can_be_reset_where_the_encoder_of_features_goes_on(split, model):
    fresh, again = (HyperLearn(split, model.config) for _ in range(2))
    again.warm_start(model, reset_rows=["m0"])
    nets, new = again.trainer.groups[0].nets, fresh.trainer.groups[0].nets
    for name, state in model.trainer.states().items():
        rows = new[name].net.factor if name == "m0" else state["net.factor"]
        assert nets[name].net.factor.equal(rows)
        assert nets[name].net.encoder.equal(state["net.encoder"])
        assert nets[name].bias.equal(state["bias"])
    with pytest.raises(UserError, match="no modality 'm9'"):
        again.warm_start(model, reset_rows=["m9"])


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (lambda m: m.complete("al", {}, "m2"), "there is no relation 'al'; .*did you mean 'all'"),
        (lambda m: m.complete("all", {"m9": 1}, "m2"), "relation 'all' has no modality 'm9'"),
        (lambda m: m.complete("all", {"m0": 999}, "m2"), "modality 'm0' has no item 999"),
        (lambda m: m.score([[0, 1, 2]]), "the relation is not given; valid: all, rating"),
        (lambda m: m.complete("all", {"m2": 1}, "m2"), "'m2' is missing, but is given as 1"),
        (
            lambda m: m.complete("all", {}, "m2", top=-1),
            "top is -1; it must be a whole number, at least 1",
        ),
        (lambda m: m.similar("m0", 1, top=-1), "top is -1; it must be a whole number"),
        (lambda m: m.score([{"m0": 1}], "all"), "needs an item of 'm1'"),
        (lambda m: m.score([[0, 1, 2, 99]], "all"), "has 4 items; it joins 3: m0, m1, m2"),
        (lambda m: m.score([[0, 1]], "all"), "has 2 items; it joins 3"),
        (lambda m: m.score([0, 1, 2], "all"), "a hyperedge is 0; give the ids of m0, m1, m2"),
        (lambda m: m.score(["abc"], "all"), "a hyperedge is 'abc'; give the ids"),
        (lambda m: m.score({"m0": 0, "m1": 1, "m2": 2}, "all"), "put a single one in a list"),
        (
            lambda m: m.score([{"m0": 0, "m1": 1, "m2": 2, "m3": 3}], "all"),
            "relation 'all' has no modality 'm3'",
        ),
        (
            lambda m: HyperLearn(m.data, {"iterations": 3}),
            "config is a dict; give a HyperLearnConfig",
        ),
        (lambda m: m.evaluate("train"), "part is 'train'; valid: valid, test"),
        (lambda m: HyperLearn(m.data, m.config).evaluate(), "no hyperedges are held out"),
    ],
)
def test_what_cannot_be_answered_is_said(model, ask, why):
    with pytest.raises(UserError, match=why):
        ask(model)


TRAINED_ON = r"hyperedges held out of 'all' were trained on by the loaded model"


def test_what_was_trained_on_is_not_scored_as_held_out(graph, tmp_path):
    """A hyperedge more, and the same seed holds out others."""
    before = split_relation(graph, "all", seed=3)
    model = HyperLearn(before, config_of(iterations=2)).fit()
    path = model.save(tmp_path / "m.safetensors")
    its = graph.relation("all")
    more = Relation("all", its.modalities, np.r_[its.indices, [[0, 0, 0]]])
    after = split_relation(graph.with_relation(more), "all", seed=3)
    again = HyperLearn.load(path, after)
    assert again.complete("all", {"m0": 1}, "m1")
    for ask in (again.evaluate, again.fit):
        with pytest.raises(UserError, match=TRAINED_ON):
            ask()
    for other in (path, model, again.save(tmp_path / "again.safetensors")):
        with pytest.raises(UserError, match=TRAINED_ON):
            HyperLearn(after, model.config).warm_start(other)
    assert HyperLearn(before, model.config).warm_start(path).evaluate() == model.evaluate()


def test_a_relation_that_a_modality_joined_is_compared_by_the_others():
    """What the training hyperedges of now say as well is not given away."""
    modalities = [Modality(name, 4) for name in "abc"]
    rows = [[0, 0, 0], [0, 0, 1], [1, 1, 0], [2, 2, 2]]
    graph = MultimodalHypergraph.of(modalities, [Relation("r", ("a", "b", "c"), rows)])
    split = given_split(graph, "r", ["train", "valid", "test", "train"])

    def trained_on(pairs):
        less = MultimodalHypergraph.of(modalities[:2], [Relation("r", ("a", "b"), pairs)])
        return HyperLearn(less, config_of(iterations=1, loss={"negatives": 1})).fit()

    HyperLearn(split, config_of()).warm_start(trained_on([[0, 0], [2, 2]]))
    with pytest.raises(UserError, match="1 of 1 hyperedges held out of 'r' were trained on"):
        HyperLearn(split, config_of()).warm_start(trained_on([[0, 0], [1, 1]]))


def test_names_may_be_anything(tmp_path):
    """What PyTorch's modules, files and keys take for something else."""
    names = ("items", "a/b.c", "keys")
    random = np.random.default_rng(0)
    graph = MultimodalHypergraph.of(
        [Modality(name, 20) for name in names],
        [Relation("values/all", names, random.integers(0, 20, (80, 3)))],
    )
    model = HyperLearn(graph, config_of(iterations=2)).fit()
    again = HyperLearn.load(model.save(tmp_path / "m.safetensors"), graph)
    for name in names:
        np.testing.assert_array_equal(again.factors[name], model.factors[name])


def test_values_of_one_relation_say_nothing_by_themselves_about_another(graph):
    """Whole-tensor completion has no biases; the ratings' are kept out of it."""
    split = split_relation(graph, "all", valid=0.1, test=0.1)
    config = config_of(iterations=30, loss={"name": "gram"})
    biases = HyperLearn(split, config).fit().learned.biases
    assert all((bias == 0).all() for bias in biases["all"].values())
    assert all(np.abs(bias).max() > 0.01 for bias in biases["rating"].values())


def test_a_second_fit_trains_on(split):
    model = HyperLearn(split, config_of(iterations=5)).fit()
    before = model.factors["m0"]
    model.fit()
    assert model.trainer.iterations == 10
    assert not np.array_equal(model.factors["m0"], before)


def test_a_fit_does_not_end_worse_than_what_it_began_with(split, model):
    wild = config_of(iterations=4, evaluate={"every": 1}, optimizer={"name": "sgd", "lr": 5.0})
    scores = []
    again = HyperLearn(split, wild).warm_start(model).fit(scores.append)
    before = model.evaluate("valid")
    start, *after = [event["valid"]["mrr"] for event in scores]
    assert start == pytest.approx(before["mrr"]) and start > max(after)
    assert again.evaluate("valid") == again.best == pytest.approx(before)


def test_a_fit_that_fails_leaves_nothing_of_the_one_before(split):
    """Neither its factors nor its scores are those of the model that is left."""
    model = HyperLearn(split, config_of(iterations=5, evaluate={"every": 5})).fit()
    before = model.factors["m0"]

    def fail(_):
        raise UserError("full disk")

    with pytest.raises(UserError, match="full disk"):
        model.fit(fail)
    assert (model.best, model.stopped) == ({}, "")
    assert not np.array_equal(model.factors["m0"], before)
    model.trainer.request_stop()
    model.fit()
    assert (model.best, model.stopped) == ({}, "interrupted")
    np.testing.assert_array_equal(model.factors["m0"], model.trainer.factors().rows["m0"])
    assert model.fit().stopped == "iterations"  # that it was to stop is over


class Behind(SingleProcess):
    """Beside it, another rank has done seven iterations less."""

    def all_gather_object(self, value):
        return [value, value - 7] if isinstance(value, int) else [value]


def test_a_second_fit_scores_when_all_ranks_have_come_so_far(split):
    """By what all have done, which is the same on all: else they would not score together."""
    config = config_of(iterations=10, evaluate={"every": 5}, exchange_steps=1)
    model = HyperLearn(split, config, comm=Behind())
    model.trainer.iterations = 7
    events = []
    model.fit(events.append)
    assert [event["iteration"] for event in events] == [5, 10]


def test_training_that_goes_astray_is_told_on_every_rank(split):
    config = config_of(optimizer={"name": "adamw", "lr": 1e9, "weight_decay": 1e9, "clip_norm": 0})
    with pytest.raises(UserError, match=r"no longer finite after iteration 40; lower opt"):
        InProcessGroup(K).run(lambda comm: HyperLearn(split, config, comm=comm).fit())


def test_a_metric_that_is_not_scored_is_refused_before_training(split):
    config = config_of(evaluate={"metric": "hits@5"})
    with pytest.raises(UserError, match=r"evaluate.metric is 'hits@5'; .*mean 'hits@50'"):
        HyperLearn(split, config).fit(lambda _: pytest.fail("it was trained"))


def test_a_metric_that_has_no_value_is_told_at_the_first_score():
    """No item is false: every one of them completes a known hyperedge."""
    graph = MultimodalHypergraph.of(
        [Modality("a", 2), Modality("b", 2)],
        [Relation("r", ("a", "b"), [[0, 0], [0, 1], [1, 0], [1, 1]])],
    )
    split = given_split(graph, "r", ["train", "valid", "train", "train"])
    config = config_of(iterations=2, evaluate={"every": 1, "metric": "average_precision"})
    with pytest.raises(UserError, match=r"'average_precision', which these .* do not have: .*mrr"):
        HyperLearn(split, config).fit(lambda _: pytest.fail("it was told of a score"))


def test_a_modality_in_no_relation_is_refused(graph):
    with pytest.raises(UserError, match="modality 'alone' is in no relation"):
        HyperLearn(graph.with_modality(Modality("alone", 3)), config_of())


def test_what_a_given_split_holds_out_is_not_trained_on(graph):
    its = graph.relation("rating")
    part = np.arange(its.num_hyperedges) % 3

    def with_parts(part):
        rating = Relation("rating", its.modalities, its.indices, its.values, part)
        return graph.with_relation(rating)

    parted = with_parts(part)
    with pytest.raises(UserError, match=r"'rating' comes with a split; .*given_split\(graph, 'ra"):
        HyperLearn(parted, config_of())
    model = HyperLearn(split_relation(parted, "all"), config_of())
    assert np.isin(model.data.relation("rating").values, its.values[part == 0]).all()
    HyperLearn(with_parts(0 * part), config_of())  # of which nothing is held out


def test_a_model_begins_with_one_of_the_same_shape_and_items_only(graph, model):
    other = HyperLearn(graph, config_of(model={"dim": 4}))
    with pytest.raises(UserError, match=r"is another model .*dim"):
        other.warm_start(model)
    named = graph.with_modality(Modality("m0", 30, np.arange(30)[::-1]))
    with pytest.raises(
        UserError, match="other ids of modality 'm0', or from the same ids in another"
    ):
        HyperLearn(named, config_of()).warm_start(model)
