"""Joint commands stay within position, velocity, acceleration and jerk for any input."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robomamba_ros.control.motion.joint_limits import JointLimiter
from robomamba_ros.robots.arm import load_arm

PERIOD = 0.01
# A real arm, one whose jerk hardly counts, and one with joints without end.
ARMS = {name: load_arm(name) for name in ('ur5e', 'franka_fr3', 'hsr')}
# With a jerk that takes an average of 20 periods.
UR5E = tuple(replace(joint, jerk=50.0) for joint in ARMS['ur5e'].joints)


def bounds(joints):
    columns = [(j.velocity, j.acceleration, j.jerk or np.inf) for j in joints]
    return np.array(columns).T


def violation(joints, path, start, period=PERIOD):
    """Return by how much the path, from rest at `start`, exceeds its limits, 0 if it does not."""
    path = np.vstack([np.tile(start, (3, 1)), path])
    worst = 0.0
    for order, most in enumerate(bounds(joints), start=1):
        values = np.abs(np.diff(path, n=order, axis=0)) / period**order
        worst = max(worst, float((values - most).max()))
    lower, upper = np.array([joint.position for joint in joints]).T
    return max(worst, float((lower - path).max()), float((path - upper).max()))


@st.composite
def motions(draw, joints):
    """A start within limits, and runs of targets: steps, spikes, flips, ramps, far outside."""
    count = len(joints)
    lower, upper = np.clip(np.array([joint.position for joint in joints]).T, -3.0, 3.0)
    start = lower + draw(arrays(np.float64, count, elements=st.floats(0.0, 1.0))) * (upper - lower)
    targets, last = [], start
    for kind in draw(st.lists(st.sampled_from(['step', 'flip', 'ramp', 'wild']), max_size=6)):
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        length = draw(st.integers(1, 40))
        if kind == 'step':
            run = np.tile(random.uniform(lower, upper), (length, 1))
        elif kind == 'flip':
            signs = np.where(np.arange(length) % 2, 1.0, -1.0)[:, None]
            run = last + signs * random.uniform(-0.5, 0.5, count)
        elif kind == 'ramp':
            speed = random.uniform(-1.5, 1.5, count) * bounds(joints)[0]
            run = last + np.arange(1, length + 1)[:, None] * speed * PERIOD
        else:
            run = random.uniform(-1.0, 1.0, (length, count)) * 10.0 ** random.uniform(-9, 30)
        targets += list(run)
        last = run[-1]
    return start, targets


@pytest.mark.parametrize('name', ARMS)
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_limits_hold_for_any_targets_and_stops(name, data):
    joints = ARMS[name].joints
    start, targets = data.draw(motions(joints))
    stops = data.draw(st.lists(st.integers(0, 200), max_size=3))
    limiter = JointLimiter(joints, PERIOD, start)
    path = [start]
    for index, target in enumerate(targets):
        if index in stops:
            path += [limiter.brake() for _ in range(data.draw(st.integers(1, 30)))]
        path.append(limiter.follow(target))
    while not limiter.at_rest:
        path.append(limiter.brake())
        assert len(path) < 2000
    assert violation(joints, path, start) <= 1e-6


def test_the_same_targets_violate_every_limit_without_the_limiter():
    random = np.random.default_rng(0)
    start = np.zeros(6)
    targets = np.repeat(random.uniform(-2.0, 2.0, (20, 6)), 30, axis=0)
    limiter = JointLimiter(UR5E, PERIOD, start)
    path = [limiter.follow(target) for target in targets]
    assert violation(UR5E, path, start) <= 1e-6
    raw = np.vstack([np.tile(start, (3, 1)), targets])
    for order, most in enumerate(bounds(UR5E), start=1):
        assert (np.abs(np.diff(raw, n=order, axis=0)).max(axis=0) / PERIOD**order > 10 * most).all()
    # Nor does the first stage alone keep the jerk.
    without_jerk = JointLimiter([replace(j, jerk=None) for j in UR5E], PERIOD, start)
    rough = [without_jerk.follow(target) for target in targets]
    assert violation([replace(j, jerk=None) for j in UR5E], rough, start) <= 1e-6
    assert violation(UR5E, rough, start) > 100.0


@pytest.mark.parametrize('name', ARMS)
@settings(deadline=None, max_examples=15)
@given(st.data())
def test_a_target_that_stands_still_is_met_exactly_and_once_reached_never_left(name, data):
    joints = ARMS[name].joints
    start, targets = data.draw(motions(joints))
    goal, _ = data.draw(motions(joints))
    limiter = JointLimiter(joints, PERIOD, start)
    for target in targets:
        limiter.follow(target)
    distance = np.abs(goal - limiter.ahead) + limiter.velocity**2 / bounds(joints)[1]
    # The time of a bang-bang motion or of one at full speed, and some room.
    speed, acceleration, _ = bounds(joints)
    longest = (distance / speed + 4 * speed / acceleration).max() / PERIOD + 100
    for _ in range(int(longest)):
        limiter.follow(goal)
        if limiter.at_rest and np.array_equal(limiter.joints, goal):
            break
    for _ in range(5):
        assert limiter.at_rest
        assert np.array_equal(limiter.joints, goal)
        assert np.array_equal(limiter.follow(goal), goal)


def test_a_step_is_followed_without_overshoot_and_as_fast_as_the_limits_say():
    limiter = JointLimiter(UR5E, PERIOD, np.zeros(6))
    goal = np.array([2.0, 0.5, 0.01, -0.3, 1e-5, 0.0])
    path = [limiter.follow(goal) for _ in range(200)]
    ahead = np.abs(path)
    assert (np.diff(ahead, axis=0) >= 0.0).all()
    assert (ahead <= np.abs(goal)).all()
    # 2 rad at 5 rad/s^2 up to 3.14 rad/s: 1.265 s, and 2 * 5 / 50 s for the jerk.
    arrival = next(i for i, joints in enumerate(path, start=1) if joints[0] == goal[0])
    assert arrival * PERIOD == pytest.approx(2 * np.sqrt(2.0 / 5.0) + 0.2, abs=0.03)


def test_a_ramp_within_limits_is_followed_by_the_lag_and_nothing_else():
    limiter = JointLimiter(UR5E, PERIOD, np.zeros(6))
    slope = np.array([0.5, -0.2, 0.1, 1.0, 0.0, 0.3])
    for tick in range(1, 150):
        limiter.follow(slope * tick * PERIOD)
    assert limiter.lag_periods == 9.5
    assert limiter.joints == pytest.approx(slope * (149 - 9.5) * PERIOD, abs=1e-12)
    assert limiter.velocity == pytest.approx(slope, abs=1e-9)
    assert limiter.active_limits == ()


def test_a_stop_is_a_straight_line_and_takes_the_time_and_the_way_they_say():
    limiter = JointLimiter(UR5E, PERIOD, np.zeros(6))
    slope = np.array([2.0, -1.0, 0.5, 0.0, 0.25, 1.5])
    for tick in range(1, 200):
        limiter.follow(slope * tick * PERIOD)
    start = limiter.joints
    path = [start]
    while not limiter.at_rest:
        path.append(limiter.brake())
    # The fastest joint needs 2 / 5 s; the average of 20 periods ends 19 later. At rest is what
    # has stood still for a period.
    assert len(path) - 1 == 2.0 / 5.0 / PERIOD + 19 + 1
    way = 2.0**2 / (2 * 5.0) - 2.0 * PERIOD / 2 + 2.0 * limiter.lag_periods * PERIOD
    assert path[-1] - start == pytest.approx(slope / 2.0 * way)
    moved = np.array(path[1:-1]) - start
    assert moved / moved[:, :1] == pytest.approx(np.tile(slope / 2.0, (len(moved), 1)), abs=1e-9)
    speeds = np.diff(path, axis=0) / PERIOD
    assert np.abs(np.diff(speeds, n=2, axis=0)).max() / PERIOD**2 <= 50.0 + 1e-6


def test_an_end_that_is_flown_at_is_braked_for_and_not_run_into():
    elbow = UR5E[2]
    limiter = JointLimiter([elbow], PERIOD, np.array([0.0]))
    path = [np.array([0.0])]
    for tick in range(1, 400):
        path.append(limiter.follow(np.array([3.0 * tick * PERIOD])))
    assert path[-1] == elbow.position[1]
    assert violation([elbow], path, path[0]) <= 1e-6
    assert 'position' in limiter.active_limits


@pytest.mark.parametrize('joint', [UR5E[2], ARMS['franka_fr3'].joints[0]])
def test_a_stop_is_computed_to_its_end_near_the_end_of_a_joint_too(joint):
    """A point of a trajectory is at rest where the command before it was."""
    limiter = JointLimiter([joint], PERIOD, np.array([0.0]))
    for tick in range(1, 300):
        limiter.follow(np.array([0.9 * joint.velocity * tick * PERIOD]))
        rows, velocities = limiter.stop()
        assert velocities[-1] == 0.0
        assert len(rows) == 1 or rows[-1] == rows[-2]


def test_a_joint_that_starts_outside_moves_only_inwards():
    elbow = UR5E[2]
    limiter = JointLimiter([elbow], PERIOD, np.array([3.3]))
    assert limiter.follow(np.array([5.0])) == 3.3
    path = [float(limiter.follow(np.array([5.0]))[0]) for _ in range(50)]
    assert path == [3.3] * 50
    path = [float(limiter.follow(np.array([3.0]))[0]) for _ in range(100)]
    assert all(after <= before for before, after in itertools.pairwise([3.3, *path]))
    assert path[-1] == 3.0


def test_the_same_targets_give_the_same_commands_to_the_bit():
    random = np.random.default_rng(4)
    targets = random.uniform(-1.0, 1.0, (300, 6))
    one, other = (JointLimiter(UR5E, PERIOD, np.zeros(6)) for _ in range(2))
    for target in targets:
        assert np.array_equal(one.follow(target), other.follow(target))
