import gc
import weakref

import pytest
import torch
from torch import nn

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig, MambaLanguageModel
from robomamba_ros.mamba.packing import MANY, ONE, PackedLinear, laid_out_rows, pack

CONFIG = MambaConfig(d_model=48, n_layer=2, d_state=5)
packable = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason='this build of torch has no oneDNN'
)


def make_backbone(dtype=torch.float32):
    backbone = MambaBackbone(CONFIG).to(dtype).eval().requires_grad_(False)
    for layer in backbone.layers:
        layer.mixer.D.normal_()
        layer.mixer.conv1d.bias.normal_()
    return backbone


@packable
@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float64, 1e-12)]
)
@pytest.mark.parametrize('length', [1, 2, 63])
@torch.no_grad()
def test_a_packed_backbone_gives_the_same_answer_from_any_state(dtype, tolerance, length):
    backbone = make_backbone(dtype)
    prompt, tokens = torch.randn(2, 7, 48, dtype=dtype), torch.randn(2, length, 48, dtype=dtype)
    _, state = backbone(prompt)
    expected, expected_state = backbone(tokens, state)
    pack(backbone)
    hidden, last = backbone(tokens, state)
    torch.testing.assert_close(hidden, expected, rtol=tolerance, atol=tolerance)
    for found, wanted in zip(last.layers, expected_state.layers, strict=True):
        torch.testing.assert_close(found.ssm, wanted.ssm, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(found.conv, wanted.conv, rtol=tolerance, atol=tolerance)


@packable
@pytest.mark.parametrize('tied', [True, False])
@torch.no_grad()
def test_a_packed_language_model_gives_the_same_logits(tied):
    model = MambaLanguageModel(LanguageModelConfig(CONFIG, 61, 64, tied)).eval()
    tokens = torch.randint(0, 61, (2, 9))
    expected, _ = model(tokens)
    model.pack()
    logits, _ = model(tokens)
    assert logits.shape == (2, 9, 61)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@packable
def test_what_can_be_packed_is_and_the_rest_stays():
    model = nn.ModuleDict(
        {
            'deep': nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8, bias=False)),
            'exact': nn.Linear(8, 8, dtype=torch.float64),
            'attention': nn.MultiheadAttention(8, 2),
        }
    )
    x = torch.randn(3, 8)
    with torch.no_grad():
        expected = model['deep'](x)
        pack(model)
        torch.testing.assert_close(model['deep'](x), expected)
        model['attention'](x, x, x)
    kinds = [type(module) for module in model['deep']]
    assert kinds == [PackedLinear, nn.GELU, PackedLinear]
    assert type(model['exact']) is nn.Linear


@packable
def test_a_packed_model_refuses_to_be_saved_without_its_weights():
    backbone = make_backbone()
    assert 'layers.1.mixer.in_proj.weight' in backbone.state_dict()
    pack(backbone)
    with pytest.raises(RuntimeError, match='save it before'):
        backbone.state_dict()


@packable
def test_packed_weights_take_the_place_of_the_plain_ones():
    layer = nn.Sequential(nn.Linear(64, 64))
    plain = weakref.ref(layer[0].weight)
    pack(layer)
    gc.collect()
    assert plain() is None


@torch.no_grad()
def test_the_residual_stream_of_16_bit_weights_is_float32():
    backbone = MambaBackbone(MambaConfig(d_model=8, n_layer=1)).to(torch.bfloat16)
    seen = []
    backbone.layers[0].register_forward_hook(lambda module, args, out: seen.append(out[0]))
    hidden, _ = backbone(torch.randn(1, 3, 8, dtype=torch.bfloat16))
    assert seen[0].dtype == torch.float32
    assert hidden.dtype == torch.bfloat16


@packable
@pytest.mark.parametrize(
    ('instructions', 'rows'), [('AVX2', ONE), ('AVX512', MANY), ('DEFAULT', MANY)]
)
@torch.no_grad()
def test_the_instructions_decide_what_the_layout_is_made_for(monkeypatch, instructions, rows):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: instructions)
    assert laid_out_rows() == rows
    layer = nn.Linear(70, 33)
    packed = PackedLinear(layer.weight, layer.bias)
    for count in (1, 3, 40):
        x = torch.randn(count, 70)
        torch.testing.assert_close(packed(x), layer(x))
