"""What a model was trained on before stays known, and so does what it learned of it."""

import numpy as np
import pytest
from small_learning import config_of

from hvdtma.errors import UserError
from hypergraph import HyperLearn, Modality, MultimodalHypergraph, Relation, given_split

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
            HyperLearn(split, CONFIG).begin_with(first).begin_with(second)
    path = other.save(tmp_path / "m.safetensors")
    both = HyperLearn(graph, CONFIG).begin_with(one).begin_with(path)
    assert {each.name: each.num_hyperedges for each in both.past.trained_on} == {"ab": 2, "cd": 2}
    again = HyperLearn.load(both.save(path), graph)
    for before, now in zip(both.past.trained_on, again.past.trained_on, strict=True):
        np.testing.assert_array_equal(before.indices, now.indices)
