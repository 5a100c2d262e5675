"""The measures of contacts: labels have no error, and errors are as large as they are made."""

import numpy as np
import pytest

from robomamba_ros.errors import DataError

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.datasets.poses import read_poses
from robomamba_ros.evaluation.poses import mean_contacts, pose_errors, pose_table, true_contacts
from robomamba_ros.policies.robomamba.policy import Contact
from robomamba_ros.simulation.collect.poses import PoseCollection, collect_poses
from robomamba_ros.spatial.transforms import quaternion_from_rotation_vector, rotation_matrix

TASKS = ('drawer-open', 'handle-press')


@pytest.fixture(scope='module')
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp('poses')
    config = PoseCollection(TASKS, scenes=2, first_seed=11, shard=2)
    assert sum(found for _, found, _ in collect_poses(folder, config, 1)) >= 3
    return read_poses(folder)


def test_the_labels_have_no_error_and_the_fingers_touch_what_they_name(samples):
    for error in pose_errors(samples, true_contacts(samples)):
        assert error.pixel == 0.0
        assert error.angle < 1e-4
        # The point comes back from 16-bit depth of a whole pixel, at a sub-pixel place.
        assert error.distance < 0.012
        assert error.near
        assert error.touches


def test_an_error_is_as_large_as_it_is_made(samples):
    turn = rotation_matrix(quaternion_from_rotation_vector(np.array([0.0, 0.0, np.deg2rad(20.0)])))

    def wrong():
        for pixel, rotation in true_contacts(samples):
            # About up itself: the way of approach stays right.
            yield Contact(pixel + np.array([30.0, -40.0]), rotation @ turn)

    for error in pose_errors(samples, wrong()):
        assert error.pixel == pytest.approx(50.0)
        assert error.angle == pytest.approx(20.0, abs=1e-6)
        assert error.approach == pytest.approx(0.0, abs=1e-4)
        assert error.distance > 0.1
        assert not error.near
        assert not error.touches


def test_no_pose_and_no_depth_are_failures_without_end(samples):
    outside = Contact(np.array([-5.0, 3.0]), np.eye(3))
    nothing, beside = pose_errors(samples[:2], [None, outside])
    assert nothing.pixel == nothing.angle == nothing.distance == np.inf
    assert beside.distance == np.inf
    assert beside.pixel < np.inf
    assert not nothing.touches
    assert not beside.touches
    assert '0.0 % (0 .. 66)' in pose_table({'nothing': [nothing, beside]})


def test_the_mean_of_a_task_is_the_mean_of_its_labels(samples):
    drawers = [sample for sample in samples if sample.task == 'drawer-open']
    (contact,) = mean_contacts(drawers[:1], samples)
    np.testing.assert_allclose(contact.pixel, np.mean([s.contact for s in drawers], axis=0))
    assert np.linalg.det(contact.rotation) == pytest.approx(1.0)
    with pytest.raises(DataError, match="has the task 'Open a drawer'"):
        next(mean_contacts(drawers, [s for s in samples if s.task != 'drawer-open']))
