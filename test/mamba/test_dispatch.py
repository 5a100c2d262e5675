import json
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

# One process for all cases, each of which hides modules and has a folder of modules of its own. The
# first hides everything: from then on nothing may have been imported that a case hides.
WITHOUT = """
import importlib, json, sys
cases = json.loads(sys.argv[1])
everything = set().union(*(hidden for hidden, _ in cases))
sys.modules.update(dict.fromkeys(everything))
import torch
from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.scan import available_backends, resolve_backend


def found():
    hidden, _ = MambaBackbone(MambaConfig(8, 1))(torch.randn(1, 3, 8))
    assert hidden.isfinite().all()
    for device in ('cpu', 'cuda'):
        chosen = resolve_backend('auto', torch.device(device))
        yield ' '.join((device, *available_backends(device), chosen))
    pairs = ('cpu', 'cpu'), ('triton', 'cuda'), ('mamba_ssm', 'cuda'), ('triton', 'cpu')
    for name, device in pairs:
        try:
            resolve_backend(name, torch.device(device))
        except BackendError as error:
            yield str(error)


results = []
path = list(sys.path)
for hidden, folder in cases:
    for name in everything:
        if sys.modules.get(name, 0) is None:
            del sys.modules[name]
    sys.modules.update(dict.fromkeys(hidden))
    sys.path[:] = [folder, *path]
    importlib.invalidate_caches()
    available_backends.cache_clear()
    resolve_backend.cache_clear()
    results.append(list(found()))
print(json.dumps(results))
"""


@pytest.fixture(scope='module')
def without(tmp_path_factory):
    """What is found without anything, without triton, without one kernel, without the authors'."""
    folder = tmp_path_factory.mktemp('authors')
    for name in AUTHORS:
        (folder / f'{name}.py').touch()
    cases = [
        (['numba', 'triton', *AUTHORS], ''),
        (['triton'], str(folder)),
        (['triton', 'selective_scan_cuda'], str(folder)),
        (list(AUTHORS), ''),
    ]
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT, json.dumps(cases)],
        capture_output=True,
        text=True,
        check=False,
        env={'PYTHONPATH': ':'.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_compiled_backends_auto_is_the_reference_and_a_name_says_what_to_install(without):
    assert without[0] == [
        'cpu reference reference',
        'cuda reference reference',
        "the scan backend 'cpu' needs numba: pip install numba",
        "the scan backend 'triton' needs triton: pip install triton",
        "the scan backend 'mamba_ssm' needs mamba_ssm, selective_scan_cuda, causal_conv1d: "
        'MAMBA_KEEP_CUDA_BUILD=TRUE pip install --no-build-isolation mamba-ssm causal-conv1d',
        "the scan backend 'triton' needs triton: pip install triton",
    ]


def test_without_triton_auto_takes_the_authors_kernels_only_where_they_were_built(without):
    assert without[1][1] == 'cuda reference mamba_ssm mamba_ssm'
    assert without[2][1] == 'cuda reference reference'
    assert "'mamba_ssm' needs selective_scan_cuda: MAMBA_KEEP_CUDA_BUILD=TRUE pip" in without[2][-2]


@needs_triton
def test_triton_comes_first_on_a_gpu_and_refuses_tensors_of_the_cpu(without):
    assert without[3][1] == 'cuda reference triton triton'
    assert without[3][-1] == "the scan backend 'triton' needs CUDA tensors, got cpu; use 'auto'"


def test_auto_takes_the_fastest_that_runs_on_the_device():
    assert resolve_backend('auto', HOST) == available_backends('cpu')[-1]
    assert resolve_backend('auto', GPU) == available_backends('cuda')[-1]
    # Passes without data are counted as a GPU would get them.
    assert resolve_backend('auto', META) == resolve_backend('auto', GPU)
    assert available_backends(META) == available_backends('cuda')


@needs_triton
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='the interpreter is for machines without CUDA'
)
def test_interpreted_triton_runs_on_the_cpu_by_name_and_is_never_chosen():
    assert resolve_backend('triton', HOST) == 'triton'
    assert 'triton' not in available_backends(HOST)


def test_float64_goes_to_a_backend_that_computes_in_it():
    assert resolve_backend('auto', HOST, torch.float64) == 'reference'
    assert resolve_backend('reference', HOST, torch.float64) == 'reference'
    assert resolve_backend('auto', HOST, torch.bfloat16) == resolve_backend('auto', HOST)


@pytest.mark.skipif('cpu' not in available_backends(), reason='numba is not installed')
def test_a_backend_of_float32_refuses_float64():
    with pytest.raises(BackendError, match="'cpu' computes in float32 alone, got float64; use"):
        resolve_backend('cpu', HOST, torch.float64)


def test_an_unknown_backend_is_refused_with_the_nearest_name():
    with pytest.raises(BackendError, match=r"'referense'. Did you mean 'reference'\?.*auto"):
        resolve_backend('referense', HOST)


@pytest.mark.skipif('cpu' not in available_backends(), reason='numba is not installed')
def test_the_cpu_backend_refuses_tensors_of_another_device():
    with pytest.raises(BackendError, match="needs CPU tensors, got meta; use 'auto'"):
        resolve_backend('cpu', META)
