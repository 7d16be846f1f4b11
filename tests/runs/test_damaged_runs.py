"""A file of a run that has changed is never used; runs of earlier versions are read."""

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from untrained_runs import untrained_run

import hvdtma
from hvdtma.runs.run_folder import RunFolder

NUM_FLIPS = 16


@pytest.fixture(scope="module")
def run(community_store, tmp_path_factory):
    return untrained_run(tmp_path_factory.mktemp("runs") / "run", community_store)


@pytest.fixture(scope="module")
def vectors(run):
    return hvdtma.embed(run).vectors


@pytest.fixture
def copied(run, tmp_path):
    return shutil.copytree(run.path, tmp_path / "copy")


def used(path):
    """What a command makes of a run."""
    return hvdtma.embed(hvdtma.Run(path)).vectors


@pytest.mark.parametrize("name", ["best.safetensors", "graph.json", "config.yaml"])
def test_a_flipped_bit_is_one_message_that_names_the_file(name, copied, vectors):
    """A flip in the name or comment of the digest itself changes nothing else."""
    file, caught = copied / name, 0
    sound, rng = file.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(0, len(sound), NUM_FLIPS):
        changed = bytearray(sound)
        changed[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(changed)
        try:
            assert np.array_equal(used(copied), vectors)
        except hvdtma.UserError as error:
            assert str(file) in str(error)
            caught += 1
    assert caught > NUM_FLIPS * 0.8


def test_a_config_that_was_edited_names_the_way_to_change_keys(copied):
    file = copied / "config.yaml"
    file.write_text(file.read_text().replace("hidden: 8", "hidden: 16"))
    with pytest.raises(hvdtma.UserError, match=r"config\.yaml is damaged.*--resume .* key=value"):
        used(copied)


def test_a_damaged_score_is_not_counted(copied):
    folder = RunFolder(copied)
    for number in (1, 2):
        folder.add_score({"round": number, "metrics": {"mrr": 0.5}})
    assert [event["round"] for event in folder.score_events()] == [1, 2]
    folder.scores.write_text(folder.scores.read_text().replace("0.5", "0.9"))
    with pytest.raises(hvdtma.UserError, match=r"scores\.jsonl is damaged"):
        folder.score_events()


def test_a_run_of_a_version_without_digests_is_used_as_before(copied, vectors):
    folder = RunFolder(copied)
    folder.config_file.write_text(folder.config_file.read_text().partition("\n")[2])
    record = json.loads(folder.graph.read_text())
    del record["digest"]
    folder.graph.write_text(json.dumps(record))
    save_file(load_file(folder.best), folder.best, metadata={"round": "1", "time_s": "0.0"})
    folder.scores.write_text('{"kind": "score", "round": 1}\n')
    assert np.array_equal(used(copied), vectors)
    assert folder.score_events() == [{"kind": "score", "round": 1}]
