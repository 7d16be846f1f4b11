"""What a model was trained on before stays known, and so does what it learned of it."""

import numpy as np
import pytest
from small_learning import config_of

from hvdtma.core.errors import UserError
from hypergraph import HyperLearn, Modality, MultimodalHypergraph, Relation, given_split
from hypergraph.history import TrainingHistory

CONFIG = config_of(iterations=3, loss={"negatives": 2}, model={"dim": 4, "steps": 0})


def of_pairs(first, second, rows, values=None, sizes=(4, 4), name=None):
    """One relation between two modalities."""
    modalities = [Modality(n, size) for n, size in zip((first, second), sizes, strict=True)]
    relation = Relation(name or first + second, (first, second), rows, values)
    return MultimodalHypergraph.of(modalities, [relation])


def test_what_several_models_were_trained_on_adds_up(tmp_path):
    one = HyperLearn(of_pairs("a", "b", [[0, 0], [1, 1]]), CONFIG).fit()
    other = HyperLearn(of_pairs("c", "d", [[2, 2], [3, 3]]), CONFIG).fit()
    graph = MultimodalHypergraph.of(
        [Modality(name, 4) for name in "abcd"],
        [
            Relation("ab", ("a", "b"), [[0, 0], [1, 1], [2, 2]]),
            Relation("cd", ("c", "d"), [[0, 1], [2, 2]]),
        ],
    )
    split = given_split(graph, "ab", ["train", "test", "train"])
    for first, second in ((one, other), (other, one)):
        with pytest.raises(UserError, match="1 of 1 hyperedges held out of 'ab' were trained on"):
            HyperLearn(split, CONFIG).warm_start(first).warm_start(second)
    path = other.save(tmp_path / "m.safetensors")
    both = HyperLearn(graph, CONFIG).warm_start(one).warm_start(path)
    assert {each.name: each.num_hyperedges for each in both.history.trained_on} == {
        "ab": 2,
        "cd": 2,
    }
    again = HyperLearn.load(both.save(path), graph)
    for before, now in zip(both.history.trained_on, again.history.trained_on, strict=True):
        np.testing.assert_array_equal(before.indices, now.indices)


def test_what_began_with_one_model_is_not_changed_by_another():
    """Though it is no newcomer's: both know the relation, neither all of its modalities."""
    one = HyperLearn(of_pairs("a", "b", [[0, 0], [1, 1]], name="r"), CONFIG).fit()
    other = HyperLearn(of_pairs("c", "d", [[2, 2], [3, 3]], name="r"), CONFIG).fit()
    whole = Relation("r", tuple("abcd"), np.arange(4)[:, None].repeat(4, 1))
    graph = MultimodalHypergraph.of([Modality(name, 4) for name in "abcd"], [whole])
    both = HyperLearn(graph, CONFIG).warm_start(one).warm_start(other)
    states = one.trainer.states() | other.trainer.states()
    for name, net in both.trainer.groups[0].nets.items():
        assert net.net.factor.equal(states[name]["net.factor"])


ROWS = [[0, 0], [1, 1], [2, 2], [3, 3]]


def assert_same(found, expected):
    for name, rows in expected.factors.items():
        np.testing.assert_array_equal(found.factors[name], rows)
        np.testing.assert_array_equal(
            found.learned.biases["ab"][name], expected.learned.biases["ab"][name]
        )


def test_what_was_learned_of_items_that_are_not_linked_now_is_kept(tmp_path):
    """By a model that is loaded or begun with, what it saves, and one that trains on."""
    model = HyperLearn(of_pairs("a", "b", ROWS), CONFIG).fit()
    fewer = of_pairs("a", "b", ROWS[:2])
    path = model.save(tmp_path / "m.safetensors")
    loaded = HyperLearn.load(path, fewer)
    again = HyperLearn.load(loaded.save(tmp_path / "again.safetensors"), fewer)
    begun = HyperLearn(fewer, CONFIG).warm_start(model)
    for found in (loaded, again, begun, HyperLearn(fewer, CONFIG).warm_start(path)):
        assert_same(found, model)
    rows = begun.fit().factors["a"]
    assert not np.allclose(rows[2], rows[3])


def test_a_bias_of_another_relation_is_still_the_mean():
    """The row was learned, what is popular in this relation was not."""
    model = HyperLearn(of_pairs("a", "b", ROWS), CONFIG).fit()
    begun = HyperLearn(of_pairs("a", "b", ROWS[:2], name="new"), CONFIG).warm_start(model)
    np.testing.assert_array_equal(begun.factors["a"], model.factors["a"])
    bias = begun.fit().learned.biases["new"]["a"]
    np.testing.assert_allclose(bias[2:], bias[:2].mean(), rtol=1e-6)


def test_values_are_expected_about_the_mean_that_they_were_learned_from(tmp_path):
    """Whatever the values of now; in the loss, too."""
    model = HyperLearn(of_pairs("a", "b", ROWS, [4.0, 5.0, 4.0, 3.0]), CONFIG).fit()
    expected = model.score(ROWS)
    other = given_split(of_pairs("a", "b", ROWS, [1.0, 2.0, 5.0, 1.0]), "ab", [0, 0, 0, 1])
    path = model.save(tmp_path / "m.safetensors")
    loaded = HyperLearn.load(path, other.train)
    again = HyperLearn.load(loaded.save(tmp_path / "again.safetensors"), other.train)
    begun = HyperLearn(other.train, CONFIG).warm_start(model)
    for found in (loaded, again, begun):
        np.testing.assert_array_equal(found.score(ROWS), expected)
        assert found.complete("ab", {"a": 0}, "b") == model.complete("ab", {"a": 0}, "b")
        assert found.trainer.groups[0].means == {"ab": 4.0}
    assert begun.fit().history.means == {"ab": 4.0}
    scored = HyperLearn(other, CONFIG)
    scored.trainer.add_history(TrainingHistory(means={"ab": 4.0}))
    [value] = scored.score(ROWS[3:])
    assert value == pytest.approx(4.0, abs=0.5)
    assert scored.evaluate("valid")["mae"] == pytest.approx(value - 1.0, rel=1e-6)
