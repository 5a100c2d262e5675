"""Observations are complete and fresh or refused by name; inference runs when it is due."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.control.policy_loop import ObservationBuffer, PolicyLoop
from robomamba_ros.errors import ConfigError, ObservationError
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.types import ActionChunk, ActionSpace, Pose, RobotState

DT = 12_500_000
SECOND = 1_000_000_000
SPEC = PolicySpec(
    name='toy',
    cameras=(CameraSpec('front', 4, 6), CameraSpec('wrist', 2, 2)),
    state_names=('ee_x', 'gripper'),
    action_space=ActionSpace.EE_DELTA,
    action_names=('ee_dx',),
    horizon=5,
    dt_ns=DT,
    execute_steps=3,
)
STREAMS = {'joint_states': 0.1, 'ee_pose': 0.1}
FRONT = np.full((4, 6, 3), 7, np.uint8)
WRIST = np.full((2, 2, 3), 9, np.uint8)


def state(stamp_ns, x=0.0, gripper=1.0):
    return RobotState(stamp_ns, Pose(np.array([x, 0, 0]), np.array([0, 0, 0, 1.0])), gripper)


class ToyPolicy:
    """Answers with the x it sees; counts resets."""

    spec = SPEC

    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1

    def infer(self, observation):
        actions = np.full((SPEC.horizon, 1), observation.state[0])
        return ActionChunk(observation.stamp_ns, DT, actions, SPEC.action_space, SPEC.action_names)


def empty_buffer():
    buffer = ObservationBuffer(SPEC, {'front': 0.5, 'wrist': 0.2, 'unused': 9.0}, STREAMS)
    buffer.set_instruction('open the drawer')
    return buffer


def fill(buffer, stamp_ns, x=0.0):
    buffer.add_image('front', stamp_ns, FRONT)
    buffer.add_image('wrist', stamp_ns, WRIST)
    buffer.add_state(state(stamp_ns, x))


def test_the_stamp_is_that_of_the_oldest_image_and_the_state_is_looked_up_there():
    buffer = empty_buffer()
    for step in range(10):
        buffer.add_state(state(SECOND + step * DT, x=0.1 * step))
    buffer.add_image('front', SECOND + 8 * DT, FRONT)
    buffer.add_image('wrist', SECOND + 6 * DT + DT // 2, WRIST)
    observation = buffer.observation(SECOND + 9 * DT)
    assert observation.stamp_ns == SECOND + 6 * DT + DT // 2
    assert observation.state == pytest.approx([0.65, 1.0])
    assert observation.previous_state == pytest.approx([0.55, 1.0])
    assert observation.instruction == 'open the drawer'
    assert observation.images['front'] is FRONT
    assert observation.images['wrist'] is WRIST


def test_the_first_observation_of_an_episode_has_no_change_of_state():
    buffer = empty_buffer()
    fill(buffer, SECOND, x=0.3)
    observation = buffer.observation(SECOND)
    assert observation.state == pytest.approx([0.3, 1.0])
    assert observation.previous_state == pytest.approx([0.3, 1.0])


def test_only_the_newest_image_is_kept_and_only_that_one_is_decoded():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    decoded = []

    def decoder(name):
        def decode():
            decoded.append(name)
            return FRONT

        return decode

    for name, stamp_ns in (('first', 0), ('newest', DT), ('late', -DT)):
        buffer.add_image('front', SECOND + stamp_ns, decoder(name))
    buffer.observation(SECOND + DT)
    assert decoded == ['newest']


def test_every_missing_and_late_stream_is_named_with_its_age():
    buffer = ObservationBuffer(SPEC, {'front': 0.5, 'wrist': 0.2}, STREAMS)
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_state(replace(state(SECOND), stamps={'joint_states': SECOND * 3 // 4}))
    with pytest.raises(ObservationError) as raised:
        buffer.observation(SECOND + 300_000_000)
    assert str(raised.value) == (
        'wrist: nothing received yet; '
        'joint_states is late: 0.550 s old, budget 0.100 s; '
        'ee_pose is late: 0.300 s old, budget 0.100 s; '
        'instruction: nothing received yet'
    )


def test_images_ahead_of_the_state_wait_for_it():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    buffer.add_image('front', SECOND + DT, FRONT)
    buffer.add_image('wrist', SECOND + DT, WRIST)
    assert buffer.stamp_ns() is None
    # As for a moment after every image; it is nothing to report.
    assert buffer.problems(SECOND + DT) == ()
    with pytest.raises(ObservationError, match='nothing received since the newest images'):
        buffer.observation(SECOND + DT)
    buffer.add_state(state(SECOND + DT, 0.4))
    assert buffer.stamp_ns() == SECOND + DT
    assert buffer.observation(SECOND + DT).state[0] == pytest.approx(0.4)


def test_states_that_stay_behind_the_images_are_a_problem_though_all_are_fresh():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    for step in range(1, 60):
        now_ns = SECOND + step * DT
        buffer.add_image('front', now_ns, FRONT)
        buffer.add_image('wrist', now_ns, WRIST)
        buffer.add_state(state(now_ns - 1))
        behind = ('joint_states, ee_pose: nothing received since the newest images',)
        assert buffer.problems(now_ns) == (behind if step * DT > SECOND // 2 else ())


def test_clear_forgets_the_episode_but_not_the_instruction():
    buffer = empty_buffer()
    fill(buffer, SECOND, x=0.8)
    buffer.clear()
    assert buffer.stamp_ns() is None
    fill(buffer, SECOND // 2, x=0.1)
    observation = buffer.observation(SECOND // 2)
    assert observation.state[0] == pytest.approx(0.1)
    assert observation.instruction == 'open the drawer'


def test_cameras_that_do_not_fit_the_policy_are_refused():
    with pytest.raises(ConfigError, match=r"'toy' in the arm contract: 'wrist'"):
        ObservationBuffer(SPEC, {'front': 0.5}, STREAMS)
    with pytest.raises(ObservationError, match=r"unknown camera 'frnt'. Did you mean 'front'"):
        empty_buffer().add_image('frnt', SECOND, FRONT)
    buffer = empty_buffer()
    fill(buffer, SECOND)
    buffer.add_image('wrist', SECOND + 1, FRONT)
    buffer.add_image('front', SECOND + 1, FRONT)
    buffer.add_state(state(SECOND + 1))
    with pytest.raises(ObservationError, match=r"camera 'wrist' gives \(4, 6, 3\) uint8"):
        buffer.observation(SECOND + 1)


# Depth

DEEP = replace(SPEC, cameras=(CameraSpec('front', 4, 6, depth=True),))
DEPTH = np.full((4, 6), 1.5, np.float32)
K = np.array([[6.0, 0, 3], [0, 6, 2], [0, 0, 1]])


def deep_buffer():
    buffer = ObservationBuffer(DEEP, {'front': 0.5}, STREAMS)
    buffer.set_instruction('open the drawer')
    return buffer


def test_an_observation_with_depth_needs_depth_of_its_image_and_intrinsics():
    buffer = deep_buffer()
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_state(state(SECOND))
    assert buffer.problems(SECOND) == (
        'front/depth: nothing received yet',
        'front/camera_info: nothing received yet',
    )
    buffer.add_depth('front', SECOND + DT, lambda: DEPTH)
    buffer.set_intrinsics('front', K, (4, 6))
    buffer.add_state(state(SECOND + DT))
    (problem,) = buffer.problems(SECOND + DT)
    assert problem.startswith('front/depth: stamped more than 0.0000 s from every image')
    assert buffer.stamp_ns() is None
    buffer.add_image('front', SECOND + DT, FRONT)
    observation = buffer.observation(SECOND + DT)
    assert observation.stamp_ns == SECOND + DT
    assert observation.depth['front'] is DEPTH
    assert observation.intrinsics['front'] is K


def test_depth_that_no_longer_matches_is_late_though_both_streams_are_fresh():
    buffer = deep_buffer()
    buffer.set_intrinsics('front', K, (4, 6))
    for step in range(60):
        stamp_ns = SECOND + step * DT
        buffer.add_image('front', stamp_ns, FRONT)
        # After ten images the clock of the depth is off by more than half an interval.
        buffer.add_depth('front', stamp_ns - (step > 9) * 10 * DT + (step > 9), DEPTH)
        buffer.add_state(state(stamp_ns))
    (problem,) = buffer.problems(stamp_ns)
    assert problem == (
        'front/depth: stamped more than 0.0063 s from every image; give depth that is taken with '
        'the images'
    )


def test_a_match_that_is_too_old_is_late_though_newer_images_and_depth_are_there():
    buffer = ObservationBuffer(DEEP, {'front': 0.05}, STREAMS)
    buffer.set_instruction('open the drawer')
    buffer.set_intrinsics('front', K, (4, 6))

    def add(image_ms, depth_ms):
        buffer.add_depth('front', SECOND + depth_ms * 1_000_000, DEPTH)
        buffer.add_image('front', SECOND + image_ms * 1_000_000, FRONT)
        buffer.add_state(state(SECOND + image_ms * 1_000_000))
        return buffer.problems(SECOND + image_ms * 1_000_000)

    # After the first, images come in pairs 5 ms apart and depth 7 ms from the nearest of them.
    assert [add(0, 0), add(25, 12), add(30, 37)] == [(), (), ()]
    assert add(50, 37) == ()
    (problem,) = add(55, 62)
    assert problem.startswith('front/depth: stamped more than 0.0025 s from every image')


def test_intrinsics_of_another_size_are_refused():
    buffer = deep_buffer()
    buffer.set_intrinsics('front', K, (480, 640))
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_depth('front', SECOND, DEPTH)
    buffer.add_state(state(SECOND))
    with pytest.raises(
        ObservationError, match=r'camera_info is for images of 640 x 480, the im.*6 x 4'
    ):
        buffer.observation(SECOND)


def test_clear_keeps_the_intrinsics_which_may_be_sent_but_once():
    buffer = deep_buffer()
    buffer.set_intrinsics('front', K, (4, 6))
    buffer.clear()
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_depth('front', SECOND, DEPTH)
    buffer.add_state(state(SECOND))
    assert buffer.observation(SECOND).intrinsics['front'] is K


def test_depth_that_nobody_asked_for_is_refused():
    with pytest.raises(ObservationError, match="unknown camera with depth 'front'"):
        empty_buffer().add_depth('front', SECOND, DEPTH)


def test_the_newest_image_alone_is_had_while_it_is_fresh():
    buffer = deep_buffer()
    with pytest.raises(ObservationError, match='front: nothing received yet'):
        buffer.image('front', SECOND)
    buffer.add_image('front', SECOND, lambda: FRONT)
    assert buffer.image('front', SECOND + DT) is FRONT
    with pytest.raises(ObservationError, match=r'front is late: 1.000 s old, budget 0.500 s'):
        buffer.image('front', 2 * SECOND)
    assert buffer.ages_s(2 * SECOND) == {'front': 1.0}


# The loop


def test_a_chunk_is_due_when_the_last_one_has_run_its_steps():
    buffer = empty_buffer()
    loop = PolicyLoop(ToyPolicy(), buffer, execute_steps=3)
    inferred = []
    assert not loop.due(SECOND)
    for step in range(10):
        now_ns = SECOND + step * DT
        fill(buffer, now_ns, x=0.1 * step)
        if loop.due(now_ns):
            chunk = loop.infer(now_ns)
            inferred.append((step, float(chunk.actions[0, 0])))
    assert inferred == [(step, pytest.approx(0.1 * step)) for step in (0, 3, 6, 9)]


def test_the_same_observation_is_not_inferred_twice_and_a_late_one_not_at_all():
    buffer = empty_buffer()
    loop = PolicyLoop(ToyPolicy(), buffer, execute_steps=3)
    fill(buffer, SECOND)
    loop.infer(SECOND)
    assert not loop.due(SECOND + 10 * DT)
    fill(buffer, SECOND + 3 * DT)
    assert loop.due(SECOND + 3 * DT)
    assert not loop.due(2 * SECOND)
    with pytest.raises(ObservationError, match='front is late'):
        loop.infer(2 * SECOND)


def test_reset_begins_a_new_episode():
    policy, buffer = ToyPolicy(), empty_buffer()
    loop = PolicyLoop(policy, buffer, execute_steps=3)
    fill(buffer, SECOND)
    loop.infer(SECOND)
    assert not loop.due(SECOND)
    loop.reset()
    assert policy.resets == 1
    assert loop.due(SECOND)


@pytest.mark.parametrize('steps', [0, 6])
def test_execute_steps_stays_within_the_horizon(steps):
    with pytest.raises(ConfigError, match=rf"execute_steps is {steps}, policy 'toy' allows 1\.\.5"):
        PolicyLoop(ToyPolicy(), empty_buffer(), execute_steps=steps)
