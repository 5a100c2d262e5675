"""Weights that are about to be read: modules without values, and what does not fit by name."""

import pytest
import torch
from torch import nn

from robomamba_ros.errors import CheckpointError
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.weights import fit_weights, uninitialised


def test_nothing_is_drawn_for_weights_that_are_about_to_be_read():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    with uninitialised():
        nn.Linear(64, 64)
        nn.Conv2d(3, 8, 3)
        nn.Embedding(100, 8)
    assert torch.equal(torch.random.get_rng_state(), before)
    nn.Linear(64, 64)
    assert not torch.equal(torch.random.get_rng_state(), before)


def test_initialisers_that_draw_until_they_are_content_come_to_an_end():
    with uninitialised():
        nn.init.trunc_normal_(torch.empty(1000), std=0.02)


def test_a_module_made_so_computes_what_its_weights_say():
    torch.manual_seed(0)
    config = MambaConfig(d_model=16, n_layer=2, d_state=4)
    whole = MambaBackbone(config).eval()
    with uninitialised():
        bare = MambaBackbone(config).eval()
    fit_weights(bare, whole.state_dict(), 'here', 'there')
    inputs = torch.randn(1, 5, 16)
    with torch.no_grad():
        assert torch.equal(bare(inputs)[0], whole(inputs)[0])


def test_everything_that_does_not_fit_is_named():
    found = {'weight': torch.zeros(2, 2), 'gain': torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        fit_weights(nn.Linear(3, 2), found, 'a file', 'its description')
    assert str(caught.value).splitlines() == [
        'a file does not fit its description:',
        '  bias: missing',
        '  gain: not part of this model',
        '  weight: shape (2, 2), expected (2, 3)',
    ]
