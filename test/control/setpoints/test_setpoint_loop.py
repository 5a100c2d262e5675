"""The setpoint loop tracks as the simulator integrates, and fails closed within limits."""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robomamba_ros.control.motion.blending import Blending, Crossfade
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, LoopStatus, SetpointLoop
from robomamba_ros.errors import ActionError, NotReadyError, ObservationError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, Pose, RobotState

ARM = load_arm('sawyer_sim')
DT = ARM.period_ns
START_NS = 5 * NANOSECONDS
IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])
HOME = np.array([0.0, 0.6, 0.2])
STEP = np.array([0.001, 0.0, 0.0])
XYZ = ('ee_dx', 'ee_dy', 'ee_dz')
# An arm whose limits bite, as a real one's do.
SLOW_ARM = replace(
    ARM,
    cartesian=replace(ARM.cartesian, velocity=0.6, acceleration=8.0, stop_deceleration=2.0),
)


def state(stamp_ns, position=HOME, gripper=1.0):
    return RobotState(stamp_ns, Pose(np.asarray(position), IDENTITY), gripper)


def chunk(stamp_ns, actions, names=XYZ, dt_ns=DT, space=ActionSpace.EE_DELTA):
    return ActionChunk(stamp_ns, dt_ns, np.asarray(actions, dtype=np.float32), space, names)


def steady(stamp_ns, step=0.001, horizon=50):
    return chunk(stamp_ns, np.tile([step, 0.0, 0.0], (horizon, 1)))


class Bench:
    """An enabled loop on a virtual clock, with proprioception that is always fresh."""

    def __init__(self, arm=ARM, crossfade_steps=0, enabled=True):
        self.loop = SetpointLoop(arm, blending=Blending(crossfade_steps), supervised=False)
        self.now_ns = START_NS
        self.fresh = True
        self.loop.enable(enabled)
        self.loop.update_state(state(self.now_ns))

    def tick(self, count=1):
        """Run `count` ticks; return the setpoints. The clock stands at the next tick after."""
        setpoints = []
        for _ in range(count):
            if self.fresh:
                self.loop.update_state(state(self.now_ns))
            setpoints.append(self.loop.tick(self.now_ns))
            self.now_ns += DT
        return setpoints

    def tick_until(self, wanted, limit=400):
        setpoints = []
        while self.loop.status.state is not wanted:
            assert len(setpoints) < limit, self.loop.status
            setpoints += self.tick()
        return setpoints


def positions(setpoints):
    return np.array([setpoint.pose.position for setpoint in setpoints])


def assert_within_limits(arm, path):
    period = arm.period_ns / NANOSECONDS
    velocity = np.diff(path, axis=0) / period
    acceleration = np.diff(velocity, axis=0) / period
    assert np.linalg.norm(velocity, axis=1).max(initial=0) <= arm.cartesian.velocity + 1e-6
    assert np.linalg.norm(acceleration, axis=1).max(initial=0) <= arm.cartesian.acceleration + 1e-5
    assert (path >= arm.workspace.lower).all()
    assert (path <= arm.workspace.upper).all()


# Tracking


@settings(deadline=None, max_examples=25)
@given(
    arrays(np.float32, (6, 50, 3), elements=st.sampled_from([-0.01, 0.0, 0.01, 0.0037])),
    st.sampled_from([(0.0, 0.6, 0.2), (0.49, 0.99, 0.49), (-0.49, 0.41, 0.06)]),
)
def test_consecutive_delta_chunks_give_what_the_simulator_would_integrate(actions, start):
    loop = SetpointLoop(ARM, supervised=False)
    loop.enable(True)
    mocap = np.array(start)
    for step in range(60):
        now_ns = START_NS + step * DT
        # The measured pose lags behind and is not where the mocap is: it must not matter.
        loop.update_state(state(now_ns, mocap if step == 0 else mocap - 0.03))
        if step % 10 == 0:
            receipt = loop.add_chunk(chunk(now_ns, actions[step // 10]), now_ns)
            assert (receipt.trimmed_steps, receipt.seam_jump_m) == (0, 0.0)
        delta = actions[step // 10, step % 10].astype(np.float64)
        mocap = np.clip(mocap + delta, ARM.workspace.lower, ARM.workspace.upper)
        assert np.array_equal(loop.tick(now_ns).pose.position, mocap)
    assert loop.counts.limited == 0


def test_a_late_chunk_is_trimmed_and_anchored_where_the_arm_was_told_to_be_at_its_stamp():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, 0.001), bench.now_ns)
    before = positions(bench.tick(10))
    observed_ns = bench.now_ns
    before = np.vstack([before, positions(bench.tick(4))])
    receipt = bench.loop.add_chunk(steady(observed_ns, 0.002), bench.now_ns)
    after = positions(bench.tick(1))
    anchor = before[9]
    # Five actions of the new chunk are done by the end of this period; the arm did not go back.
    assert after[0] == pytest.approx(anchor + 10 * STEP, abs=1e-8)
    assert receipt.trimmed_steps == 4
    assert receipt.seam_jump_m == pytest.approx(4 * 0.001, abs=1e-8)


def test_a_late_chunk_that_agrees_with_the_one_before_changes_nothing():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick(10)
    observed_ns = bench.now_ns
    bench.tick(7)
    receipt = bench.loop.add_chunk(steady(observed_ns), bench.now_ns)
    assert receipt.trimmed_steps == 7
    assert receipt.seam_jump_m == pytest.approx(0.0, abs=1e-12)
    path = positions(bench.tick(10))
    assert path[:, 0] == pytest.approx(HOME[0] + 0.001 * np.arange(18, 28), abs=1e-8)


def test_a_stamp_between_two_ticks_anchors_between_the_commands():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick(10)
    observed_ns = bench.now_ns - DT // 4
    receipt = bench.loop.add_chunk(steady(observed_ns), bench.now_ns)
    # The same speed from a stamp off the grid: nothing is gained or lost at the seam.
    assert receipt.seam_jump_m == pytest.approx(0.0, abs=1e-9)
    assert positions(bench.tick(1))[0, 0] == pytest.approx(0.011, abs=1e-8)


def test_crossfade_spreads_a_seam_over_its_steps():
    jumps = {}
    for steps in (0, 8):
        bench = Bench(crossfade_steps=steps)
        bench.loop.add_chunk(steady(bench.now_ns, 0.0), bench.now_ns)
        bench.tick(4)
        bench.loop.add_chunk(steady(START_NS, 0.004), bench.now_ns)
        path = np.vstack([[HOME], positions(bench.tick(12))])
        assert path[-1, 0] == pytest.approx(16 * 0.004, abs=1e-8)
        jumps[steps] = np.diff(path[:, 0]).max()
    assert jumps[0] == pytest.approx(5 * 0.004, abs=0.003)
    assert jumps[8] < 0.6 * jumps[0]


def test_crossfades_that_overlap_do_not_pile_up():
    bench = Bench(crossfade_steps=8)
    for _ in range(100):
        bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
        bench.tick(2)
    assert sum(type(thing) is Crossfade for thing in gc.get_objects()) < 10


@pytest.mark.parametrize('ticks_per_action', [1, 2, 5])
def test_ticks_faster_than_the_actions_interpolate_within_a_step(ticks_per_action):
    bench = Bench()
    action_dt = ticks_per_action * DT
    actions = [[0.005, 0, 0], [0, 0.01, 0]]
    bench.loop.add_chunk(chunk(bench.now_ns, actions, dt_ns=action_dt), bench.now_ns)
    path = positions(bench.tick(2 * ticks_per_action)) - HOME
    share = np.arange(1, ticks_per_action + 1) / ticks_per_action
    assert path[:ticks_per_action, 0] == pytest.approx(0.005 * share, abs=1e-8)
    assert path[ticks_per_action:, 1] == pytest.approx(0.01 * share, abs=1e-8)
    assert path[ticks_per_action:, 0] == pytest.approx(0.005, abs=1e-8)


def test_the_gripper_follows_the_chunk_and_is_held_on_a_stop():
    bench = Bench()
    actions = [[0.001, 1.0], [0.001, 0.25]]
    bench.loop.add_chunk(chunk(bench.now_ns, actions, ('ee_dx', 'gripper')), bench.now_ns)
    openings = [setpoint.gripper for setpoint in bench.tick(6)]
    assert openings == [1.0, 0.25, 0.25, 0.25, 0.25, 0.25]
    assert bench.loop.status.state is LoopState.HOLDING


def test_the_same_tick_asked_twice_gives_the_same_setpoint_and_no_second_step():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    first = bench.loop.tick(bench.now_ns)
    assert bench.loop.tick(bench.now_ns) is first
    assert bench.loop.tick(bench.now_ns + DT).pose.position[0] == pytest.approx(0.002, abs=1e-8)


# Before the first chunk


def test_nothing_is_commanded_before_enable_and_before_the_first_state():
    loop = SetpointLoop(ARM, supervised=False)
    loop.update_state(state(START_NS))
    assert loop.tick(START_NS) is None
    assert loop.status.state is LoopState.DISABLED
    with pytest.raises(ActionError, match=r'the arm is disabled \(not enabled yet\)'):
        loop.add_chunk(steady(START_NS), START_NS)

    loop = SetpointLoop(ARM, supervised=False)
    loop.enable(True)
    assert loop.tick(START_NS) is None
    assert loop.status.state is LoopState.WAITING
    assert 'ee_pose: nothing received yet' in loop.status.reason
    with pytest.raises(ActionError, match='ee_pose: nothing received yet'):
        loop.add_chunk(steady(START_NS), START_NS)


def test_while_it_waits_it_holds_the_pose_measured_first():
    bench = Bench()
    first = bench.loop.tick(bench.now_ns)
    bench.now_ns += DT
    bench.loop.update_state(state(bench.now_ns, HOME + 0.02))
    second = bench.loop.tick(bench.now_ns)
    assert np.array_equal(first.pose.position, HOME)
    assert np.array_equal(second.pose.position, HOME)
    assert bench.loop.status == LoopStatus(LoopState.WAITING, 'no action_chunk yet')


def test_a_first_command_needs_a_fresh_state():
    bench = Bench()
    late_ns = bench.now_ns + NANOSECONDS
    assert bench.loop.tick(late_ns) is None
    assert bench.loop.status.state is LoopState.WAITING
    assert bench.loop.status.reason.startswith('ee_pose is late: 1.000 s old')
    bench.loop.update_state(state(late_ns + DT))
    assert np.array_equal(bench.loop.tick(late_ns + DT).pose.position, HOME)


# Faults


def test_late_proprioception_brakes_within_limits_and_holds_until_enabled_again():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, 0.005), bench.now_ns)
    path = positions(bench.tick(10))
    bench.fresh = False
    stopping = bench.tick_until(LoopState.STOPPING)
    assert 0.25 < len(stopping) * DT / NANOSECONDS < 0.25 + 3 * DT / NANOSECONDS
    reason = bench.loop.status.reason
    assert reason.startswith('ee_pose is late: 0.263 s old, budget 0.250 s; joint_states is late')
    assert reason.endswith('enable to move again')
    path = np.vstack([path, positions(stopping), positions(bench.tick_until(LoopState.HOLDING))])
    held = positions(bench.tick(20))
    assert np.ptp(held, axis=0).max() == 0.0
    assert bench.loop.status == LoopStatus(LoopState.HOLDING, reason)
    path = np.vstack([path, held])
    assert_within_limits(ARM, path)
    # The stop itself is the gentle one: 0.4 m/s at 4 m/s^2.
    speeds = np.diff(path[:, 0]) * ARM.control_rate_hz
    braking = np.diff(speeds)[10 + len(stopping) - 3 :]
    assert braking.min() * ARM.control_rate_hz == pytest.approx(-4.0, abs=1e-5)

    bench.fresh = True
    bench.tick(5)
    assert bench.loop.status.state is LoopState.HOLDING
    with pytest.raises(ActionError, match=r'the arm is holding \(ee_pose is late'):
        bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.loop.enable(True)
    assert bench.loop.status.state is LoopState.WAITING
    # It goes on from where it was told to hold: no step in the command.
    assert np.array_equal(positions(bench.tick(1))[0], held[-1])
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    assert positions(bench.tick(1))[0] == pytest.approx(held[-1] + STEP, abs=1e-8)
    assert bench.loop.status.state is LoopState.TRACKING


def test_joint_states_that_stop_while_the_pose_goes_on_are_named():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick()
    bench.fresh = False
    for _ in range(25):
        stamps = {'joint_states': START_NS}
        bench.loop.update_state(replace(state(bench.now_ns), stamps=stamps))
        bench.tick()
    assert bench.loop.status.state in (LoopState.STOPPING, LoopState.HOLDING)
    assert bench.loop.status.reason == (
        'joint_states is late: 0.263 s old, budget 0.250 s; enable to move again'
    )


def test_a_stop_after_a_late_tick_says_that_the_machine_was_busy():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick()
    bench.fresh = False
    bench.now_ns += 24 * DT
    bench.tick()
    busy = 'budget 0.250 s (this node itself ran 0.300 s late: the machine was busy)'
    assert bench.loop.status.reason == (
        f'ee_pose is late: 0.312 s old, {busy}; joint_states is late: 0.312 s old, {busy}; '
        'enable to move again'
    )


def test_a_chunk_that_runs_out_stops_the_arm_and_the_next_one_resumes():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, 0.002, horizon=5), bench.now_ns)
    path = positions(bench.tick(5))
    assert path[-1, 0] == pytest.approx(0.01, abs=1e-8)
    path = np.vstack([path, positions(bench.tick(1))])
    assert bench.loop.status.state is LoopState.STOPPING
    assert bench.loop.status.reason.startswith('action_chunk ran out: its last action ended 0.000')
    path = np.vstack([path, positions(bench.tick_until(LoopState.HOLDING))])
    # From 0.16 m/s at 4 m/s^2, which is 0.05 m/s less in each period.
    assert path[-1, 0] - 0.01 == pytest.approx((0.11 + 0.06 + 0.01) / 80, abs=1e-8)
    observed_ns = bench.now_ns
    bench.tick(3)
    receipt = bench.loop.add_chunk(steady(observed_ns, 0.001), bench.now_ns)
    assert receipt.trimmed_steps == 3
    assert bench.loop.status.state is LoopState.TRACKING
    resumed = positions(bench.tick(1))
    assert resumed[0, 0] == pytest.approx(path[-1, 0] + 0.004, abs=1e-8)
    assert_within_limits(ARM, np.vstack([path, resumed]))


def test_a_chunk_that_is_taken_back_stops_the_arm_and_the_next_one_resumes():
    bench = Bench(SLOW_ARM)
    bench.loop.withdraw_chunk('nothing to take back')
    assert bench.loop.status.state is LoopState.WAITING
    bench.tick()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    path = positions(bench.tick(10))
    bench.loop.withdraw_chunk('a new instruction')
    assert bench.loop.status == LoopStatus(LoopState.STOPPING, 'a new instruction')
    stopping = positions(bench.tick_until(LoopState.HOLDING))
    assert_within_limits(SLOW_ARM, np.concatenate([path, stopping]))
    # Without the rest of the chunk, which goes on for another 40 steps.
    assert stopping[-1][0] - HOME[0] < 0.02
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    assert bench.loop.status.state is LoopState.TRACKING


def test_a_hold_for_want_of_a_chunk_becomes_final_when_the_inputs_stop_too():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, horizon=2), bench.now_ns)
    bench.tick_until(LoopState.HOLDING)
    bench.fresh = False
    bench.tick(25)
    assert bench.loop.status.state is LoopState.HOLDING
    assert bench.loop.status.reason.startswith('ee_pose is late')
    bench.fresh = True
    bench.tick(1)
    with pytest.raises(ActionError, match='enable to move again'):
        bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)


@pytest.mark.parametrize(
    ('offset_steps', 'expected'),
    [
        (-50, r'0.625 s old and its last action ended 0.000 s ago: inference or transport'),
        (-80, r'1.000 s old and its last action ended 0.375 s ago'),
        (2, r'stamped 0.025 s ahead of the clock'),
        (-11, r'0.013 s older than the one being followed'),
    ],
)
def test_a_chunk_at_an_impossible_time_is_refused_and_the_old_one_kept(offset_steps, expected):
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick(10)
    bad = steady(bench.now_ns + offset_steps * DT, 0.01)
    with pytest.raises(ActionError, match=expected):
        bench.loop.add_chunk(bad, bench.now_ns)
    assert bench.loop.status.state is LoopState.TRACKING
    assert positions(bench.tick(1))[0, 0] == pytest.approx(0.011, abs=1e-8)


@pytest.mark.parametrize(
    ('make', 'expected'),
    [
        (lambda now: chunk(now, [[0, float('nan'), 0]]), "action 0, channel 'ee_dy' is nan"),
        (lambda now: chunk(now, [[0.0]], ('ee_x',)), "'ee_x'. Did you mean 'ee_dx'"),
        (
            lambda now: chunk(now, [[0.0]], ('right_j0',), space=ActionSpace.JOINT_DELTA),
            "space of end-effector actions 'joint_delta'",
        ),
    ],
)
def test_a_chunk_that_is_no_motion_is_refused_and_the_old_one_kept(make, expected):
    bench = Bench(crossfade_steps=3)
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick(10)
    with pytest.raises(ActionError, match=expected):
        bench.loop.add_chunk(make(bench.now_ns), bench.now_ns)
    assert positions(bench.tick(1))[0, 0] == pytest.approx(0.011, abs=1e-8)


def test_a_chunk_from_before_anything_was_known_is_refused():
    bench = Bench()
    with pytest.raises(ActionError, match='no pose is known at its stamp'):
        bench.loop.add_chunk(steady(START_NS - DT), START_NS)


def test_a_state_older_than_the_last_is_refused_and_changes_nothing():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick(3)
    with pytest.raises(ObservationError, match='before the one received last'):
        bench.loop.update_state(state(START_NS, HOME + 0.2))
    assert positions(bench.tick(1))[0, 0] == pytest.approx(0.004, abs=1e-8)


def test_a_clock_that_goes_back_stops_the_arm():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, 0.005), bench.now_ns)
    path = positions(bench.tick(10))
    bench.now_ns -= NANOSECONDS
    bench.fresh = False
    path = np.vstack([path, positions(bench.tick_until(LoopState.HOLDING))])
    assert bench.loop.status.reason.startswith('the clock went back by 0.988 s; enable')
    assert_within_limits(ARM, path)


# Disable and reset


def test_disable_brakes_to_rest_and_then_commands_nothing():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, 0.005), bench.now_ns)
    path = positions(bench.tick(10))
    bench.loop.enable(False)
    assert bench.loop.status.state is LoopState.STOPPING
    setpoints = bench.tick_until(LoopState.DISABLED)
    assert len(setpoints) == pytest.approx(0.4 / 4 * ARM.control_rate_hz, abs=1)
    path = np.vstack([path, positions(setpoints)])
    assert_within_limits(ARM, path)
    assert np.array_equal(path[-1], path[-2])
    assert bench.tick(3) == [None] * 3
    # Enabled again it starts from the measured pose.
    bench.loop.enable(True)
    assert np.array_equal(positions(bench.tick(1))[0], HOME)


def test_disabled_at_rest_it_commands_nothing_at_once():
    bench = Bench()
    bench.tick(3)
    bench.loop.enable(False)
    assert bench.loop.status == LoopStatus(LoopState.DISABLED, 'disabled')
    assert bench.tick(2) == [None, None]


def test_enabled_again_while_it_brakes_it_goes_on_braking_until_a_chunk_comes():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, 0.005), bench.now_ns)
    path = positions(bench.tick(10))
    bench.loop.enable(False)
    path = np.vstack([path, positions(bench.tick(3))])
    bench.loop.enable(True)
    path = np.vstack([path, positions(bench.tick(20))])
    assert bench.loop.status.state is LoopState.WAITING
    assert np.array_equal(path[-1], path[-2])
    assert_within_limits(ARM, path)


def test_enable_again_changes_nothing_while_it_tracks():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick(3)
    bench.loop.enable(True)
    assert positions(bench.tick(1))[0, 0] == pytest.approx(0.004, abs=1e-8)


def test_a_reset_of_a_moving_arm_waits_for_it_to_come_to_rest():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    path = positions(bench.tick(10))
    bench.loop.reset()
    assert bench.loop.counts.limited == 0
    with pytest.raises(ActionError, match='stopping for a reset'):
        bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    path = np.vstack([path, positions(bench.tick_until(LoopState.WAITING)[:-1])])
    speeds = np.linalg.norm(np.diff(path, axis=0), axis=1) * ARM.control_rate_hz
    assert np.abs(np.diff(speeds)).max() * ARM.control_rate_hz <= 4.0 + 1e-6
    assert speeds[-1] <= 4.0 / ARM.control_rate_hz
    # What was known before is not trusted any more: it begins with what is measured next.
    elsewhere = HOME + np.array([0.1, 0.2, 0.0])
    assert bench.loop.tick(bench.now_ns) is None
    bench.loop.update_state(state(bench.now_ns, elsewhere))
    (setpoint,) = [bench.loop.tick(bench.now_ns + ARM.period_ns)]
    assert setpoint.pose.position == pytest.approx(elsewhere, abs=1e-12)


def test_after_a_reset_at_once_the_next_command_starts_from_the_measured_pose():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    bench.tick(10)
    bench.loop.reset(at_once=True)
    assert bench.loop.status.state is LoopState.WAITING
    elsewhere = HOME + np.array([0.1, 0.2, 0.0])
    bench.loop.update_state(state(bench.now_ns, elsewhere))
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    setpoint = bench.loop.tick(bench.now_ns)
    assert setpoint.pose.position == pytest.approx(elsewhere + STEP, abs=1e-8)
    assert bench.loop.counts.limited == 0


# Whatever happens

EVENTS = ('chunk', 'late chunk', 'wild chunk', 'blackout', 'disable', 'enable', 'nothing')


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 40)), min_size=2, max_size=10),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 6]),
)
def test_no_sequence_of_events_makes_the_command_leave_its_limits(events, seed, crossfade_steps):
    generator = np.random.default_rng(seed)
    bench = Bench(SLOW_ARM, crossfade_steps)
    bench.loop.add_chunk(steady(bench.now_ns, 0.004), bench.now_ns)
    path = []
    for event, ticks in events:
        bench.fresh = event != 'blackout'
        if event in ('disable', 'enable'):
            if bench.loop.status.state is LoopState.DISABLED:
                # What comes next starts anew, from the measured pose.
                path = []
            bench.loop.enable(event == 'enable')
        elif event.endswith('chunk') and bench.loop.status.state is LoopState.TRACKING:
            scale = 0.3 if event == 'wild chunk' else 0.006
            stamp_ns = max(START_NS, bench.now_ns - (9 * DT if event == 'late chunk' else 0))
            actions = generator.uniform(-scale, scale, (30, 3))
            with suppress(ActionError):
                bench.loop.add_chunk(chunk(stamp_ns, actions), bench.now_ns)
        for setpoint in bench.tick(ticks):
            if setpoint is None:
                # Nothing is commanded only from rest; what follows starts anew.
                assert len(path) < 2 or np.array_equal(path[-1], path[-2])
                path = []
            else:
                path.append(setpoint.pose.position)
        if len(path) > 2:
            assert_within_limits(SLOW_ARM, np.array(path))


def test_the_same_wild_chunk_violates_the_limits_without_the_limiter():
    wild = np.cumsum(np.tile([[0.25, 0, 0], [-0.25, 0, 0]], (5, 1)), axis=0) + HOME
    velocity = np.diff(wild, axis=0) * ARM.control_rate_hz
    assert np.linalg.norm(velocity, axis=1).max() > 20 * SLOW_ARM.cartesian.velocity
    bench = Bench(SLOW_ARM)
    actions = np.tile([[0.25, 0, 0], [-0.25, 0, 0]], (5, 1))
    bench.loop.add_chunk(chunk(bench.now_ns, actions), bench.now_ns)
    path = positions(bench.tick(10))
    assert_within_limits(SLOW_ARM, path)
    assert bench.loop.counts.limited > 5


# Interlocks and faults from outside


def test_an_interlock_refuses_enable_with_its_text_and_nothing_moves_until_it_is_cleared():
    bench = Bench(enabled=False)
    bench.loop.set_interlock('robot_mode', 'the robot is in the mode reflex')
    with pytest.raises(NotReadyError, match='the robot is in the mode reflex'):
        bench.loop.enable(True)
    assert bench.loop.status.state is LoopState.DISABLED
    bench.loop.set_interlock('robot_mode', '')
    bench.loop.enable(True)
    assert bench.loop.status.state is LoopState.WAITING


def test_an_interlock_stops_a_moving_arm_and_clearing_it_does_not_resume():
    bench = Bench()
    bench.loop.add_chunk(steady(bench.now_ns, 0.005), bench.now_ns)
    path = positions(bench.tick(10))
    bench.loop.set_interlock('dead_man', 'the dead-man button is not held')
    assert bench.loop.status.state is LoopState.STOPPING
    bench.loop.set_interlock('dead_man', '')
    path = np.vstack([path, positions(bench.tick_until(LoopState.HOLDING))])
    assert_within_limits(ARM, path)
    with pytest.raises(ActionError, match='dead-man button is not held; enable to move again'):
        bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)


def test_a_fault_of_an_arm_that_holds_needs_no_tick_and_enable_ends_it():
    bench = Bench()
    bench.tick(3)
    bench.loop.fault('the controller is not active')
    reason = 'the controller is not active; enable to move again'
    assert bench.loop.status == LoopStatus(LoopState.HOLDING, reason)
    bench.loop.enable(True)
    bench.loop.add_chunk(steady(bench.now_ns), bench.now_ns)
    assert bench.loop.status.state is LoopState.TRACKING


@pytest.mark.parametrize('scale', [-0.1, 1.1, float('nan')])
def test_a_speed_scaling_that_is_none_is_refused(scale):
    with pytest.raises(ObservationError, match='allowed: 0 to 1'):
        Bench().loop.set_speed_scale(scale, START_NS)
