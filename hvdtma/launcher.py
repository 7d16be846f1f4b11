"""What a launcher says in the environment, before Horovod is asked."""

from __future__ import annotations

import os

LAUNCHERS = (("HOROVOD_RANK", "HOROVOD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"))


def launched_as() -> tuple[int, int]:
    """(rank, size) that horovodrun or mpirun gave this process; (0, 1) if it was started alone."""
    for rank, size in LAUNCHERS:
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1
