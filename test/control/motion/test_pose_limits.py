"""The limiter holds its limits for any input, and changes nothing that respects them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robomamba_ros.control.motion.pose_limits import PoseLimiter
from robomamba_ros.control.motion.pursuit import braking_speed
from robomamba_ros.robots.arm import CartesianLimits, Workspace, load_arm
from robomamba_ros.spatial.transforms import (
    move_in_base,
    quaternion_from_rotation_vector,
    turn_between,
)
from robomamba_ros.types import Pose

PERIOD = 0.02
LIMITS = CartesianLimits(
    velocity=0.5,
    acceleration=3.0,
    stop_deceleration=1.0,
    rotation_velocity=1.0,
    rotation_acceleration=6.0,
    rotation_stop_deceleration=2.0,
)
JERKY = replace(LIMITS, jerk=30.0, rotation_jerk=60.0)
BOX = Workspace(np.array([-0.5, -0.5, 0.0]), np.array([0.5, 0.5, 0.6]))
IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])
START = Pose(np.array([0.0, 0.0, 0.3]), IDENTITY)

positions = arrays(np.float64, 3, elements=st.floats(0.0, 1.0)).map(
    lambda unit: BOX.lower + unit * (BOX.upper - BOX.lower)
)
turns = arrays(np.float64, 3, elements=st.floats(-1.5, 1.5))
targets = st.builds(
    lambda position, turn: Pose(position, quaternion_from_rotation_vector(turn)), positions, turns
)
# Each target is held for a while, so that runs of equal targets and jumps both occur.
sequences = st.lists(st.tuples(targets, st.integers(1, 30)), min_size=1, max_size=8).map(
    lambda runs: [target for target, length in runs for _ in range(length)]
)


def limiter(start=START, limits=LIMITS, box=BOX, period=PERIOD):
    return PoseLimiter(limits, box, period, start)


def motion(poses, period=PERIOD):
    """Return the largest norms of velocity, acceleration and jerk, and those of the rotation."""
    poses = [poses[0]] * 3 + list(poses)
    linear = np.diff([pose.position for pose in poses], axis=0) / period
    angular = np.array([turn_between(before, after) for before, after in itertools.pairwise(poses)])
    angular /= period

    def largest(rows, order):
        derivative = np.diff(rows, n=order, axis=0) / period**order
        return float(np.linalg.norm(derivative, axis=1).max())

    return tuple(largest(rows, order) for rows in (linear, angular) for order in range(3))


def within_limits(poses, limits=LIMITS):
    bounds = (
        limits.velocity,
        limits.acceleration,
        limits.jerk or np.inf,
        limits.rotation_velocity,
        limits.rotation_acceleration,
        limits.rotation_jerk or np.inf,
    )
    return all(most <= bound + 1e-6 for most, bound in zip(motion(poses), bounds, strict=True))


def inside_box(poses):
    return all((BOX.lower <= p.position).all() and (p.position <= BOX.upper).all() for p in poses)


@pytest.mark.parametrize('limits', [LIMITS, JERKY])
@settings(deadline=None, max_examples=25)
@given(sequences)
def test_limits_and_walls_hold_for_any_targets(limits, sequence):
    follower = limiter(limits=limits)
    poses = [START, *(follower.follow(target) for target in sequence)]
    assert within_limits(poses, limits)
    assert inside_box(poses)


def test_the_same_jump_violates_the_limits_without_the_limiter():
    target = move_in_base(START, np.array([0.3, 0.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    follower = limiter(limits=JERKY)
    assert within_limits([START, *(follower.follow(target) for _ in range(100))], JERKY)
    unlimited = motion([START, target, target])
    assert unlimited == pytest.approx((15.0, 750.0, 75e3, 50.0, 2500.0, 250e3))
    follower = limiter()
    without_jerk = [START, *(follower.follow(target) for _ in range(100))]
    assert not within_limits(without_jerk, JERKY)


@pytest.mark.parametrize('limits', [LIMITS, JERKY])
@settings(deadline=None, max_examples=25)
@given(sequences, st.integers(0, 60))
def test_braking_stays_within_limits_and_walls_until_rest(limits, sequence, count):
    follower = limiter(limits=limits)
    poses = [START, *(follower.follow(target) for target in sequence[:count])]
    while not follower.at_rest:
        poses.append(follower.brake())
        assert len(poses) < 500
    assert within_limits(poses, limits)
    assert inside_box(poses)


@settings(deadline=None, max_examples=25)
@given(sequences, targets)
def test_a_target_that_stands_still_is_met_exactly(sequence, target):
    follower, jerky = limiter(), limiter(limits=JERKY)
    for before in sequence:
        follower.follow(before)
        jerky.follow(before)
    for _ in range(300):
        pose, smooth = follower.follow(target), jerky.follow(target)
        rests = follower.at_rest and jerky.at_rest
        if rests and pose is target and np.array_equal(smooth.position, target.position):
            break
    assert pose is target
    assert follower.at_rest
    assert np.array_equal(smooth.position, target.position)
    # A quaternion and its negative are one rotation; the smooth path may end on either.
    assert abs(smooth.quaternion @ target.quaternion) == pytest.approx(1.0, abs=1e-12)
    assert jerky.at_rest
    assert jerky.follow(target) is smooth


@settings(deadline=None, max_examples=25)
@given(st.floats(1e-4, 0.49), st.floats(0.1, 50.0))
def test_a_jump_from_rest_is_followed_without_overshoot(distance, acceleration):
    limits = CartesianLimits(0.5, acceleration, 0.1, 1.0, 6.0, 2.0)
    follower = limiter(limits=limits)
    target = Pose(START.position + np.array([distance, 0, 0]), IDENTITY)
    reached = [follower.follow(target).position[0] for _ in range(250)]
    assert max(reached) <= target.position[0] + 1e-12
    assert all(after >= before for before, after in itertools.pairwise(reached))


def test_a_moving_target_is_caught_up_and_then_followed_to_the_bit():
    follower = limiter()
    step = np.array([0.006, 0.0, 0.0])
    jump = np.array([0.0, 0.05, 0.0])
    targets = [Pose(START.position + jump + (i - 20) * step, IDENTITY) for i in range(60)]
    poses = [follower.follow(target) for target in targets]
    assert within_limits([START, *poses])
    for target, pose in zip(targets[-10:], poses[-10:], strict=True):
        assert np.array_equal(pose.position, target.position)


def test_an_arm_that_flies_at_a_wall_slows_down_before_it():
    follower = limiter()
    poses = [START]
    for i in range(1, 120):
        ahead = START.position + np.array([min(0.008 * i, 0.5), 0, 0])
        poses.append(follower.follow(Pose(ahead, IDENTITY)))
    assert within_limits(poses)
    assert poses[-1].position[0] == 0.5
    # Full speed, 0.4 m/s, cannot stop at the wall within limits: an unlimited arm would.
    xs = [min(0.008 * i, 0.5) for i in range(120)]
    assert np.abs(np.diff(xs, n=2)).max() / PERIOD**2 > LIMITS.acceleration


@settings(deadline=None, max_examples=60)
@given(
    positions,
    st.lists(arrays(np.float64, 3, elements=st.floats(-1.0, 1.0)), min_size=1, max_size=4),
    st.booleans(),
)
def test_limits_and_walls_hold_for_any_flight_at_walls_and_corners(start, directions, then_brake):
    follower = limiter(start=Pose(start, IDENTITY))
    poses = [follower.pose]
    ahead = start
    for direction in directions:
        step = direction / max(np.linalg.norm(direction), 1e-3) * LIMITS.velocity * PERIOD
        for _ in range(25):
            ahead = BOX.clip(ahead + step)
            poses.append(follower.follow(Pose(ahead, IDENTITY)))
    while then_brake and not follower.at_rest:
        poses.append(follower.brake())
    assert within_limits(poses)
    assert inside_box(poses)


def test_a_corner_can_be_flown_at_on_the_diagonal():
    follower = limiter()
    step = np.array([0.0057, 0.0057, 0.0057])
    poses = [START]
    for i in range(1, 120):
        poses.append(follower.follow(Pose(np.minimum(START.position + i * step, 0.5), IDENTITY)))
    assert not follower.active_limits
    assert poses[-1].position == pytest.approx([0.5, 0.5, 0.5])
    follower = limiter(box=Workspace(BOX.lower, np.array([0.5, 0.5, 0.8])))
    poses = [START]
    for i in range(1, 120):
        poses.append(follower.follow(Pose(START.position + min(i * 0.0057, 0.5), IDENTITY)))
    assert poses[-1].position == pytest.approx([0.5, 0.5, 0.8])
    assert within_limits(poses)


def test_a_target_that_gathers_more_speed_than_the_limit_is_followed_at_the_limit():
    follower = limiter(start=Pose(np.array([-0.5, 0.0, 0.3]), IDENTITY))
    poses = [follower.pose]
    ahead = follower.pose.position
    for i in range(1, 40):
        ahead = ahead + np.array([min(0.05 * i, 0.6) * PERIOD, 0.0, 0.0])
        poses.append(follower.follow(Pose(ahead, IDENTITY)))
        assert bool(follower.active_limits) is (i > 10)
    assert within_limits(poses)
    assert follower.velocity[0] == pytest.approx(LIMITS.velocity)


def test_a_stop_gives_up_what_was_still_to_catch_up():
    follower = limiter()
    for _ in range(12):
        follower.follow(Pose(START.position + np.array([0.4, 0, 0]), IDENTITY))
    speeds = [float(follower.velocity[0])]
    while not follower.at_rest:
        follower.brake()
        speeds.append(float(follower.velocity[0]))
    assert np.diff(speeds)[:-1] / PERIOD == pytest.approx(-LIMITS.stop_deceleration)


def test_an_arm_at_rest_is_so_at_any_orientation():
    generator = np.random.default_rng(3)
    for vector in generator.uniform(-2.0, 2.0, (50, 3)):
        start = Pose(START.position, quaternion_from_rotation_vector(vector))
        follower = limiter(start=start)
        assert follower.brake() is start
        assert follower.at_rest


def test_braking_near_a_wall_is_harder_than_the_gentle_stop_but_within_limits():
    follower = limiter(start=Pose(np.array([0.3, 0.0, 0.3]), IDENTITY))
    poses = [follower.pose]
    while poses[-1].position[0] < 0.44:
        ahead = poses[-1].position + np.array([0.0078, 0, 0])
        poses.append(follower.follow(Pose(ahead, IDENTITY)))
    speed = follower.velocity[0]
    assert speed**2 / (2 * LIMITS.stop_deceleration) > 0.5 - poses[-1].position[0]
    while not follower.at_rest:
        poses.append(follower.brake())
    assert 0.49 < poses[-1].position[0] <= 0.5
    assert motion(poses)[1] <= LIMITS.acceleration + 1e-6


def test_the_gentle_stop_takes_the_distance_its_deceleration_says():
    follower = limiter(start=Pose(np.array([-0.4, 0.0, 0.3]), IDENTITY))
    for i in range(1, 40):
        pose = follower.follow(Pose(np.array([-0.4 + 0.008 * i, 0.0, 0.3]), IDENTITY))
    assert follower.velocity[0] == pytest.approx(0.4)
    start = pose.position[0]
    while not follower.at_rest:
        pose = follower.brake()
    # v^2 / 2a, less half a period of the first speed: the first period already is slower.
    assert pose.position[0] - start == pytest.approx(0.4**2 / 2 - 0.4 * PERIOD / 2)


def test_a_stop_with_a_jerk_limit_takes_the_time_and_the_way_they_say():
    follower = limiter(start=Pose(np.array([-0.4, 0.0, 0.3]), IDENTITY), limits=JERKY)
    for i in range(1, 60):
        follower.follow(Pose(np.array([-0.4 + 0.008 * i, 0.0, 0.3]), IDENTITY))
    assert follower.velocity[0] == pytest.approx(0.4)
    start, ticks = follower.pose.position[0], 0
    while follower.velocity.any():
        follower.brake()
        ticks += 1
    # 2 * 3 / 30 s are 10 periods; the average delays the stop by 4.5 and ends 9 later.
    assert follower.lag_periods == 4.5
    assert ticks == 0.4 / 1.0 / PERIOD + 9
    way = 0.4**2 / 2 - 0.4 * PERIOD / 2 + 0.4 * 4.5 * PERIOD
    assert follower.pose.position[0] - start == pytest.approx(way)


def test_what_bites_is_named():
    follower = limiter(limits=JERKY)
    far = Pose(START.position + np.array([0.9, 0.0, 0.0]), IDENTITY)
    turned = Pose(START.position, quaternion_from_rotation_vector(np.array([0.0, 0.0, 1.0])))
    assert follower.follow(START) is START
    assert follower.active_limits == ()
    follower.follow(far)
    assert follower.active_limits == ('position', 'velocity', 'acceleration', 'jerk')
    follower = limiter(limits=JERKY)
    follower.follow(turned)
    assert follower.active_limits == ('rotation_velocity', 'rotation_acceleration', 'rotation_jerk')


def test_from_outside_the_workspace_it_moves_only_inwards():
    outside = Pose(np.array([0.7, 0.0, 0.3]), IDENTITY)
    follower = limiter(start=outside)
    assert follower.brake().position[0] == 0.7
    xs = [follower.follow(Pose(np.array([0.5, 0.0, 0.3]), IDENTITY)).position[0] for _ in range(90)]
    assert xs[-1] == 0.5
    assert all(after <= before for before, after in itertools.pairwise([0.7, *xs]))


@settings(deadline=None, max_examples=25)
@given(
    arrays(np.float64, (60, 3), elements=st.sampled_from([-0.01, 0.0, 0.01, 0.0037])),
    st.sampled_from([(0.0, 0.6, 0.2), (0.495, 0.99, 0.493), (-0.497, 0.402, 0.052)]),
)
def test_what_a_bang_bang_policy_does_in_the_simulator_passes_to_the_bit(deltas, start):
    arm = load_arm('sawyer_sim')
    position = np.array(start)
    follower = limiter(Pose(position, IDENTITY), arm.cartesian, arm.workspace, 1 / 80)
    for delta in deltas:
        position = arm.workspace.clip(position + delta)
        assert np.array_equal(follower.follow(Pose(position, IDENTITY)).position, position)


@settings(deadline=None)
@given(st.floats(0.0, 10.0), st.floats(0.1, 300.0), st.floats(0.001, 0.1))
def test_the_braking_speed_stops_on_the_spot(distance, deceleration, period):
    speed = braking_speed(distance, deceleration, period)
    travelled = 0.0
    while speed > 0:
        travelled += speed * period
        speed -= deceleration * period
    assert travelled == pytest.approx(distance, abs=1e-9)
    assert math.isfinite(travelled)


def test_a_target_that_turns_faster_than_the_limit_does_not_turn_the_hand_back():
    limited, angle = limiter(), 0.0
    rates = []
    for _ in range(500):
        angle += 2.0 * PERIOD
        turn = quaternion_from_rotation_vector(np.array([0.0, 0.0, angle]))
        limited.follow(Pose(START.position, turn))
        rates.append(limited.rotation_velocity[2])
    # It is half a turn behind after 3.1 s of 10, and a whole one, which it leaves out, after 6.3 s.
    assert min(rates[20:]) > 0.9


def test_a_target_that_jumps_back_is_turned_to_the_short_way():
    limited, angle = limiter(), 0.0
    for _ in range(200):
        angle += 2.0 * PERIOD
        turn = quaternion_from_rotation_vector(np.array([0.0, 0.0, angle]))
        here = limited.follow(Pose(START.position, turn))
    # Half a turn ahead of the hand, and then a little behind it.
    before = move_in_base(here, np.zeros(3), np.array([0.0, 0.0, -0.2]))
    for _ in range(100):
        here = limited.follow(Pose(START.position, before.quaternion))
        rate = limited.rotation_velocity[2]
        assert rate < 1.0 + 1e-9
    assert np.abs(turn_between(here, before)).max() < 1e-6
