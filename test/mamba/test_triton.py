"""What the interpreter cannot show: the kernels compile for GPUs, and run inside a CUDA graph."""

import json
import os
import subprocess
import sys

import pytest
import torch

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.norm import RMSNorm
from robomamba_ros.mamba.scan import selective_scan
from robomamba_ros.mamba.state import MambaState

pytest.importorskip('triton', reason='triton is not installed')

from robomamba_ros.mamba.scan import triton as triton_scan
from robomamba_ros.mamba.triton import conv as triton_conv

# Triton compiles for a GPU that is not there. bfloat16 beside float32 mixes the types, and float64
# is where a float32 literal stands out; what compiles with both compiles in float32.
COMPILE = """
import json
from robomamba_ros.mamba.triton import conv, scan
from robomamba_ros.mamba.triton.resources import INFERENCE, TRAINING, compile_for, measure

skipped = ('scan, stretches: outputs', 'convolution', 'scan, with checkpoints')
kernels = [kernel for kernel in (*INFERENCE, *TRAINING) if kernel.name not in skipped]
taken = {name: vars(resources) for name, resources in measure(kernels, 87, counted=False)}
bare = dict.fromkeys(('D', 'z', 'bias', 'initial', 'checkpoints', 'valid'))
for kernel in kernels:
    if kernel.function in (scan.forward, scan.backward, conv.forward, conv.backward):
        given = {'d': 1, 'n': 1, 'TAPS': 2, 'STATE': 2, 'STEPS': 4}
        if kernel in INFERENCE:
            given |= bare
        else:
            given |= {name: None for name in ('D', 'z', 'bias')}
        assert compile_for(kernel, 90, 'fp64', given).asm['cubin']
print(json.dumps(taken))
"""

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
CONFIG = MambaConfig(d_model=16, n_layer=2, d_state=8)


def test_every_kernel_compiles_for_gpus_and_keeps_its_state_in_registers(tmp_path):
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
    for name, taken in json.loads(done.stdout).items():
        assert taken['spilled_bytes'] == 0, (name, taken)
        trained = 'gradients' in name
        # With 128 registers a thread, 16 warps share a multiprocessor.
        assert taken['registers'] <= (255 if trained else 136), (name, taken)
        # A state that were spread over threads would go through shared memory at every step.
        assert taken['shared_bytes'] == 0 or name.startswith(('sum', 'conv')) or trained, name


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


def inputs_of(steps, d, n):
    u, delta, z = torch.randn(3, 1, steps, d, device=DEVICE)
    B, C = torch.randn(2, 1, steps, n, device=DEVICE)
    D, bias = torch.randn(2, d, device=DEVICE)
    A = -4 * torch.rand(d, n, device=DEVICE)
    return (u, delta, A, B, C, D, z, bias), torch.randn(1, n, d, device=DEVICE).transpose(1, 2)


def cut(inputs, stop):
    return [x[:, :stop] if x.ndim == 3 else x for x in inputs]


@torch.no_grad()
def test_stretches_give_what_the_recurrence_gives_in_float64_and_padding_changes_no_bit():
    # Two stretches, the second of one token; more channels than one program folds or walks.
    inputs, start = inputs_of(19, 65, 3)
    text = cut(inputs, 17)
    y, last = selective_scan(*text, True, start, backend='triton')
    exact = selective_scan(*[x.double() for x in text], True, start.double(), backend='reference')
    for found, expected in zip((y, last), exact, strict=True):
        assert (found - expected).norm() / expected.norm() < 1e-6
    valid = torch.tensor([17], dtype=torch.int32, device=DEVICE)
    padded, after = triton_scan.selective_scan(*inputs, True, start, valid)
    assert torch.equal(padded[:, :17], y)
    assert torch.equal(after, last)


@torch.no_grad()
def test_a_state_is_written_over_in_its_own_memory():
    (u, delta, A, B, C, D, z, bias), start = inputs_of(6, 33, 3)
    weight, window = torch.randn(33, 4, device=DEVICE), torch.randn(1, 3, 33, device=DEVICE)

    def scan(state, **options):
        parts = (u, delta, A, B, C, D, z, bias)
        return selective_scan(*parts, True, state, backend='triton', **options)

    def convolve(state, **options):
        return causal_conv1d(u, weight, bias, state, backend='triton', **options)

    for run, state in ((scan, start), (convolve, window)):
        y, last = run(state)
        address = state.data_ptr()
        again, same = run(state, in_place=True)
        assert same is state
        assert state.data_ptr() == address
        assert torch.equal(again, y)
        assert torch.equal(state, last)
    # A state without a value is zero.
    zeros = scan(torch.zeros_like(start))
    assert all(map(torch.equal, zeros, scan(None)))
    zeros = convolve(torch.zeros_like(window))
    assert all(map(torch.equal, zeros, convolve(None)))


@torch.no_grad()
def test_a_padded_convolution_keeps_the_inputs_before_the_padding():
    x, weight = torch.randn(1, 19, 5, device=DEVICE), torch.randn(5, 4, device=DEVICE)
    for text in (1, 18):
        window = torch.randn(1, 3, 5, device=DEVICE)
        y, last = triton_conv.causal_conv1d(x[:, :text], weight, None, window)
        valid = torch.tensor([text], dtype=torch.int32, device=DEVICE)
        padded, after = triton_conv.causal_conv1d(x, weight, None, window, valid)
        assert torch.equal(padded[:, :text], y)
        assert torch.equal(after, last)


@pytest.mark.parametrize('weight', [torch.float32, torch.float64, torch.bfloat16])
@torch.no_grad()
def test_sum_and_norm_are_one_pass_with_the_values_of_two(weight):
    norm = RMSNorm(19, 1e-2, 'triton').to(DEVICE, weight)
    norm.weight.normal_()
    stream = torch.promote_types(weight, torch.float32)
    x = torch.randn(2, 3, 19, dtype=stream, device=DEVICE)
    update = torch.randn(2, 3, 19, device=DEVICE).to(weight)
    total, normed = norm.add(x, update)
    assert torch.equal(total, x + update)
    assert normed.dtype == weight
    expected = torch.nn.functional.rms_norm(total.double(), (19,), norm.weight.double(), 1e-2)
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 8e-3}[weight]
    torch.testing.assert_close(normed.double(), expected, rtol=tolerance, atol=tolerance)
    assert norm.add(x, None)[0] is x


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
