"""Frozen eyes: maps that are computed once, in variants, and whose weights a checkpoint has."""

import json

import numpy as np
import pytest
import torch
from support.made_demonstrations import META, POLICY, small_run, write_store
from support.made_efficientnet import write_published

from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.anolevla.network import images_to_tensor
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.types import Observation

EYES = 'efficientnet_lite0: {image_size: 32, input_size: 32, keypoints: 4, fine: 8}'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp('weights') / 'lite0.pth')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp('data'), episodes=6, steps=3)


def eyes_run(data, output, weights, **changes):
    output.mkdir(parents=True, exist_ok=True)
    settings = {
        'vision_weights': str(weights),
        'freeze_vision': True,
        'map_variants': 3,
        'augment_shift': 4,
        'augment_brightness': 0.2,
        'localization_weight': 0.2,
        'seed': 3,
    }
    config = small_run(data, output, **{**settings, **changes})
    keypoints = 'keypoints: {image_size: 32, keypoints: 4}'
    (output / 'small.yaml').write_text(POLICY.replace(keypoints, EYES))
    return config


def test_a_run_with_kept_maps_is_one_that_looks_every_time(data, weights, tmp_path):
    """Each row of a batch holds the maps of its frame in one of its variants, and its pixels."""
    trainer = Trainer(eyes_run(data, tmp_path, weights))
    assert list(trainer.keep_maps())[-1] == (18, 18)
    kept, batch = trainer._kept, trainer._batch()
    known = np.load(data / 'a.npy')
    variants, vision = set(), trainer.network.vision
    for row in range(len(batch.state)):
        state = trainer.normalization.state.restore(batch.state[row].numpy())
        place = int(np.abs(known['state'] - state).sum(axis=1).argmin())
        for variant in range(3):
            changes = kept.changes(np.array([place]), np.array([variant]))
            image = torch.from_numpy(changes.images(known['images'][place][None]))
            maps = vision.maps(images_to_tensor(image))[0]
            if torch.allclose(batch.images[row], maps, atol=2e-2, rtol=2e-3):
                variants.add(variant)
                pixels = changes.pixels(known['pixels'][place][None, None], 32)[0]
                torch.testing.assert_close(batch.pixels[row].numpy(), pixels, equal_nan=True)
                break
        else:
            raise AssertionError(f'row {row} holds the maps of no variant')
    assert len(variants) > 1
    first = kept.changes(np.arange(2), np.zeros(2, np.int64)).images(known['images'][:2])
    assert np.array_equal(first, known['images'][:2])


def test_the_trunk_stays_and_the_run_goes_on_where_it_was(data, weights, tmp_path):
    whole = Trainer(eyes_run(data, tmp_path / 'whole', weights))
    begun = {k: v.clone() for k, v in whole.network.state_dict().items()}
    losses = [p.losses for p in whole.run()]
    list(Trainer(eyes_run(data, tmp_path / 'parts', weights)).run(until=2))
    # The weights are those of the run now: their file is not needed any more.
    rest = Trainer(eyes_run(data, tmp_path / 'parts', tmp_path / 'gone.pth'))
    assert [p.losses for p in rest.run()] == losses[2:]
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, rest.network.state_dict()[name]), name
        trunk = name.startswith('vision.encoder.trunk')
        assert torch.equal(value, begun[name]) or not trunk, name
    checkpoint = tmp_path / 'whole/checkpoint'
    assert 'Apache License' in (checkpoint / 'NOTICE').read_text()
    policy = load_policy(checkpoint)
    sample = np.load(data / 'a.npy')[3]
    seen = Observation(
        0, {'front': sample['images'][0]}, sample['state'], sample['previous_state'], 'go right'
    )
    assert np.isfinite(policy.infer(seen).actions).all()


def test_maps_are_read_in_sequences_whose_state_a_resumed_run_goes_on_with(weights, tmp_path):
    """Stopped within a sequence of two steps: the rest is what an uninterrupted run does."""
    data = write_store(tmp_path / 'data', episodes=4, steps=7)
    changes = {'streaming': 2, 'stream_segments': 2, 'map_variants': 2, 'batch_size': 12}
    whole = Trainer(eyes_run(data, tmp_path / 'whole', weights, **changes))
    losses = [p.losses for p in whole.run()]
    list(Trainer(eyes_run(data, tmp_path / 'parts', weights, **changes)).run(until=3))
    rest = Trainer(eyes_run(data, tmp_path / 'parts', weights, **changes))
    assert not rest._sampler.batch(3).begins.all()
    assert [p.losses for p in rest.run()] == losses[3:]
    forgetful = Trainer(eyes_run(data, tmp_path / 'forgetful', weights, **changes))
    list(forgetful.run(until=3))
    forgetful._stream.carried = None
    assert [p.losses for p in forgetful.run()] != losses[3:]


def test_what_keypoints_of_a_checkpoint_see_is_kept_whole(data, tmp_path):
    """All that sees stays, and so does the instruction's embedding; the backbone learns."""
    begun = Trainer(small_run(data, tmp_path / 'begun'))
    begun.save()
    changes = {
        'initial': str(tmp_path / 'begun/checkpoint'),
        'freeze_vision': True,
        'localization_weight': 0.2,
        'heat_weight': 0.02,
    }
    trainer = Trainer(small_run(data, tmp_path / 'kept', map_variants=1, **changes))
    looking = Trainer(small_run(data, tmp_path / 'looking', **changes))
    list(trainer.keep_maps())
    kept, looked = trainer._batch(), looking._batch()
    assert kept.images.shape == (4, trainer.network.vision.flat_size)
    with torch.no_grad():
        for mine, other in zip(
            trainer.network.tokens(kept.images, kept.state, kept.delta_state, kept.instruction)[:2],
            looking.network.tokens(
                looked.images, looked.state, looked.delta_state, looked.instruction
            )[:2],
            strict=True,
        ):
            if mine is not None:
                torch.testing.assert_close(mine, other, atol=2e-3, rtol=2e-3)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    list(trainer.run(until=2))
    for name, value in trainer.network.state_dict().items():
        stays = name.startswith(('vision', 'language', 'project'))
        assert torch.equal(value, before[name]) or not stays, name
    assert not torch.equal(trainer.network.head.weight, before['head.weight'])
    with pytest.raises(ConfigError, match='in other words is not kept'):
        Trainer(
            small_run(data, tmp_path / 'said', map_variants=1, paraphrases='english', **changes)
        )


def test_what_was_computed_is_not_computed_again_and_other_weights_are(data, weights, tmp_path):
    trainer = Trainer(eyes_run(data, tmp_path, weights))
    steps = trainer.keep_maps()
    next(steps)
    steps.close()
    list(trainer.keep_maps())
    about = json.loads((tmp_path / 'maps/maps.json').read_text())
    assert about['done'] == 18
    assert list(trainer.keep_maps()) == []
    with torch.no_grad():
        trainer.network.vision.encoder.trunk.stem.bias.add_(1.0)
    assert list(trainer.keep_maps())


def test_what_does_not_go_together_is_refused(data, weights, tmp_path):
    for changes, words in (
        ({'freeze_vision': False}, 'needs freeze_vision: true'),
        ({'camera_dropout': {'front': 0.5}}, 'no camera_dropout'),
        ({'maps_gigabytes': 1e-6}, r'of 18 frames in 3 variants take 0\.0 GB'),
    ):
        with pytest.raises(ConfigError, match=words):
            Trainer(eyes_run(data, tmp_path, weights, **changes))
    for changes in ({'freeze_vision': True, 'map_variants': 1}, {'freeze_vision': True}):
        with pytest.raises(ConfigError, match='begins at random'):
            Trainer(small_run(data, tmp_path / 'b', **changes))
    assert META.cameras == ('front',)
