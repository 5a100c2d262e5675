import subprocess
import sys

import pytest
import torch

from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.scan import available_backends, resolve_backend

HOST = torch.device('cpu')
META = torch.device('meta')

WITHOUT_NUMBA = """
import sys
sys.modules['numba'] = None
import torch
from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.scan import available_backends
embeddings = torch.randn(1, 3, 8)
hidden, _ = MambaBackbone(MambaConfig(8, 1))(embeddings)
print(available_backends(), hidden.isfinite().all().item())
try:
    MambaBackbone(MambaConfig(8, 1), backend='cpu')(embeddings)
except BackendError as error:
    print(error)
"""


def test_without_numba_auto_is_the_reference_and_a_named_cpu_says_what_to_install():
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_NUMBA],
        capture_output=True,
        text=True,
        check=True,
        env={'PYTHONPATH': ':'.join(sys.path)},
    )
    assert done.stdout.splitlines() == [
        "('reference',) True",
        "the scan backend 'cpu' needs numba: pip install numba",
    ]


def test_auto_takes_the_compiled_backend_on_the_cpu_and_the_reference_elsewhere():
    assert resolve_backend('auto', HOST) == available_backends()[-1]
    assert resolve_backend('auto', META) == 'reference'


def test_an_unknown_backend_is_refused_with_the_nearest_name():
    with pytest.raises(BackendError, match=r"'referense'. Did you mean 'reference'\?.*auto"):
        resolve_backend('referense', HOST)


@pytest.mark.skipif('cpu' not in available_backends(), reason='numba is not installed')
def test_the_cpu_backend_refuses_tensors_of_another_device():
    with pytest.raises(BackendError, match="needs CPU tensors, got meta; use 'auto'"):
        resolve_backend('cpu', META)
