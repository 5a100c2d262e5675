import pytest
import torch

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.state import MambaState

CONFIG = MambaConfig(d_model=12, n_layer=3, d_state=4)


def tensors(state):
    return [tensor for layer in state.layers for tensor in (layer.conv, layer.ssm)]


def used_state(batch=2):
    _, state = MambaBackbone(CONFIG).eval()(torch.randn(batch, 5, 12))
    return state


def test_an_empty_state_has_the_sizes_of_the_configuration():
    state = MambaState.empty(CONFIG, 2)
    assert [tuple(x.shape) for x in tensors(state)] == [(2, 3, 24), (2, 24, 4)] * 3
    assert all(x.dtype == torch.float32 and not x.any() for x in tensors(state))


def test_a_snapshot_does_not_alias():
    state = used_state()
    snapshot = state.snapshot()
    kept = [x.clone() for x in tensors(snapshot)]
    state.reset()
    assert all(not x.any() for x in tensors(state))
    for found, expected in zip(tensors(snapshot), kept, strict=True):
        assert torch.equal(found, expected)
        assert found.any()
        assert not found.requires_grad


def test_restore_copies_into_the_same_memory():
    state = MambaState.empty(CONFIG, 2)
    addresses = [x.data_ptr() for x in tensors(state)]
    snapshot = used_state().snapshot()
    state.restore(snapshot)
    assert [x.data_ptr() for x in tensors(state)] == addresses
    for found, expected in zip(tensors(state), tensors(snapshot), strict=True):
        assert torch.equal(found, expected)


def test_a_snapshot_of_another_batch_is_refused():
    with pytest.raises(ValueError, match='batch 1 does not fit a state of 3 layers and batch 2'):
        MambaState.empty(CONFIG, 2).restore(MambaState.empty(CONFIG, 1))
