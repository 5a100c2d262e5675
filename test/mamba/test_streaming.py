"""Long streams and cached prefixes: bounded memory, bounded drift, the same bits where promised."""

import gc
import sys

import pytest
import torch

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.scan import available_backends, selective_scan
from robomamba_ros.mamba.state import MambaState

# Several times what the slowest channel remembers.
STEPS, WARM_UP = 3_000, 300
# The reference walks in Python, and is what the others are compared with.
REFERENCE_STEPS = 1200
DRIFT = 1e-6  # relative error of a hidden state; float32 resolves 1.2e-7
GROWTH = 0.5  # blocks of memory a step; caches that fill once in a process take some hundred

STREAM = MambaConfig(d_model=16, n_layer=1, d_state=8)
POLICY = MambaConfig(d_model=96, n_layer=3)


def make_backbone(config, backend):
    """Return a backbone whose channels remember for 1 to 1000 steps, with no two rates equal."""
    torch.manual_seed(0)
    backbone = MambaBackbone(config, backend=backend).eval()
    with torch.no_grad():
        for layer in backbone.layers:
            layer.mixer.A_log.add_(0.3 * torch.randn_like(layer.mixer.A_log))
            layer.mixer.D.normal_()
    return backbone


def tensors(state):
    return [tensor for layer in state.layers for tensor in (layer.conv, layer.ssm)]


def memory(state):
    return [tensor.untyped_storage().nbytes() for tensor in tensors(state)]


def allocated():
    gc.collect()
    return sys.getallocatedblocks()


def relative(found, expected):
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()


@pytest.mark.parametrize('backend', available_backends())
@torch.no_grad()
def test_thousands_of_steps_keep_memory_and_do_not_drift(backend):
    steps = REFERENCE_STEPS if backend == 'reference' else STEPS
    backbone = make_backbone(STREAM, backend)
    embeddings = torch.randn(1, steps, 16)
    streamed = torch.empty_like(embeddings)
    state = MambaState.empty(STREAM, 1)
    at_start = memory(state)
    for step in range(steps):
        if step == WARM_UP:
            before = allocated()
        streamed[:, step : step + 1], state = backbone(embeddings[:, step : step + 1], state)
    assert allocated() - before < GROWTH * (steps - WARM_UP)
    assert memory(state) == at_start

    whole, last = backbone(embeddings)
    assert relative(streamed, whole) < DRIFT
    assert relative(streamed[:, -WARM_UP:], whole[:, -WARM_UP:]) < DRIFT
    for found, expected in zip(tensors(state), tensors(last), strict=True):
        assert (found - expected).norm() / expected.norm() < DRIFT
    recurrence = make_backbone(STREAM, 'reference').double()
    recurrence.load_state_dict(backbone.state_dict())
    exact, _ = recurrence(embeddings.double())
    assert relative(streamed, exact) < DRIFT


@pytest.mark.parametrize('backend', available_backends())
@pytest.mark.parametrize('rest', [1, 2, 37])
@torch.no_grad()
def test_a_cached_prefix_gives_the_bits_of_an_uncached_one(backend, rest):
    backbone = make_backbone(POLICY, backend)
    prefix = torch.randn(1, 24, 96)
    cache = backbone(prefix)[1].snapshot()
    live = MambaState.empty(POLICY, 1)
    for _ in range(3):  # ticks of one episode
        observation = torch.randn(1, rest, 96)
        expected, expected_state = backbone(observation, backbone(prefix)[1])
        live.restore(cache)
        hidden, state = backbone(observation, live)
        assert torch.equal(hidden, expected)
        for found, uncached in zip(tensors(state), tensors(expected_state), strict=True):
            assert torch.equal(found, uncached)
        live.restore(state)  # what a tick leaves behind must not reach the cache


@pytest.mark.parametrize('backend', available_backends())
@pytest.mark.parametrize('cut', [1, 7, 60])
@torch.no_grad()
def test_a_cut_changes_the_hidden_states_by_rounding_alone(backend, cut):
    backbone = make_backbone(POLICY, backend)
    embeddings = torch.randn(1, 61, 96)
    whole, _ = backbone(embeddings)
    first, state = backbone(embeddings[:, :cut])
    second, _ = backbone(embeddings[:, cut:], state)
    assert relative(torch.cat((first, second), 1), whole) < DRIFT


@pytest.mark.parametrize('backend', available_backends())
@pytest.mark.parametrize('cut', [1, 16, 23, 60])
@torch.no_grad()
def test_the_recurrence_itself_gives_the_same_bits_at_any_cut(backend, cut):
    u, delta, z = torch.randn(3, 1, 61, 192)
    B, C = torch.randn(2, 1, 61, 16)
    A, D, bias = -torch.rand(192, 16), torch.randn(192), torch.randn(192)

    def scan(part, state):
        parts = (u[:, part], delta[:, part], A, B[:, part], C[:, part], D, z[:, part], bias)
        return selective_scan(*parts, True, state, backend=backend)

    weight = torch.randn(192, 4)

    def conv(part, state):
        return causal_conv1d(u[:, part], weight, bias, state, backend=backend)

    for run in (scan, conv):
        whole, last = run(slice(None), None)
        first, state = run(slice(None, cut), None)
        second, final = run(slice(cut, None), state)
        assert torch.equal(torch.cat((first, second), 1), whole), run.__name__
        assert torch.equal(final, last), run.__name__
