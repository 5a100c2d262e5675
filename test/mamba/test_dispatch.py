import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.scan import available_backends, resolve_backend

HOST, GPU, META = (torch.device(name) for name in ('cpu', 'cuda', 'meta'))
AUTHORS = ('mamba_ssm', 'selective_scan_cuda', 'causal_conv1d')
needs_triton = pytest.mark.skipif(not find_spec('triton'), reason='triton is not installed')

WITHOUT = """
import sys
hidden = sys.argv[1].split(',')
sys.modules.update(dict.fromkeys(hidden))
import torch
from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.scan import available_backends, resolve_backend
embeddings = torch.randn(1, 3, 8)
hidden, _ = MambaBackbone(MambaConfig(8, 1))(embeddings)
assert hidden.isfinite().all()
for device in ('cpu', 'cuda'):
    print(device, *available_backends(device), resolve_backend('auto', torch.device(device)))
for name, device in (('cpu', 'cpu'), ('triton', 'cuda'), ('mamba_ssm', 'cuda'), ('triton', 'cpu')):
    try:
        resolve_backend(name, torch.device(device))
    except BackendError as error:
        print(error)
"""


def run_without(*hidden, folder=''):
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT, ','.join(hidden)],
        capture_output=True,
        text=True,
        check=False,
        env={'PYTHONPATH': ':'.join((str(folder), *sys.path))},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_compiled_backends_auto_is_the_reference_and_a_name_says_what_to_install():
    assert run_without('numba', 'triton', *AUTHORS) == [
        'cpu reference reference',
        'cuda reference reference',
        "the scan backend 'cpu' needs numba: pip install numba",
        "the scan backend 'triton' needs triton: pip install triton",
        "the scan backend 'mamba_ssm' needs mamba_ssm, selective_scan_cuda, causal_conv1d: "
        'MAMBA_KEEP_CUDA_BUILD=TRUE pip install --no-build-isolation mamba-ssm causal-conv1d',
        "the scan backend 'triton' needs triton: pip install triton",
    ]


def test_without_triton_auto_takes_the_authors_kernels_only_where_they_were_built(tmp_path):
    for name in AUTHORS:
        (tmp_path / f'{name}.py').touch()
    found = run_without('triton', folder=tmp_path)
    assert found[1] == 'cuda reference mamba_ssm mamba_ssm'
    found = run_without('triton', 'selective_scan_cuda', folder=tmp_path)
    assert found[1] == 'cuda reference reference'
    assert "'mamba_ssm' needs selective_scan_cuda: MAMBA_KEEP_CUDA_BUILD=TRUE pip" in found[-2]


@needs_triton
def test_triton_comes_first_on_a_gpu_and_refuses_tensors_of_the_cpu():
    found = run_without(*AUTHORS)
    assert found[1] == 'cuda reference triton triton'
    assert found[-1] == "the scan backend 'triton' needs CUDA tensors, got cpu; use 'auto'"


def test_auto_takes_the_fastest_that_runs_on_the_device():
    assert resolve_backend('auto', HOST) == available_backends('cpu')[-1]
    assert resolve_backend('auto', GPU) == available_backends('cuda')[-1]
    assert resolve_backend('auto', META) == 'reference'
    assert available_backends(META) == ('reference',)


@needs_triton
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='the interpreter is for machines without CUDA'
)
def test_interpreted_triton_runs_on_the_cpu_by_name_and_is_never_chosen():
    assert resolve_backend('triton', HOST) == 'triton'
    assert 'triton' not in available_backends(HOST)


def test_an_unknown_backend_is_refused_with_the_nearest_name():
    with pytest.raises(BackendError, match=r"'referense'. Did you mean 'reference'\?.*auto"):
        resolve_backend('referense', HOST)


@pytest.mark.skipif('cpu' not in available_backends(), reason='numba is not installed')
def test_the_cpu_backend_refuses_tensors_of_another_device():
    with pytest.raises(BackendError, match="needs CPU tensors, got meta; use 'auto'"):
        resolve_backend('cpu', META)
