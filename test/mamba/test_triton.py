"""What the interpreter cannot show: the kernels compile for GPUs, and run inside a CUDA graph."""

import json
import os
import subprocess
import sys

import pytest
import torch

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.scan import selective_scan
from robomamba_ros.mamba.state import MambaState

pytest.importorskip('triton', reason='triton is not installed')

# Triton compiles for a GPU that is not there, with what a launch tells it: None and every 1 are
# constants, and pointers and most sizes are multiples of 16.
COMPILE = """
import json
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from robomamba_ros.mamba.triton import conv, scan

SCAN = {'use_softplus': True, 'STRETCH': scan.STRETCH, 'STATES': 16, 'CHANNELS': scan.BLOCK}
CONV = {'STEPS': 4, 'CHANNELS': conv.BLOCK}
# These are read and written in the type of the model, all others in that of the computation.
MODEL = ('u', 'delta', 'B', 'C', 'z', 'y', 'x', 'weight', 'bias')


def compile_for(kernel, constants, architecture, dtype, **options):
    names = [parameter.name for parameter in kernel.params]
    constants = {name: constants[name] for name in names if name in constants}
    signature, attributes = {}, {}
    for i, name in enumerate(names):
        in_model = name.removeprefix('grad_') in MODEL
        pointer = '*' + (dtype if in_model or dtype == 'fp64' else 'fp32')
        signature[name] = pointer if i < names.index('length') else 'i32'
        if name in constants:
            signature[name] = 'constexpr'
        elif name != 'length':
            attributes[(i,)] = [['tt.divisibility', 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    target = GPUTarget('cuda', architecture, 32)
    return triton.compile(source, target=target, options={'enable_fp_fusion': False, **options})


ONE = dict.fromkeys(('length', 'd', 'n'), 1)
BARE = dict.fromkeys(('D', 'z', 'bias'))
shared = []
# bfloat16 beside float32 mixes the types, and float64 is where a float32 literal stands out; what
# compiles with both compiles in float32. More taps than two are only more turns of a loop.
for architecture, dtype, taps, given in ((80, 'bf16', 4, {}), (90, 'fp64', 2, {**ONE, **BARE})):
    inference = {**SCAN, **given}
    training = {name: value for name, value in inference.items() if name != 'checkpoints'}
    forward = compile_for(scan.forward, inference, architecture, dtype, num_warps=1)
    shared.append(forward.metadata.shared)
    assert compile_for(scan.backward, training, architecture, dtype, num_warps=1).asm['cubin']
    for kernel in (conv.forward, conv.backward):
        constants = {**CONV, 'TAPS': taps, 'STATE': taps, **given}
        assert compile_for(kernel, constants, architecture, dtype).asm['cubin']
STREAMED = {**SCAN, 'checkpoints': None, 'length': 1}
shared.append(compile_for(scan.forward, STREAMED, 90, 'fp32', num_warps=1).metadata.shared)
print(json.dumps(shared))
"""

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
CONFIG = MambaConfig(d_model=16, n_layer=2, d_state=8)


def test_every_kernel_compiles_for_gpus_and_the_scan_keeps_its_state_in_registers(tmp_path):
    environment = {
        **os.environ,
        'TRITON_CACHE_DIR': str(tmp_path),
        'PYTHONPATH': ':'.join(sys.path),
    }
    environment.pop('TRITON_INTERPRET', None)
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', COMPILE],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A state that were spread over threads would go through shared memory at every step.
    assert json.loads(done.stdout) == [0, 0, 0]


def make_backbone(backend):
    torch.manual_seed(0)
    return MambaBackbone(CONFIG, backend=backend).eval()


@torch.no_grad()
def test_a_backbone_gives_what_the_reference_gives_at_any_cut():
    embeddings = torch.randn(2, 5, 16, device=DEVICE)
    expected, last = make_backbone('reference').to(DEVICE)(embeddings)
    backbone = make_backbone('triton').to(DEVICE)
    first, state = backbone(embeddings[:, :2])
    second, state = backbone(embeddings[:, 2:3], state)
    third, state = backbone(embeddings[:, 3:], state)
    hidden = torch.cat((first, second, third), 1)
    torch.testing.assert_close(hidden, expected, rtol=1e-4, atol=1e-4)
    for found, exact in zip(state.layers, last.layers, strict=True):
        torch.testing.assert_close(found.ssm, exact.ssm, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.conv, exact.conv, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_scan_and_convolution_give_the_same_bits_at_any_cut():
    # The convolution has stretches of 16 steps; to a scan without gradients all steps are alike.
    u, delta, z = torch.randn(3, 1, 37, 20, device=DEVICE)
    B, C = torch.randn(2, 1, 37, 16, device=DEVICE)
    A, weight = -torch.rand(20, 16, device=DEVICE), torch.randn(20, 4, device=DEVICE)
    D, bias = torch.randn(2, 20, device=DEVICE)

    def scan(start, stop, state):
        part = slice(start, stop)
        parts = (u[:, part], delta[:, part], A, B[:, part], C[:, part], D, z[:, part], bias)
        return selective_scan(*parts, True, state, backend='triton')

    def convolve(start, stop, state):
        return causal_conv1d(u[:, start:stop], weight, bias, state, backend='triton')

    for run, steps, cuts in ((scan, 6, (1, 3)), (convolve, 37, (1, 16, 23, 36))):
        whole, last = run(0, steps, None)
        for cut in cuts:
            first, state = run(0, cut, None)
            second, final = run(cut, steps, state)
            assert torch.equal(torch.cat((first, second), 1), whole), (run.__name__, cut)
            assert torch.equal(final, last), (run.__name__, cut)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='a CUDA graph needs CUDA')
@torch.no_grad()
def test_a_streamed_step_replays_from_a_cuda_graph():
    backbone = make_backbone('triton').to('cuda')
    token = torch.zeros(1, 1, 16, device='cuda')
    carried = MambaState.empty(CONFIG, 1, device='cuda')
    tokens = torch.randn(6, 1, 1, 16, device='cuda')
    expected, state = [], None
    for each in tokens:
        hidden, state = backbone(each, state)
        expected.append(hidden)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        backbone(token, carried)  # compiles what the graph will hold
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        hidden, after = backbone(token, carried)
        carried.restore(after)
    carried.reset()
    for each, exact in zip(tokens, expected, strict=True):
        token.copy_(each)
        graph.replay()
        torch.testing.assert_close(hidden, exact, rtol=1e-5, atol=1e-5)
