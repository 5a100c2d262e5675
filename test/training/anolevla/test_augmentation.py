"""Changed images: what each change does, and that it follows from seed and step."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_demonstrations import small_run, write_store

from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.training.anolevla.augmentation import Augmentation, blacken, dropped
from robomamba_ros.training.anolevla.loop import Trainer


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), x=st.integers(6, 13), y=st.integers(6, 13))
def test_a_shift_moves_the_image_and_the_points_in_it_alike(seed, x, y):
    images = torch.full((3, 2, 3, 20, 20), -1.0)
    images[:, :, :, y, x] = 1.0
    centre = torch.tensor([x + 0.5, y + 0.5]) / 10.0 - 1.0
    changes = Augmentation(shift=6).draw(seed, 0, 3, 2)
    moved = changes.images(images)[:, 0, 0]
    assert (moved == 1.0).sum(dim=(1, 2)).tolist() == [1, 1, 1]
    found = (moved == 1.0).nonzero()[:, [2, 1]]
    expected = changes.pixels(centre.expand(3, 2, 1, 2), 20)[:, 0, 0]
    torch.testing.assert_close((found + 0.5) / 10.0 - 1.0, expected)


def test_what_comes_in_at_the_border_is_the_border():
    images = torch.linspace(-1.0, 1.0, 8).expand(1, 1, 3, 8, 8)
    changes = Augmentation(shift=1).draw(0, 0, 1, 1)
    changes.shift[0, 0] = [2, 0]
    torch.testing.assert_close(
        changes.images(images)[0, 0, 0, 0], images[0, 0, 0, 0, [0, 0, 0, 1, 2, 3, 4, 5]]
    )


@pytest.mark.parametrize(
    ('name', 'limit'), [('brightness', 0.2), ('contrast', 0.5), ('color', 0.3)]
)
def test_light_changes_within_its_limit(name, limit):
    generator = torch.Generator().manual_seed(0)
    images = 0.4 * torch.rand(64, 2, 3, 6, 6, generator=generator) - 0.2
    changed = Augmentation(**{name: limit}).draw(3, 5, 64, 2).images(images)
    if name == 'brightness':
        size = (changed - images).mean(dim=(2, 3, 4)) / 2.0
    elif name == 'contrast':
        size = changed.std(dim=(2, 3, 4)) / images.std(dim=(2, 3, 4)) - 1.0
    else:
        size = ((changed + 1.0) / (images + 1.0)).mean(dim=(3, 4)) - 1.0
    assert size.abs().max() <= limit + 1e-5
    assert size.max() > 0.8 * limit
    assert size.min() < -0.8 * limit
    assert changed.abs().max() <= 1.0


def test_changes_are_a_function_of_seed_and_step():
    augmentation = Augmentation(4, 0.1, 0.1, 0.1)
    one, same = (augmentation.draw(1, 2, 8, 1) for _ in range(2))
    np.testing.assert_array_equal(one.color, same.color)
    for other in (augmentation.draw(1, 3, 8, 1), augmentation.draw(2, 2, 8, 1)):
        assert not np.array_equal(one.shift, other.shift)


def test_a_sequence_is_changed_as_a_whole(tmp_path):
    data = write_store(tmp_path / 'data', episodes=4, steps=7)
    changes = {'streaming': 2, 'localization_weight': 0.2}
    plain = Trainer(small_run(data, tmp_path / 'a', **changes))._batch()
    changed = Trainer(small_run(data, tmp_path / 'b', augment_shift=5, **changes))._batch()
    moves = (changed.pixels - plain.pixels)[:, 0, 0].unflatten(0, (2, 2))
    assert torch.equal(moves[:, 0], moves[:, 1])
    assert not torch.equal(moves[0], moves[1])
    for name in ('state', 'actions', 'valid', 'instruction'):
        assert torch.equal(getattr(plain, name), getattr(changed, name))


def test_cameras_drop_out_in_their_share_of_sequences_and_whole():
    black = dropped(0, 3, 4000, (0.0, 0.25), slice(1000, 3000), times=2)
    assert black.shape == (4000, 2)
    assert not black[:, 0].any()
    assert black[:, 1].float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(black[::2], black[1::2])
    assert torch.equal(black, dropped(0, 3, 4000, (0.0, 0.25), slice(1000, 3000), times=2))
    images = blacken(torch.zeros(4000, 2, 3, 2, 2), black)
    assert torch.equal(images[:, 1, 0, 0, 0] == -1.0, black[:, 1])
    assert not images[:, 0].any()


def test_a_camera_that_drops_out_in_training_is_one_the_policy_can_do_without(tmp_path):
    data = write_store(tmp_path / 'data', episodes=4, steps=7)
    trainer = Trainer(small_run(data, tmp_path / 'a', camera_dropout={'front': 0.5}))
    assert [camera.optional for camera in trainer.network.config.spec.cameras] == [True]
    black = (trainer._batch().images == -1.0).flatten(1).all(1)
    assert 0 < black.sum() < len(black)
    trainer.save()
    path = tmp_path / 'a' / 'checkpoint' / 'config.yaml'
    assert read_config(path, 'a').spec.cameras[0].optional
    with pytest.raises(ConfigError, match="camera in camera_dropout 'wrist'"):
        Trainer(small_run(data, tmp_path / 'b', camera_dropout={'wrist': 0.5}))
