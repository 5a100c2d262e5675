"""Inference runs when it is due, and at once for a new instruction."""

from __future__ import annotations

import pytest
from support.toy_policy import DT, SECOND, ToyPolicy, empty_buffer, fill

from robomamba_ros.control.policy.policy_loop import PolicyLoop
from robomamba_ros.errors import ConfigError, ObservationError


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
    assert not loop.due(SECOND)
    loop.reset()
    assert policy.resets == 1
    assert loop.due(SECOND)


@pytest.mark.parametrize('steps', [0, 6])
def test_execute_steps_stays_within_the_horizon(steps):
    with pytest.raises(ConfigError, match=rf"execute_steps is {steps}, policy 'toy' allows 1\.\.5"):
        PolicyLoop(ToyPolicy(), empty_buffer(), execute_steps=steps)


def test_a_new_instruction_is_due_at_once_and_begins_an_episode():
    policy, buffer = ToyPolicy(), empty_buffer()
    loop = PolicyLoop(policy, buffer, execute_steps=3)
    fill(buffer, SECOND)
    loop.infer(SECOND)
    assert buffer.set_instruction('close the drawer')
    assert not buffer.set_instruction('close the drawer')
    assert not loop.due(SECOND)
    loop.renew()
    assert loop.overtaken
    assert loop.due(SECOND)
    loop.infer(SECOND)
    assert policy.resets == 1
    assert not loop.overtaken
    assert not loop.due(SECOND)


def test_a_chunk_that_a_new_instruction_overtook_is_known_as_such():
    policy, buffer = ToyPolicy(), empty_buffer()
    loop = PolicyLoop(policy, buffer, execute_steps=3)
    fill(buffer, SECOND)
    infer = policy.infer

    def interrupted(observation):
        loop.renew()
        return infer(observation)

    policy.infer = interrupted
    loop.infer(SECOND)
    assert loop.overtaken
    assert loop.due(SECOND)
