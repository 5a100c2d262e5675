"""The RoboMamba that ships: it finds contacts it never saw, does as it is told, and answers."""

import numpy as np
import pytest

pytest.importorskip('transformers', reason='CLIP needs transformers: pip install transformers')
pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.common.resources import share_directory
from robomamba_ros.datasets.conversations import read_conversations
from robomamba_ros.datasets.poses import read_poses
from robomamba_ros.evaluation.poses import answer_rates, found_contacts
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.simulation.collect.poses import FIRST_SEED, PoseCollection, collect_poses

CONFIG = PoseCollection(('handle-press', 'faucet-open'), scenes=4, first_seed=200, shard=4)


@pytest.fixture(scope='module')
def policy():
    return load_policy(share_directory() / 'models' / 'robomamba-small')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Scenes never trained on."""
    folder = tmp_path_factory.mktemp('poses')
    assert CONFIG.first_seed + CONFIG.scenes < FIRST_SEED
    assert sum(found for _, found, _ in collect_poses(folder, CONFIG, 1)) >= 6
    return folder


def test_finds_the_contact_to_a_few_pixels_and_comes_the_right_way(policy, folder):
    samples = read_poses(folder)
    contacts = list(found_contacts(policy, samples))
    pixels = [np.linalg.norm(c.pixel - s.contact) for c, s in zip(contacts, samples, strict=True)]
    cosines = [c.rotation[:, 2] @ s.directions[:3] for c, s in zip(contacts, samples, strict=True)]
    assert np.median(pixels) < 5.0
    assert np.median(cosines) > np.cos(np.deg2rad(8.0))


def test_the_instruction_says_from_where_to_come(policy, folder):
    """The same handle is pressed from above and pulled from the side."""
    for sample in read_poses(folder):
        if sample.task != 'handle-press':
            continue
        image, base_R_camera = sample.read_image(), sample.camera.camera_pose[:3, :3]
        down = {
            instruction: -(base_R_camera @ policy.contact(image, instruction).rotation[:, 2])[2]
            for instruction in ('Press a handle down', 'Pull a handle up')
        }
        assert down['Press a handle down'] > 0.9
        assert down['Pull a handle up'] < 0.5


def test_answers_what_is_true_of_the_image(policy, folder):
    rates = answer_rates(policy, read_conversations(folder / 'conversations', folder))
    assert rates['what should'].rate == 1.0
    assert rates['where is'].rate > 0.7
    assert rates['what is'].rate > 0.6
