"""A pretrained folder needs neither the run nor its store, and gives the same bits."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_labels import labelled_store
from untrained_runs import DECODERS, untrained_run

import hvdtma
from hvdtma.graph.builder import BuildOptions, build


@pytest.fixture(scope="module")
def saved(tmp_path_factory, community_store):
    """A run and the folder of its model."""
    folder = tmp_path_factory.mktemp("saved")
    run = untrained_run(folder / "run", community_store)
    return run, run.save_pretrained(folder / "model", licence="CC BY 4.0")


def test_the_same_bits_come_back_without_run_and_store(tmp_path, community_raw, monkeypatch):
    store = build(tmp_path / "g.zarr", community_raw, BuildOptions(negatives=20, block_nodes=10))
    run = untrained_run(tmp_path / "run", store)
    expected = {name: value.clone() for name, value in run.model.state_dict().items()}
    h = hvdtma.embed(run).vectors
    ids = store.node_ids().to_list()
    scores = run.score(list(zip(ids[:50], ids[50:100], strict=True)))
    folder = run.save_pretrained(tmp_path / "model")
    shutil.rmtree(store.path)
    shutil.rmtree(run.path)
    moved = tmp_path / "elsewhere" / "model"
    moved.parent.mkdir()
    folder.rename(moved)
    monkeypatch.chdir(tmp_path)
    model = hvdtma.from_pretrained(moved)
    found = model.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not model.model.training
    assert np.array_equal(model.score_embeddings(h[:50], h[50:100]), scores)
    assert str(tmp_path) not in (moved / "config.json").read_text()


@pytest.mark.parametrize("decoder", DECODERS)
def test_of_every_decoder_scores_have_the_same_bits(typed_store, tmp_path, decoder):
    run = untrained_run(tmp_path / "run", typed_store, task={"decoder": decoder})
    model = hvdtma.from_pretrained(run.save_pretrained(tmp_path / "model"))
    ids, h = hvdtma.embed(run)
    pairs = list(zip(ids[:90], ids[90:180], strict=True))
    for name in typed_store.edge_type_names:
        scores = run.score(pairs, name)
        assert np.array_equal(model.score_embeddings(h[:90], h[90:180], name), scores)
        assert np.array_equal(model.on(typed_store).score(pairs, name), scores)


def test_commands_ask_a_folder_about_a_store(saved, community_store, tmp_path, hvdtma):
    run, folder = saved
    first, path = community_store.node_ids()[0], community_store.path
    asked = {
        "recommend": ("--node", first, "-k", 3, "--out"),
        "embed": ("--out",),
        "evaluate": (),
    }
    for command, more in asked.items():
        answers = []
        for of in ((run.path,), (folder, "--store", path)):
            out = [tmp_path / f"{command}-{len(answers)}.parquet"] if more else []
            status, said, err = hvdtma(command, of[0], *more, *out, *of[1:])
            assert status == 0, err
            answers.append(pq.read_table(out[0]) if out else said)
        assert answers[0] == answers[1]
    status, _, err = hvdtma("recommend", folder, "--node", first)
    assert status == 2
    assert "is a pretrained model, without a graph; give --store STORE" in " ".join(err.split())
    status, _, err = hvdtma("report", folder)
    assert status == 2
    assert "is a pretrained model, not a run" in " ".join(err.split())


def test_on_a_store_it_answers_as_the_run(saved, community_store):
    run, folder = saved
    answers = hvdtma.from_pretrained(folder).on(community_store)
    first = community_store.node_ids()[0]
    assert answers.topk(first, 5).ids == run.topk(first, 5).ids
    assert np.array_equal(answers.embedding(first), run.embedding(first))
    table = hvdtma.recommend(answers, nodes=[first], k=5)
    assert table["partner"].to_pylist() == run.topk(first, 5).ids


def test_the_card_names_data_scores_and_licence(saved):
    run, folder = saved
    card = (folder / "README.md").read_text()
    record = json.loads((run.path / "graph.json").read_text())
    for words in (record["graph"], "600 nodes", "7 features", "CC BY 4.0", "| test | 0.5000 |"):
        assert words in card
    assert hvdtma.from_pretrained(folder).metrics["test"] == {"mrr": 0.5}


@pytest.mark.parametrize("kind", ["class", "multi", "real"])
def test_heads_on_labels_work_on_given_embeddings(tmp_path, kind):
    store = labelled_store(tmp_path / "g.zarr", kind)
    run = untrained_run(tmp_path / "run", store, task={"name": "nodes"})
    model = hvdtma.from_pretrained(run.save_pretrained(tmp_path / "model"))
    ids, vectors = hvdtma.embed(run)
    expected = run.predict(ids.tolist()).drop_columns("id")
    assert model.predict_embeddings(vectors).equals(expected)
    with pytest.raises(hvdtma.UserError, match="scores no pairs"):
        model.score_embeddings(vectors, vectors)


def damage(folder, how):
    config, parameters = folder / "config.json", folder / "model.safetensors"
    if how == "text":
        config.write_text("{")
    elif how == "list":
        config.write_text("[]")
    elif how == "other":
        config.write_text(json.dumps({"model_type": "bert"}))
    elif how == "named":
        config.write_text(json.dumps({"format": "other-model"}))
    elif how == "newer":
        config.write_text(config.read_text().replace('"format_version": 2', '"format_version": 3'))
    elif how == "lacks":
        config.write_text(json.dumps({"format": "hvdtma-model", "format_version": 1}))
    elif how == "edited":
        config.write_text(config.read_text().replace('"feature_dim": 7', '"feature_dim": 8'))
    elif how == "gone":
        parameters.unlink()
    elif how == "bit":
        content = bytearray(parameters.read_bytes())
        content[-1] ^= 1
        parameters.write_bytes(content)
    elif how == "empty":
        config.unlink()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("text", "config.json is damaged"),
        ("list", "it names no format"),
        ("other", "it names no format, and not 'hvdtma-model'"),
        ("named", "its format is 'other-model', and not 'hvdtma-model'"),
        ("newer", "has format version 3; this hvdtma reads 1 and 2"),
        ("lacks", "is damaged: it lacks config, graph, feature_dim, digest"),
        ("gone", "is damaged: it has no model.safetensors"),
        ("edited", "config.json is damaged: it has changed since it was written"),
        ("bit", "is damaged: it has changed since it was written"),
        ("empty", "it has no config.json"),
    ],
)
def test_another_format_and_damage_are_one_message(saved, tmp_path, how, words):
    folder = tmp_path / "model"
    shutil.copytree(saved[1], folder)
    damage(folder, how)
    with pytest.raises(hvdtma.UserError, match=words):
        hvdtma.from_pretrained(folder)


def test_a_model_of_format_1_is_read_and_its_parameters_are_checked(saved, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved[1], folder)
    facts = json.loads((folder / "config.json").read_text())
    facts |= {"format_version": 1, "digest": facts.pop("parameters")}
    (folder / "config.json").write_text(json.dumps(facts))
    before, now = (hvdtma.from_pretrained(path).model.state_dict() for path in (saved[1], folder))
    assert all(value.equal(now[name]) for name, value in before.items())
    damage(folder, "bit")
    with pytest.raises(hvdtma.UserError, match=r"model\.safetensors is damaged"):
        hvdtma.from_pretrained(folder)


def test_other_paths_and_stores_are_refused_with_a_hint(saved, tmp_path, typed_store):
    run, folder = saved
    with pytest.raises(hvdtma.UserError, match="no pretrained model at"):
        hvdtma.from_pretrained(tmp_path / "no")
    with pytest.raises(hvdtma.UserError, match=r"it is a run: Run\.load"):
        hvdtma.from_pretrained(run.path)
    with pytest.raises(hvdtma.UserError, match="other edge_type_names"):
        hvdtma.from_pretrained(folder).on(typed_store)
    with pytest.raises(hvdtma.UserError, match=r"embeddings have shape \[3, 9\]; valid: \[n, 8\]"):
        hvdtma.from_pretrained(folder).score_embeddings(np.ones((3, 9)), np.ones((3, 9)))


def test_a_folder_that_is_there_is_kept_unless_it_is_a_model_to_overwrite(saved, tmp_path):
    run, folder = saved
    with pytest.raises(hvdtma.UserError, match="give overwrite=True"):
        run.save_pretrained(folder)
    assert run.save_pretrained(folder, licence="CC BY 4.0", overwrite=True) == folder
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(hvdtma.UserError, match="is no pretrained model"):
        run.save_pretrained(tmp_path / "mine", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
