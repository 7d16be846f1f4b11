"""Plug-ins that do not keep their contract: one message, and before a run is made if possible."""

import re
import sys

import pytest
from yaml import safe_dump

import hvdtma as api
from hvdtma.core.contract import Call, check_methods
from hvdtma.core.errors import UserError
from hvdtma.graph.sources import load_source

MODULE = """
import torch
from hvdtma.aggregate import Average
from hvdtma.graph.raw import EdgeStream
from hvdtma.models.encoders import SAGE
from hvdtma.models.decoders import DotDecoder
from hvdtma.sampling.neighbour_sampler import NeighbourSampler
from hvdtma.tasks.links import LinkTask


class NoForward(torch.nn.Module):
    first_layer = "mean"


class NoFirstHop(NoForward):
    def forward(self, blocks, x):
        return x


class NoOutDim(NoForward):
    def __init__(self, in_dim):
        super().__init__()

    def forward(self, blocks, x, first_hop=None):
        return x


class Refuses(SAGE):
    def __init__(self, in_dim, hidden=8):
        raise ValueError("an odd width")


class NoArguments(NoOutDim):
    def __init__(self):
        super().__init__(1)


class Wide(SAGE):
    def __init__(self, in_dim, hidden=8):
        super().__init__(in_dim, hidden=hidden)
        self.out_dim = hidden + 1


class AllRows(SAGE):
    def forward(self, blocks, x, first_hop=None):
        return torch.zeros(len(x) + 1, self.out_dim)


class NoTensor(SAGE):
    def forward(self, blocks, x, first_hop=None):
        return None


class NoModule:
    def forward(self, u, v, edge_type):
        return u


class TwoEnds(DotDecoder):
    def forward(self, u, v):
        return (u * v).sum(-1)


class Columns(DotDecoder):
    def forward(self, u, v, edge_type=None):
        return (u * v).sum(-1, keepdim=True)


class NoSeed(NeighbourSampler):
    def sample(self, shard, seeds, targets=None):
        return super().sample(shard, seeds, random_seed=0, targets=targets)


class NeedsTargets(NeighbourSampler):
    def sample(self, shard, seeds, *, random_seed, targets):
        return None


class CountsGroups(NeighbourSampler):
    def __init__(self, fanouts):
        super().__init__(fanouts)
        self.groups = 4


class Groups(NeighbourSampler):
    def sample(self, shard, seeds, *, random_seed, targets=None, within=None):
        return super().sample(shard, seeds, random_seed=random_seed, targets=targets)

    def groups(self, shard, *, stream, epochs, first_step=0):
        return iter(())


class HalfGroup(Groups):
    max_nodes = 2.5


class IgnoresGroups(NeighbourSampler):
    max_nodes = 10
    groups = Groups.groups


class GroupsOnce(Groups):
    max_nodes = 10

    def groups(self, shard, *, stream):
        return iter(())


class NoEpochs(LinkTask):
    def batches(self, shard, *, stream):
        return iter(())


class NoLoss(LinkTask):
    loss = None


class NoHead(LinkTask):
    def make_head(self, dim):
        return lambda u, v: u


class Bare:
    metrics, unit = ("mrr",), "links"

    def __init__(self, config, store):
        pass


for _name in ("make_head", "num_examples", "loss", "num_held_out", "max_scored", "held_out_bytes",
              "read_held_out", "score", "batches"):
    setattr(Bare, _name, lambda self, *arguments, **keywords: None)


class NoState(Average):
    def contribute(self, update, weight):
        return update, weight


class Short(Average):
    exact_alone = False

    def contribute(self, update, weight, state):
        return update[:-1], update.new_tensor([weight])


class Single(Average):
    exact_alone = False

    def contribute(self, update, weight, state):
        return update * weight


class Forgets(Average):
    exact_alone = False

    def combine(self, received, base, state):
        return base[:3]


def fails(folder="here"):
    raise FileNotFoundError(f"no folder {folder}")


class Half:
    num_nodes, num_edges, node_id, edge_batches = 1, 1, None, None


class NoMemory:
    def order(self, store, block_nodes, seed):
        return None


class NoOrder:
    def order(self, store, **how):
        return list(range(store.num_nodes))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the module `bad`, as the working directory."""
    (tmp_path / "bad.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("bad", None)


def trained(hvdtma, store, **changes):
    """Status and error message of a short run with changes to its config."""
    values = {"store": str(store.path), "run": "run", "interval_steps": 2, "rounds": 1}
    values |= {"model": {"hidden": 8}, "evaluate": {"mode": "final"}}
    for key, value in changes.items():
        values[key] = values.get(key, {}) | value
    status, _, said = hvdtma("train", *(f"{key}={safe(value)}" for key, value in values.items()))
    assert "Traceback" not in said
    return status, " ".join(said.split())


def safe(value):
    return safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"encoder": "bad:NoForward"}}, "bad:NoForward is not an encoder: it has no `fo"),
        (
            {"model": {"encoder": "bad:NoFirstHop"}},
            r"its `forward\(self, blocks, x\)` cannot be called as forward\(blocks, x, first_hop\)",
        ),
        ({"model": {"encoder": "bad:NoOutDim"}}, "the out_dim of the encoder 'bad:NoOutDim' is No"),
        (
            {"model": {"encoder": "bad:Refuses"}},
            r"the encoder 'bad:Refuses' raised ValueError: an odd width \(.*bad.py, line \d+\)",
        ),
        (
            {"model": {"encoder": "bad:NoArguments"}},
            r"the encoder 'bad:NoArguments' raised TypeError: .* positional argument",
        ),
        ({"task": {"decoder": "bad:NoModule"}}, "is not a decoder: it is not a subclass of torch"),
        (
            {"task": {"decoder": "bad:TwoEnds"}},
            r"its `forward\(self, u, v\)` cannot be called as forward\(u, v, edge_type\)",
        ),
        (
            {"sampler": {"name": "bad:NoSeed"}},
            r"NoSeed is not a sampler: .*cannot be called as sample\(shard, seeds, random_seed=",
        ),
        ({"sampler": {"name": "bad:NeedsTargets"}}, "missing a required .*argument: 'targets'"),
        (
            {"sampler": {"name": "bad:IgnoresGroups"}},
            "is not a sampler: its `sample.*got an unexpected keyword argument 'within'",
        ),
        (
            {"sampler": {"name": "bad:GroupsOnce"}},
            "is not a sampler: its `groups.*got an unexpected keyword argument 'epochs'",
        ),
        (
            {"sampler": {"name": "bad:Groups"}},
            "max_nodes of the sampler 'bad:Groups' is None; it must be a whole number, at least 1",
        ),
        ({"sampler": {"name": "bad:HalfGroup"}}, "max_nodes of the sampler .* is 2.5; it must be"),
        ({"task": {"name": "bad:NoEpochs"}}, "is not a task: .*got an unexpected .* 'epochs'"),
        ({"task": {"name": "bad:NoLoss"}}, "bad:NoLoss is not a task: it has no `loss`"),
        ({"task": {"name": "bad:NoHead"}}, "its make_head returned .*, no nn.Module"),
        ({"task": {"name": "bad:Bare"}}, "its __init__ sets no attribute `needs_remote`"),
        ({"aggregate": {"name": "bad:NoState"}}, "is not an aggregator: its `contribute"),
    ],
)
def test_it_is_refused_before_anything_is_made(changes, message, folder, community_store, hvdtma):
    status, said = trained(hvdtma, community_store, **changes)
    assert status == 2
    assert re.search(message, said), said
    assert [path.name for path in folder.iterdir()] == ["bad.py"]


def test_an_attribute_groups_that_is_no_method_groups_nothing(folder, community_store, hvdtma):
    status, said = trained(hvdtma, community_store, sampler={"name": "bad:CountsGroups"})
    assert status == 0, said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"encoder": "bad:Wide"}},
            r"the output of the encoder 'bad:Wide' is a tensor of shape \[\d+, 8\]; it must be "
            r"\[\d+, 9\]: a row for each seed, and out_dim columns",
        ),
        ({"model": {"encoder": "bad:AllRows"}}, r"'bad:AllRows' is a tensor of shape \[\d+, 8\]"),
        ({"model": {"encoder": "bad:NoTensor"}}, "'bad:NoTensor' is an object of type NoneType"),
        (
            {"task": {"decoder": "bad:Columns"}},
            r"the decoder 'bad:Columns' is a tensor of shape \[\d+, 1\]; it must be \[\d+\]",
        ),
        (
            {"aggregate": {"name": "bad:Short"}},
            r"`contribute` of the aggregator Short returned tensors of shapes \[\d+\] and \[1\]",
        ),
        (
            {"aggregate": {"name": "bad:Single"}},
            "Single returned .*; valid: two tensors",
        ),
        ({"aggregate": {"name": "bad:Forgets"}}, r"`combine` of .* Forgets returned .* \[3\]"),
    ],
)
def test_results_of_wrong_shapes_name_the_class(changes, message, folder, community_store, hvdtma):
    status, said = trained(hvdtma, community_store, **changes)
    assert status == 2
    assert re.search(message, said), said


def test_a_data_source_that_fails_or_returns_half_a_graph_is_named(folder):
    with pytest.raises(UserError, match=r"'bad:fails' raised FileNotFoundError: no folder there"):
        load_source("bad:fails:folder=there")
    with pytest.raises(UserError, match=r"Half that .* returned is not a source: it has no feat"):
        load_source("bad:Half")
    from bad import Half

    with pytest.raises(UserError, match="a Half is not a source: it has no feat"):
        api.build("g.zarr", Half())


def test_a_partition_method_is_checked(folder, community_store):
    with pytest.raises(UserError, match=r"is not a partition method: its `order\(self, store, bl"):
        api.partition(community_store, "p.zarr", "bad:NoMemory")
    with pytest.raises(UserError, match=r"its `order` returned .*, no Order"):
        api.partition(community_store, "p.zarr", "bad:NoOrder")
    assert [path.name for path in folder.iterdir()] == ["bad.py"]


class TooFew(api.Callback):
    def on_round(self):
        return False


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (api.Callback(), "callbacks is an object of type Callback; give a list"),
        (None, "callbacks is an object of type NoneType; give a list"),
        ([api.Callback], r"callbacks has the class Callback; give an object of it: Callback\(\)"),
        ([print], "callbacks has an object of type builtin_function_or_method; each one must be"),
        ([TooFew()], r"its `on_round\(\)` cannot be called as on_round\(outcome\)"),
    ],
)
def test_callbacks_are_checked_before_anything_else(callbacks, message):
    with pytest.raises(UserError, match=message):
        api.train(callbacks=callbacks)


class Methods:
    def plain(self, a, *, key):
        """Takes `self`."""

    @staticmethod
    def static(a, *, key):
        """Takes none."""

    @classmethod
    def of_class(cls, a, *, key):
        """Takes the class."""

    def anything(self, *arguments, **keywords):
        """Takes all."""


@pytest.mark.parametrize("target", [Methods, Methods()])
@pytest.mark.parametrize("method", ["plain", "static", "of_class", "anything"])
def test_methods_of_all_kinds_are_understood(target, method):
    check_methods("task", "it", target, {method: Call(("a",), ("key",))})
    if method != "anything":
        with pytest.raises(UserError, match=r"it is not a task: its .* as \w+\(a, other=\.\.\.\)"):
            check_methods("task", "it", target, {method: Call(("a",), ("other",))})
