"""A trainer computes with the threads it was given, whatever its libraries would take."""

import subprocess
import sys

import pytest

ASK = """
import torch
from hvdtma.comm import Single
from hvdtma.config import parse_config
from hvdtma.graph.csc import build_csc
from hvdtma.train.set_up import set_up_device
import numba, numpy as np
config = parse_config({"store": "x", "run": "y", "rounds": 1, "device": "cpu", "threads": THREADS})
set_up_device(config, Single())
build_csc(np.array([0]), np.array([1]), 2).has_edges(np.array([0]), np.array([1]))
print(torch.get_num_threads(), numba.get_num_threads())
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_the_threads_asked_for_are_those_there_are(threads):
    code = ASK.replace("THREADS", str(threads))
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    in_torch, in_numba = map(int, said.split())
    assert in_torch == threads
    assert in_numba <= threads
