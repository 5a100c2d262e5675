"""What a spec asks of an observation, and observations made up from it."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from support.toy_policy import ToyPolicy

from robomamba_ros.errors import ObservationError
from robomamba_ros.policies.base import CameraSpec, PolicySpec, fake_observation
from robomamba_ros.policies.timed import timed
from robomamba_ros.types import EE_POSE_NAMES, ActionSpace

SPEC = PolicySpec(
    name='deep',
    cameras=(CameraSpec('flat', 4, 6), CameraSpec('deep', 8, 6, depth=True)),
    state_names=(*EE_POSE_NAMES, 'gripper', 'elbow'),
    action_space=ActionSpace.EE_DELTA,
    action_names=('ee_dx',),
    horizon=5,
    dt_ns=1,
    execute_steps=1,
)


def test_a_made_up_observation_fits_and_its_pose_is_one():
    seen = fake_observation(SPEC, seed=3)
    SPEC.check(seen)
    assert np.linalg.norm(seen.state[3:7]) == 1
    assert 0 <= seen.state[7] <= 1
    assert seen.images['flat'].shape == (4, 6, 3)
    assert seen.images['flat'].std() > 30
    assert set(seen.depth) == set(seen.intrinsics) == {'deep'}


def test_a_seed_gives_one_observation():
    one, same, other = (fake_observation(SPEC, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.images['deep'], same.images['deep'])
    assert np.array_equal(one.state, same.state)
    assert not np.array_equal(one.images['deep'], other.images['deep'])
    assert not np.array_equal(one.state, other.state)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'depth': {}}, 'depth: none, intrinsics: present'),
        ({'intrinsics': {}}, r'depth: \(8, 6\), intrinsics: none'),
        ({'depth': {'deep': np.ones((4, 6), np.float32)}}, r'needs depth \(8, 6\).*\(4, 6\)'),
    ],
)
def test_depth_is_asked_for_where_it_is_needed(changes, message):
    with pytest.raises(ObservationError, match=message):
        SPEC.check(replace(fake_observation(SPEC), **changes))


class Reasoner(ToyPolicy):
    """Notes what it is asked."""

    asked: ClassVar = []

    def answer(self, image, question, *, max_tokens):
        self.asked.append((image.shape, max_tokens))
        return question


def test_a_policy_that_answers_is_asked_before_the_first_question_and_forgets_that():
    policy = timed(Reasoner())
    policy.warm_up()
    assert Reasoner.asked == [((4, 6, 3), 2)]
    assert policy.latencies['answer'].count == 0
