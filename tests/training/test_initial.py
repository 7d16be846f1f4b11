"""Runs that begin with the parameters of another run, and layers that are not trained."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_labels import labelled_graph
from untrained_runs import untrained_run

import hvdtma
from hvdtma.aggregate import TimedAveraging
from hvdtma.comm import InProcessGroup
from hvdtma.graph.builder import BuildOptions, build

SMALL = {
    "interval_steps": 2,
    "rounds": 2,
    "model": {"hidden": 8, "norm": "batch"},
    "evaluate.mode": "final",
    "task.batch_size": 64,
}
NODES = BuildOptions(hold_out="nodes", block_nodes=20, valid=0.2, test=0.2)


def parameters_of(run) -> dict[str, torch.Tensor]:
    return load_file(sorted((run.path / "rounds").glob("0*.safetensors"))[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("initial")


@pytest.fixture(scope="module")
def labels(folder):
    return build(folder / "labels.zarr", labelled_graph("class"), NODES)


@pytest.fixture(scope="module")
def first(folder, labels):
    """A run that others begin with."""
    changes = {"task": {"name": "nodes"}, "model": {"hidden": 8, "norm": "batch"}}
    return untrained_run(folder / "first", labels, **changes)


@pytest.mark.parametrize("of", ["run", "path", "pretrained"])
def test_a_run_begins_with_the_parameters_of_another(first, labels, tmp_path, of, capsys):
    begin = {"run": first, "path": str(first.path), "pretrained": None}[of]
    if of == "pretrained":
        begin = hvdtma.from_pretrained(first.save_pretrained(tmp_path / "model"))
    still = {"optimizer": {"lr": 1e-30}, "task": {"name": "nodes"}}
    run = hvdtma.train(
        **SMALL, **still, store=labels.path, run=tmp_path / "run", init=begin, trainers=2, seed=9
    )
    before = load_file(first.path / "best.safetensors")
    after = parameters_of(run)
    assert before.keys() == after.keys()
    for name, value in before.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(after[name], value, atol=1e-6), name
    assert "14 of 14 tensors are from" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("trainers", [1, 2])
@pytest.mark.parametrize("outer", ["none", "adamw"])
def test_frozen_layers_keep_every_bit_and_others_are_trained(
    first, labels, tmp_path, trainers, outer
):
    run = hvdtma.train(
        **SMALL,
        store=labels.path,
        run=tmp_path / "run",
        init=first,
        freeze=["encoder.layers.0", "encoder.between"],
        trainers=trainers,
        **{"task.name": "nodes", "aggregate.outer": outer},
    )
    before, after = load_file(first.path / "best.safetensors"), parameters_of(run)
    for name, value in before.items():
        frozen = name.startswith(("encoder.layers.0.", "encoder.between."))
        if "num_batches" not in name:
            assert torch.equal(after[name], value) == frozen, name


def test_a_run_with_frozen_layers_resumes_without_the_run_it_began_with(
    first, labels, tmp_path, monkeypatch
):
    """The parameters are in its checkpoint."""
    shutil.copytree(first.path, tmp_path / "begin")
    arguments = {
        **SMALL,
        "store": labels.path,
        "init": str(tmp_path / "begin"),
        "freeze": ["encoder"],
        "trainers": 2,
        "task.name": "nodes",
    }
    whole = hvdtma.train(**arguments | {"rounds": 4, "run": tmp_path / "whole"})
    run = hvdtma.train(**arguments | {"run": tmp_path / "run"})
    shutil.rmtree(tmp_path / "begin")
    resumed = hvdtma.train(resume=run, rounds=4)
    one, other = parameters_of(whole), parameters_of(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    before = load_file(first.path / "best.safetensors")
    assert torch.equal(other["encoder.layers.0.own.weight"], before["encoder.layers.0.own.weight"])
    assert not torch.equal(other["head.weight"], before["head.weight"])


def test_frozen_values_are_not_exchanged(monkeypatch):
    """One flat vector with the values that are trained, and the weight."""
    sizes = []

    def train(comm):
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        torch.manual_seed(comm.rank)
        reduce = comm.all_reduce
        comm.all_reduce = lambda values: (sizes.append(len(values)), reduce(values))[1]
        averaging = TimedAveraging(
            model, interval_steps=1, rounds=1, frozen=["0.weight", "0.bias"], comm=comm
        )
        averaging.start()
        with torch.no_grad():
            model[1].weight += comm.rank + 1
        averaging.step()
        return [parameter.detach().clone() for parameter in model.parameters()]

    one, other = InProcessGroup(2).run(train)
    assert set(sizes) == {4 * 2 + 2 + 1}
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_other_classes_get_a_head_of_their_own(first, tmp_path, capsys):
    raw = labelled_graph("class")
    raw.label_names = ["ham", "spam"]
    store = build(tmp_path / "g.zarr", raw, NODES)
    changes = {"task.name": "nodes", "optimizer.lr": 1e-30, "run": tmp_path / "run"}
    run = hvdtma.train(**SMALL | changes, store=store.path, init=first, seed=5)
    before, after = load_file(first.path / "best.safetensors"), parameters_of(run)
    name = "encoder.layers.1.own.weight"
    assert torch.allclose(after[name], before[name])
    assert not torch.allclose(after["head.weight"], before["head.weight"])
    said = " ".join(capsys.readouterr().err.split())
    assert "12 of 14 tensors are from the run" in said
    assert "head.weight, head.bias start anew" in said


def test_links_can_begin_with_an_encoder_of_labels_on_other_features(first, tmp_path, capsys):
    rng = np.random.default_rng(1)
    edges = hvdtma.from_edges(rng.integers(0, 100, (800, 2)))
    store = hvdtma.build(tmp_path / "g.zarr", edges, feature_dim=8, negatives=5)
    run = hvdtma.train(**SMALL, store=store.path, run=tmp_path / "run", init=first)
    said = " ".join(capsys.readouterr().err.split())
    assert "12 of" in said
    assert "head.log_scale" in said
    assert "lie on other axes than those of the run" in said
    assert hvdtma.evaluate(run)["mrr"] > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"init": "nowhere"}, ["nowhere, which is no run and no pretrained model"]),
        (
            {"model": {"hidden": 16, "norm": "batch"}},
            ["another encoder", "[8, 8] and here [16, 8]; set model.hidden=8"],
        ),
        (
            {"model": {"hidden": 8, "layers": 3}},
            ["another encoder", "encoder.layers.2", "; set model.layers=2 model.norm=batch"],
        ),
        ({"freeze": ["encoder.layer"]}, ["'encoder.layer'", "did you mean 'encoder.layers'?"]),
        ({"freeze": ["encoder", "head"]}, ["freeze names all parameters"]),
        ({"run": "first"}, ["is inside the run"]),
    ],
)
def test_what_does_not_fit_is_said_before_training(
    first, labels, tmp_path, monkeypatch, changes, words
):
    monkeypatch.chdir(first.path.parent)
    given = {"task.name": "nodes", "init": first, "run": tmp_path / "run", "overwrite": True}
    with pytest.raises(hvdtma.UserError) as refused:
        hvdtma.train(**SMALL | given | changes, store=labels.path)
    for word in words:
        assert word in str(refused.value), refused.value
    assert not (tmp_path / "run").exists()
    assert (first.path / "best.safetensors").is_file()
