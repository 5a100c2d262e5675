"""What is counted, against numbers worked out by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.policies.cost import linear_macs, macs, mamba_macs, parameters, state_bytes
from robomamba_ros.policies.registry import describe_policy

MAMBA = MambaConfig(d_model=8, n_layer=3, d_state=4)  # d_inner 16, rank 1, 4 taps


def test_products_and_convolutions():
    assert macs(nn.Linear(5, 7), torch.zeros(2, 3, 5)) == 2 * 3 * 5 * 7
    convolution = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    assert macs(convolution, torch.zeros(1, 4, 8, 8)) == 4 * 4 * 6 * (2 * 3 * 3)
    assert linear_macs(3, nn.Linear(5, 7)) == 3 * 5 * 7
    assert linear_macs(3, nn.Identity()) == 0


def test_attention():
    class Attend(nn.Module):
        def forward(self, query, key):
            fused = functional.scaled_dot_product_attention(query, key, key)
            return fused, (query @ key.transpose(1, 2)).softmax(-1) @ key

    # 2 sequences of 3 queries on 5 keys of width 4: scores and sums, in both ways of writing it.
    expected = 2 * (2 * 3 * 5 * 4 + 2 * 3 * 5 * 4)
    assert macs(Attend(), torch.zeros(2, 3, 4), torch.zeros(2, 5, 4)) == expected


def test_a_mamba_backbone():
    # In, convolution, x to (delta, B, C), delta, scan, out; for each of 3 layers and 10 tokens.
    token = 8 * 32 + 16 * 4 + 16 * 9 + 1 * 16 + 3 * 16 * 4 + 16 * 8
    assert mamba_macs(MAMBA, 10) == 10 * 3 * token
    backbone = MambaBackbone(MAMBA, backend='reference')
    matrices = macs(backbone, torch.zeros(1, 10, 8))
    assert matrices == mamba_macs(MAMBA, 10) - 10 * 3 * (16 * 4 + 3 * 16 * 4)
    assert state_bytes(MAMBA) == 3 * 4 * (3 * 16 + 16 * 4)


def test_the_papers_policy_has_the_papers_size():
    """467M parameters and 91 G operations (section V-A), which are multiply-accumulates."""
    pytest.importorskip('transformers', reason='SigLIP needs transformers')
    found = describe_policy('anolevla-467m')
    assert found.parameters == pytest.approx(466.5e6, abs=0.1e6)
    assert found.macs == pytest.approx(90.9e9, rel=0.02)
    parts = {part.name: part for part in found.parts}
    # 12 blocks on 196 patches: four projections, two of the perceptron, scores and sums.
    block = 196 * (4 * 768**2 + 2 * 768 * 3072) + 2 * 196**2 * 768
    patches, projection = 196 * 768 * 16**2 * 3, 196 * 768 * 1024
    assert parts['vision'].macs == 12 * block + patches + projection
    assert parts['backbone'].macs == mamba_macs(MambaConfig(1024, 48), 230)
    assert parts['language'].parameters == 50280 * 1024 + 1024 * 1025
    assert found.memory['float32'] == 4 * found.parameters
    assert found.memory['bfloat16'] == pytest.approx(2 * found.parameters, rel=0.02)
    assert found.state_bytes == 48 * 4 * (3 * 2048 + 16 * 2048)
    assert 'state 1, delta_state 1, vision 196, language 32: 230' in found.text()


def test_a_description_counts_what_the_network_has(write_anolevla, documents, tmp_path):
    network = write_anolevla(tmp_path / 'small', documents['small'])
    assert describe_policy(str(tmp_path / 'small')).parameters == parameters(network)
