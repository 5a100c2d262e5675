import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.errors import ConfigError
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.scan import available_backends
from robomamba_ros.mamba.state import MambaState

CONFIG = MambaConfig(d_model=24, n_layer=3, d_state=8)


def make_backbone(config=CONFIG, **options):
    torch.manual_seed(0)
    return MambaBackbone(config, **options).eval()


def tensors(state):
    return [tensor for layer in state.layers for tensor in (layer.conv, layer.ssm)]


@pytest.mark.parametrize('backend', available_backends())
@given(cuts=st.sets(st.integers(1, 36)), batch=st.integers(1, 3))
@settings(deadline=None, max_examples=10, derandomize=True)
@torch.no_grad()
def test_chunks_and_single_steps_give_what_the_whole_gives(backend, cuts, batch):
    backbone = make_backbone(backend=backend)
    embeddings = torch.randn(batch, 37, 24)
    whole, last = backbone(embeddings)
    state, parts = MambaState.empty(CONFIG, batch), []
    edges = [0, *sorted(cuts), 37]
    for start, stop in itertools.pairwise(edges):
        part, state = backbone(embeddings[:, start:stop], state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-5, atol=1e-5)
    for found, expected in zip(tensors(state), tensors(last), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_given_state_is_not_written():
    backbone = make_backbone()
    _, state = backbone(torch.randn(2, 5, 24))
    kept = state.snapshot()
    first, _ = backbone(torch.randn(2, 1, 24), state)
    for found, expected in zip(tensors(state), tensors(kept), strict=True):
        assert torch.equal(found, expected)
    assert not torch.equal(first, backbone(torch.randn(2, 1, 24))[0])


@pytest.mark.parametrize('backend', available_backends())
def test_one_layer_is_the_papers_equations(backend):
    config = MambaConfig(d_model=6, n_layer=1, d_state=3, dt_rank=2)
    # The compiled backend computes in float32 alone.
    dtype, tolerance = (torch.float32, 2e-5) if backend == 'cpu' else (torch.float64, 1e-10)
    backbone = make_backbone(config, backend=backend).to(dtype)
    weights = {name: value.double() for name, value in backbone.state_dict().items()}
    p = {name.removeprefix('layers.0.mixer.'): value for name, value in weights.items()}
    embeddings = torch.randn(1, 5, 6, dtype=torch.float64)

    def norm(x, weight):
        return x / (x.square().mean(-1, keepdim=True) + config.norm_epsilon).sqrt() * weight

    x, z = (norm(embeddings, weights['layers.0.norm.weight']) @ p['in_proj.weight'].T).chunk(2, -1)
    padded = torch.cat((torch.zeros(1, 3, 12, dtype=torch.float64), x), 1)
    taps = p['conv1d.weight'][:, 0]
    u = F.silu(sum(padded[:, i : i + 5] * taps[:, i] for i in range(4)) + p['conv1d.bias'])
    rank, B, C = (u @ p['x_proj.weight'].T).split((2, 3, 3), -1)
    delta = F.softplus(rank @ p['dt_proj.weight'].T + p['dt_proj.bias'])
    h, outputs = torch.zeros(12, 3, dtype=torch.float64), []
    for t in range(5):
        decay = torch.exp(delta[0, t, :, None] * -p['A_log'].exp())
        h = decay * h + (delta[0, t] * u[0, t])[:, None] * B[0, t]
        outputs.append(h @ C[0, t] + p['D'] * u[0, t])
    mixed = (torch.stack(outputs) * F.silu(z[0])) @ p['out_proj.weight'].T
    expected = norm(embeddings[0] + mixed, weights['norm_f.weight'])
    hidden, state = backbone(embeddings.to(dtype))
    for found, value in (
        (hidden[0], expected),
        (state.layers[0].ssm[0], h),
        (state.layers[0].conv, x[:, 2:]),
    ):
        torch.testing.assert_close(found.double(), value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('backend', available_backends())
def test_every_parameter_and_the_embeddings_get_the_reference_gradient(backend):
    gradients = {}
    for name in ('reference', backend):
        backbone = make_backbone(backend=name)
        torch.manual_seed(1)
        embeddings = torch.randn(2, 21, 24, requires_grad=True)
        hidden, _ = backbone(embeddings)
        (hidden * torch.randn(hidden.shape)).sum().backward()
        gradients[name] = {'embeddings': embeddings.grad} | {
            key: parameter.grad for key, parameter in backbone.named_parameters()
        }
    for key, expected in gradients['reference'].items():
        assert expected.any(), key
        error = (gradients[backend][key] - expected).norm() / expected.norm()
        assert error < 1e-4, key


def test_under_autocast_products_are_bfloat16_and_the_state_stays_float32():
    backbone = make_backbone()
    embeddings = torch.randn(2, 20, 24)
    exact, _ = backbone(embeddings)
    with torch.autocast('cpu', torch.bfloat16):
        hidden, state = backbone(embeddings)
        hidden.float().square().sum().backward()
    assert all(x.dtype == torch.float32 for x in tensors(state))
    assert not torch.equal(hidden.float(), exact)
    assert (hidden.float() - exact).norm() / exact.norm() < 0.02
    assert all(p.grad.isfinite().all() for p in backbone.parameters())


@torch.no_grad()
def test_bfloat16_weights_keep_a_float32_state():
    backbone = make_backbone()
    embeddings = torch.randn(1, 20, 24)
    exact, _ = backbone(embeddings)
    hidden, state = backbone.to(torch.bfloat16)(embeddings.bfloat16())
    assert hidden.dtype == torch.bfloat16
    assert all(x.dtype == torch.float32 for x in tensors(state))
    assert (hidden.float() - exact).norm() / exact.norm() < 0.05


def test_a_gradient_flows_back_through_a_carried_state():
    backbone = make_backbone()
    past = torch.randn(1, 4, 24, requires_grad=True)
    _, state = backbone(past)
    hidden, _ = backbone(torch.randn(1, 1, 24), state)
    hidden.sum().backward()
    assert past.grad.abs().sum() > 0


def test_initial_values_are_those_of_mamba():
    torch.manual_seed(0)
    mixer = MambaBackbone(MambaConfig(d_model=256, n_layer=8)).layers[0].mixer
    steps = F.softplus(mixer.dt_proj.bias)
    assert 1e-3 * 0.999 <= steps.min() < 2e-3
    assert 5e-2 < steps.max() <= 1e-1 * 1.001
    assert torch.allclose(-mixer.A_log.exp(), -torch.arange(1.0, 17.0).expand(512, 16))
    assert torch.equal(mixer.D, torch.ones(512))
    assert mixer.dt_proj.weight.abs().max() <= 16**-0.5
    bound = 1 / math.sqrt(512) / math.sqrt(8)  # a linear layer's range, divided by sqrt(n_layer)
    assert 0.99 * bound < mixer.out_proj.weight.abs().max() <= bound


def test_parameter_names_are_those_of_native_checkpoints():
    names = set(make_backbone(MambaConfig(8, 1)).state_dict())
    parts = 'in_proj.weight conv1d.weight conv1d.bias x_proj.weight dt_proj.weight dt_proj.bias'
    expected = {f'layers.0.mixer.{part}' for part in f'{parts} A_log D out_proj.weight'.split()}
    assert names == expected | {'layers.0.norm.weight', 'norm_f.weight'}


def test_what_does_not_fit_is_refused():
    backbone = make_backbone()
    with pytest.raises(ValueError, match=r'embeddings \(b, l >= 1, 24\), got \(2, 5, 23\)'):
        backbone(torch.randn(2, 5, 23))
    with pytest.raises(ValueError, match='state is of batch 1, the embeddings of batch 2'):
        backbone(torch.randn(2, 5, 24), MambaState.empty(CONFIG, 1))
    with pytest.raises(ValueError, match='state has 1 layers, the backbone 3'):
        backbone(torch.randn(1, 5, 24), MambaState.empty(MambaConfig(24, 1, d_state=8), 1))
    with pytest.raises(ConfigError, match='n_layer is 0'):
        MambaConfig(8, 0)
    with pytest.raises(ConfigError, match="dt_rank is 'fixed'"):
        MambaConfig(8, 1, dt_rank='fixed')
