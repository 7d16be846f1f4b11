"""K modalities on K ranks are K modalities in one process."""

import numpy as np
import pytest
from small_learning import config_of, ring, small_graph

from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.errors import UserError
from hypergraph import HyperLearn
from hypergraph.placement import DeviceSlot, Placement
from hypergraph.train.devices import find_devices
from hypergraph.train.factor_view import FactorView
from hypergraph.train.rank_trainer import RankTrainer

ITERATIONS = 12


def trained(graph, config, ranks):
    """Of every rank: its losses, its gradients, all factors, and the bytes it sent."""

    def train(comm):
        sizes = graph.sizes
        trainer = RankTrainer(
            graph, config, comm, Placement.balanced(sizes, find_devices(comm, config))
        )
        losses = [trainer.iterate() for _ in range(ITERATIONS)]
        gradients = {
            f"{name}.{key}": parameter.grad.numpy().copy()
            for group in trainer.groups
            for name, net in group.nets.items()
            for key, parameter in net.named_parameters()
            if parameter.grad is not None
        }
        return losses, gradients, trainer.factors(), trainer.exchange.bytes_sent

    return InProcessGroup(ranks).run(train)


@pytest.mark.parametrize("loss", ["ranking", "gram"])
@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize(
    ("batch_size", "row_dropout"), [(64, {}), (None, {}), (64, {"m0": 0.5, "m1": 0.2})]
)
def test_losses_gradients_and_factors_are_those_of_one_process(
    ranks, loss, batch_size, row_dropout
):
    graph = small_graph(ranks)
    model = {"dim": 8, "row_dropout": row_dropout}
    config = config_of(loss={"name": loss}, batch_size=batch_size, model=model, precision="float64")
    [(losses, gradients, factors, sent)] = trained(graph, config, 1)
    assert sent == 0
    parts = trained(graph, config, ranks)
    for step, expected in enumerate(losses):
        found = {name: value for part in parts for name, value in part[0][step].items()}
        assert found == pytest.approx(expected, rel=1e-6)
    found = {name: value for part in parts for name, value in part[1].items()}
    assert found.keys() == gradients.keys()
    for name, expected in gradients.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-12)
    for part in parts:
        for name, rows in factors.rows.items():
            np.testing.assert_allclose(part[2].rows[name], rows, rtol=1e-6)
        assert part[3] > 0


def test_fewer_ranks_than_modalities_share_them_out():
    graph = small_graph(4)
    config = config_of(precision="float64")
    [one] = trained(graph, config, 1)
    for part in trained(graph, config, 2):
        for name, rows in one[2].rows.items():
            np.testing.assert_allclose(part[2].rows[name], rows, rtol=1e-6)


def test_in_a_ring_a_rank_sends_the_same_however_many_there_are():
    sent = [part[3] for ranks in (3, 6) for part in trained(ring(ranks), config_of(), ranks)]
    assert max(sent) < 1.1 * min(sent)


def test_a_view_is_packed_once_however_many_ranks_it_goes_to(monkeypatch):
    packed = []
    flat = FactorView.flat
    monkeypatch.setattr(FactorView, "flat", lambda view: packed.append(view) or flat(view))
    graph = small_graph(4)
    trained(graph, config_of(), 4)
    seen_by_all, seen_by_two = 4, 2  # the modalities of the two relations
    assert len(packed) == ITERATIONS * (seen_by_all + seen_by_two)


def test_different_data_on_different_ranks_are_found():
    def trainer(comm):
        HyperLearn(small_graph(2, seed=comm.rank), config_of(), comm=comm)

    with pytest.raises(UserError, match="rank 1 has another hypergraph or split than rank 0"):
        InProcessGroup(2).run(trainer)


def test_more_ranks_than_modalities_are_refused():
    slots = [DeviceSlot(rank) for rank in range(3)]
    with pytest.raises(UserError, match="3 ranks for 2 modalities"):
        Placement.balanced({"a": 1, "b": 1}, slots)


def test_placements_are_balanced_and_can_be_printed():
    slots = [DeviceSlot(0, "cuda:0"), DeviceSlot(1, "cuda:1")]
    placement = Placement.balanced({"small": 1, "large": 10, "middle": 5, "other": 5}, slots)
    assert str(placement).splitlines() == [
        "small    rank 0, cuda:0",
        "large    rank 0, cuda:0",
        "middle   rank 1, cuda:1",
        "other    rank 1, cuda:1",
    ]


def test_a_placement_may_be_given():
    slots = [DeviceSlot(0), DeviceSlot(1)]
    placement = Placement.given({"a": 1, "b": 0}, ["a", "b"], slots)
    assert placement.of_rank(1) == {DeviceSlot(1): ["a"]}
    with pytest.raises(UserError, match="names the modality 'c'"):
        Placement.given({"a": 1, "b": 0, "c": 0}, ["a", "b"], slots)
    with pytest.raises(UserError, match="no rank for the modality 'b'"):
        Placement.given({"a": 1}, ["a", "b"], slots)
    with pytest.raises(UserError, match="there are 2 ranks"):
        Placement.given({"a": 1, "b": 2}, ["a", "b"], slots)
    with pytest.raises(UserError, match="leaves rank 1 without a modality"):
        Placement.given({"a": 0, "b": 0}, ["a", "b"], slots)
    with pytest.raises(UserError, match="'b' on cuda:1; with 2 ranks give a rank"):
        Placement.given({"a": 0, "b": "cuda:1"}, ["a", "b"], slots)


def test_a_placement_may_name_the_devices_of_a_single_process():
    slots = [DeviceSlot(0, "cuda:0"), DeviceSlot(0, "cuda:1")]
    placement = Placement.given({"a": "cuda:1", "b": 0}, ["a", "b"], slots)
    assert placement.slots == {"a": slots[1], "b": slots[0]}
    with pytest.raises(UserError, match="'a' on cuda:2; there are cuda:0, cuda:1"):
        Placement.given({"a": "cuda:2", "b": 0}, ["a", "b"], slots)


def test_devices_of_one_process_do_what_one_device_does():
    graph = small_graph(3)
    config = config_of(precision="float64")
    cpu = DeviceSlot(0, "cpu")
    slots = {"m0": cpu, "m1": DeviceSlot(0, "cpu:0"), "m2": cpu}  # two names of one device
    one, several = (
        RankTrainer(graph, config, SingleProcess(), Placement(given))
        for given in (dict.fromkeys(slots, cpu), slots)
    )
    assert (len(one.groups), len(several.groups)) == (1, 2)
    for _ in range(ITERATIONS):
        assert several.iterate() == pytest.approx(one.iterate(), rel=1e-6)
    for name, rows in one.factors().rows.items():
        np.testing.assert_allclose(several.factors().rows[name], rows, rtol=1e-6)
