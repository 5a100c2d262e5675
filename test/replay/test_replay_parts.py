"""Comparison, latency and thresholds of a replay, by numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.errors import ConfigError, DataError
from robomamba_ros.messages.chunk_arrays import predicted_poses
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.replay.comparison import Comparison
from robomamba_ros.replay.inputs import recorded_topics
from robomamba_ros.replay.latency import fixed_latency, read_latency, recorded_latency
from robomamba_ros.replay.metrics import metrics, parse_threshold
from robomamba_ros.replay.trace import Problems, Trace
from robomamba_ros.replay.views import CameraViews
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.spatial.transforms import move_in_base, turn_between
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    ActionChunk,
    ActionSpace,
    Pose,
    RobotState,
)

DT_NS = 20_000_000
HORIZON = 8
NAMES = {
    ActionSpace.EE_DELTA: (*EE_DELTA_NAMES, 'gripper'),
    ActionSpace.EE_POSE: (*EE_POSE_NAMES, 'gripper'),
    ActionSpace.JOINT_POSITION: ('j1', 'j2', 'gripper'),
    ActionSpace.JOINT_DELTA: ('j1', 'j2', 'gripper'),
}


def walk(steps: int, seed: int = 0) -> tuple[list[RobotState], dict[ActionSpace, np.ndarray]]:
    """Return states one dt apart, and for every space the actions from each to the next."""
    rng = np.random.default_rng(seed)
    deltas = rng.uniform(-0.02, 0.02, (steps, 6))
    joints = np.cumsum(rng.uniform(-0.1, 0.1, (steps + 1, 2)), axis=0)
    opening = rng.uniform(0, 1, steps + 1)
    positions = [dict(zip(('j1', 'j2'), row, strict=True)) for row in joints.tolist()]
    poses = [Pose(np.array([0.4, 0.0, 0.3]), np.array([0.0, 0.0, 0.0, 1.0]))]
    for delta in deltas:
        poses.append(move_in_base(poses[-1], delta[:3], delta[3:]))
    states = [
        RobotState(i * DT_NS, pose, float(opening[i]), positions[i]) for i, pose in enumerate(poses)
    ]
    after = opening[1:, None]
    absolute = np.array([[*pose.position, *pose.quaternion] for pose in poses[1:]])
    return states, {
        ActionSpace.EE_DELTA: np.hstack([deltas, after]),
        ActionSpace.EE_POSE: np.hstack([absolute, after]),
        ActionSpace.JOINT_POSITION: np.hstack([joints[1:], after]),
        ActionSpace.JOINT_DELTA: np.hstack([np.diff(joints, axis=0), after]),
    }


def compare(space: ActionSpace, offset: np.ndarray | float, known: int = HORIZON) -> Comparison:
    """Compare a chunk that is off by `offset` with `known` recorded steps."""
    states, actions = walk(HORIZON)
    names = NAMES[space]
    spec = PolicySpec('p', (), (), space, names, HORIZON, DT_NS, 2)
    comparison = Comparison(spec, 2)
    comparison.add_state(states[0])
    chunk = ActionChunk(0, DT_NS, (actions[space] + offset).astype(np.float32), space, names)
    comparison.add_chunk(chunk, predicted_poses(chunk, states[0].pose))
    for state in states[1 : known + 1]:
        comparison.add_state(state)
    comparison.finish()
    return comparison


@pytest.mark.parametrize('space', ActionSpace)
def test_what_was_done_has_no_error(space: ActionSpace) -> None:
    comparison = compare(space, 0.0)
    assert comparison.errors.shape == (HORIZON, len(NAMES[space]))
    assert comparison.errors.max() < 1e-6
    positions = comparison.position_errors
    if space in (ActionSpace.EE_DELTA, ActionSpace.EE_POSE):
        assert positions.max() < 1e-6
    else:
        assert np.isnan(positions).all()


@pytest.mark.parametrize('space', [ActionSpace.EE_DELTA, *list(ActionSpace)[2:]])
def test_an_offset_is_the_error_of_its_channel(space: ActionSpace) -> None:
    offset = np.zeros(len(NAMES[space]))
    offset[1] = 0.01
    comparison = compare(space, offset)
    assert comparison.mean_errors == pytest.approx(offset, abs=1e-6)
    if space is ActionSpace.EE_DELTA:
        # One centimetre more at every step.
        assert comparison.position_errors == pytest.approx(0.01 * np.arange(1, 9), abs=1e-6)


def test_a_quaternion_and_its_negative_are_the_same_rotation() -> None:
    space = ActionSpace.EE_POSE
    _, actions = walk(HORIZON)
    negative = np.zeros((HORIZON, 8))
    negative[:, 3:7] = -2.0 * actions[space][:, 3:7]
    assert compare(space, negative).errors.max() < 1e-6


def test_steps_beyond_the_recording_are_not_compared() -> None:
    comparison = compare(ActionSpace.EE_DELTA, 0.0, known=5)
    assert np.isfinite(comparison.errors[:5]).all()
    assert np.isnan(comparison.errors[5:]).all()
    assert np.isnan(compare(ActionSpace.EE_DELTA, 0.0, known=0).mean_errors).all()
    (motion,) = comparison.motions
    assert motion.time_ns == (DT_NS, 2 * DT_NS)


def test_a_latency_is_fixed_or_drawn_the_same_each_time() -> None:
    assert [fixed_latency(12.5)(i) for i in range(3)] == [12_500_000] * 3
    samples = np.array([1.0, 2.0, 40.0])
    drawn = [recorded_latency(samples)(i) for i in range(200)]
    assert drawn == [recorded_latency(samples)(i) for i in range(200)]
    assert {each: drawn.count(each) > 40 for each in drawn} == {
        1_000_000: True,
        2_000_000: True,
        40_000_000: True,
    }
    assert drawn != [recorded_latency(samples, seed=1)(i) for i in range(200)]
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(DataError, match=r'give from 0 to 1e\+06'):
            fixed_latency(bad)
        with pytest.raises(DataError, match='finite, 0 or more'):
            recorded_latency(np.array([1.0, bad]))


def test_latencies_come_from_the_report_of_a_replay(tmp_path: Path) -> None:
    path = tmp_path / 'report.json'
    path.write_text(json.dumps({'policies': [{'wall_time': {'inference_samples_ms': [3.0]}}]}))
    assert read_latency(path)(0) == 3_000_000
    for text in ('{}', '[', '{"policies": []}'):
        path.write_text(text)
        with pytest.raises(DataError, match='latenc'):
            read_latency(path)
    with pytest.raises(DataError, match=r'none\.json is no report\.json'):
        read_latency(tmp_path / 'none.json')


@settings(deadline=None, max_examples=50)
@given(value=st.floats(-1e6, 1e6), limit=st.floats(-1e6, 1e6))
def test_a_threshold_is_crossed_beyond_its_limit_only(value: float, limit: float) -> None:
    figures = {'a.b': value}
    assert parse_threshold(f' a.b > {limit!r} ').crossed(figures) is (value > limit)
    assert parse_threshold(f'a.b<{limit!r}').crossed(figures) is (value < limit)


def test_what_could_not_be_measured_has_not_passed() -> None:
    for text in ('x>1', 'x<1'):
        assert parse_threshold(text).crossed({'x': math.nan})


@pytest.mark.parametrize('text', ['', 'x', 'x>', '>1', 'x=1', 'x>y', 'x>nan', 'x>1>2', 'x>=1'])
def test_a_text_that_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no condition; give a figure.*'action_l1>0\.02'"):
        parse_threshold(text)


def test_a_replay_of_nothing_has_all_its_figures_and_knows_none() -> None:
    spec = PolicySpec('p', (), (), ActionSpace.JOINT_DELTA, ('j1',), 4, DT_NS, 2)
    found = metrics(Trace(['ee_pose']), Comparison(spec, 2), spec.action_names)
    assert found['chunks'] == 0.0
    for name in ('action_l1', 'action_l1.j1', 'age_ms.ee_pose.max', 'seam_jump_m.p99'):
        assert math.isnan(found[name])


def test_problems_that_differ_in_numbers_only_are_of_one_kind() -> None:
    problems = Problems()
    for text in ('0.1 s late', '12.75 s late', 'another'):
        problems.add(text)
    assert [str(each) for each in problems.most_common()] == ['0.1 s late (2 times)', 'another']
    assert problems.count == 3


def test_a_camera_on_a_head_is_placed_by_the_joints() -> None:
    arm = load_arm('hsr')
    kinematics = Kinematics(arm, made_up_urdf(arm))
    joints = {joint.name: 0.1 for joint in arm.joints}
    hand = kinematics.forward(np.full(len(kinematics.names), 0.1))
    head = arm.cameras[0]
    found = CameraViews(arm.base_frame, kinematics).place(head, hand, joints)
    turned = CameraViews(arm.base_frame, kinematics).place(
        head, hand, {**joints, 'head_pan_joint': 0.6}
    )
    wanted = kinematics.base_T_link(head.link, joints)
    np.testing.assert_array_equal(found.position, wanted.position)
    np.testing.assert_array_equal(found.quaternion, wanted.quaternion)
    assert np.linalg.norm(turn_between(found, turned)) == pytest.approx(0.5)
    assert CameraViews(arm.base_frame).place(head, hand, joints) is None


@pytest.mark.parametrize('name', ['ur5e', 'hsr', 'sawyer_sim'])
def test_a_recording_holds_what_is_read_and_the_commands_that_are_messages(name: str) -> None:
    arm = load_arm(name)
    topics = recorded_topics(arm)
    assert len(set(topics)) == len(topics)
    assert {*arm.inputs.values(), *(camera.topic for camera in arm.cameras)} <= set(topics)
    for output in arm.outputs:
        assert (output.topic in topics) is not bool(output.action)
    assert any(not output.action for output in arm.outputs)
