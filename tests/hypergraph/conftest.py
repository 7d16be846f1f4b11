"""The matrices here are small: a second thread takes more time than it saves."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """PyTorch computes on one thread, in this process and in those that a test starts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)
