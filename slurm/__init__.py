"""Starting hvdtma and hypergraph on a Slurm cluster: submit, launch workers, survive requeues."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slurm.submission import Submitted, submit

__all__ = ["Submitted", "submit"]


def __getattr__(name: str) -> Any:
    """JobTarget is public, once it is asked for: trainers have no need of submitit."""
    if name not in __all__:
        raise AttributeError(f"module 'slurm' has no attribute '{name}'")
    from slurm import submission

    return getattr(submission, name)
