"""Many trainers in one process: collectives, turns, clocks, random numbers, failures."""

import time

import pytest
import torch

from hvdtma.comm import InProcessGroup
from hvdtma.comm.communicator import run_on_all, run_on_rank0
from hvdtma.core.errors import UserError


def test_collectives_answer_in_rank_order_on_every_trainer():
    def trainer(comm):
        total = comm.all_reduce(torch.tensor([1.0, float(comm.rank)]))
        rows = comm.all_gather(torch.tensor([float(comm.rank), 7.0]))
        return (
            total.tolist(),
            rows.tolist(),
            comm.all_gather_object(comm.rank),
            comm.broadcast_object(comm.rank),
        )

    expected = ([3.0, 3.0], [[0.0, 7.0], [1.0, 7.0], [2.0, 7.0]], [0, 1, 2], 0)
    assert InProcessGroup(3).run(trainer) == [expected] * 3


def test_what_is_collected_comes_to_trainer_0_only():
    def trainer(comm):
        return comm.gather_object({"rank": comm.rank, "rows": list(range(comm.rank))})

    every = [{"rank": rank, "rows": list(range(rank))} for rank in range(3)]
    assert InProcessGroup(3).run(trainer) == [every, [], []]
    assert InProcessGroup(1).run(trainer) == [every[:1]]


def test_a_sum_is_each_trainers_own():
    def trainer(comm):
        total = comm.all_reduce(torch.ones(2))
        total += comm.rank
        comm.all_gather_object(None)
        return total.tolist()

    assert InProcessGroup(2).run(trainer) == [[2.0, 2.0], [3.0, 3.0]]


def test_only_one_trainer_computes_at_a_time_and_turns_go_round():
    order, inside = [], []

    def trainer(comm):
        for _ in range(3):
            inside.append(comm.rank)
            assert len(inside) == 1
            order.append(comm.rank)
            inside.remove(comm.rank)
            comm.all_gather_object(None)

    InProcessGroup(3).run(trainer)
    assert order == [0, 1, 2] * 3


def test_a_clock_runs_only_while_its_trainer_computes_and_collectives_set_all_to_the_latest():
    def trainer(comm):
        time.sleep(0.05 * (comm.rank + 1))
        before = comm.clock()
        comm.all_gather_object(None)
        return before, comm.clock()

    before, after = zip(*InProcessGroup(3).run(trainer), strict=True)
    for rank, seconds in enumerate(before):
        assert 0.05 * (rank + 1) <= seconds  # and not the sum of all
    assert before[0] < before[2]
    assert min(after) >= max(before)


def test_a_collective_costs_what_the_network_model_says():
    def trainer(comm):
        start = comm.clock()
        comm.all_reduce(torch.zeros(1000))
        return comm.clock() - start

    for seconds in InProcessGroup(2, latency_s=3.0, bytes_per_s=1000.0).run(trainer):
        assert seconds >= 3.0 + 4.0


def test_random_numbers_do_not_depend_on_the_other_trainers():
    def trainer(comm):
        torch.manual_seed(comm.rank)
        drawn = []
        for _ in range(3):
            drawn.append(torch.rand(2))
            comm.all_gather_object(None)
        return torch.cat(drawn)

    for rank, drawn in enumerate(InProcessGroup(3).run(trainer)):
        torch.manual_seed(rank)
        assert torch.equal(drawn, torch.rand(6))


def test_random_numbers_of_a_gpu_do_not_depend_on_the_other_trainers_either(monkeypatch):
    gpu = [torch.zeros(1)]  # stands for the state of one: counts what was drawn
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.get_rng_state", lambda: gpu[0].clone())
    monkeypatch.setattr("torch.cuda.set_rng_state", lambda state: gpu.__setitem__(0, state))

    def trainer(comm):
        drawn = []
        for _ in range(3):
            gpu[0] = gpu[0] + 1
            drawn.append(int(gpu[0]))
            comm.all_gather_object(None)
        return drawn

    assert InProcessGroup(3).run(trainer) == [[1, 2, 3]] * 3


def test_a_failing_trainer_fails_the_group_with_its_own_error():
    def trainer(comm):
        if comm.rank == 1:
            raise ValueError("number one")
        comm.all_gather_object(None)

    with pytest.raises(ValueError, match="number one"):
        InProcessGroup(3).run(trainer)


@pytest.mark.parametrize("ends", [[0], [1], [2], [0, 1], [0, 2], [1, 2]])
def test_unequal_numbers_of_collectives_are_an_error_not_a_hang(ends):
    def trainer(comm):
        comm.all_gather_object(None)
        if comm.rank not in ends:
            comm.all_gather_object(None)

    with pytest.raises(RuntimeError, match="ended while others"):
        InProcessGroup(3).run(trainer)


def test_a_group_can_be_run_again():
    group = InProcessGroup(3)
    for _ in range(2):
        assert group.run(lambda comm: comm.all_gather_object(comm.rank)) == [[0, 1, 2]] * 3


def test_what_goes_wrong_on_the_first_trainer_is_raised_on_every_one():
    def refuse():
        raise UserError("not here")

    def trainer(comm):
        with pytest.raises(UserError, match="not here"):
            run_on_rank0(comm, refuse)
        return run_on_rank0(comm, lambda: comm.rank + 10)

    assert InProcessGroup(2).run(trainer) == [10, 10]


@pytest.mark.parametrize(("met", "said"), [([2], "trainer 2: "), ([1, 2], r"trainer 1 \(and 1")])
def test_what_one_trainer_meets_alone_is_raised_on_every_one_and_says_whose_it_is(met, said):
    def trainer(comm):
        def read():
            if comm.rank in met:
                raise FileNotFoundError(2, "No such file", "shard")
            return comm.rank

        with pytest.raises(UserError, match=f"^{said}.*shard: No such file"):
            run_on_all(comm, read)
        return run_on_all(comm, lambda: comm.rank)

    assert InProcessGroup(3).run(trainer) == [0, 1, 2]
