"""A modality per process, through Horovod."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from small_learning import config_of, small_graph

from hypergraph import HyperLearn

HERE = Path(__file__).parent
TRAIN = """
import sys
import numpy as np
from small_learning import config_of, small_graph
from hvdtma.comm.horovod import HorovodComm
from hypergraph import HyperLearn
comm = HorovodComm()
model = HyperLearn(small_graph(3), config_of(precision="float64"), comm=comm).fit()
sent = model.trainer.exchange.bytes_sent
assert sent > 0
np.savez(f"{sys.argv[1]}/{comm.rank}.npz", **model.factors)
"""


def test_three_processes_learn_what_one_does(tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python_path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    command = ["horovodrun", "-np", "3", sys.executable, "-c", TRAIN, str(tmp_path)]
    env = os.environ | {"PATH": path, "PYTHONPATH": python_path}
    subprocess.run(command, env=env, check=True, capture_output=True)
    one = HyperLearn(small_graph(3), config_of(precision="float64")).fit().factors
    for rank in range(3):
        found = np.load(tmp_path / f"{rank}.npz")
        for name, rows in one.items():
            np.testing.assert_allclose(found[name], rows, rtol=1e-6)
