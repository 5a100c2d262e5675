"""Pose data collected from scenes: resumable, and true."""

import numpy as np
import pytest

from robomamba_ros.datasets.conversations import read_conversations
from robomamba_ros.errors import ConfigError

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.datasets.poses import read_poses
from robomamba_ros.simulation.collect.poses import PoseCollection, collect_poses
from robomamba_ros.spatial.camera import surface_at

CONFIG = PoseCollection(('drawer-open', 'push'), scenes=2, first_seed=5, shard=1, size=96)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('poses')
    assert sum(samples + hidden for _, samples, hidden in collect_poses(folder, CONFIG, 1)) == 4
    return folder


def test_pixel_and_stored_depth_give_the_stored_point(folder):
    samples = read_poses(folder)
    assert {sample.task for sample in samples} == {'drawer-open', 'push'}
    for sample in samples:
        surface = surface_at(sample.contact, sample.read_depth(), sample.camera.intrinsics)
        # Half a pixel of 96 is 7 mm at this distance.
        assert np.linalg.norm(surface.point - sample.camera.point) < 0.015
        assert sample.read_image().shape == (96, 96, 3)


def test_answers_are_true_of_the_image_they_are_about(folder):
    samples = {sample.image: sample for sample in read_poses(folder)}
    for talk in read_conversations(folder / 'conversations'):
        sample = samples[talk.image]
        said = {turn.question: turn.answer for turn in talk.turns}
        thing = 'drawer' if sample.task == 'drawer-open' else 'puck'
        assert said['what is on the table?'] == f'a {thing}'
        for question, answer in said.items():
            if question.startswith('is there a'):
                assert answer == ('yes' if question == f'is there a {thing}?' else 'no')
        (at,) = (a for q, a in said.items() if q.startswith('where does the gripper touch'))
        column, row = (int(part.split()[1]) for part in at.split(', '))
        np.testing.assert_allclose([column, row], 100 * (sample.contact + 0.5) / 96, atol=0.51)


def test_an_interrupted_collection_goes_on_with_what_is_missing(folder):
    path = next((folder / 'poses').glob('push-*.jsonl'))
    before = path.read_text()
    path.unlink()
    assert [name for name, _, _ in collect_poses(folder, CONFIG, 1)] == [path.stem]
    assert path.read_text() == before


def test_refuses_scenes_that_fill_no_shards():
    with pytest.raises(ConfigError, match='7 scenes do not fill shards of 2'):
        PoseCollection(scenes=7, shard=2)
