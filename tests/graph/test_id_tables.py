"""Every id has its place among the sorted distinct ones, however they are held."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES, MemoryBudget
from hvdtma.graph.ids import collector as collecting
from hvdtma.graph.ids import kernels
from hvdtma.graph.ids import table as id_table
from hvdtma.graph.ids.bitmap import BitmapTable
from hvdtma.graph.ids.collector import IdCollector
from hvdtma.graph.ids.estimate import DistinctEstimate
from hvdtma.graph.ids.sets import IntegerSet, StringSet
from hvdtma.graph.ids.table import HashTable

ROOM = MemoryBudget(BASE_BYTES + (1 << 30))
WIDE = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(0, 300)
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
COLUMNS = st.one_of(
    *(st.lists(st.lists(kind, max_size=30), min_size=1, max_size=5) for kind in (WIDE, SMALL, TEXT))
)


def arrow(values):
    is_text = any(isinstance(value, str) for value in values)
    return pa.array(values, pa.large_string() if is_text else pa.int64())


def collected(columns, folder, memory=ROOM):
    strings = any(isinstance(value, str) for column in columns for value in column)
    collector = IdCollector(strings, memory, folder)
    for column in filter(len, columns):
        collector.add(arrow(column))
    return collector.finish()


def check(table, columns):
    """The table maps as a dict would, and is in order."""
    distinct = sorted({value for column in columns for value in column}, key=_order)
    assert table.ids.to_list() == distinct
    position = {value: place for place, value in enumerate(distinct)}
    for column in filter(len, columns):
        chunked = pa.chunked_array([arrow(column), arrow(column)])
        assert table.lookup(chunked).tolist() == [position[value] for value in column] * 2
    if distinct and isinstance(distinct[0], str):
        assert table.lookup(pa.array(["longer than any"], pa.large_string())).tolist() == [-1]
    else:
        unknown = [value for value in (-5, 7, 301, 2**62) if value not in position]
        assert table.lookup(pa.array(unknown, pa.int64())).tolist() == [-1] * len(unknown)


def _order(value):
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("hash_bits", [64, 2, 0])
@settings(max_examples=60, deadline=None)
@given(columns=COLUMNS)
def test_ids_map_as_in_a_dict_whatever_their_hashes(tmp_path_factory, columns, hash_bits):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("hash_integers", "hash_strings"):
            plain = getattr(kernels, name)
            few = np.uint64(2**hash_bits - 1)
            patch.setattr(kernels, name, lambda *a, f=plain, few=few: f(*a) & few)
        patch.setattr(id_table, "_IDS_PER_PIECE", 7)
        folder = tmp_path_factory.mktemp("ids")
        table = collected(columns, folder)
        check(table, columns)
        if table.ids.values.type == pa.int64():
            check(HashTable(table.ids), columns)


def test_tables_grow_with_what_they_hold(tmp_path):
    rng = np.random.default_rng(0)
    for spread, kind in ((1, BitmapTable), (10**12, HashTable)):
        columns = [(rng.integers(-0, 40_000, 30_000) * spread).tolist() for _ in range(4)]
        table = collected(columns, tmp_path)
        assert isinstance(table, kind)
        check(table, columns)
        check(collected([[str(v) for v in column] for column in columns], tmp_path), [
            [str(v) for v in column] for column in columns
        ])  # fmt: skip


def test_dense_integers_that_turn_out_sparse_are_kept(tmp_path):
    check(collected([[5, 3, 3], [2**60, -9, 5]], tmp_path), [[5, 3, 3], [2**60, -9, 5]])


def test_strings_are_sorted_by_way_of_the_disk_where_memory_is_short(tmp_path):
    words = [str(number) * (number % 3) + "ä" for number in range(5000)]
    for room in (0, 1 << 30):
        known = StringSet()
        known.add(arrow(words))
        known.add(arrow(words))
        ids = known.finish(tmp_path, room)
        assert ids.to_list() == sorted(set(words), key=str.encode)
    assert not any(tmp_path.iterdir())


def test_a_table_is_as_small_as_it_is_said_to_be(tmp_path):
    numbers = np.arange(100_000)
    dense = collected([numbers.tolist()], tmp_path)
    assert dense.num_bytes <= 8.3 * len(numbers)
    sparse = collected([(numbers * 10**9).tolist()], tmp_path)
    assert sparse.num_bytes <= 18.7 * len(numbers)


@pytest.mark.parametrize("strings", [True, False])
def test_ids_that_do_not_fit_are_refused_with_a_limit_that_is_enough(
    tmp_path, monkeypatch, strings
):
    memory = MemoryBudget(BASE_BYTES + LEAST_WORK_BYTES)
    monkeypatch.setattr(collecting, "BYTES_PER_ID", 20_000)  # so that few ids are too many
    monkeypatch.setattr(collecting, "_BITMAP_LEAST", 0)
    monkeypatch.setattr(collecting, "_BITMAP_PER_ID", 0)
    collector = IdCollector(strings, memory, tmp_path)
    for start in range(0, 40_000, 1000):
        ids = pa.array(np.arange(start, start + 1000) * 10**6)
        collector.add(ids.cast(pa.large_string()) if strings else ids)
    with pytest.raises(UserError, match=r"about 4\d,\d{3} nodes; give memory_gb=1\.\d\d or"):
        collector.finish()


def test_the_estimate_is_near(tmp_path):
    estimate = DistinctEstimate()
    for _ in range(2):
        estimate.add(kernels.hash_integers(np.arange(300_000)))
    assert abs(estimate.count() - 300_000) < 10_000


def test_integers_come_out_ascending(tmp_path):
    known = IntegerSet()
    known.add(arrow([5, -3, 5, 2**40]))
    assert [piece.to_pylist() for piece in known.pieces()] == [[5, -3, 2**40]]
    assert known.finish(tmp_path, 0).to_list() == [-3, 5, 2**40]
