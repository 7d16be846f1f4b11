"""Node numbers are the places of the distinct ids in ascending order, whatever holds them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.graph.ids.kind import TableIds
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.tables.database import temporary_database

LARGE = 1 << 30


def node_table(db, ids: pa.Array, bitmap_bytes: int = LARGE) -> tuple[NodeTable, TableIds]:
    stored = db.new_name("given")
    db.run(f"CREATE TABLE {stored} AS SELECT * FROM given", {"given": pa.table({"id": ids})})
    strings = pa.types.is_string(ids.type)
    column = TableIds(stored, "id", "VARCHAR" if strings else "BIGINT", "here")
    return NodeTable(db, [column], strings, bitmap_bytes), column


def check(ids: list, bitmap_bytes: int = LARGE) -> NodeTable:
    expected = sorted(set(ids), key=lambda i: i.encode() if isinstance(i, str) else i)
    with temporary_database() as db:
        nodes, column = node_table(db, pa.array(ids), bitmap_bytes)
        assert nodes.ids.to_list() == expected
        assert nodes.positions(column).tolist() == [expected.index(i) for i in ids]
    return nodes


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=40))
def test_any_strings_are_numbered_in_order(ids):
    check(ids)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40))
def test_any_integers_are_numbered_in_order(ids):
    check(ids)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_a_bitmap_and_a_table_number_alike(ids):
    assert check(ids).bitmap is not None
    assert check(ids, bitmap_bytes=0).bitmap is None


def test_integers_far_apart_need_no_bitmap():
    assert check([5, 2**60, 7]).bitmap is None


def test_more_ids_than_a_batch_keep_their_order():
    numbers = np.random.default_rng(0).permutation(300_000)
    with temporary_database() as db:
        nodes, column = node_table(db, pa.array([f"n{i:06d}" for i in numbers]))
        assert (nodes.positions(column) == numbers).all()
        assert nodes.ids[123_456] == "n123456"


@pytest.mark.parametrize("bitmap_bytes", [0, LARGE])
def test_an_unknown_id_has_no_number(bitmap_bytes):
    with temporary_database() as db:
        nodes, _ = node_table(db, pa.array([3, 5]), bitmap_bytes)
        db.run("CREATE TABLE asked AS SELECT unnest([5, 4, -1, 99, 3]) AS id")
        found = nodes.positions(TableIds("asked", "id", "BIGINT", "there"))
        assert found.tolist() == [1, -1, -1, -1, 0]


def test_ids_that_people_mistake_for_one_another_are_named():
    with temporary_database() as db:
        ids = ["Bob", "bob", " ann", "ann", "007", "7", "1", "1.0", "other"]
        nodes, _ = node_table(db, pa.array(ids))
        assert {way: set(pair) for way, pair in nodes.nearly_equal().items()} == {
            "upper and lower case": {"Bob", "bob"},
            "blanks around them": {" ann", "ann"},
            "leading zeros": {"007", "7"},
            "a decimal point": {"1", "1.0"},
        }
