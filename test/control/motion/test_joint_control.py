"""An arm commanded by its joints: every action space, any events, within every limit."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.real_robots import real_urdf

from robomamba_ros.control.motion.blending import Blending
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import EE_DELTA_NAMES, NANOSECONDS, ActionChunk, ActionSpace, Pose
from robomamba_ros.types import RobotState as State

ARM = load_arm('ur5e')
# With jerks that take averages of 20 periods.
ARM = replace(
    ARM,
    joints=tuple(replace(joint, jerk=50.0) for joint in ARM.joints),
    cartesian=replace(ARM.cartesian, jerk=12.0, rotation_jerk=25.0),
)
JOINTS = tuple(joint.name for joint in ARM.joints)
# Away from where the wrist is singular and from the ends of the joints.
HOME = np.array([0.3, -1.4, 1.6, -1.2, -1.3, 0.2])
DT = ARM.period_ns
PERIOD = DT / NANOSECONDS
ACTION_DT = 5 * DT
START_NS = 7 * NANOSECONDS
ANYWHERE = Pose(np.array([0.4, 0.0, 0.4]), np.array([0.0, 0.0, 0.0, 1.0]))


@pytest.fixture(scope='module')
def kinematics():
    # A UR5 has the joints and frames of a UR5e.
    return Kinematics(ARM, real_urdf('ur5_robot.urdf').read_text())


class Bench:
    """An enabled loop whose arm is where it was told to be, on a virtual clock."""

    def __init__(self, kinematics=None, blending=None):
        self.loop = SetpointLoop(ARM, blending=blending, kinematics=kinematics, supervised=False)
        self.kinematics = kinematics
        self.now_ns = START_NS
        self.joints = HOME
        self.fresh = True
        self.loop.enable(True)
        self.measure()

    def measure(self):
        pose = self.kinematics.forward(self.joints) if self.kinematics else ANYWHERE
        joints = dict(zip(JOINTS, self.joints, strict=True))
        self.loop.update_state(State(self.now_ns, pose, 1.0, joints))

    def tick(self, count=1):
        setpoints = []
        for _ in range(count):
            if self.fresh:
                self.measure()
            setpoint = self.loop.tick(self.now_ns)
            if setpoint is not None:
                self.joints = np.array([setpoint.joints[name] for name in JOINTS])
            setpoints.append(setpoint)
            self.now_ns += DT
        return setpoints

    def add(self, actions, names=JOINTS, space=ActionSpace.JOINT_POSITION, stamp_ns=None):
        stamp_ns = self.now_ns if stamp_ns is None else stamp_ns
        chunk = ActionChunk(stamp_ns, ACTION_DT, np.asarray(actions), space, names)
        return self.loop.add_chunk(chunk, self.now_ns)


def joints_of(setpoints):
    return np.array([[setpoint.joints[name] for name in JOINTS] for setpoint in setpoints])


def violation(path, start=HOME):
    """Return by how much a path (t, n) from rest at `start` exceeds any limit of the joints."""
    limits = np.array([(j.velocity, j.acceleration, j.jerk) for j in ARM.joints]).T
    lower, upper = np.array([joint.position for joint in ARM.joints]).T
    path = np.vstack([np.tile(start, (3, 1)), path])
    worst = max(float((lower - path).max()), float((path - upper).max()))
    for order, most in enumerate(limits, start=1):
        values = np.abs(np.diff(path, n=order, axis=0)) / PERIOD**order
        worst = max(worst, float((values - most).max()))
    return worst


def smooth_joints(first_step, count=30):
    """A slow swing of all joints, as absolute positions after each action."""
    times = (first_step + 1 + np.arange(count)) * ACTION_DT / NANOSECONDS
    swing = 0.3 * (1.0 - np.cos(1.5 * times))[:, None] * np.array([1, -0.5, 0.6, 0.3, -0.4, 1])
    return (HOME + swing).astype(np.float32)


# Tracking


def test_a_smooth_chunk_is_followed_in_time_although_jerk_is_limited():
    bench = Bench()
    bench.add(smooth_joints(0))
    path = joints_of(bench.tick(120))
    # A knot of the chunk every fifth tick; what is averaged lies 19 / 2 ticks to both sides.
    asked = smooth_joints(0)[:24]
    assert np.abs(path[4::5] - asked)[4:].max() < 3e-3
    assert violation(path) <= 1e-6
    # Without looking ahead the delay of the average would show: 95 ms at 0.45 rad/s.
    assert np.abs(path[4::5] - asked)[4:].max() < 0.1 * 0.095 * 0.45


def test_a_setpoint_carries_every_joint_its_velocity_and_the_pose(kinematics):
    bench = Bench(kinematics)
    bench.add(smooth_joints(0))
    before, after = bench.tick(40)[-2:]
    for name in JOINTS:
        speed = (after.joints[name] - before.joints[name]) / PERIOD
        assert after.joint_velocities[name] == pytest.approx(speed, abs=1e-9)
    expected = kinematics.forward(joints_of([after])[0])
    assert np.array_equal(after.pose.position, expected.position)
    assert Bench().tick()[0].pose is None


@pytest.mark.parametrize(
    'blending', [Blending(), Blending(crossfade_steps=4), Blending(ensemble_decay=0.01)]
)
@pytest.mark.parametrize('late_ticks', [0, 10, 25])
def test_chunks_that_agree_have_no_seam_at_all(blending, late_ticks):
    bench, alone = Bench(blending=blending), Bench()
    alone.add(smooth_joints(0, 60))
    bench.add(smooth_joints(0, 60))
    for step in (5, 10, 15, 20):
        bench.tick(START_NS // DT + 5 * step + late_ticks - bench.now_ns // DT)
        receipt = bench.add(smooth_joints(step, 60 - step), stamp_ns=START_NS + step * ACTION_DT)
        # In the step of its stamp a chunk begins at what was commanded; after that they are equal.
        assert receipt.seam_jump_joint == 0.0
        assert receipt.trimmed_steps == late_ticks // 5
    bench.tick(40)
    alone.tick((bench.now_ns - alone.now_ns) // DT)
    assert bench.joints == pytest.approx(alone.joints, abs=1e-12)


def test_a_seam_between_chunks_that_differ_is_reported_and_stays_within_limits():
    bench = Bench()
    bench.add(smooth_joints(0))
    path = joints_of(bench.tick(30))
    receipt = bench.add(smooth_joints(6) + np.float32(0.2), stamp_ns=bench.now_ns - 2 * ACTION_DT)
    assert receipt.seam_jump_joint == pytest.approx(0.2, abs=0.05)
    path = np.vstack([path, joints_of(bench.tick(60))])
    assert violation(path) <= 1e-6
    counts = bench.loop.counts.values()
    assert counts['seam_jump_max_joint'] == receipt.seam_jump_joint
    assert 0.0 < counts['limited_by_joint_jerk'] <= 1.0
    assert counts['limited_setpoints'] <= 90


def test_deltas_of_one_joint_leave_the_others_where_they_are():
    bench = Bench()
    bench.add(np.full((20, 1), 0.01), ('elbow_joint',), ActionSpace.JOINT_DELTA)
    path = joints_of(bench.tick(150))
    assert np.array_equal(np.delete(path, 2, axis=1), np.tile(np.delete(HOME, 2), (150, 1)))
    assert path[-1, 2] == pytest.approx(HOME[2] + 0.2, abs=0.03)


# End-effector actions


def test_end_effector_actions_move_the_joints_along_a_straight_line(kinematics):
    bench = Bench(kinematics)
    start = kinematics.forward(HOME)
    step = np.array([0.005, -0.01, 0.005]) * 0.5
    bench.add(np.tile(step, (60, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
    setpoints = bench.tick(200)
    assert bench.loop.status.state is LoopState.TRACKING
    assert violation(joints_of(setpoints)) <= 1e-6
    ways = np.array([setpoint.pose.position for setpoint in setpoints]) - start.position
    direction = step / np.linalg.norm(step)
    along = ways @ direction
    assert np.linalg.norm(ways - along[:, None] * direction, axis=1).max() < 2e-3
    # 40 steps in 200 ticks, at the right time.
    assert along[-1] == pytest.approx(40 * np.linalg.norm(step), abs=2e-3)
    speed = np.linalg.norm(np.diff(ways, axis=0), axis=1).max() / PERIOD
    assert speed < ARM.cartesian.velocity


def test_a_pose_out_of_reach_stops_the_arm_and_says_so(kinematics):
    bench = Bench(kinematics)
    outwards = np.array([-0.01, 0.0, 0.015])
    bench.add(np.tile(outwards, (100, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
    path = []
    while bench.loop.status.state is LoopState.TRACKING:
        path += bench.tick()
        assert len(path) < 499
    assert bench.loop.status.state is LoopState.STOPPING
    reason = bench.loop.status.reason
    assert reason.startswith('the joints cannot follow the end effector: 0.0')
    while bench.loop.status.state is LoopState.STOPPING:
        path += bench.tick()
        assert len(path) < 700
    assert bench.loop.status.state is LoopState.HOLDING
    assert violation(joints_of(path)) <= 1e-6
    assert bench.loop.counts.values()['last_stop'] == reason
    # Once somebody has looked, the next chunk leads away and is followed, slowly: a stretched elbow
    # turns far at first.
    with pytest.raises(ActionError, match='enable to move again'):
        bench.add(np.tile(-outwards, (8, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
    bench.loop.enable(True)
    bench.add(np.tile(-0.1 * outwards, (80, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
    after = bench.tick(200)[-1]
    assert bench.loop.status.state is LoopState.TRACKING
    assert after.pose.position[2] < path[-1].pose.position[2] - 0.05


def test_a_stop_for_stale_input_keeps_to_the_line_of_the_end_effector(kinematics):
    bench = Bench(kinematics)
    step = np.array([0.0, -0.01, 0.005])
    bench.add(np.tile(step, (60, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
    setpoints = bench.tick(60)
    bench.fresh = False
    while bench.loop.status.state is not LoopState.HOLDING:
        setpoints += bench.tick()
        assert len(setpoints) < 300
    assert 'joint_states is late: 0.110 s old, budget 0.100 s' in bench.loop.status.reason
    assert violation(joints_of(setpoints)) <= 1e-6
    ways = np.array([setpoint.pose.position for setpoint in setpoints])
    direction = step / np.linalg.norm(step)
    ways -= ways[0]
    assert np.linalg.norm(ways - (ways @ direction)[:, None] * direction, axis=1).max() < 2e-3
    assert bench.loop.counts.values()['stops'] == 1


# What is refused


@pytest.mark.parametrize(
    ('names', 'space', 'expected'),
    [
        (EE_DELTA_NAMES, ActionSpace.EE_DELTA, 'cannot follow ee_delta actions without kinematics'),
        (('elbow',), ActionSpace.JOINT_DELTA, "'elbow'. Did you mean 'elbow_joint'"),
    ],
)
def test_a_chunk_that_cannot_be_followed_is_refused_and_the_old_one_goes_on(names, space, expected):
    bench, alone = Bench(), Bench()
    for each in (bench, alone):
        each.add(smooth_joints(0))
        each.tick(10)
    with pytest.raises(ActionError, match=expected):
        bench.add(np.zeros((5, len(names))), names, space)
    assert bench.loop.counts.values()['refused_chunks'] == 1
    assert expected.split('.')[0] in bench.loop.counts.values()['last_refusal']
    assert np.array_equal(joints_of(bench.tick(30)), joints_of(alone.tick(30)))


def test_an_arm_whose_joints_are_not_all_known_waits_and_names_them():
    loop = SetpointLoop(ARM, supervised=False)
    loop.enable(True)
    loop.update_state(State(START_NS, ANYWHERE, 1.0, {'elbow_joint': 0.1, JOINTS[0]: np.nan}))
    assert loop.tick(START_NS) is None
    assert loop.status.state is LoopState.WAITING
    assert loop.status.reason.startswith(
        'joint_states has no position of shoulder_pan_joint, shoulder_lift_joint, wrist_1_joint'
    )
    with pytest.raises(ActionError, match='joint_states has no position of'):
        loop.add_chunk(
            ActionChunk(START_NS, DT, np.zeros((3, 1)), ActionSpace.JOINT_DELTA, ('elbow_joint',)),
            START_NS,
        )


# Whatever happens

EVENTS = ('chunk', 'late', 'wild', 'nan', 'ee', 'wild ee', 'blackout', 'disable', 'enable', 'none')


def run(events, seed, kinematics, blending):
    """Return the start and the commanded joints of each run that nothing interrupts."""
    random = np.random.default_rng(seed)
    bench = Bench(kinematics, blending)
    runs = [(bench.joints, [])]
    for event, ticks in events:
        bench.fresh = event != 'blackout'
        if event in ('disable', 'enable'):
            bench.loop.enable(event == 'enable')
        with suppress(ActionError):
            if event in ('chunk', 'late'):
                stamp_ns = bench.now_ns - (3 * ACTION_DT if event == 'late' else 0)
                actions = bench.joints + random.uniform(-0.1, 0.1, (12, 6)).cumsum(axis=0)
                bench.add(actions, stamp_ns=stamp_ns)
            elif event in ('wild', 'nan'):
                actions = random.uniform(-1, 1, (8, 6)) * 10.0 ** random.uniform(-3, 30)
                actions[3, 2] = np.nan if event == 'nan' else 9.0
                bench.add(actions, space=random.choice(['joint_delta', 'joint_position']))
            elif event.endswith('ee'):
                scale = 10.0 ** random.uniform(-2, 6) if event == 'wild ee' else 0.004
                actions = random.uniform(-scale, scale, (10, 6))
                bench.add(actions, EE_DELTA_NAMES, ActionSpace.EE_DELTA)
        for setpoint in bench.tick(ticks):
            if setpoint is not None:
                runs[-1][1].append(joints_of([setpoint])[0])
            elif runs[-1][1]:
                runs.append((bench.joints, []))
    return [(start, np.array(path)) for start, path in runs if path]


@pytest.mark.parametrize(
    'blending', [Blending(), Blending(crossfade_steps=3), Blending(ensemble_decay=0.1)]
)
@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 60)), min_size=2, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_no_sequence_of_events_makes_a_joint_leave_its_limits(kinematics, blending, events, seed):
    runs = run([('chunk', 20), *events], seed, kinematics, blending)
    for start, path in runs:
        assert violation(path, start) <= 1e-6
    for start, path in runs[:-1]:
        # Commands end only at rest.
        assert np.array_equal(path[-1], path[-2] if len(path) > 1 else start)
    again = run([('chunk', 20), *events], seed, kinematics, blending)
    for (_, one), (_, other) in zip(runs, again, strict=True):
        assert np.array_equal(one, other)


def test_the_same_wild_actions_violate_every_limit_as_they_are():
    random = np.random.default_rng(0)
    actions = HOME + np.cumsum(random.uniform(-0.3, 0.3, (30, 6)), axis=0)
    bench = Bench()
    bench.add(actions)
    assert violation(joints_of(bench.tick(140))) <= 1e-6
    times = np.arange(0, 30, 0.2)
    raw = np.stack([np.interp(times, np.arange(30), column) for column in actions.T], axis=1)
    speeds = np.abs(np.diff(raw, axis=0)).max(axis=0) / PERIOD
    jerks = np.abs(np.diff(raw, n=3, axis=0)).max(axis=0) / PERIOD**3
    assert (speeds > 3.1416).all()
    assert (jerks > 1000 * 50.0).all()
