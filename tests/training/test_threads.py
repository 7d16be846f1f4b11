"""A trainer computes with the threads it was given, whatever its libraries would take."""

import os
import platform
import subprocess
import sys

import pytest

from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.train_config import parse_config
from hvdtma.training import set_up

ASK = """
import torch
from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.train_config import parse_config
from hvdtma.graph.csc import build_csc
from hvdtma.training.set_up import set_up_device
import numba, numpy as np
config = parse_config({"store": "x", "run": "y", "rounds": 1, "device": "cpu", "threads": THREADS})
set_up_device(config, SingleProcess())
build_csc(np.array([0]), np.array([1]), 2).has_edges(np.array([0]), np.array([1]))
from concurrent.futures import ThreadPoolExecutor
from hvdtma.core.compute_threads import compute_threads
from hvdtma.sampling.prefetch import prefetched
with ThreadPoolExecutor(1) as pool:
    elsewhere = pool.submit(compute_threads).result()
workers = set(prefetched(lambda step: compute_threads(), range(8), 2))
print(torch.get_num_threads(), numba.get_num_threads(), compute_threads(), elsewhere, *workers)
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_the_threads_asked_for_are_those_there_are(threads):
    code = ASK.replace("THREADS", str(threads))
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    in_torch, in_numba, of_sampling, elsewhere, *of_workers = map(int, said.split())
    assert in_torch == of_sampling == elsewhere == threads
    assert of_workers == [1]
    assert in_numba <= threads


HERE = platform.node()


@pytest.mark.parametrize(
    ("others", "threads"),
    [
        ([(HERE, {4, 5, 6, 7})], 4),  # bound: each has cores of its own
        ([(HERE, {0, 1, 2, 3})], 2),
        ([(HERE, {3, 4}), (HERE, {5})], 2),
        ([("another machine", {0, 1, 2, 3})], 4),
    ],
)
def test_cores_are_shared_out_among_those_that_may_run_on_them(others, threads, monkeypatch):
    class Several(SingleProcess):
        local_size = 1 + len(others)

        def all_gather_object(self, value):
            return [*others, value]

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    taken = []
    monkeypatch.setattr(set_up, "set_compute_threads", taken.append)
    config = parse_config({"store": "x", "run": "y", "rounds": 1, "device": "cpu"})
    set_up.set_up_device(config, Several(), set_up.count_sharers(Several()))
    assert taken == [threads]


def test_trainers_of_one_process_do_not_share_cores():
    """They take turns: each stands for a machine of its own."""
    found = InProcessGroup(3).run(set_up.count_sharers)
    assert found == [1, 1, 1]
