"""Observations are complete and fresh or refused by name; inference runs when it is due."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from robomamba_ros.control.policy_loop import InferenceThread, ObservationBuffer, PolicyLoop
from robomamba_ros.errors import ConfigError, ObservationError
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.types import ActionChunk, ActionSpace, Pose, RobotState

DT = 12_500_000
SECOND = 1_000_000_000
SPEC = PolicySpec(
    name='toy',
    cameras=(CameraSpec('front', 4, 6), CameraSpec('wrist', 2, 2)),
    state_names=('ee_x', 'gripper'),
    action_space=ActionSpace.EE_DELTA,
    action_names=('ee_dx',),
    horizon=5,
    dt_ns=DT,
    execute_steps=3,
)
FRONT = np.full((4, 6, 3), 7, np.uint8)
WRIST = np.full((2, 2, 3), 9, np.uint8)


def state(stamp_ns, x=0.0, gripper=1.0):
    return RobotState(stamp_ns, Pose(np.array([x, 0, 0]), np.array([0, 0, 0, 1.0])), gripper)


class ToyPolicy:
    """Answers with the x it sees; counts resets."""

    spec = SPEC

    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1

    def infer(self, observation):
        actions = np.full((SPEC.horizon, 1), observation.state[0])
        return ActionChunk(observation.stamp_ns, DT, actions, SPEC.action_space, SPEC.action_names)


def empty_buffer():
    buffer = ObservationBuffer(SPEC, {'front': 0.5, 'wrist': 0.2, 'unused': 9.0}, 0.1)
    buffer.set_instruction('open the drawer')
    return buffer


def fill(buffer, stamp_ns, x=0.0):
    buffer.add_image('front', stamp_ns, FRONT)
    buffer.add_image('wrist', stamp_ns, WRIST)
    buffer.add_state(state(stamp_ns, x))


def test_the_stamp_is_that_of_the_oldest_image_and_the_state_is_looked_up_there():
    buffer = empty_buffer()
    for step in range(10):
        buffer.add_state(state(SECOND + step * DT, x=0.1 * step))
    buffer.add_image('front', SECOND + 8 * DT, FRONT)
    buffer.add_image('wrist', SECOND + 6 * DT + DT // 2, WRIST)
    observation = buffer.observation(SECOND + 9 * DT)
    assert observation.stamp_ns == SECOND + 6 * DT + DT // 2
    assert observation.state == pytest.approx([0.65, 1.0])
    assert observation.previous_state == pytest.approx([0.55, 1.0])
    assert observation.instruction == 'open the drawer'
    assert observation.images['front'] is FRONT
    assert observation.images['wrist'] is WRIST


def test_the_first_observation_of_an_episode_has_no_change_of_state():
    buffer = empty_buffer()
    fill(buffer, SECOND, x=0.3)
    observation = buffer.observation(SECOND)
    assert observation.state == pytest.approx([0.3, 1.0])
    assert observation.previous_state == pytest.approx([0.3, 1.0])


def test_only_the_newest_image_is_kept_and_only_that_one_is_decoded():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    decoded = []

    def decoder(name):
        def decode():
            decoded.append(name)
            return FRONT

        return decode

    for name, stamp_ns in (('first', 0), ('newest', DT), ('late', -DT)):
        buffer.add_image('front', SECOND + stamp_ns, decoder(name))
    buffer.observation(SECOND + DT)
    assert decoded == ['newest']


def test_every_missing_and_late_stream_is_named_with_its_age():
    buffer = ObservationBuffer(SPEC, {'front': 0.5, 'wrist': 0.2}, 0.1)
    buffer.add_image('front', SECOND, FRONT)
    buffer.add_state(state(SECOND), joints_stamp_ns=SECOND * 3 // 4)
    with pytest.raises(ObservationError) as raised:
        buffer.observation(SECOND + 300_000_000)
    assert str(raised.value) == (
        'wrist: nothing received yet; '
        'ee_pose is late: 0.300 s old, budget 0.100 s; '
        'joint_states is late: 0.550 s old, budget 0.100 s; '
        'instruction: nothing received yet'
    )


def test_images_ahead_of_the_state_wait_for_it():
    buffer = empty_buffer()
    fill(buffer, SECOND)
    buffer.add_image('front', SECOND + DT, FRONT)
    buffer.add_image('wrist', SECOND + DT, WRIST)
    assert buffer.stamp_ns() is None
    with pytest.raises(ObservationError, match='nothing received since the newest images'):
        buffer.observation(SECOND + DT)
    buffer.add_state(state(SECOND + DT, 0.4))
    assert buffer.stamp_ns() == SECOND + DT
    assert buffer.observation(SECOND + DT).state[0] == pytest.approx(0.4)


def test_clear_forgets_the_episode_but_not_the_instruction():
    buffer = empty_buffer()
    fill(buffer, SECOND, x=0.8)
    buffer.clear()
    assert buffer.stamp_ns() is None
    fill(buffer, SECOND // 2, x=0.1)
    observation = buffer.observation(SECOND // 2)
    assert observation.state[0] == pytest.approx(0.1)
    assert observation.instruction == 'open the drawer'


def test_cameras_that_do_not_fit_the_policy_are_refused():
    with pytest.raises(ConfigError, match=r"'toy' in the arm contract: 'wrist'"):
        ObservationBuffer(SPEC, {'front': 0.5}, 0.1)
    with pytest.raises(ObservationError, match=r"unknown camera 'frnt'. Did you mean 'front'"):
        empty_buffer().add_image('frnt', SECOND, FRONT)
    buffer = empty_buffer()
    fill(buffer, SECOND)
    buffer.add_image('wrist', SECOND + 1, FRONT)
    buffer.add_image('front', SECOND + 1, FRONT)
    buffer.add_state(state(SECOND + 1))
    with pytest.raises(ObservationError, match=r"camera 'wrist' gives \(4, 6, 3\) uint8"):
        buffer.observation(SECOND + 1)


# The loop


def test_a_chunk_is_due_when_the_last_one_has_run_its_steps():
    buffer = empty_buffer()
    loop = PolicyLoop(ToyPolicy(), buffer, execute_steps=3)
    inferred = []
    assert not loop.due(SECOND)
    for step in range(10):
        now_ns = SECOND + step * DT
        fill(buffer, now_ns, x=0.1 * step)
        if loop.due(now_ns):
            chunk = loop.infer(now_ns)
            inferred.append((step, float(chunk.actions[0, 0])))
    assert inferred == [(step, pytest.approx(0.1 * step)) for step in (0, 3, 6, 9)]


def test_the_same_observation_is_not_inferred_twice_and_a_late_one_not_at_all():
    buffer = empty_buffer()
    loop = PolicyLoop(ToyPolicy(), buffer, execute_steps=3)
    fill(buffer, SECOND)
    loop.infer(SECOND)
    assert not loop.due(SECOND + 10 * DT)
    fill(buffer, SECOND + 3 * DT)
    assert loop.due(SECOND + 3 * DT)
    assert not loop.due(2 * SECOND)
    with pytest.raises(ObservationError, match='front is late'):
        loop.infer(2 * SECOND)


def test_reset_begins_a_new_episode():
    policy, buffer = ToyPolicy(), empty_buffer()
    loop = PolicyLoop(policy, buffer, execute_steps=3)
    fill(buffer, SECOND)
    loop.infer(SECOND)
    loop.reset()
    assert policy.resets == 1
    assert not loop.due(SECOND)
    fill(buffer, SECOND + DT)
    assert loop.due(SECOND + DT)


@pytest.mark.parametrize('steps', [0, 6])
def test_execute_steps_stays_within_the_horizon(steps):
    with pytest.raises(ConfigError, match=rf"execute_steps is {steps}, policy 'toy' allows 1\.\.5"):
        PolicyLoop(ToyPolicy(), empty_buffer(), execute_steps=steps)


# The thread; every wait is for an event, with a limit only against a test that hangs

LIMIT_S = 20.0


class Gated(ToyPolicy):
    """Reports that it infers, and goes on when it is let."""

    def __init__(self):
        super().__init__()
        self.started = threading.Semaphore(0)
        self.released = threading.Semaphore(0)

    def infer(self, observation):
        self.started.release()
        assert self.released.acquire(timeout=LIMIT_S)
        return super().infer(observation)


class Harness:
    def __init__(self, policy):
        self.policy = policy
        self.buffer = empty_buffer()
        self.now_ns = SECOND
        self.chunks, self.errors = [], []
        self.reported = threading.Semaphore(0)
        self.thread = InferenceThread(
            PolicyLoop(policy, self.buffer, execute_steps=3),
            lambda: self.now_ns,
            lambda chunk: self._report(self.chunks, chunk),
            lambda error: self._report(self.errors, error),
        )

    def _report(self, where, what):
        where.append(what)
        self.reported.release()

    def observe(self, stamp_ns):
        self.now_ns = stamp_ns
        fill(self.buffer, stamp_ns)
        self.thread.notify()

    def wait(self):
        assert self.reported.acquire(timeout=LIMIT_S)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.stop()


def test_the_thread_infers_on_new_data_and_takes_data_while_it_infers():
    with Harness(Gated()) as harness:
        harness.observe(SECOND)
        assert harness.policy.started.acquire(timeout=LIMIT_S)
        harness.observe(SECOND + 3 * DT)
        harness.policy.released.release(2)
        harness.wait()
        harness.wait()
    assert [chunk.stamp_ns for chunk in harness.chunks] == [SECOND, SECOND + 3 * DT]
    assert harness.errors == []


def test_an_error_is_reported_once_and_the_thread_goes_on_with_new_data():
    class Failing(ToyPolicy):
        def infer(self, observation):
            if observation.stamp_ns == SECOND:
                raise RuntimeError('out of memory')
            return super().infer(observation)

    with Harness(Failing()) as harness:
        harness.observe(SECOND)
        harness.wait()
        harness.observe(SECOND + DT)
        harness.wait()
    assert [str(error) for error in harness.errors] == ['out of memory']
    assert [chunk.stamp_ns for chunk in harness.chunks] == [SECOND + DT]


def test_no_chunk_of_the_old_episode_comes_after_a_reset():
    with Harness(Gated()) as harness:
        harness.observe(SECOND)
        assert harness.policy.started.acquire(timeout=LIMIT_S)
        seen_after_reset = []
        resetting = threading.Thread(
            target=lambda: (harness.thread.reset(), seen_after_reset.append(len(harness.chunks)))
        )
        resetting.start()
        harness.policy.released.release()
        resetting.join(timeout=LIMIT_S)
        assert not resetting.is_alive()
    assert seen_after_reset == [len(harness.chunks)] == [1]
    assert harness.policy.resets == 1


def test_stop_waits_for_the_inference_that_runs():
    harness = Harness(Gated())
    harness.thread.start()
    harness.observe(SECOND)
    assert harness.policy.started.acquire(timeout=LIMIT_S)
    harness.policy.released.release()
    harness.thread.stop()
    assert [chunk.stamp_ns for chunk in harness.chunks] == [SECOND]
    harness.observe(SECOND + 3 * DT)
    assert len(harness.chunks) == 1
