"""A scratch file on a full disk says which disk, and never waits for it."""

import os

import numpy as np
import pytest
from processes import small_disk

from hvdtma.core.errors import UserError
from hvdtma.storage.row_file import RowFile
from hvdtma.storage.writer import StoreWriter


def test_a_scratch_file_that_does_not_fit_names_the_disk(tmp_path):
    rows = np.ones((1 << 10, 256), np.float32)
    with small_disk(tmp_path / "disk", "512k") as disk:
        file = RowFile(*rows.shape, disk)
        with pytest.raises(UserError, match=rf"disk of {disk} is full \(0\.0 GB free\); a scratch"):
            file[: len(rows)] = rows
        del file
        again = RowFile(100, 256, disk)
        again[:100] = rows[:100]
        assert (again[:] == rows[:100]).all()


def test_a_disk_that_takes_nothing_is_a_full_one(tmp_path, monkeypatch):
    file = RowFile(2, 3, tmp_path)
    monkeypatch.setattr(os, "pwritev", lambda *_: 0)
    with pytest.raises(UserError, match=f"disk of {tmp_path} is full"):
        file[:2] = np.ones((2, 3))


def test_a_store_whose_scratch_fills_the_disk_is_removed(tmp_path):
    with small_disk(tmp_path / "disk", "512k") as disk:
        writer = StoreWriter(disk / "x.zarr")
        with pytest.raises(UserError, match=rf"disk of {disk} is full.*nothing is left"), writer:
            RowFile(1 << 10, 256, writer.scratch_folder())[: 1 << 10] = np.ones((1 << 10, 256))
        assert list(disk.iterdir()) == []
