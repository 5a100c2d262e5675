from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.errors import ActionError
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.common.chunk_messages import (
    ChunkJoiner,
    chunk_to_messages,
    messages_to_chunk,
)
from robomamba_ros.types import EE_DELTA_NAMES, EE_POSE_NAMES, ActionChunk, ActionSpace

DT_NS = 12_500_000
DELTA = (*EE_DELTA_NAMES, 'gripper')


def chunk(actions: np.ndarray, space: ActionSpace, names: tuple[str, ...]) -> ActionChunk:
    return ActionChunk(3_000_000_007, DT_NS, np.asarray(actions, np.float32), space, names)


def round_trip(sent: ActionChunk) -> ActionChunk:
    return messages_to_chunk(*chunk_to_messages(sent, 'base'), 'base')


def assert_same(sent: ActionChunk, received: ActionChunk) -> None:
    assert (received.stamp_ns, received.dt_ns) == (sent.stamp_ns, sent.dt_ns)
    assert received.space is sent.space
    for name in sent.names:
        # Bit for bit: the controller follows the numbers that the policy gave.
        assert received.channel(name).tobytes() == sent.channel(name).tobytes(), name


# A micrometre and a microradian are far below what an arm resolves.
small = st.floats(2.0**-20, 0.0625, width=32)
deltas = st.one_of(st.just(0.0), small, small.map(lambda value: -value))
opening = st.floats(0, 1, width=32)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(*[deltas] * 6, opening), min_size=50, max_size=50))
def test_deltas_survive_their_sum(actions: list[tuple[float, ...]]) -> None:
    sent = chunk(np.array(actions) + 0.0, ActionSpace.EE_DELTA, DELTA)  # -0.0 is the same motion
    received = round_trip(sent)
    assert received.names == DELTA
    for name in ('ee_dx', 'ee_dy', 'ee_dz', 'gripper'):
        assert received.channel(name).tobytes() == sent.channel(name).tobytes(), name
    # A product of quaternions leaves 1e-17 rad on an axis that did not turn.
    for name in EE_DELTA_NAMES[3:]:
        assert np.abs(received.channel(name) - sent.channel(name)).max() < 1e-8


def test_a_delta_without_rotation_gets_none() -> None:
    rng = np.random.default_rng(0)
    names = ('ee_dx', 'ee_dy', 'ee_dz', 'gripper')
    sent = chunk(rng.uniform(-0.01, 0.01, (50, 4)), ActionSpace.EE_DELTA, names)
    received = round_trip(sent)
    assert received.names == DELTA
    assert_same(sent, received)
    assert not any(received.channel(name).any() for name in EE_DELTA_NAMES[3:])


def test_a_chunk_that_leaves_the_gripper_alone_commands_none() -> None:
    sent = chunk(np.zeros((50, 3)), ActionSpace.EE_DELTA, EE_DELTA_NAMES[:3])
    received = round_trip(sent)
    assert received.names == EE_DELTA_NAMES
    assert_same(sent, received)


def test_point_i_says_where_the_end_effector_is_after_i_plus_1_steps() -> None:
    actions = np.tile(np.float32([0.01, 0, -0.02, 0, 0, 0.1, 0.5]), (3, 1))
    targets, joints = chunk_to_messages(chunk(actions, ActionSpace.EE_DELTA, DELTA), 'base')
    assert (targets.joint_names, targets.header.frame_id) == (['ee_delta'], 'base')
    assert joints.joint_names == ['gripper']
    last = targets.points[2]
    assert nanoseconds(last.time_from_start) == 3 * DT_NS
    assert last.transforms[0].translation.x == pytest.approx(0.03)
    assert last.transforms[0].translation.z == pytest.approx(-0.06)
    assert last.transforms[0].rotation.z == pytest.approx(math.sin(0.15))
    assert joints.points[2].positions[0] == 0.5


def test_poses_survive_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    actions = rng.normal(size=(50, 8))
    actions[:, 3:7] /= np.linalg.norm(actions[:, 3:7], axis=1, keepdims=True)
    sent = chunk(actions, ActionSpace.EE_POSE, (*EE_POSE_NAMES, 'gripper'))
    assert_same(sent, round_trip(sent))


@pytest.mark.parametrize('space', [ActionSpace.JOINT_POSITION, ActionSpace.JOINT_DELTA])
def test_joints_survive_bit_for_bit(space: ActionSpace) -> None:
    actions = np.random.default_rng(2).uniform(-0.1, 0.1, (50, 3))
    sent = chunk(actions, space, ('shoulder', 'elbow', 'gripper'))
    assert_same(sent, round_trip(sent))
    assert round_trip(sent).names == sent.names


@pytest.fixture
def messages():
    actions = np.full((4, 7), 0.01)
    return chunk_to_messages(chunk(actions, ActionSpace.EE_DELTA, DELTA), 'base')


def test_another_frame_is_refused(messages) -> None:
    with pytest.raises(ActionError, match=r"frame 'base', the arm's base frame is 'world'"):
        messages_to_chunk(*messages, 'world')


def test_an_unknown_space_is_refused(messages) -> None:
    messages[0].joint_names = ['ee_detla']
    with pytest.raises(ActionError, match=r"'ee_detla'. Did you mean 'ee_delta'"):
        messages_to_chunk(*messages, 'base')


def test_points_of_different_number_are_refused(messages) -> None:
    messages[1].points.pop()
    with pytest.raises(ActionError, match='4 points and joint_chunk 3'):
        messages_to_chunk(*messages, 'base')


def test_uneven_steps_are_refused(messages) -> None:
    messages[0].points[2].time_from_start.nanosec += 1
    with pytest.raises(ActionError, match='point 2 of action_chunk is due 37500001 ns'):
        messages_to_chunk(*messages, 'base')


@pytest.mark.parametrize('value', [0.5, math.nan])
def test_a_quaternion_that_is_no_rotation_is_refused(messages, value: float) -> None:
    messages[0].points[1].transforms[0].rotation.w = value
    with pytest.raises(ActionError, match='point 1 of action_chunk has a quaternion'):
        messages_to_chunk(*messages, 'base')


def test_a_displacement_that_is_not_finite_is_refused(messages) -> None:
    messages[0].points[1].transforms[0].translation.y = math.inf
    with pytest.raises(ActionError, match="action 1, channel 'ee_dy' is inf"):
        messages_to_chunk(*messages, 'base')


def test_a_point_without_positions_is_refused(messages) -> None:
    messages[1].points[3].positions = []
    with pytest.raises(ActionError, match='point 3 of joint_chunk has 0 positions for the 1'):
        messages_to_chunk(*messages, 'base')


def test_the_joiner_waits_for_both_halves_of_one_stamp(messages) -> None:
    targets, joints = messages
    late = chunk(np.full((4, 7), 0.02), ActionSpace.EE_DELTA, DELTA)
    old = chunk_to_messages(
        ActionChunk(late.stamp_ns - 1, DT_NS, late.actions, late.space, late.names), 'base'
    )
    joiner = ChunkJoiner('base')
    assert joiner.add_targets(old[0]) is None
    assert joiner.add_joints(joints) is None
    joined = joiner.add_targets(targets)
    assert joined is not None
    assert joined.channel('ee_dx')[0] == np.float32(0.01)
    assert joiner.add_joints(old[1]) is None
