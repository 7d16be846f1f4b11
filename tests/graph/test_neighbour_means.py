"""The mean over neighbours is exact, whatever of the graph is in memory."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import small_disk
from small_graphs import dense, mean_of, small_csc

from hvdtma.graph import neighbour_means as module
from hvdtma.graph.csc import build_csc
from hvdtma.graph.first_hop import first_hop
from hvdtma.graph.neighbour_means import neighbour_means


class OnDisk:
    """An array that is only to be read by ranges."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self.values[rows]


@settings(max_examples=60, deadline=None)
@given(
    small_csc(), st.integers(1, 900), st.sampled_from([np.float16, np.float32]), st.integers(0, 9)
)
def test_the_mean_over_neighbours_is_that_of_the_dense_matrix(csc, memory_bytes, dtype, seed):
    feat = np.random.default_rng(seed).normal(size=(csc.num_nodes, 4)).astype(dtype)
    expected = mean_of(dense(csc), feat)
    whole = first_hop(csc, feat)
    assert whole.dtype == np.float32
    assert whole == pytest.approx(expected, abs=1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BAND_BYTES", 40)
        bands = neighbour_means(
            csc.indptr, OnDisk(csc.indices), OnDisk(feat), memory_bytes=memory_bytes
        )
        assert (np.concatenate(list(bands)) == whole).all()


def test_every_half_precision_number_is_read_as_what_it_is():
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = numbers[np.isfinite(numbers)]
    num_nodes = len(numbers)
    ring = build_csc(np.roll(np.arange(num_nodes), 1), np.arange(num_nodes), num_nodes)
    assert (first_hop(ring, numbers[:, None])[:, 0] == np.roll(numbers, 1)).all()


def test_the_columns_that_wait_take_the_disk_that_was_foreseen(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BAND_BYTES", 40_000)
    num_nodes, dim = 20_000, 24
    feat = np.random.default_rng(0).random((num_nodes, dim), np.float32)
    ring = build_csc(np.roll(np.arange(num_nodes), 1), np.arange(num_nodes), num_nodes)
    room = module.least_bytes(num_nodes, 4) + 6 * 4 * num_nodes  # seven columns at once
    foreseen = module.group_file_bytes(num_nodes, dim, 4, 2, room)
    assert foreseen == 18 * 2 * num_nodes
    with small_disk(tmp_path / "disk", "8m") as disk:
        bands = neighbour_means(
            ring.indptr,
            OnDisk(ring.indices),
            OnDisk(feat),
            memory_bytes=room,
            folder=disk,
            dtype=np.float16,
        )
        next(bands)
        page = disk.stat().st_blksize
        assert foreseen <= shutil.disk_usage(disk).used <= foreseen + 4 * page
        bands.close()
