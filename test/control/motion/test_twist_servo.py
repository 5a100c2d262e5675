"""Twists bring the arm to its command, within the contract's limits whatever is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.control.motion.twist_servo import BaseServo, PoseServo
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.spatial.transforms import move_in_base, turn_between
from robomamba_ros.types import NANOSECONDS, Pose, RobotState, Setpoint

HSR = load_arm('hsr')
# An arm that takes poses, with the limits of a real one.
ARM = replace(load_arm('sawyer_sim'), cartesian=load_arm('ur5e').cartesian)
HOME = Pose(np.array([0.0, 0.6, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))
START_NS = 3 * NANOSECONDS
NAMES = ('odom_x', 'odom_y', 'odom_t')


def pose_setpoint(i, pose):
    return Setpoint(START_NS + i * ARM.period_ns, pose, 1.0)


def pose_state(i, pose):
    return RobotState(START_NS + i * ARM.period_ns, pose, 1.0)


def base_setpoint(i, joints, velocities):
    joints, velocities = (
        dict(zip(NAMES, np.asarray(values, float), strict=True)) for values in (joints, velocities)
    )
    return Setpoint(START_NS + i * HSR.period_ns, None, 1.0, joints, velocities)


def base_state(i, joints):
    return RobotState(
        START_NS + i * HSR.period_ns, HOME, 1.0, dict(zip(NAMES, np.asarray(joints), strict=True))
    )


def moved(pose, twist, period_s):
    return move_in_base(pose, twist[:3] * period_s, twist[3:] * period_s)


# The end effector


def swing(i):
    """A smooth command well within the limits, at rest at first."""
    angle = 0.02 * i
    way = np.array([0.15 * (1 - np.cos(angle)), 0.08 * (angle - np.sin(angle)), 0.0])
    turn = np.array([0.0, 0.2 * (1 - np.cos(angle)), 0.0])
    return move_in_base(HOME, way, turn)


@pytest.mark.parametrize('delay', [0, 12])
def test_the_arm_follows_and_comes_back_from_where_it_was_pushed(delay):
    servo = PoseServo(ARM)
    period_s = ARM.period_ns / NANOSECONDS
    arm = [HOME]
    errors = []
    for i in range(400):
        if i == 200:
            arm[-1] = move_in_base(arm[-1], np.array([0.02, 0.0, -0.01]), np.array([0.1, 0, 0]))
        # What is measured was taken `delay` periods ago, and says so.
        then = max(i - delay, 0)
        twist = servo.twist(pose_setpoint(i, swing(i)), pose_state(then, arm[then]), correct=True)
        arm.append(moved(arm[-1], twist, period_s))
        there = swing(i)
        errors.append(
            (
                np.linalg.norm(arm[-1].position - there.position),
                np.linalg.norm(turn_between(arm[-1], there)),
            )
        )
    errors = np.array(errors)
    # Before the push the feed-forward is all that is needed, whatever the delay.
    assert errors[:200].max() < 1e-3
    assert errors[200, 0] > 0.02
    assert errors[350:, 0].max() < 2e-3
    assert errors[350:, 1].max() < 5e-3


JUMPS = st.lists(
    st.tuples(
        st.floats(-1e6, 1e6), st.floats(-3.0, 3.0), st.booleans(), st.sampled_from([0, 1, 1, 3])
    ),
    min_size=5,
    max_size=60,
)


@settings(deadline=None, max_examples=40)
@given(JUMPS)
def test_no_measurement_makes_the_twist_leave_its_limits(jumps):
    servo = PoseServo(ARM)
    limits, period_s = ARM.cartesian, ARM.period_ns / NANOSECONDS
    sent = [np.zeros(6)]
    i = 0
    for way, turn, correct, periods in jumps:
        i += periods
        measured = move_in_base(HOME, np.array([way, -way, 0.0]), np.array([0.0, turn, turn]))
        setpoint = pose_setpoint(i, swing(len(sent)))
        sent.append(servo.twist(setpoint, pose_state(i, measured), correct=correct))
    for part, speed, acceleration in (
        (slice(0, 3), limits.velocity, limits.acceleration),
        (slice(3, 6), limits.rotation_velocity, limits.rotation_acceleration),
    ):
        twists = np.array(sent)[:, part]
        assert np.linalg.norm(twists, axis=1).max() <= speed + 1e-9
        changes = np.linalg.norm(np.diff(twists, axis=0), axis=1)
        assert changes.max() <= acceleration * period_s + 1e-9


def test_a_command_that_stands_still_is_exactly_zero_where_nothing_is_corrected():
    servo = PoseServo(ARM)
    for i in range(60):
        servo.twist(pose_setpoint(i, swing(i)), None, correct=False)
    far = move_in_base(HOME, np.array([0.3, 0.0, 0.0]), np.zeros(3))
    twists = []
    for i in range(60, 160):
        state = pose_state(0, far)
        twists.append(servo.twist(pose_setpoint(i, swing(60)), state, correct=False))
    assert not twists[-1].any()
    # Noise is no reason to move either.
    close = move_in_base(swing(60), np.array([3e-4, 0.0, 0.0]), np.array([0.0, 1e-3, 0.0]))
    assert not servo.twist(
        pose_setpoint(160, swing(60)), pose_state(160, close), correct=True
    ).any()


# The base


def circle(i):
    """Commands of a base that drives a circle and turns with it, from rest."""
    t = i * HSR.period_ns / NANOSECONDS
    s = 0.3 * (t - np.sin(t))  # an angle with no speed and no acceleration at first
    return np.array([0.25 * np.sin(s), 0.25 * (1 - np.cos(s)), s])


def drive(steps, push=None):
    """Run the servo on a base that moves as it is told; return positions and odom-frame twists."""
    servo = BaseServo(HSR)
    period_s = HSR.period_ns / NANOSECONDS
    base, sent, last = [np.array([0.0, 0.0, 0.0])], [], circle(0)
    for i in range(steps):
        if push is not None and i == steps // 2:
            base[-1] = base[-1] + push
        velocity = (circle(i) - last) / period_s
        last = circle(i)
        twist = servo.twist(
            base_setpoint(i, circle(i), velocity), base_state(i, base[-1]), correct=True
        )
        cos, sin = np.cos(base[-1][2]), np.sin(base[-1][2])
        in_odom = np.array([cos * twist[0] - sin * twist[1], sin * twist[0] + cos * twist[1]])
        sent.append(np.array([*in_odom, twist[2]]))
        base.append(base[-1] + sent[-1] * period_s)
    return np.array(base), np.array(sent)


def test_a_base_drives_in_its_own_frame_to_where_its_joints_are_commanded():
    base, _ = drive(500)
    expected = np.array([circle(i) for i in range(500)])
    assert np.abs(base[1:] - expected).max() < 4e-3
    assert base[-1][2] > 2.0
    base, sent = drive(800, push=np.array([0.03, -0.02, 0.03]))
    assert np.abs(base[-1] - circle(799)).max() < 4e-3
    step = np.array([0.14, 0.14, 1.0]) * HSR.period_ns / NANOSECONDS
    assert (np.abs(np.diff(sent, axis=0)) <= step + 1e-9).all()


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6), st.floats(-1e3, 1e3), st.booleans(), st.sampled_from([0, 1, 2])
        ),
        min_size=3,
        max_size=50,
    )
)
def test_no_odometry_makes_a_base_leave_its_limits(jumps):
    servo = BaseServo(HSR)
    period_s = HSR.period_ns / NANOSECONDS
    sent, i = [np.zeros(3)], 0
    for way, yaw, correct, periods in jumps:
        i += periods
        state = base_state(i, [way, -way, yaw])
        setpoint = base_setpoint(i, circle(i), (circle(i) - circle(i - 1)) / period_s)
        sent.append(servo.twist(setpoint, state, correct=correct))
    speeds = np.linalg.norm(np.array(sent)[:, :2], axis=1)
    most, acceleration = np.hypot(0.2, 0.2), np.hypot(0.14, 0.14)
    assert speeds.max() <= most + 1e-9
    assert np.abs(np.array(sent)[:, 2]).max() <= 1.0 + 1e-9
    # What a turning base sees of its own speed changes by its turn as well, at twice its limit.
    changes = np.diff(np.array(sent), axis=0)
    allowed = acceleration * period_s + most * 2.0 * 1.0 * period_s
    assert np.linalg.norm(changes[1:, :2], axis=1).max(initial=0.0) <= allowed + 1e-9
    assert np.abs(changes[:, 2]).max() <= 1.0 * period_s + 1e-9


def test_a_base_at_rest_that_is_not_corrected_gets_exactly_zero():
    servo = BaseServo(HSR)
    state = base_state(0, [5.0, 5.0, 1.0])
    for i in range(40):
        velocity = [0.1, 0.0, 0.3] if i < 10 else [0.0, 0.0, 0.0]
        twist = servo.twist(base_setpoint(i, [0.1, 0.0, 0.0], velocity), state, correct=False)
    assert not twist.any()


def test_a_correction_begins_without_a_jerk():
    servo = BaseServo(HSR)
    # The base slips aside, by 0.01 mm more in each period.
    twists = [
        servo.twist(
            base_setpoint(i, np.zeros(3), np.zeros(3)),
            base_state(i, [0, 1e-5 * i, 0]),
            correct=True,
        )
        for i in range(200)
    ]
    sideways = np.array(twists)[:, 1]
    assert (sideways[:50] == 0.0).all()
    assert -3.2e-3 < sideways[-1] < -2.8e-3
    assert np.abs(np.diff(sideways)).max() < 3e-5
