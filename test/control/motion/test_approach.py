"""The way to a pose target: through its three poses, within a share of the limits, from rest."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.control.motion.approach import CLOSE_S, SHARE, approach_chunk
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import CartesianLimits, load_arm
from robomamba_ros.spatial.transforms import turn_between
from robomamba_ros.types import Pose, PoseTarget, RobotState

# An arm that takes poses, with limits, jerks among them, as those of a real one.
ARM = replace(load_arm('sawyer_sim'), cartesian=load_arm('franka_fr3').cartesian)
PERIOD_S = ARM.period_ns / 1e9
SECOND = 1_000_000_000
STAMP = 5 * SECOND


def pose(x, y, z, *quaternion):
    turned = np.array(quaternion or (0.0, 0.0, 0.0, 1.0))
    return Pose(np.array([x, y, z]), turned / np.linalg.norm(turned))


START = pose(0.0, 0.5, 0.3)
DOWN = (1.0, 0.1, 0.0, 0.2)
TARGET = PoseTarget(
    stamp_ns=STAMP,
    frame='base',
    pose=pose(0.1, 0.7, 0.1, *DOWN),
    pre_contact=pose(0.1, 0.7, 0.15, *DOWN),
    retreat=pose(0.1, 0.7, 0.45, *DOWN),
)


def poses_of(chunk):
    return [Pose(row[:3], row[3:7]) for row in chunk.actions.astype(np.float64)]


def motion(chunk, start):
    """Return velocities, accelerations and jerks (n, 6) of a path that begins and ends at rest."""
    poses = [start] * 3 + poses_of(chunk)
    poses += poses[-1:] * 3
    steps = [
        [*(after.position - before.position), *turn_between(before, after)]
        for before, after in pairwise(poses)
    ]
    velocity = np.array(steps) / PERIOD_S
    acceleration = np.diff(velocity, axis=0) / PERIOD_S
    return velocity, acceleration, np.diff(acceleration, axis=0) / PERIOD_S


def norms(values):
    """Return the largest norms (2,): of the three linear, and of the three angular columns."""
    return np.linalg.norm(values.reshape(-1, 2, 3), axis=2).max(axis=0)


unit = st.floats(0.0, 1.0)
quaternions = st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


@st.composite
def inside(draw):
    lower, upper = ARM.workspace.lower, ARM.workspace.upper
    position = lower + np.array(draw(st.tuples(unit, unit, unit))) * (upper - lower)
    return pose(*position, *draw(quaternions))


# In each, one limit is what takes the time.
BOUND = {
    'velocity': CartesianLimits(0.5, 40.0, 1.0, 1.0, 40.0, 1.0, 4000.0, 4000.0),
    'acceleration': CartesianLimits(10.0, 1.0, 1.0, 10.0, 2.0, 1.0),
    'jerk': CartesianLimits(10.0, 40.0, 1.0, 10.0, 40.0, 1.0, 40.0, 80.0),
}
# What float32 poses leave of the first three differences.
ROUNDING = (1e-4, 0.01, 1.0)


@pytest.mark.parametrize('limits', BOUND.values(), ids=BOUND)
@settings(deadline=None, max_examples=20)
@given(start=inside(), pre_contact=inside(), contact=inside(), retreat=inside())
def test_any_target_is_approached_within_the_share_of_every_limit(
    limits, start, pre_contact, contact, retreat
):
    target = PoseTarget(STAMP, 'base', contact, pre_contact, retreat)
    chunk = approach_chunk(target, start, replace(ARM, cartesian=limits), STAMP)
    bounds = (
        (limits.velocity, limits.rotation_velocity),
        (limits.acceleration, limits.rotation_acceleration),
        (limits.jerk or np.inf, limits.rotation_jerk or np.inf),
    )
    for values, allowed, rounding in zip(motion(chunk, start), bounds, ROUNDING, strict=True):
        assert (norms(values) <= SHARE * np.array(allowed) + rounding).all()


@pytest.mark.parametrize(
    ('bound', 'derivative'), [('velocity', 0), ('acceleration', 1), ('jerk', 2)]
)
def test_the_share_is_used(bound, derivative):
    limits = BOUND[bound]
    linear, angular = norms(
        motion(approach_chunk(TARGET, START, replace(ARM, cartesian=limits), STAMP), START)[
            derivative
        ]
    )
    shares = (linear / getattr(limits, bound), angular / getattr(limits, f'rotation_{bound}'))
    assert 0.9 * SHARE < max(shares) < 1.05 * SHARE


def test_it_goes_open_to_the_contact_closes_there_and_retreats_closed():
    chunk = approach_chunk(TARGET, START, ARM, STAMP)
    places, gripper = poses_of(chunk), chunk.channel('gripper')
    wanted = (TARGET.pre_contact, TARGET.pose, TARGET.retreat)
    steps = [
        min(range(len(places)), key=lambda i, w=want: np.abs(places[i].position - w.position).sum())
        for want in wanted
    ]
    assert steps == sorted(steps)
    for step, want in zip(steps, wanted, strict=True):
        np.testing.assert_allclose(places[step].position, want.position, atol=1e-7)
        np.testing.assert_allclose(turn_between(places[step], want), 0.0, atol=1e-6)
    closing = int(np.argmin(gripper))
    assert set(gripper[:closing]) == {1.0}
    assert set(gripper[closing:]) == {0.0}
    assert closing == steps[1] + 1
    held = places[closing : closing + int(CLOSE_S / PERIOD_S)]
    assert all(np.array_equal(p.position, places[steps[1]].position) for p in held)
    assert steps[2] == chunk.horizon - 1
    assert (chunk.stamp_ns, chunk.dt_ns) == (STAMP, ARM.period_ns)


def test_between_pre_contact_and_contact_it_goes_straight():
    places = np.array([p.position for p in poses_of(approach_chunk(TARGET, START, ARM, STAMP))])
    below = places[(places[:, 2] < 0.15)]
    assert len(below) > 10
    np.testing.assert_allclose(below[:, :2], [[0.1, 0.7]] * len(below), atol=1e-7)


def test_the_inference_is_waited_for_at_the_start():
    late = approach_chunk(TARGET, START, ARM, STAMP + 3 * SECOND)
    at_once = approach_chunk(TARGET, START, ARM, STAMP)
    waiting = 3 * SECOND // ARM.period_ns
    assert late.horizon == at_once.horizon + waiting
    np.testing.assert_array_equal(late.actions[waiting:], at_once.actions)
    assert np.ptp(late.actions[:waiting], axis=0).max() == 0.0


def test_the_setpoint_loop_follows_it_without_a_limit_that_bites():
    loop = SetpointLoop(ARM, supervised=False)
    loop.enable(True)

    def measure(now_ns, at):
        joints = {joint.name: 0.0 for joint in ARM.joints}
        loop.update_state(RobotState(now_ns, at, 1.0, joints))

    measure(STAMP, START)
    # Inference took two seconds; the chunk is another 10 ms on its way.
    chunk = approach_chunk(TARGET, START, ARM, STAMP + 2 * SECOND)
    now_ns = STAMP + 2 * SECOND + 10_000_000
    measure(now_ns, START)
    receipt = loop.add_chunk(chunk, now_ns)
    assert receipt.seam_jump_m < 1e-4
    closed_at = None
    while now_ns < chunk.end_ns:
        setpoint = loop.tick(now_ns)
        if setpoint.gripper == 0.0 and closed_at is None:
            closed_at = setpoint.pose
        now_ns += ARM.period_ns
        measure(now_ns, setpoint.pose)
    assert loop.counts.limited == 0
    np.testing.assert_allclose(closed_at.position, TARGET.pose.position, atol=1e-4)
    np.testing.assert_allclose(setpoint.pose.position, TARGET.retreat.position, atol=1e-4)
    loop.tick(now_ns)
    assert loop.status.state is LoopState.HOLDING


def test_a_target_in_another_frame_or_out_of_the_workspace_is_refused():
    with pytest.raises(ActionError, match="in the frame 'front', not in the base frame of arm"):
        approach_chunk(replace(TARGET, frame='front'), START, ARM, STAMP)
    high = replace(TARGET, retreat=pose(0.1, 0.7, 0.6))
    with pytest.raises(
        ActionError, match=r"'retreat' of the pose target, \[0.1, 0.7, 0.6\] m, lies"
    ):
        approach_chunk(high, START, ARM, STAMP)
