"""The two transports between processes, and whether Horovod is installed.

Only `hvdtma.comm.horovod` and `hvdtma.comm.groups` import Horovod. They are imported when a
communicator of Horovod is made, so everything else works without it.
"""

from __future__ import annotations

from hvdtma.core.errors import UserError

TRANSPORTS = ("auto", "horovod", "torch")


def has_horovod() -> bool:
    """Whether Horovod is installed with its PyTorch part."""
    try:
        import horovod.torch  # noqa: F401
    except ImportError:  # Horovod raises it too if it was built without PyTorch
        return False
    return True


def require_horovod(reason: str, *, elastic: bool = False) -> None:
    """Raises UserError, beginning with `reason`, if Horovod's PyTorch part is not installed.

    Args:
        elastic: whether the trainers are elastic; then torch.distributed cannot replace Horovod.
    """
    if has_horovod():
        return
    other = "start with torchrun, or with --comm torch under srun, to use torch.distributed"
    if elastic:
        other = "set elastic=false to train without Horovod"
    raise UserError(
        f"{reason}, but Horovod's PyTorch part is not installed here. Install it with `make setup` "
        "in a clone of hvdtma (`pip install hvdtma[horovod]` may build it without PyTorch); or "
        f"{other}"
    )


def require_elastic_transport() -> None:
    """Raises UserError if Horovod, which elastic trainers need, is not installed."""
    require_horovod("elastic=true needs Horovod", elastic=True)
