"""Settings every test needs before its first import, and where its random numbers begin."""

import contextlib
import os

# MuJoCo chooses its renderer when it is imported, whichever test imports it first.
os.environ.setdefault('MUJOCO_GL', 'egl')
# One thread: on two cores a busy neighbour makes OpenMP threads wait for each other.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
import torch

# Without CUDA, Triton's kernels are tested in its interpreter, on CPU tensors. Triton reads this
# when it is imported, and other packages import it too.
if not torch.cuda.is_available():
    os.environ.setdefault('TRITON_INTERPRET', '1')

# Imported after Mesa has rendered in a process, it crashes it; optimizers import it too.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
