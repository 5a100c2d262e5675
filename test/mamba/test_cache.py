import pytest
import torch

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.cache import PrefixCache, Stream

CONFIG = MambaConfig(d_model=24, n_layer=2, d_state=4)


@pytest.fixture
def backbone():
    return MambaBackbone(CONFIG).eval().requires_grad_(False)


@pytest.fixture
def lengths(backbone):
    """The number of tokens of every pass through the backbone, as they happen."""
    seen = []
    backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]))
    return seen


def test_a_prefix_is_computed_once_and_gives_the_bits_of_one_that_is_not_kept(backbone, lengths):
    kept, recomputed = PrefixCache(backbone), PrefixCache(backbone, enabled=False)
    prefix = torch.randn(1, 9, 24)
    for _ in range(3):
        rest = torch.randn(1, 5, 24)
        found, state = kept(prefix.clone(), rest)
        expected, expected_state = recomputed(prefix, rest)
        assert torch.equal(found, expected)
        assert torch.equal(state.layers[1].ssm, expected_state.layers[1].ssm)
    assert lengths == [9, 5, 9, 5] + 2 * [5, 9, 5]


@pytest.mark.parametrize(
    'change',
    [
        lambda prefix: prefix + torch.eye(24)[3] * 1e-6,
        lambda prefix: prefix[:, :-1],
        lambda prefix: prefix.repeat(2, 1, 1),
        lambda prefix: prefix.double().float() * 0,
    ],
)
def test_another_prefix_is_not_answered_from_the_kept_one(backbone, change):
    cache = PrefixCache(backbone)
    prefix = torch.randn(1, 9, 24)
    cache(prefix, torch.randn(1, 5, 24))
    other = change(prefix)
    rest = torch.randn(other.shape[0], 5, 24)
    expected, _ = PrefixCache(backbone)(other, rest)
    assert torch.equal(cache(other, rest)[0], expected)


def test_what_a_caller_does_to_its_prefix_does_not_reach_the_cache(backbone):
    cache = PrefixCache(backbone)
    prefix, rest = torch.randn(1, 9, 24), torch.randn(1, 5, 24)
    cache(prefix, rest)
    prefix.add_(1.0)
    expected, _ = PrefixCache(backbone)(prefix, rest)
    assert torch.equal(cache(prefix, rest)[0], expected)


def test_clear_forgets_the_state_of_other_weights(backbone, lengths):
    cache = PrefixCache(backbone)
    prefix, rest = torch.randn(1, 9, 24), torch.randn(1, 5, 24)
    cache(prefix, rest)
    backbone.layers[0].mixer.D.zero_()
    cache.clear()
    found, _ = cache(prefix, rest)
    assert lengths == [9, 5, 9, 5]
    assert torch.equal(found, PrefixCache(backbone)(prefix, rest)[0])


def test_a_stream_costs_its_new_tokens_and_answers_as_the_whole(backbone, lengths):
    stream = Stream(backbone)
    tokens = torch.randn(1, 12, 24)
    parts = torch.cat([stream(part) for part in tokens.split([5, 1, 4, 2], dim=1)], dim=1)
    assert lengths == [5, 1, 4, 2]
    torch.testing.assert_close(parts, backbone(tokens)[0], rtol=1e-5, atol=1e-6)


def test_a_stream_begins_anew_after_reset_and_survives_a_wrong_batch(backbone):
    stream = Stream(backbone)
    tokens = torch.randn(1, 6, 24)
    first = stream(tokens)
    assert not torch.equal(stream(tokens), first)
    with pytest.raises(ValueError, match='batch 1'):
        stream(tokens.repeat(2, 1, 1))
    stream.reset()
    assert torch.equal(stream(tokens), first)
