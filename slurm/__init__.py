"""Run hvdtma and hypergraph on a Slurm cluster.

submission.py   submit: send a run, a sweep, a command or a function to the cluster
specs.py        the jobs of one submission          sweep.py       key=a,b,c
checks.py       checks before submission            resources.py   nodes, tasks, GPUs
defaults.py     settings of a cluster               times.py       time limits
executor.py     submitit's executors                folder.py      logs, scripts, pickles
needs.py        the files that a script needs       text.py        safe lines of a script
sizes.py        memory as Slurm writes it
job.py          the code that a task of a job runs; requeue
driver.py       drive: start the trainers of an elastic run, and restart lost ones
workers.py      trainer processes: job steps, or processes of this machine
environment.py  environment variables that srun and sbatch must not inherit
states.py       states of jobs                      watch.py       follow jobs to their end
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slurm.submission import Submission, submit

__all__ = ["Submission", "submit"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use: the tasks of a job do not need them."""
    if name not in __all__:
        raise AttributeError(f"module 'slurm' has no attribute '{name}'")
    from slurm import submission

    return getattr(submission, name)
