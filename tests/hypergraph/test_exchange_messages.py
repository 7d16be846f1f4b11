"""Ranks send the views that others need, nothing else, and any rank can stop all.

Modality a is on rank 0, b and c are on rank 1, d is on rank 2. Legend: R rank of the factors.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from small_incidences import normal

from hvdtma.comm import InProcessGroup, SingleProcess
from hypergraph.data import Modality, MultimodalHypergraph, Relation
from hypergraph.placement import DeviceSlot, Placement
from hypergraph.train.batches import HyperedgeBatch
from hypergraph.train.exchange import Exchange, cpu_s
from hypergraph.train.factor_view import FactorView

R = 3
SIZES = {"a": 4, "b": 5, "c": 6, "d": 7}
RANKS = {"a": 0, "b": 1, "c": 1, "d": 2}
DATA = MultimodalHypergraph.of(
    [Modality(name, size) for name, size in SIZES.items()],
    [Relation(names, tuple(names), np.array([[0, 0], [1, 2]])) for names in ("ab", "bc", "ad")],
)
PLACEMENT = Placement({name: DeviceSlot(rank) for name, rank in RANKS.items()})
ROWS = {"ab": {"a": [0, 2], "b": [1]}, "bc": {"b": [4], "c": [0, 5]}, "ad": {"a": [3], "d": [6]}}


def view_of(name: str) -> FactorView:
    size, relations, seed = SIZES[name], DATA.relation_names[name], ord(name)
    rows = normal(size, R, seed=seed).requires_grad_()
    bias = normal(size, len(relations), seed=seed + 100)
    return FactorView(rows, bias, rows.T @ rows, size, relations)


def batches() -> list[HyperedgeBatch]:
    none = torch.zeros(0, 2, dtype=torch.int64)
    return [
        HyperedgeBatch(
            name, {key: torch.tensor(items) for key, items in rows.items()}, none, None, None
        )
        for name, rows in ROWS.items()
    ]


def on_every_rank(function):
    """Run `function(exchange, own views)` on three ranks."""

    def run(comm):
        exchange = Exchange(comm, PLACEMENT, DATA, R)
        own = {name: view_of(name) for name, rank in RANKS.items() if rank == comm.rank}
        return function(exchange, own)

    return InProcessGroup(3).run(run)


def assert_rows(view: FactorView, name: str, items: list[int]) -> None:
    whole = view_of(name)
    for found, expected in (
        (view.rows_SR, whole.rows_SR[items]),
        (view.bias_SB, whole.bias_SB[items]),
        (view.gram_RR, whole.gram_RR),
    ):
        assert torch.equal(found.detach(), expected.detach())
    assert (view.size, view.relations) == (whole.size, whole.relations)


def test_a_rank_gets_the_rows_of_the_batches_of_its_own_relations_only():
    found = on_every_rank(lambda exchange, own: exchange.of_batches(own, batches()))
    wanted = [
        {"ab": "ab", "bc": "", "ad": "ad"},
        {"ab": "ab", "bc": "bc", "ad": ""},
        {"ab": "", "bc": "", "ad": "ad"},
    ]
    for rank, (views, names) in enumerate(zip(found, wanted, strict=True)):
        assert {key: "".join(of) for key, of in views.items()} == names
        for relation, of in views.items():
            for name, view in of.items():
                assert_rows(view, name, ROWS[relation][name])
                assert view.rows_SR.requires_grad is (RANKS[name] == rank)


def test_all_rows_go_to_the_ranks_that_train_another_modality_of_a_relation():
    found = on_every_rank(lambda exchange, own: exchange.of_all(own))
    assert ["".join(sorted(views)) for views in found] == ["bd", "a", "a"]
    for views in found:
        for name, view in views.items():
            assert_rows(view, name, list(range(SIZES[name])))


def test_the_bytes_sent_are_those_of_the_messages_and_the_time_is_that_of_the_calls():
    def both(exchange, own):
        assert (exchange.bytes_sent, exchange.communicator_cpu_s) == (0, 0)
        exchange.of_batches(own, batches())
        first = exchange.bytes_sent
        assert 0 <= exchange.communicator_cpu_s <= cpu_s()
        exchange.of_all(own)
        return first, exchange.bytes_sent - first

    def flat(rows, relations):
        return rows * (R + relations) + R * R

    stop = 1  # the number at the end of each message, also of empty ones
    expected = [  # numbers in the messages to the two other ranks
        (flat(2, 2) + stop + flat(1, 2) + stop, 2 * (flat(4, 2) + stop)),
        (flat(1, 2) + stop + stop, flat(5, 2) + stop + stop),
        (flat(1, 1) + stop + stop, flat(7, 1) + stop + stop),
    ]
    in_bytes = [tuple(8 * numbers for numbers in of) for of in expected]
    assert on_every_rank(both) == in_bytes


@pytest.mark.parametrize("rank", [None, 0, 1, 2])
def test_one_rank_that_requests_a_stop_stops_all_at_the_next_exchange(rank):
    def stopped(exchange, own):
        assert not exchange.stopping
        exchange.stop_requested = exchange.comm.rank == rank
        exchange.of_all(own)
        return exchange.stopping

    assert on_every_rank(stopped) == [rank is not None] * 3


def test_a_single_process_sends_nothing_and_stops_when_it_wants_to():
    exchange = Exchange(SingleProcess(), PLACEMENT, DATA, R)
    own = {name: view_of(name) for name in SIZES}
    views = exchange.of_batches(own, batches())
    assert {key: "".join(of) for key, of in views.items()} == {key: key for key in ROWS}
    assert (exchange.of_all(own), exchange.bytes_sent, exchange.stopping) == ({}, 0, False)
    exchange.stop_requested = True
    exchange.of_all(own)
    assert exchange.stopping


def test_cpu_time_is_that_of_this_thread_unless_pytorch_has_several():
    def measured(threads):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return time.thread_time(), time.process_time(), cpu_s()
        finally:
            torch.set_num_threads(before)

    with ThreadPoolExecutor(1) as pool:
        thread, process, found = pool.submit(measured, 1).result()
        assert thread <= found < process
        thread, process, found = pool.submit(measured, 2).result()
        assert found >= process
