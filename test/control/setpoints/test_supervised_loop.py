"""An arm that is not where it was told to be: what the loop starts from, notices and lets go of."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.errors import ActionError, NotReadyError, ObservationError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, Pose, RobotState

ARM = load_arm('ur5e')
NAMES = tuple(joint.name for joint in ARM.joints)
PERIOD_NS = ARM.period_ns
HOME = np.array([0.3, -1.4, 1.6, -1.2, -1.3, 0.2])
ANYWHERE = Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
SPEED = np.array([joint.velocity for joint in ARM.joints])
ACCELERATION = np.array([joint.acceleration for joint in ARM.joints])


def state(stamp_ns, joints):
    return RobotState(stamp_ns, ANYWHERE, 1.0, dict(zip(NAMES, map(float, joints), strict=True)))


class Rig:
    """A supervised loop that streams positions to an arm of our choice, on a virtual clock.

    The arm follows by a lag of first order, or stands still while `frozen`.
    """

    def __init__(self, arm=ARM, lag_s=0.0, enabled=True, every=1, **options):
        self.loop = SetpointLoop(arm, **options)
        self.now_ns, self.every = 5 * NANOSECONDS, every
        self.joints = HOME.copy()
        self.frozen, self.lag_s = False, lag_s
        self.commands, self.path = [], []
        self.count = 0
        for _ in range(15):
            self.now_ns += PERIOD_NS
            self.loop.update_state(state(self.now_ns, self.joints))
        if enabled:
            self.loop.enable(True)
            self.tick(2)

    @property
    def status(self):
        return self.loop.status

    def tick(self, count=1):
        for _ in range(count):
            self.now_ns += PERIOD_NS
            self.count += 1
            if self.count % self.every == 0:
                # Refused where the clock went back.
                with suppress(ObservationError):
                    self.loop.update_state(state(self.now_ns, self.joints), self.now_ns)
            setpoint = self.loop.tick(self.now_ns)
            told = None if setpoint is None else np.array([setpoint.joints[n] for n in NAMES])
            self.commands.append(told)
            if told is not None and not self.frozen:
                share = 1.0 if not self.lag_s else PERIOD_NS / NANOSECONDS / self.lag_s
                self.joints = self.joints + min(share, 1.0) * (told - self.joints)
            self.path.append(self.joints)

    def run(self, seconds):
        self.tick(round(seconds * ARM.control_rate_hz))

    def move(self, share=0.5, steps=40, joint=0, sign=1.0, **options):
        """Send a chunk that moves a joint at a share of its limit."""
        actions = np.full((steps, 1), sign * share * SPEED[joint] * 0.02)
        chunk = ActionChunk(
            self.now_ns, 20_000_000, actions, ActionSpace.JOINT_DELTA, (NAMES[joint],), **options
        )
        return self.loop.add_chunk(chunk, self.now_ns)

    def excess(self, rows):
        """Return the largest share of a velocity or acceleration limit in rows of positions."""
        period_s = PERIOD_NS / NANOSECONDS
        velocity = np.diff(np.array(rows), axis=0) / period_s
        shares = [np.abs(velocity) / SPEED, np.abs(np.diff(velocity, axis=0)) / period_s]
        return max(shares[0].max(initial=0.0), (shares[1] / ACCELERATION).max(initial=0.0))


# Starts


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda i: np.degrees(HOME), r'shoulder_pan_joint is measured at 17.189 \(degrees\?\)'),
        (lambda i: HOME + np.array([0, 0, 1e6, 0, 0, 0]), 'elbow_joint is measured at 1000001.600'),
        (lambda i: HOME + np.array([0, 0.01 * i, 0, 0, 0, 0]), 'shoulder_lift_joint moves: by 0.1'),
        (lambda i: HOME + np.array([0, 0.3 * (i % 2), 0, 0, 0, 0]), 'more than one publisher'),
        (lambda i: HOME + np.array([0, np.nan, 0, 0, 0, 0]), 'no position of shoulder_lift_joint'),
    ],
)
def test_enable_is_refused_where_the_arm_cannot_start_as_it_was_measured(change, reason):
    rig = Rig(enabled=False)
    for i in range(20):
        rig.now_ns += PERIOD_NS
        rig.loop.update_state(state(rig.now_ns, change(i)))
    with pytest.raises(NotReadyError, match=reason):
        rig.loop.enable(True)
    assert rig.status.state is LoopState.DISABLED


def test_an_arm_that_was_measured_once_is_enabled_and_waits_for_more():
    loop = SetpointLoop(ARM)
    loop.enable(True)
    loop.update_state(state(NANOSECONDS, HOME))
    assert loop.tick(NANOSECONDS) is None
    assert 'has not been measured 3 times' in loop.status.reason
    with pytest.raises(ActionError, match='has not been measured 3 times'):
        loop.add_chunk(
            ActionChunk(NANOSECONDS, 10**8, [[0.1]], ActionSpace.JOINT_DELTA, NAMES[:1]),
            NANOSECONDS,
        )


def test_an_arm_that_was_moved_while_it_held_is_let_go_of_and_starts_where_it_is():
    rig = Rig()
    rig.move(steps=5)
    rig.run(0.8)
    assert rig.status.state is LoopState.HOLDING
    rig.joints = rig.joints + np.array([0.8, 0, -0.5, 0, 0, 0])
    rig.frozen = True
    rig.tick(3)
    assert rig.commands[-1] is None
    assert 'something else moved it; enable to move again' in rig.status.reason
    with pytest.raises(ActionError, match='something else moved it'):
        rig.move()
    rig.run(0.3)
    rig.loop.enable(True)
    rig.frozen = False
    there = rig.joints
    rig.tick(2)
    assert np.array_equal(rig.commands[-1], there)
    first = len(rig.path) - 1
    rig.move(share=0.0)
    rig.run(0.3)
    assert np.abs(np.array(rig.path[first:]) - there).max() == 0.0


# Motion that is not done


@pytest.mark.parametrize('share', [0.1, 1.0])
def test_an_arm_that_stands_still_is_noticed_and_does_not_jump_when_it_is_released(share):
    rig = Rig()
    rig.move(share, steps=50)
    rig.run(0.2)
    rig.frozen, stood_ns = True, rig.now_ns
    while rig.status.state is LoopState.TRACKING:
        rig.tick()
    after_s = (rig.now_ns - stood_ns) / NANOSECONDS
    # The lag, and the time in which the command goes on by the tolerance.
    assert after_s < 0.25 + 0.02 / share + 0.09
    assert rig.status.reason.startswith('the arm does not follow: shoulder_pan_joint was measured')
    rig.run(2.0)
    assert rig.status.state is LoopState.HOLDING
    told = [row for row in rig.commands if row is not None]
    assert rig.excess(told) <= 1.0 + 1e-6
    assert np.abs(told[-1] - rig.joints).max() < 1e-6
    rig.frozen = False
    first = len(rig.path) - 1
    with pytest.raises(ActionError, match='enable to move again'):
        rig.move()
    rig.run(0.3)
    assert np.abs(np.array(rig.path[first:]) - rig.path[first]).max() < 1e-6


def test_without_the_comparison_it_goes_on_and_jumps(monkeypatch):
    monkeypatch.setattr(
        'robomamba_ros.control.setpoints.following.Following.problem', lambda *arguments: ''
    )
    rig = Rig()
    rig.move(0.3, steps=100)
    rig.run(0.2)
    rig.frozen = True
    rig.run(1.0)
    assert rig.status.state is LoopState.TRACKING
    first = len(rig.path) - 1
    rig.frozen = False
    rig.tick(3)
    assert rig.excess(rig.path[first:]) > 10.0


@pytest.mark.parametrize('every', [1, 3])
@pytest.mark.parametrize('lag_s', [0.0, 0.05, 0.1])
def test_an_arm_that_lags_as_arms_do_is_no_fault_at_full_speed(lag_s, every):
    rig = Rig(replace(ARM, budgets_s={'joint_states': 0.2}), lag_s, every=every)
    for i in range(12):
        sign = 1.0 if i % 4 < 2 else -1.0
        rig.move(1.0, steps=30, sign=sign)
        rig.run(0.3)
        assert rig.status.state is LoopState.TRACKING, rig.status.reason
    assert np.ptp(np.array(rig.path)[:, 0]) > 1.0


def test_an_arm_that_is_slower_than_it_is_told_brakes_within_its_limits():
    rig = Rig(lag_s=0.6)
    rig.move(0.8, steps=60)
    rig.run(4.0)
    assert rig.status.reason.startswith('the arm does not follow')
    told = [row for row in rig.commands if row is not None]
    assert rig.excess(told) <= 1.0 + 1e-6
    assert rig.status.state is LoopState.HOLDING


# Time


def test_a_state_ahead_of_the_clock_is_dropped_and_locks_nothing():
    rig = Rig()
    with pytest.raises(ObservationError, match='joint_states is stamped 31536000'):
        rig.loop.update_state(state(rig.now_ns + 31_536_000 * NANOSECONDS, HOME), rig.now_ns)
    rig.tick(2)
    rig.move()
    rig.tick(2)
    assert rig.status.state is LoopState.TRACKING
    assert rig.loop.counts.values()['dropped_states'] == 1


def test_a_clock_that_goes_back_stops_the_arm_at_once():
    rig = Rig()
    rig.move()
    rig.run(0.2)
    rig.now_ns -= 20 * NANOSECONDS
    rig.tick()
    assert rig.status.state is LoopState.STOPPING
    assert 'the clock went back' in rig.status.reason
    rig.run(1.0)
    assert rig.excess([row for row in rig.commands if row is not None]) <= 1.0 + 1e-6


def test_a_process_that_stood_still_does_not_run_on():
    """Nothing was streamed meanwhile, so the arm rests where it was told to be last."""
    rig = Rig()
    rig.move()
    rig.run(0.2)
    last = rig.commands[-1]
    rig.now_ns += 20 * NANOSECONDS
    rig.tick()
    assert rig.status.state is LoopState.HOLDING
    assert 'the control loop stood still for 20.010 s' in rig.status.reason
    rig.run(1.0)
    told = [row for row in rig.commands[-101:] if row is not None]
    assert told
    assert np.abs(np.array(told) - last).max() == 0.0


def test_an_arm_that_holds_is_told_nothing_while_its_states_are_gone():
    """A driver that is started anew would be given what the one before it was told."""
    rig = Rig()
    rig.move()
    rig.run(0.2)
    rig.every = 10**9
    rig.run(1.5)
    assert rig.status.state is LoopState.HOLDING
    assert 'joint_states is late' in rig.status.reason
    assert rig.commands[-1] is None
    # The new driver has the arm a little elsewhere, within what may be off.
    rig.every, rig.joints = 1, rig.joints + 0.02
    rig.run(1.0)
    assert rig.commands[-100:] == [None] * 100
    assert 'joint_states is late' in rig.status.reason
    rig.loop.enable(True)
    rig.tick(2)
    assert np.abs(rig.commands[-1] - rig.joints).max() < 1e-9


@pytest.mark.parametrize(('wait_s', 'resumes'), [(0.7, True), (1.2, False)])
def test_a_chunk_that_ran_out_is_continued_within_a_second(wait_s, resumes):
    rig = Rig()
    rig.move(steps=5)
    rig.run(0.1 + wait_s)
    if resumes:
        rig.move()
        assert rig.status.state is LoopState.TRACKING
    else:
        with pytest.raises(ActionError, match='no newer chunk has come; enable to move again'):
            rig.move()
        rig.loop.enable(True)
        rig.tick()
        rig.move()
        assert rig.status.state is LoopState.TRACKING


@pytest.mark.parametrize(('wait_s', 'resumes'), [(9.0, True), (10.6, False)])
def test_a_chunk_that_was_taken_back_stops_the_arm_and_is_followed_within_ten_seconds(
    wait_s, resumes
):
    rig = Rig()
    rig.move()
    rig.run(0.2)
    rig.loop.withdraw_chunk('the policy took its chunk back')
    rig.tick()
    assert rig.status.state is LoopState.STOPPING
    rig.run(wait_s)
    assert rig.status.state is LoopState.HOLDING
    assert rig.excess(rig.commands[2:60]) <= 1.0 + 1e-6
    if resumes:
        rig.move()
        assert rig.status.state is LoopState.TRACKING
    else:
        with pytest.raises(ActionError, match='took its chunk back; enable to move again'):
            rig.move()


@pytest.mark.parametrize('share', [1e3, 1e30])
def test_an_action_that_no_motion_is_is_refused_and_what_was_followed_goes_on(share):
    rig = Rig()
    rig.move()
    rig.run(0.1)
    with pytest.raises(ActionError, match='which no motion of this arm is'):
        rig.move(share)
    assert rig.loop.counts.values()['refused_chunks'] == 1
    rig.run(0.1)
    assert rig.status.state is LoopState.TRACKING
    assert rig.excess(rig.commands[2:]) <= 1.0 + 1e-6


@pytest.mark.parametrize(
    ('steps', 'factor', 'most_s'),
    [(1, 1.0, 0.3), (15, 1.0, 0.6), (None, 1.0, 1.0), (1, 2.0, 0.6), (1, 10.0, 1.0)],
)
def test_a_chunk_is_followed_for_twice_its_executed_steps_and_no_longer(steps, factor, most_s):
    rig = Rig(age_factor=factor)
    begun_ns = rig.now_ns
    rig.move(0.1, steps=50, execute_steps=steps)
    while rig.status.state is LoopState.TRACKING:
        rig.tick()
    assert (rig.now_ns - begun_ns) / NANOSECONDS == pytest.approx(most_s, abs=0.021)
    assert 'no newer chunk has come' in rig.status.reason


def test_a_chunk_that_does_not_say_is_not_followed_for_ever_by_a_robot_that_goes_slowly():
    loop, now_ns = SetpointLoop(ARM, foresight=True, supervised=False), NANOSECONDS
    loop.enable(True)
    loop.update_state(state(now_ns, HOME))
    loop.tick(now_ns)
    loop.set_speed_scale(0.25, now_ns)
    actions = np.full((50, 1), 1e-3)
    chunk = ActionChunk(now_ns, 20_000_000, actions, ActionSpace.JOINT_DELTA, NAMES[:1])
    loop.add_chunk(chunk, now_ns)
    while loop.status.state is LoopState.TRACKING:
        now_ns += PERIOD_NS
        loop.update_state(state(now_ns, HOME))
        loop.tick(now_ns)
        loop.trajectory()
    # Its own second, and one more; it would have ended after four.
    assert (now_ns - chunk.stamp_ns) / NANOSECONDS == pytest.approx(2.0, abs=0.011)
    assert loop.status.reason.startswith('action_chunk is 2.0')


@pytest.mark.parametrize('measured', [True, False])
def test_an_arm_that_waits_too_long_for_its_first_chunk_is_disabled(measured):
    rig = Rig(enable_timeout_s=1.0)
    rig.run(0.9)
    assert rig.status.state is LoopState.WAITING
    if not measured:
        rig.every = 10**9
    rig.run(0.2)
    assert rig.status.state is LoopState.DISABLED
    assert rig.status.reason == (
        'no action_chunk came within 1 s of being enabled; enable to move again'
    )
    assert rig.commands[-1] is None
    with pytest.raises(ActionError, match='the arm is disabled'):
        rig.move()
    rig.every = 1
    rig.run(0.5)
    # Enabled by somebody, it waits anew, and after a chunk no longer.
    rig.loop.enable(True)
    rig.run(0.9)
    rig.move(steps=5)
    assert rig.status.state is LoopState.TRACKING
    rig.run(0.5)
    rig.move(steps=5)
    assert rig.status.state is LoopState.TRACKING


@pytest.mark.parametrize('options', [{}, {'enable_timeout_s': 0.5, 'supervised': False}])
def test_without_a_timeout_and_in_lockstep_it_waits_for_ever(options):
    rig = Rig(**options)
    rig.run(1.0)
    assert rig.status.state is LoopState.WAITING


@pytest.mark.parametrize('late_s', [0.5, 0.7, 0.85])
@pytest.mark.parametrize('missed', [4, 8, 15])
def test_a_late_tick_makes_no_arm_run_over_the_end_of_its_chunk(late_s, missed):
    rig = Rig(supervised=False)
    times = 0.02 * np.arange(1, 51)
    goal = HOME[0] + 0.4
    way = HOME[0] + 0.2 * (1.0 - np.cos(np.pi * times))
    chunk = ActionChunk(rig.now_ns, 20_000_000, way[:, None], ActionSpace.JOINT_POSITION, NAMES[:1])
    rig.loop.add_chunk(chunk, rig.now_ns)
    rig.run(late_s)
    rig.now_ns += missed * PERIOD_NS
    rig.run(2.0)
    reached = np.array([row[0] for row in rig.commands if row is not None])
    assert reached.max() <= goal + 1e-6
    assert reached[-1] == pytest.approx(goal, abs=1e-6)
    assert rig.excess([row for row in rig.commands if row is not None]) <= 1.0 + 1e-6


# The slower one is not far enough behind to be noticed as such.
@pytest.mark.parametrize('share', [0.3, 0.05])
def test_the_interlock_of_an_arm_that_stands_still_leaves_no_motion_for_its_release(share):
    rig = Rig()
    rig.move(share)
    rig.run(0.3)
    rig.frozen = True
    rig.tick(2)
    rig.loop.set_interlock('safety', 'emergency stop')
    rig.run(1.5)
    assert np.abs(rig.commands[-1] - rig.joints).max() < 1e-6


def test_a_reset_has_a_state_of_its_own():
    rig = Rig()
    rig.move(0.3)
    rig.run(0.2)
    rig.loop.reset()
    assert rig.status.state is LoopState.RESETTING
    rig.run(1.0)
    assert rig.status.state is LoopState.WAITING
