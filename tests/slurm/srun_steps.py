"""The tasks of one srun, started without Slurm and without its commands."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# So long tasks waited for one that had failed. Here it is far more than enough.
MUCH_LESS_S = 150


class Step:
    """Tasks on nodes, in order of rank; `words` follow the config."""

    def __init__(self, tmp_path, config, nodes, *words):
        self.processes = []
        programs = tmp_path / "programs"
        programs.mkdir(exist_ok=True)
        for rank, node in enumerate(nodes):
            env = {name: value for name, value in os.environ.items() if "SLURM" not in name}
            env |= {
                "PATH": str(programs), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path),
                "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "2", "SLURM_PROCID": str(rank),
                "SLURM_STEP_NUM_TASKS": str(len(nodes)), "SLURMD_NODENAME": node,
                "SLURM_STEP_NODELIST": node if len(set(nodes)) == 1 else "n[1-9]",
            }  # fmt: skip
            task = self.words(rank, config, words)
            self.processes.append(
                subprocess.Popen(task, env=env, stderr=subprocess.PIPE, text=True)
            )

    def words(self, rank, config, words):
        return [sys.executable, "-m", "hvdtma", "train", str(config), *words]

    def ends(self):
        """Exit statuses and what each task printed; well before the others would give up."""
        began = time.monotonic()
        try:
            said = [process.communicate(timeout=MUCH_LESS_S)[1] for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        assert time.monotonic() - began < MUCH_LESS_S
        return [process.returncode for process in self.processes], said
