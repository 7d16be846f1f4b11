"""What a Horovod rank makes of its group; Horovod itself is not started."""

from types import SimpleNamespace

import pytest
import torch

from hvdtma.comm import horovod
from hvdtma.comm.horovod import HorovodComm

GPU = torch.device("cuda", 0)


@pytest.fixture
def enter(monkeypatch):
    """A function that enters a group of two, in which others have these GPUs."""
    ranks = {"rank": 0, "size": 2, "local_rank": 0, "local_size": 2, "nccl_built": True}
    for name, value in ranks.items():
        monkeypatch.setattr(horovod.hvd, name, lambda value=value: value)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="own")
    )

    def made(*others, slot=None):
        group = SimpleNamespace(elastic=True, slot=slot, secret=None, start=lambda: None)
        comm = HorovodComm(group)
        asked = []
        comm.all_gather_object = lambda own: asked.append(own) or [own, *others]
        return comm, asked

    return made


@pytest.mark.parametrize(("other", "through"), [("another", True), ("own", False), (None, False)])
def test_gpus_talk_to_one_another_if_each_trainer_has_its_own(enter, other, through):
    comm, asked = enter(other)
    assert [comm._uses_nccl(GPU) for _ in range(3)] == [through] * 3
    assert asked == ["own"]  # once
    comm.regroup()
    comm._uses_nccl(GPU)
    assert asked == ["own"] * 2


def test_a_trainer_without_a_gpu_keeps_all_on_the_host(enter):
    comm, asked = enter("another")
    assert not comm._uses_nccl(torch.device("cpu"))
    assert asked == [None]


def test_who_comes_into_a_slot_is_numbered_by_it(enter):
    assert enter("another", slot=1)[0].local_rank == 1
    assert enter("another")[0].local_rank == 0
