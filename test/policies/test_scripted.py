"""Policies whose motion is written down."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from robomamba_ros.control.motion.timeline import check_channels
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.registry import describe_policy, load_policy
from robomamba_ros.robots.arm import load_arm

BASE = {
    'policy': 'scripted',
    'state_names': [],
    'action_space': 'ee_delta',
    'action_names': ['ee_dx', 'ee_dz'],
    'horizon': 40,
    'dt_ns': 100_000_000,
    'execute_steps': 10,
    'motion': [{'channel': 'ee_dz', 'amplitude': 0.05, 'period_s': 8.0}],
}


@pytest.fixture
def make(tmp_path):
    def write(**changes):
        (tmp_path / 'config.yaml').write_text(yaml.safe_dump({**BASE, **changes}))
        return load_policy(tmp_path)

    return write


def at(policy, time_s):
    return replace(fake_observation(policy.spec), stamp_ns=5_000_000_000 + round(time_s * 1e9))


def test_holding_is_no_motion_on_any_arm():
    policy = load_policy('hold')
    chunk = policy.infer(at(policy, 0.0))
    check_channels(chunk)
    assert not chunk.actions.any()
    assert policy.spec.cameras == policy.spec.state_names == ()


def test_a_stroke_goes_out_and_comes_back_at_rest(make):
    policy = make()
    first, second = policy.infer(at(policy, 0.0)), policy.infer(at(policy, 4.0))
    path = np.cumsum(np.concatenate([first.channel('ee_dz'), second.channel('ee_dz')]))
    assert path[39] == pytest.approx(0.05, abs=1e-6)
    assert path[19] == pytest.approx(0.025, abs=1e-6)
    assert path[79] == pytest.approx(0.0, abs=1e-6)
    # Fastest half way: amplitude * pi / period.
    assert np.abs(first.channel('ee_dz')).max() == pytest.approx(0.05 * np.pi / 8 * 0.1, rel=1e-2)
    assert abs(first.channel('ee_dz')[0]) < 1e-4
    assert not first.channel('ee_dx').any()


def test_chunks_of_an_episode_continue_each_other(make):
    policy = make()
    whole = policy.infer(at(policy, 0.0)).actions
    later = policy.infer(at(policy, 1.0)).actions
    np.testing.assert_allclose(later[:30], whole[10:], atol=1e-7)


def test_the_shipped_motion_is_slow_and_within_the_simulated_arms_limits():
    policy = load_policy('scripted')
    dt = policy.spec.dt_ns * 1e-9
    speeds = [
        np.linalg.norm(policy.infer(at(policy, second)).actions, axis=1).max() / dt
        for second in range(8)
    ]
    assert 0.01 < max(speeds) < 0.012 < load_arm('sawyer_sim').cartesian.velocity


def test_joints_move_from_where_they_were(make):
    joints = {'state_names': ['a', 'b'], 'action_names': ['b', 'a']}
    motion = [{'channel': 'a', 'amplitude': 0.4, 'period_s': 8.0}]
    policy = make(**joints, action_space='joint_position', motion=motion)
    start = replace(at(policy, 0.0), state=np.array([1.0, -2.0], np.float32))
    moved = replace(at(policy, 4.0), state=np.array([1.4, -2.1], np.float32))
    assert policy.infer(start).channel('a')[39] == pytest.approx(1.4)
    chunk = policy.infer(moved)
    assert chunk.channel('a')[39] == pytest.approx(1.0)
    assert chunk.channel('b').tolist() == [-2.0] * 40
    policy.reset()
    assert policy.infer(moved).channel('b')[0] == pytest.approx(-2.1)


def test_the_gripper_is_commanded_by_its_opening(make):
    policy = make(
        state_names=['gripper'],
        action_names=['ee_dx', 'gripper'],
        motion=[{'channel': 'gripper', 'amplitude': -0.5, 'period_s': 8.0}],
    )
    chunk = policy.infer(replace(at(policy, 0.0), state=np.array([1.0], np.float32)))
    assert chunk.channel('gripper')[39] == pytest.approx(0.5)
    assert not chunk.channel('ee_dx').any()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'motion': [{**BASE['motion'][0], 'channel': 'ee_dy'}]}, "'ee_dy', allowed: ee_dx, ee_dz"),
        ({'motion': [{**BASE['motion'][0], 'period_s': 0}]}, r'period_s: found 0.*above 0 \[s\]'),
        ({'action_space': 'joint_position'}, 'state_names: .*with ee_dx, ee_dz'),
        ({'motion': {}}, 'motion: found {}'),
    ],
)
def test_a_motion_that_cannot_be_is_refused(make, changes, message):
    with pytest.raises(ConfigError, match=message):
        make(**changes)


def test_its_description_says_the_motion():
    assert 'ee_dz by 0.03 in 8 s' in describe_policy('scripted').text()
    assert 'motion            none' in describe_policy('hold').text()
