"""Trajectories sent ahead are what the loop commands later, within limits, and end at rest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.made_arms import MADE, write_arm

from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Pose,
    RobotState,
)

START_NS = 7 * NANOSECONDS
ANYWHERE = Pose(np.array([0.4, 0.0, 0.4]), np.array([0.0, 0.0, 0.0, 1.0]))
UR = load_arm('ur5e')
# With jerks that take averages of 20 periods.
UR = replace(
    UR,
    joints=tuple(replace(joint, jerk=50.0) for joint in UR.joints),
    cartesian=replace(UR.cartesian, jerk=12.0, rotation_jerk=25.0),
)
UR_HOME = np.array([0.3, -1.4, 1.6, -1.2, -1.3, 0.2])
SIX_HOME = np.array([0.2, -1.2, 1.4, -0.5, -1.3, 0.3])
# Ticks from the start until controllers surely hold the arm, before which no chunk is followed.
SETTLED = 13


class Bench:
    """A loop with foresight on a virtual clock, and every trajectory that it sends."""

    def __init__(self, arm=UR, home=UR_HOME, kinematics=None, foresight=True):
        self.arm, self.home, self.kinematics = arm, home, kinematics
        self.names = [joint.name for joint in arm.joints]
        self.loop = SetpointLoop(arm, kinematics=kinematics, foresight=foresight, supervised=False)
        self.now_ns = START_NS
        self.fresh = True
        self.sent = []
        self.setpoints = {}
        self.loop.enable(True)

    def tick(self, count=1, periods=1):
        """Tick `count` times, `periods` control periods apart."""
        for _ in range(count):
            if self.fresh:
                pose = self.kinematics.forward(self.home) if self.kinematics else ANYWHERE
                joints = dict(zip(self.names, self.home, strict=True))
                self.loop.update_state(RobotState(self.now_ns, pose, 1.0, joints))
            setpoint = self.loop.tick(self.now_ns)
            if setpoint is not None:
                self.setpoints[setpoint.stamp_ns] = (
                    np.array(list(setpoint.joints.values())),
                    np.array(list(setpoint.joint_velocities.values())),
                )
            trajectory = self.loop.trajectory()
            if trajectory is not None:
                self.sent.append((self.now_ns, trajectory))
            self.now_ns += periods * self.arm.period_ns

    def add(self, actions, names=None, space=ActionSpace.JOINT_POSITION, dt_ns=None):
        dt_ns = 5 * self.arm.period_ns if dt_ns is None else dt_ns
        names = tuple(self.names) if names is None else names
        chunk = ActionChunk(self.now_ns, dt_ns, np.asarray(actions), space, names)
        return self.loop.add_chunk(chunk, self.now_ns)

    def tick_until(self, state, periods=1):
        for _ in range(2000):
            if self.loop.status.state is state:
                return
            self.tick(periods=periods)
        raise AssertionError(self.loop.status)


def swing(home, count=30):
    times = 0.05 * (1 + np.arange(count))
    return home + 0.3 * (1.0 - np.cos(2.0 * times))[:, None] * np.linspace(1, -0.6, len(home))


def swinging():
    """Return a bench in the midst of a long swing."""
    bench = Bench()
    bench.tick()
    bench.add(swing(UR_HOME, 60))
    bench.tick(80)
    return bench


def zigzag(home, count=30):
    """Jumps that exceed every limit."""
    return home + np.random.default_rng(1).uniform(-0.5, 0.5, (count, len(home)))


@pytest.fixture(scope='module')
def six(tmp_path_factory):
    made = MADE['six']
    document = made.document()
    for joint in document['joints']:
        joint['jerk'] = 50.0
    arm = write_arm(tmp_path_factory.mktemp('six'), document, made.urdf())
    return arm, Kinematics(arm)


def knots(bench):
    """Return the points that the setpoints of the loop amount to, by time."""
    found, period_s = {}, bench.arm.period_ns / NANOSECONDS
    for stamp_ns, (joints, before) in bench.setpoints.items():
        time_ns = stamp_ns + bench.arm.period_ns
        if time_ns in bench.setpoints:
            after = bench.setpoints[time_ns][1]
            position = joints + (after - before) * (period_s / 6.0)
            found[time_ns] = (position, (before + after) / 2.0, (after - before) / period_s)
    return found


def quintics(trajectory, shares):
    """Return position, velocity, acceleration and jerk (4, k, n) of the quintics between points.

    They solve for the coefficients, as JTC does; `shares` of each way are looked at.
    """
    t = np.diff(trajectory.times_ns)[0] / NANOSECONDS
    powers, rows = np.arange(6), []
    for time in (0.0, t):
        for order in range(3):
            factors = [np.prod(k - np.arange(order)) for k in powers]
            rows.append(factors * time ** np.maximum(powers - order, 0))
    ends = (trajectory.positions, trajectory.velocities, trajectory.accelerations)
    given = np.array([each[:-1] for each in ends] + [each[1:] for each in ends])
    coefficients = np.einsum('ij,jkn->ikn', np.linalg.inv(np.array(rows)), given)
    found = []
    for order in range(4):
        factors = np.array([np.prod(k - np.arange(order)) for k in powers])
        basis = factors * (shares[:, None] * t) ** np.maximum(powers - order, 0)
        found.append(np.einsum('sj,jkn->skn', basis, coefficients).reshape(-1, given.shape[2]))
    return found


def excess(arm, trajectory):
    """Return by which share of a limit a trajectory, as a controller executes it, exceeds it."""
    # A point is interpolated from the one before, so the first one alone says nothing.
    if len(trajectory.times_ns) < 2:
        return 0.0
    position, *derivatives = quintics(trajectory, np.linspace(0.0, 1.0, 11))
    lower, upper = np.array([joint.position for joint in arm.joints]).T
    most = np.array([(j.velocity, j.acceleration, j.jerk or np.inf) for j in arm.joints]).T
    return max(
        float((lower - position).max()),
        float((position - upper).max()),
        *(float((np.abs(d) / m).max()) - 1.0 for d, m in zip(derivatives, most, strict=True)),
    )


# What is sent is what is commanded


@pytest.mark.parametrize('actions', [swing, zigzag])
def test_a_forecast_is_what_the_loop_commands_afterwards_to_the_bit(actions):
    bench = Bench()
    bench.tick()
    end_ns = bench.now_ns + 30 * 50_000_000
    bench.add(actions(UR_HOME))
    bench.tick_until(LoopState.HOLDING)
    _, whole = bench.sent[-1]
    assert len(whole.times_ns) > 15
    bench.tick(2)
    commanded = knots(bench)
    for time_ns, *point in zip(
        whole.times_ns, whole.positions, whole.velocities, whole.accelerations, strict=True
    ):
        # The stop is computed as one sum, and commanded step by step.
        assert np.abs(np.array(point) - commanded[time_ns]).max() < 1e-9
        assert time_ns >= end_ns or np.array_equal(point, commanded[time_ns])
    # The last point is where the loop came to rest, and nothing was left to send after it.
    assert whole.times_ns[-1] == max(t for t, p in commanded.items() if p[1].any()) + 10_000_000
    assert not whole.velocities[-1].any()
    assert not whole.accelerations[-1].any()


def test_end_effector_actions_are_forecast_to_the_bit_and_so_is_trouble(six):
    arm, kinematics = six
    bench = Bench(arm, SIX_HOME, kinematics)
    bench.tick()
    # Straight on until the joints cannot follow.
    bench.add(np.tile([0.0, 0.0, 0.02], (60, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
    bench.tick_until(LoopState.STOPPING)
    stops_ns = bench.now_ns
    assert bench.loop.status.reason.startswith('the joints cannot follow the end effector')
    bench.tick_until(LoopState.HOLDING)
    bench.tick(2)
    commanded = knots(bench)
    _, whole = bench.sent[-1]
    for time_ns, position in zip(whole.times_ns, whole.positions, strict=True):
        assert np.abs(position - commanded[time_ns][0]).max() < 1e-12
    assert not whole.velocities[-1].any()
    # The stop was in what had been sent.
    assert bench.sent[-1][0] < stops_ns


def test_a_long_chunk_is_sent_at_once_and_then_three_tenths_of_a_second_at_a_time():
    bench = Bench()
    bench.tick(SETTLED)
    hold = bench.sent.pop()
    assert len(hold[1].times_ns) == 1
    assert np.array_equal(hold[1].positions[0], UR_HOME)
    bench.add(swing(UR_HOME, 50), dt_ns=100_000_000)
    chunk_ns = bench.now_ns
    bench.tick_until(LoopState.HOLDING)
    sent = [sent_ns - chunk_ns for sent_ns, _ in bench.sent]
    assert sent[:2] == [0, 30_000_000]
    assert min(np.diff(sent[1:])) >= 90_000_000
    # An arm whose control loop has died brakes after that time.
    for sent_ns, way in bench.sent:
        assert way.times_ns[-1] - sent_ns < 0.7 * NANOSECONDS
    assert bench.sent[-1][1].times_ns[-1] > chunk_ns + 5 * NANOSECONDS


def test_a_course_is_sent_as_far_as_late_ticks_need_and_soon_a_fifth_of_a_second(six):
    arm, kinematics = six
    bench = Bench(arm, SIX_HOME, kinematics)
    bench.tick(SETTLED)
    bench.add(np.tile([0.001, 0.001, 0.0], (80, 1)), EE_DELTA_NAMES[:3], ActionSpace.EE_DELTA)
    held, begun_ns = [], bench.now_ns
    for _ in range(300):
        bench.tick()
        held.append((bench.now_ns - arm.period_ns, bench.sent[-1][1]))
    commanded = knots(bench)
    for now_ns, trajectory in held[:250]:
        points = dict(zip(trajectory.times_ns, trajectory.positions, strict=True))
        # Inverse kinematics takes time, so the first message has less, and the next one follows.
        ahead_s = 0.07 if now_ns < begun_ns + NANOSECONDS // 10 else 0.2
        soon = [t for t in commanded if 0.01 < (t - now_ns) / NANOSECONDS < ahead_s]
        assert len(soon) >= round(100 * ahead_s) - 2
        assert all(np.array_equal(points[t], commanded[t][0]) for t in soon)


# What a period computes


@pytest.mark.parametrize('stop', [False, True])
def test_no_period_computes_more_than_a_few_steps_of_inverse_kinematics(six, monkeypatch, stop):
    arm, kinematics = six
    bench, steps = Bench(arm, SIX_HOME, kinematics), []
    toward = kinematics.toward

    def counted(*arguments):
        steps.append(arguments)
        return toward(*arguments)

    monkeypatch.setattr(kinematics, 'toward', counted)
    bench.tick(SETTLED)
    for i in range(60):
        if i % 15 == 0 and not (stop and i):
            bench.add(np.full((80, 2), 1e-3), EE_DELTA_NAMES[:2], ActionSpace.EE_DELTA)
        if stop and i == 40:
            bench.loop.enable(False)
        steps.clear()
        bench.tick()
        changes = i in (0, 40) if stop else i % 15 == 0
        assert len(steps) <= (8 if changes else 4)
    # The commands themselves cost nothing: they were computed ahead.
    assert len(bench.setpoints) == SETTLED + 60


# Stops


@pytest.mark.parametrize('stop', ['disabled', 'stale'])
def test_a_stop_sends_the_way_to_rest_at_once(stop):
    bench = swinging()
    sent = len(bench.sent)
    if stop == 'disabled':
        bench.loop.enable(False)
        bench.tick()
    else:
        bench.fresh = False
        bench.tick(9)
        sent = len(bench.sent)
        bench.tick_until(LoopState.STOPPING)
    assert len(bench.sent) == sent + 1
    sent_ns, braking = bench.sent[-1]
    assert sent_ns == bench.now_ns - bench.arm.period_ns
    assert 0.05 < (braking.times_ns[-1] - sent_ns) / NANOSECONDS < 0.5
    assert not braking.velocities[-1].any()
    bench.tick_until(LoopState.DISABLED if stop == 'disabled' else LoopState.HOLDING)
    # Nothing more is sent at rest, nor while nothing is commanded.
    bench.tick(5)
    assert len(bench.sent) == sent + 1


def test_what_ends_at_rest_is_not_sent_again_when_it_does():
    bench = Bench()
    bench.tick()
    bench.add(swing(UR_HOME))
    bench.tick_until(LoopState.STOPPING)
    sent = len(bench.sent)
    assert bench.loop.status.reason.startswith('action_chunk ran out')
    bench.tick_until(LoopState.HOLDING)
    assert len(bench.sent) == sent


def test_to_be_disabled_before_it_moves_calls_back_what_was_sent():
    bench = Bench()
    bench.tick()
    still = np.tile(UR_HOME, (20, 1))
    bench.add(np.vstack([still, swing(UR_HOME)]))
    bench.tick(80)
    sent_ns, way = bench.sent[-1]
    assert np.abs(way.velocities).max() > 0.03
    bench.loop.enable(False)
    bench.tick_until(LoopState.DISABLED)
    after_ns, hold = bench.sent[-1]
    assert after_ns > sent_ns
    assert not hold.velocities.any()
    np.testing.assert_allclose(hold.positions[-1], UR_HOME, atol=1e-9)


@pytest.mark.parametrize('stop', ['disabled', 'another chunk'])
def test_a_change_of_course_leaves_what_was_sent_for_the_time_of_the_lead(stop):
    bench = swinging()
    _, known = bench.sent[-1]
    changed_ns = bench.now_ns
    if stop == 'disabled':
        bench.loop.enable(False)
    else:
        bench.add(zigzag(UR_HOME))
    bench.tick()
    _, after = bench.sent[-1]
    before = dict(zip(known.times_ns, known.positions, strict=True))
    (lead_s,) = (output.lead_s for output in UR.outputs if output.part == 'arm')
    delay_ns = round(lead_s * NANOSECONDS)
    for time_ns, position in zip(after.times_ns, after.positions, strict=True):
        if time_ns > changed_ns + delay_ns + bench.arm.period_ns:
            break
        # A point depends on the command after it as well.
        same = time_ns < changed_ns + delay_ns
        assert np.array_equal(before[time_ns], position) == same
    assert after.times_ns[0] < changed_ns + delay_ns


def test_a_reset_while_the_arm_moves_brakes_it_and_starts_from_where_it_is_then():
    bench = swinging()
    bench.loop.reset()
    sent = len(bench.sent)
    bench.tick()
    _, braking = bench.sent[sent]
    assert excess(bench.arm, braking) <= 1e-6
    assert np.abs(braking.velocities[0]).max() > 0.2
    bench.home = braking.positions[-1]
    bench.tick_until(LoopState.WAITING)
    bench.tick(2)
    (_, hold) = bench.sent[-1]
    assert len(bench.sent) == sent + 2
    assert np.array_equal(hold.positions, [bench.home])


def test_a_reset_sends_a_hold_where_the_arm_is():
    bench = Bench()
    bench.tick(3)
    bench.home = UR_HOME + 0.1
    bench.loop.reset()
    bench.tick(2)
    (_, hold) = bench.sent[-1]
    assert len(bench.sent) == 2
    assert np.array_equal(hold.positions, [UR_HOME + 0.1])
    assert not hold.velocities.any()


# Ticks that come late


def test_missed_ticks_change_neither_commands_nor_trajectories():
    punctual, late = Bench(), Bench()
    random = np.random.default_rng(4)
    for bench in (punctual, late):
        bench.tick()
        bench.add(zigzag(UR_HOME, 60))
    punctual.tick(300)
    while late.now_ns < punctual.now_ns:
        late.tick(periods=int(random.integers(1, 15)))
    common = set(punctual.setpoints) & set(late.setpoints)
    assert len(common) < 60
    for stamp_ns in common:
        assert np.array_equal(punctual.setpoints[stamp_ns][0], late.setpoints[stamp_ns][0])
    shared = set(late.sent[-1][1].times_ns) & set(punctual.sent[-1][1].times_ns)
    assert len(shared) > 15
    # A late tick counts as stale where the inputs are.
    late.fresh = False
    late.tick(periods=20)
    late.tick()
    assert late.loop.status.state is LoopState.STOPPING


def test_a_tick_that_is_a_little_early_or_late_belongs_to_its_period():
    bench, exact = Bench(), Bench()
    random = np.random.default_rng(5)
    for each in (bench, exact):
        each.tick()
        each.add(swing(UR_HOME))
    exact.tick(100)
    grid_ns = bench.now_ns
    for i in range(100):
        bench.now_ns = grid_ns + i * 10_000_000 + int(random.integers(-4_000_000, 4_000_000))
        bench.tick()
    assert len(bench.setpoints) == 101
    for stamp_ns, (joints, _) in bench.setpoints.items():
        assert np.array_equal(joints, exact.setpoints[stamp_ns][0])


def test_a_loop_that_stood_still_for_too_long_finds_the_arm_where_its_controllers_stopped():
    bench = Bench()
    bench.tick(SETTLED)
    bench.add(swing(UR_HOME, 50), dt_ns=100_000_000)
    bench.tick(2)
    _, known = bench.sent[-1]
    bench.now_ns += 2 * NANOSECONDS
    bench.tick()
    assert bench.loop.status.state is LoopState.HOLDING
    assert bench.loop.status.reason == (
        'the control loop stood still for longer than its controllers had been told'
    )
    joints, velocity = bench.setpoints[max(bench.setpoints)]
    np.testing.assert_allclose(joints, known.positions[-1], atol=1e-12)
    assert not velocity.any()
    bench.tick(20)
    assert len(bench.sent) == 2
    # The next chunk goes on from there.
    bench.add(swing(joints))
    bench.tick(2)
    assert bench.loop.status.state is LoopState.TRACKING
    np.testing.assert_allclose(bench.sent[-1][1].positions[0], joints, atol=1e-3)


def test_a_stall_in_the_middle_of_that_stop_brakes_on():
    bench = Bench()
    bench.tick()
    bench.add(0.9 * swing(UR_HOME, 50) + 0.1 * UR_HOME, dt_ns=40_000_000)
    bench.tick(30)
    sent_ns, known = bench.sent[-1]
    bench.now_ns = known.times_ns[-8]
    bench.tick()
    assert bench.loop.status.state is LoopState.STOPPING
    points = dict(zip(known.times_ns, known.positions, strict=True))
    bench.tick(3)
    reached = knots(bench)
    same = [t for t in reached if t in points and t > sent_ns]
    assert len(same) >= 3
    # A stop joint by joint is sent as one sum, and commanded step by step.
    assert all(np.abs(points[t] - reached[t][0]).max() < 1e-12 for t in same)


def test_without_foresight_a_late_tick_does_not_jump():
    bench = Bench(foresight=False)
    bench.tick()
    bench.add(swing(UR_HOME, 60))
    bench.tick(60)
    bench.now_ns += 80_000_000
    bench.tick(60)
    path = np.array([joints for joints, _ in bench.setpoints.values()])
    for order, most in ((1, 3.1416), (2, 5.0), (3, 50.0)):
        assert np.abs(np.diff(path, n=order, axis=0)).max() <= most * 0.01**order + 1e-9
    assert bench.sent == []


# Whatever happens

EVENTS = ('chunk', 'wild', 'ee', 'wild ee', 'blackout', 'disable', 'enable', 'late', 'none')


def run(events, seed, six):
    arm, kinematics = six
    random = np.random.default_rng(seed)
    bench = Bench(arm, SIX_HOME, kinematics)
    bench.tick()
    for event, ticks in events:
        bench.fresh = event != 'blackout'
        if event in ('disable', 'enable'):
            bench.loop.enable(event == 'enable')
        with suppress(ActionError):
            if event == 'chunk':
                bench.add(SIX_HOME + random.uniform(-0.1, 0.1, (12, 6)).cumsum(axis=0))
            elif event == 'wild':
                actions = random.uniform(-1, 1, (8, 6)) * 10.0 ** random.uniform(-3, 30)
                bench.add(actions, space=ActionSpace.JOINT_DELTA)
            elif event.endswith('ee'):
                scale = 10.0 ** random.uniform(-2, 6) if event == 'wild ee' else 0.004
                actions = random.uniform(-scale, scale, (10, 6))
                bench.add(actions, EE_DELTA_NAMES, ActionSpace.EE_DELTA)
        bench.tick(ticks, periods=int(random.integers(1, 9)) if event == 'late' else 1)
    return bench


@settings(deadline=None, max_examples=15)
# Trouble in one tick, and the ones after it missed.
@example([('chunk', 1), ('chunk', 1), ('chunk', 1), ('ee', 1), ('late', 3)], 0)
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 40)), min_size=2, max_size=7),
    st.integers(0, 2**32 - 1),
)
def test_whatever_is_sent_is_within_limits_ends_at_rest_and_lies_ahead(six, events, seed):
    bench = run([('chunk', 20), *events], seed, six)
    arm = bench.arm
    assert bench.sent
    for sent_ns, trajectory in bench.sent:
        assert trajectory.times_ns[0] > sent_ns
        assert (np.diff(trajectory.times_ns) == arm.period_ns).all()
        assert not trajectory.velocities[-1].any()
        assert excess(arm, trajectory) <= 1e-6
    # Where nothing intervened, what was sent is what was commanded.
    commanded = knots(bench)
    sent_ns, last = bench.sent[-1]
    points = dict(zip(last.times_ns, last.positions, strict=True))
    for time_ns in (t for t in commanded if t in points and t > sent_ns + arm.period_ns):
        assert np.abs(points[time_ns] - commanded[time_ns][0]).max() < 1e-12


def test_commands_taken_for_points_would_exceed_the_limits():
    bench = Bench()
    bench.tick()
    bench.add(zigzag(UR_HOME, 60))
    bench.tick_until(LoopState.HOLDING)
    _, whole = bench.sent[-1]
    assert excess(bench.arm, whole) <= 1e-6
    # Of the point (b + 4 c + a) / 6 of three commands, which is c and their second difference.
    commands = whole.positions - whole.accelerations * (0.01**2 / 6.0)
    moved = replace(whole, positions=commands)
    assert excess(bench.arm, moved) > 0.1
