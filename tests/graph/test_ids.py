"""The user's own ids, whatever they are, come back as they were."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.storage.node_ids import NodeIds

WIDE = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)  # any script, and the empty string
SOME_IDS = st.lists(WIDE, unique=True, min_size=1) | st.lists(TEXT, unique=True, min_size=1)


@settings(max_examples=100, deadline=None)
@given(SOME_IDS, st.data())
def test_ids_survive_the_arrays_that_a_store_keeps(values, data):
    ids = NodeIds.of(values)
    start = data.draw(st.integers(0, len(values) - 1))
    for kept, expected in ((ids, values), (NodeIds(ids.values[start:]), values[start:])):
        back = NodeIds.from_arrays(kept.as_arrays())
        assert back.to_list() == expected
        assert back.are_strings == isinstance(values[0], str)
        assert [back[position] for position in range(len(back))] == expected


@settings(max_examples=60, deadline=None)
@given(SOME_IDS, st.randoms())
def test_lookup_finds_each_id_and_says_minus_one_for_others(values, random):
    known, unknown = values[: len(values) // 2 + 1], values[len(values) // 2 + 1 :]
    ids = NodeIds.of(known)
    wanted = random.sample(values, len(values))
    expected = [known.index(value) if value not in unknown else -1 for value in wanted]
    assert ids.lookup(pa.array(wanted, ids.values.type)).tolist() == expected


def test_positions_take_ids_in_their_order():
    ids = NodeIds.of(["b", "ä", "z"])
    assert ids.take(np.array([2, 0])).to_list() == ["z", "b"]


@pytest.mark.parametrize(
    "values", [[1.5], [1, "a"], np.array([2**63], np.uint64), [2**70], [b"raw"], ["\ud800"]]
)
def test_what_is_neither_integers_nor_strings_is_refused(values):
    with pytest.raises(UserError, match="node ids are"):
        NodeIds.of(values)


def test_a_word_is_not_looked_up_among_integers():
    with pytest.raises(UserError, match="another kind"):
        NodeIds.counted(3).lookup(["one"])
