"""One fixture for all backends, so that the laws of scan and convolution hold for each."""

from dataclasses import dataclass
from importlib.util import find_spec

import pytest
import torch

from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.scan import available_backends, selective_scan

CUDA = torch.cuda.is_available()


@dataclass(frozen=True)
class Backend:
    """A backend on its device, for tensors of the CPU: results and gradients come back there.

    `wide` is a number of channels that fills more than one of its blocks, `stretch` the number of
    steps between two checkpoints of a scan, `long` one that fills many of these stretches, `batch`
    of sequences where their number is not what matters.
    """

    name: str
    device: str
    wide: int
    stretch: int = 16
    long: int = 500
    batch: int = 2

    @property
    def interpreted(self):
        """Whether every step is interpreted, which takes a thousand times as long."""
        return self.name == 'triton' and self.device == 'cpu'

    @property
    def more(self):
        """The fewest steps that one stretch does not hold."""
        return self.stretch + 1

    def selective_scan(self, **inputs):
        return self._run(selective_scan, inputs)

    def causal_conv1d(self, x, weight, bias, initial_state=None):
        inputs = {'x': x, 'weight': weight, 'bias': bias, 'initial_state': initial_state}
        return self._run(causal_conv1d, inputs)

    def require(self, dtype):
        if dtype == torch.float64 and self.name in ('cpu', 'mamba_ssm'):
            pytest.skip(f'{self.name} computes in float32 alone')

    def assert_rounded(self, found, exact):
        """Assert that `found` is `exact` in its own type."""
        if self.name == 'triton' and not CUDA and found.dtype == torch.bfloat16:
            # Triton's interpreter cuts bits off where a GPU rounds to the nearest number.
            torch.testing.assert_close(found.float(), exact, rtol=2**-7, atol=0)
        else:
            assert torch.equal(found, exact.to(found.dtype))

    def _run(self, function, inputs):
        there = {
            name: x.to(self.device) if isinstance(x, torch.Tensor) else x
            for name, x in inputs.items()
        }
        y, state = function(**there, backend=self.name)
        return y.cpu(), state.cpu()


# An interpreter takes 30 ms a step: with short stretches, few steps fill as many of them.
TRITON = Backend('triton', 'cuda', 33) if CUDA else Backend('triton', 'cpu', 33, 3, 11, 1)


def param(backend, missing):
    skip = [pytest.mark.skip(reason=missing)] if missing else []
    return pytest.param(backend, id=backend.name, marks=skip)


NO_TRITON = '' if find_spec('triton') else 'triton is not installed'
NO_NUMBA = '' if 'cpu' in available_backends() else 'numba is not installed'
NO_MAMBA_SSM = '' if CUDA else 'mamba_ssm needs CUDA'
if CUDA and 'mamba_ssm' not in available_backends('cuda'):
    NO_MAMBA_SSM = 'mamba_ssm, built with its CUDA kernels, or causal_conv1d is not installed'


@pytest.fixture(
    scope='module',
    params=[
        param(Backend('reference', 'cpu', 33), ''),
        param(Backend('cpu', 'cpu', 257), NO_NUMBA),
        param(TRITON, NO_TRITON),
        param(Backend('mamba_ssm', 'cuda', 33), NO_MAMBA_SSM),
    ],
)
def backend(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param.interpreted:
            for module in ('triton.scan', 'scan.triton'):
                name = f'robomamba_ros.mamba.{module}.STRETCH'
                patch.setattr(name, request.param.stretch)
        yield request.param
