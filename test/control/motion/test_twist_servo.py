"""Twists bring the arm to its command, within the contract's limits whatever is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.control.motion.joint_limits import JointLimiter
from robomamba_ros.control.motion.twist_servo import BaseServo, PoseServo, commanded_joints
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


def drawn(place, twist, seconds):
    """Return where a twist takes a base that holds it: along an arc."""
    x, y, turn = np.asarray(twist) * seconds
    chord = complex(x, y) * np.exp(1j * (place[2] + turn / 2)) * np.sinc(turn / 2 / np.pi)
    return place + np.array([chord.real, chord.imag, turn])


def drive(steps, push=None):
    """Run the servo on a base that takes up each twist a period later; return its positions."""
    servo = BaseServo(HSR)
    period_s = HSR.period_ns / NANOSECONDS
    base, last, waiting = [np.zeros(3)], circle(0), np.zeros(3)
    for i in range(steps):
        if push is not None and i == steps // 2:
            base[-1] = base[-1] + push
        velocity = (circle(i) - last) / period_s
        last = circle(i)
        twist = servo.twist(
            base_setpoint(i, circle(i), velocity), base_state(i, base[-1]), correct=True
        )
        base.append(drawn(base[-1], waiting, period_s))
        waiting = twist
    return np.array(base)


def test_a_base_drives_in_its_own_frame_to_where_its_joints_are_commanded():
    base = drive(500)
    expected = np.array([circle(i) for i in range(500)])
    # It is about a period late.
    assert np.abs(base[1:] - expected).max() < 0.012
    assert base[-1][2] > 2.0
    pushed = drive(800, push=np.array([0.03, -0.02, 0.03]))
    assert np.abs(pushed[-1] - circle(799)).max() < 0.012


def shares(places):
    """Return the largest shares (3, 3) of velocity, acceleration and jerk that a base takes.

    places (k, 3): where it is at the end of each control period.
    """
    limits = np.array([(j.velocity, j.acceleration, j.jerk) for j in HSR.joints_of('base')]).T
    found = []
    for limit in limits:
        places = np.diff(places, axis=0) * NANOSECONDS / HSR.period_ns
        found.append(np.abs(places).max(axis=0) / limit)
    return np.array(found)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.floats(-1e3, 1e3), st.booleans(), st.integers(0, 5)),
        min_size=3,
        max_size=50,
    )
)
def test_no_odometry_makes_a_base_leave_its_limits(jumps):
    servo = BaseServo(HSR)
    period_s = HSR.period_ns / NANOSECONDS
    # The first look, at rest, says which way it heads.
    places = [np.array([0.0, 0.0, jumps[0][1]])] * 3
    for i, (way, yaw, correct, late) in enumerate(jumps):
        state = base_state(i - late, [way, -way, yaw])
        velocity = (circle(i + 100) - circle(i + 99)) / period_s * min(i / 50, 1.0)
        twist = servo.twist(base_setpoint(i, circle(i), velocity), state, correct=correct)
        if not np.any(places[-1] != places[-2]):
            places = [np.array([*places[-1][:2], yaw])] * 3
        places.append(drawn(places[-1], twist, period_s))
    for _ in range(5):
        places.append(drawn(places[-1], servo.brake(), period_s))
    assert shares(np.array(places)).max() <= 1.0


# What nobody knows of a base: after how many periods it takes up a twist, the lag of its wheels
# [s], how much of a turn they make, how many periods old its odometry is and how many lie between
# two, and its noise [m, rad].
BASES = {
    'as reckoned': (1.0, 0.0, 1.0, 0, 1, 0.0),
    'at once': (0.0, 0.0, 1.0, 0, 1, 0.0),
    'late': (2.0, 0.0, 1.0, 1, 1, 0.0),
    'lags': (0.5, 0.05, 1.0, 0, 1, 0.0),
    'seldom measured': (0.5, 0.02, 1.0, 2, 2, 0.0),
    'noise': (1.0, 0.0, 1.0, 1, 1, 1e-4),
    'slips': (1.0, 0.0, 0.95, 1, 1, 0.0),
}


def turn_about(kind, seed, steps=200, parts=4):
    """Drive a base of BASES at random, fast and turning; return where it is each period."""
    delay, lag_s, grip, old, every, noise = BASES[kind]
    random, servo, period_s = np.random.default_rng(seed), BaseServo(HSR), HSR.period_ns / 1e9
    joints = [joint for joint in commanded_joints(HSR) if joint.part == 'base']
    limiter = JointLimiter(joints, period_s, np.zeros(3))
    full = np.array([joint.velocity for joint in HSR.joints_of('base')])
    places, sent, velocity, left = [np.zeros(3)], [], np.zeros(3), 0
    taken_up = 1.0 if lag_s == 0.0 else 1.0 - np.exp(-period_s / parts / lag_s)
    for i in range(steps):
        if left == 0:
            left = int(random.integers(5, 80))
            wanted = full * random.choice([-1.0, 0.0, 1.0], 3)
            wanted[2] = full[2] * random.choice([-1.0, 1.0, 1.0])
        left -= 1
        command = limiter.follow(limiter.ahead + wanted * period_s)
        measured = max(i - old, 0) // every * every
        state = base_state(measured, places[measured] + random.normal(0.0, noise, 3))
        sent.append(servo.twist(base_setpoint(i, command, limiter.velocity), state, correct=True))
        here = places[-1]
        for part in range(parts):
            newest = int(np.floor(i + part / parts - delay + 1e-9))
            held = sent[newest] if newest >= 0 else np.zeros(3)
            velocity = velocity + taken_up * (held * [1.0, 1.0, grip] - velocity)
            here = drawn(here, velocity, period_s / parts)
        places.append(here)
    return np.array(places)


@pytest.mark.parametrize('kind', BASES)
def test_a_base_that_turns_moves_within_its_limits_though_its_heading_is_not_known(kind) -> None:
    found = np.max([shares(turn_about(kind, seed)) for seed in (1, 4)], axis=0)
    assert found.max() <= 1.0, found
    assert found[1:].min() > 0.85


def test_without_room_for_its_heading_it_does_not(monkeypatch) -> None:
    monkeypatch.setattr('robomamba_ros.control.motion.twist_servo._ROOM', 0.0)
    assert shares(turn_about('slips', 4)).max() > 1.02


def test_a_base_that_is_as_reckoned_needs_no_room(monkeypatch) -> None:
    monkeypatch.setattr('robomamba_ros.control.motion.twist_servo._ROOM', 0.0)
    assert shares(turn_about('as reckoned', 4)).max() <= 1.0 + 1e-9


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
