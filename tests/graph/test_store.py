"""A store is whole or not there; what is damaged or remote is refused in words."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import zarr
from processes import small_disk

import hvdtma
from hvdtma.core import partial
from hvdtma.core.digests import with_digest
from hvdtma.core.errors import UserError
from hvdtma.graph import store as store_module
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.store import open_store
from hvdtma.graph.verify import verification
from hvdtma.storage.writer import StoreWriter

OPTIONS = BuildOptions(negatives=3)


@pytest.fixture
def existing(community_raw, tmp_path):
    """A store, and what its folder holds."""
    store = build(tmp_path / "graph.zarr", community_raw, OPTIONS)
    return store.path, contents(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones and all."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def largest_chunk(path: Path, name: str) -> Path:
    return max(
        (path / name / "c").rglob("*"), key=lambda file: file.is_file() * file.stat().st_size
    )


def write_until(failure, path, *, overwrite=False):
    """Write a store up to an exception, or to its end."""
    with StoreWriter(path, overwrite) as writer:
        writer.put("feat", np.zeros((100, 4)))
        if failure:
            raise failure


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_leaves_no_store_and_no_leftovers(failure, tmp_path):
    with pytest.raises(type(failure)):
        write_until(failure, tmp_path / "graph.zarr")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_store_is_not_to_be_seen_under_its_name(tmp_path):
    with StoreWriter(tmp_path / "graph.zarr") as writer:
        writer.put("feat", np.zeros((100, 4)))
        assert not (tmp_path / "graph.zarr").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["graph.zarr"]


def test_an_existing_store_is_refused_before_any_work(existing, community_raw):
    path, before = existing
    with pytest.raises(UserError, match=r"graph\.zarr exists; give --overwrite"):
        build(path, community_raw, OPTIONS)
    with pytest.raises(UserError, match="exists"):
        write_until(AssertionError("reached the block"), path)
    assert contents(path.parent) == before


def test_the_old_store_survives_a_failed_overwrite(existing):
    path, before = existing
    with pytest.raises(ValueError, match="no"):
        write_until(ValueError("no"), path, overwrite=True)
    assert contents(path.parent) == before


def test_the_old_store_survives_when_the_new_one_cannot_be_put_in_its_place(existing, monkeypatch):
    path, before = existing
    rename = Path.rename

    def failing(self, target):
        if self.name.endswith(".partial"):
            raise OSError(errno.EIO, "broken disk")
        return rename(self, target)

    monkeypatch.setattr(partial, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="broken disk"), StoreWriter(path, True) as writer:
        writer.put("feat", np.zeros((100, 4)))
    assert contents(path.parent) == before


def test_overwriting_leaves_the_new_store_only(existing, community_raw):
    path, before = existing
    build(path, community_raw, BuildOptions(negatives=3, seed=9), overwrite=True)
    assert [path.name for path in path.parent.iterdir()] == ["graph.zarr"]
    assert contents(path.parent) != before


def test_overwrite_does_not_remove_what_is_no_store(tmp_path, community_raw):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter").write_text("years of work")
    zarr.open_group(tmp_path / "remote.zarr", mode="w").create_array("x", data=np.arange(3))
    before = contents(tmp_path)
    for path in (folder, tmp_path / "remote.zarr", folder / "chapter"):
        with pytest.raises(UserError, match="is not a store; --overwrite will not remove it"):
            build(path, community_raw, OPTIONS, overwrite=True)
    assert contents(tmp_path) == before


def test_a_store_that_appears_meanwhile_is_not_replaced(tmp_path, existing):
    path, _ = existing
    target = tmp_path / "contested.zarr"
    with pytest.raises(UserError, match="exists"), StoreWriter(target) as writer:
        writer.put("feat", np.zeros((100, 4)))
        path.rename(target)
    assert [path.name for path in tmp_path.iterdir()] == ["contested.zarr"]
    assert open_store(target).num_nodes == 600


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("moment", ["beginning", "writing", "finishing"])
def test_a_disk_that_fills_up_is_said_and_nothing_is_left(moment, number, monkeypatch, existing):
    path, before = existing
    full = OSError(number, os.strerror(number))

    def fail(*args, **kwargs):
        raise full

    if moment == "beginning":
        monkeypatch.setattr(store_module.zarr, "open_group", fail)
    if moment == "finishing":
        monkeypatch.setattr(zarr.core.attributes.Attributes, "update", fail)
    with pytest.raises(UserError, match=r"disk of .* is full"):
        write_until(full if moment == "writing" else None, path.with_name("new.zarr"))
    assert contents(path.parent) == before


def test_a_really_full_disk_gives_a_clear_error_and_is_emptied(
    tmp_path, community_raw, monkeypatch
):
    monkeypatch.setattr("hvdtma.graph.builder.build_store.check_build_disk", lambda *_: None)
    with small_disk(tmp_path / "disk", "512k") as disk:
        with pytest.raises(UserError, match=r"disk of .* is full.*nothing is left behind"):
            build(disk / "graph.zarr", community_raw, BuildOptions(negatives=5000))
        assert list(disk.iterdir()) == []
        assert build(disk / "graph.zarr", community_raw, OPTIONS).num_nodes == 600


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        write_until(AssertionError("reached the block"), tmp_path / "file" / "graph.zarr")


def test_a_missing_store_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(UserError, match="hvdtma build"):
        open_store(tmp_path / "nowhere.zarr")


def test_what_is_no_store_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    for name in ("folder", "file"):
        with pytest.raises(UserError, match="no Zarr group"):
            open_store(tmp_path / name)
    zarr.open_group(tmp_path / "remote.zarr", mode="w")
    with pytest.raises(UserError, match="not one that 'hvdtma build' wrote"):
        open_store(tmp_path / "remote.zarr")
    with StoreWriter(tmp_path / "embeddings.zarr", format="hvdtma-embeddings") as writer:
        writer.put("embedding", np.zeros((3, 2)))
    with pytest.raises(UserError, match="not one that 'hvdtma build' wrote"):
        open_store(tmp_path / "embeddings.zarr")


def rewritten(path: Path, **changes) -> None:
    """Change attributes of a store, and make their digest anew, as another version would."""
    metadata = json.loads((path / "zarr.json").read_text())
    attributes = {k: v for k, v in metadata["attributes"].items() if k != "digest"}
    metadata["attributes"] = with_digest(attributes | changes)
    (path / "zarr.json").write_text(json.dumps(metadata))


def test_another_format_says_what_to_do(existing):
    path, _ = existing
    rewritten(path, format_version=3)
    with pytest.raises(UserError, match="version 3; this hvdtma reads 1 and 2: upgrade hvdtma, or"):
        open_store(path)


@pytest.fixture
def version_1(existing):
    """A store as earlier versions of hvdtma wrote it."""
    path, _ = existing
    metadata = json.loads((path / "zarr.json").read_text())
    for added in ("digest", "chunk_crcs", "metadata"):
        del metadata["attributes"][added]
    metadata["attributes"]["format_version"] = 1
    (path / "zarr.json").write_text(json.dumps(metadata))
    return path


def test_a_store_of_version_1_is_read_with_one_note_and_partition_brings_it_up(
    version_1, tmp_path, capsys
):
    old = open_store(version_1)
    assert [problem for _, problem in verification(open_store(version_1)) if problem] == []
    assert capsys.readouterr().err.count("has format version 1: edited attributes") == 1
    new = hvdtma.partition(version_1, tmp_path / "new.zarr")
    assert new.attrs["format_version"] == 2 and new.graph == old.graph
    assert sorted(new.node_ids().to_list()) == sorted(old.node_ids().to_list())


def test_damage_of_a_store_of_version_1_is_one_message(version_1):
    (version_1 / "feat" / "zarr.json").write_text("{")
    with pytest.raises(UserError, match=r"array 'feat' is damaged.*zarr\.json"):
        open_store(version_1).read("feat")
    largest_chunk(version_1, "indices").write_bytes(b"x" * 99)
    with pytest.raises(UserError, match=r"array 'indices'.*damaged: its checksum differs"):
        open_store(version_1).read("indices")


@pytest.mark.parametrize(
    "change", [{"undirected": False}, {"label_names": ["a"]}, {"feature_dim": 3}]
)
def test_attributes_that_were_edited_are_not_used_and_not_made_valid(change, existing, tmp_path):
    path, _ = existing
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"] |= change
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(UserError, match=r"zarr.json is damaged.*build it again"):
        open_store(path)
    with pytest.raises(UserError, match=r"zarr.json is damaged"):
        hvdtma.partition(path, tmp_path / "other.zarr")
    assert not (tmp_path / "other.zarr").exists()


@pytest.mark.parametrize("name", ["", "feat", "indptr", "split/test/neg"])
def test_every_flipped_bit_of_metadata_is_one_message_that_names_the_file(name, existing):
    path, _ = existing
    file = path / name / "zarr.json"
    sound = file.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(sound), 24):
        changed = bytearray(sound)
        changed[place] ^= 1 << int(place) % 7
        file.write_bytes(changed)
        with pytest.raises(UserError, match=r"zarr\.json") as raised:
            open_store(path).read(name or "indptr")
        assert str(file) in str(raised.value) or not name


def test_verify_lists_damaged_metadata_and_goes_on(existing):
    path, _ = existing
    for name in ("feat", "node_id/values"):
        (path / name / "zarr.json").write_text("{")
    found = dict(verification(open_store(path)))
    bad = [check for check, problem in found.items() if problem]
    assert bad == ["checksum of feat", "checksum of node_id/values"]
    assert len(found) == len(open_store(path).array_names) + 1  # the groups


@pytest.mark.parametrize("swapped", ["arrays", "chunks", "stores"])
def test_what_was_swapped_is_noticed_by_whoever_reads_it(
    swapped, existing, community_raw, tmp_path
):
    path, _ = existing
    one, other = path / "split/valid/src", path / "split/valid/dst"
    if swapped == "chunks":
        one, other = largest_chunk(path, "split/valid/src"), largest_chunk(path, "split/test/src")
    if swapped == "stores":
        again = build(tmp_path / "b.zarr", community_raw, BuildOptions(negatives=3, seed=1))
        one, other = path / "indices", again.path / "indices"
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    name = str(one.relative_to(path)).partition("/c/")[0]
    with pytest.raises(UserError, match=r"has changed|not the one that was written there"):
        open_store(path).read(name)
    with pytest.raises(UserError, match=r"has changed|not the one that was written there"):
        hvdtma.partition(path, tmp_path / "other.zarr")
    assert not (tmp_path / "other.zarr").exists()


def test_an_absent_array_lists_those_there_are(existing):
    with pytest.raises(UserError, match=r"no 'edge_type'; it has: block_offsets, .*indptr"):
        open_store(existing[0]).read("edge_type")


@pytest.mark.parametrize("name", ["feat", "indices", "indptr", "node_id/values", "split/test/neg"])
def test_a_flipped_byte_is_never_read_as_data(name, existing):
    path, _ = existing
    chunk = largest_chunk(path, name)
    sound = chunk.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(sound), 8):
        damaged = bytearray(sound)
        damaged[place] ^= 1
        chunk.write_bytes(damaged)
        with pytest.raises(UserError, match=f"array '{name}'.*hvdtma verify"):
            open_store(path).read(name)


def test_a_lost_chunk_is_not_read_as_zeros(existing):
    path, _ = existing
    largest_chunk(path, "indices").unlink()
    with pytest.raises(UserError, match=r"array 'indices'.*chunk .* is missing"):
        open_store(path).read("indices")


@pytest.mark.parametrize("damage", ["cut short", "emptied", "array gone", "no JSON"])
def test_broken_files_are_named_not_traced(damage, existing):
    path, _ = existing
    chunk = largest_chunk(path, "feat")
    if damage == "cut short":
        chunk.write_bytes(chunk.read_bytes()[:-7])
    elif damage == "emptied":
        chunk.write_bytes(b"")
    elif damage == "array gone":
        (path / "feat").rename(path / "elsewhere")
    else:
        (path / "feat" / "zarr.json").write_text("{")
    with pytest.raises(UserError, match="array 'feat'"):
        open_store(path).read("feat")


def test_a_large_array_is_in_chunks_and_any_rows_of_it_are_read(tmp_path):
    values = np.arange(3000, dtype=np.int64).reshape(-1, 3)
    with StoreWriter(tmp_path / "x.zarr") as writer:
        with writer.create_array("values", values.dtype, 1000, (3,), chunk_bytes=1000) as array:
            array.append(values)
        writer.attrs["num_nodes"] = 0
    store = open_store(tmp_path / "x.zarr")
    assert store.group["values"].nchunks >= 24
    assert (store.read("values") == values).all()
    assert (store.read("values", 41, 130) == values[41:130]).all()
    assert store.read("values", 7, 7).shape == (0, 3)
