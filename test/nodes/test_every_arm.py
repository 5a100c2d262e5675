"""Every shipped arm over DDS: the controller drives a fake one, which measures what it is told.

Time is simulated and waits for every command, so that what is measured does not depend on how
fast this machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from support.dds_bench import FOLDER, STEP_NS, DdsBench, variant
from support.ending import end_at_once

from robomamba_ros.types import NANOSECONDS, ActionSpace

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

# sawyer_sim is a simulator's, and has limits to match.
ARMS = sorted(path.stem for path in FOLDER.glob('*.yaml') if not path.stem.endswith('_sim'))


@pytest.fixture
def rig(peer) -> Iterator[Callable[[str], DdsBench]]:
    rigs: list[DdsBench] = []

    def start(name: str) -> DdsBench:
        rigs.append(DdsBench(peer, name))
        rigs[-1].start()
        return rigs[-1]

    yield start
    for each in rigs:
        end_at_once(each.host)


def swing(arm) -> np.ndarray:
    """Return deltas (40, n) that take every joint out and back in 0.8 s, within its limits."""
    turns = np.linspace(0.0, 1.0, 41)
    # 2 pi / 0.8 s.
    rate = 2 * np.pi / (40 * STEP_NS / NANOSECONDS)
    most = [
        0.3 * min(joint.velocity / (rate / 2), joint.acceleration / (rate**2 / 2))
        for joint in arm.joints
    ]
    sign = np.where(np.arange(len(most)) % 2, -1.0, 1.0)
    path = 0.5 * (1.0 - np.cos(2 * np.pi * turns))[:, None] * (sign * most)
    return np.diff(path, axis=0)


def reverse(arm) -> np.ndarray:
    """Return deltas (40, n) that reverse from one step to the next, at a fifth of full speed."""
    speed = np.array([joint.velocity for joint in arm.joints])
    sign = np.where(np.arange(len(speed)) % 2, -1.0, 1.0)
    there = np.tile(0.2 * sign * speed * STEP_NS / NANOSECONDS, (20, 1))
    return np.vstack([there, -there])


def lift(driven: DdsBench) -> None:
    """Move the end effector up by 1 cm, and hold that it went there."""
    begin = driven.position()
    # The torso of an HSR is slow.
    seconds = 1.0 if driven.arm.name == 'hsr' else 0.5
    turn = np.linspace(0.0, np.pi, round(seconds * NANOSECONDS / STEP_NS) + 1)
    steps = np.diff(0.005 * (1.0 - np.cos(turn)))
    driven.send(steps[:, None], ('ee_dz',), ActionSpace.EE_DELTA)
    driven.run(seconds)
    driven.run_to_rest()
    np.testing.assert_allclose(driven.position() - begin, [0.0, 0.0, 0.01], atol=2.5e-4)


def drive(driven: DdsBench, actions: np.ndarray) -> dict[str, float]:
    """Run joint deltas and close the gripper; return how far each joint came."""
    names = tuple(joint.name for joint in driven.arm.joints)
    with_gripper = np.column_stack([actions, np.zeros(len(actions))])
    driven.send(with_gripper, (*names, 'gripper'), ActionSpace.JOINT_DELTA)
    reach = driven.run(len(actions) * STEP_NS / NANOSECONDS)
    driven.run_to_rest()
    gripper = driven.arm.gripper
    assert driven.fake.positions[gripper.joint] == pytest.approx(gripper.closed_position)
    return reach


JOINTS = {
    **{name: (name, None) for name in ARMS},
    'forward': ('ur5e', [('arm', 'forward_position'), ('gripper', 'forward_position')]),
    'no twist': (
        'hsr',
        [
            ('base', 'joint_trajectory'),
            ('arm', 'joint_trajectory'),
            ('gripper', 'joint_trajectory'),
            ('head', 'forward_position'),
        ],
    ),
}


@pytest.mark.parametrize('case', JOINTS)
def test_chunks_move_every_arm_within_all_of_its_limits(rig, tmp_path, case) -> None:
    name, outputs = JOINTS[case]
    driven = rig(variant(tmp_path, name, outputs) if outputs else name)
    lift(driven)
    driven.check()
    actions = swing(driven.arm)
    reach = drive(driven, actions)
    asked = np.abs(actions.cumsum(axis=0)).max(axis=0)
    for joint, way in zip(driven.arm.joints, asked, strict=True):
        assert reach[joint.name] == pytest.approx(way, rel=0.03, abs=0.003), joint.name
    driven.check()


@pytest.mark.parametrize('kind', ['target_pose', 'twist'])
def test_an_arm_that_takes_poses_or_twists_is_moved_within_its_cartesian_limits(
    rig, tmp_path, kind
) -> None:
    driven = rig(variant(tmp_path, 'franka_fr3', [('gripper', 'joint_state'), ('arm', kind)]))
    lift(driven)
    driven.check()
    assert driven.fake.peaks['arm']['velocity'].value == pytest.approx(0.0314, rel=0.1)


def test_a_stream_keeps_the_limits_whatever_is_asked(rig, tmp_path) -> None:
    driven = rig(variant(tmp_path, *JOINTS['forward']))
    drive(driven, reverse(driven.arm))
    driven.check()
    assert driven.fake.peaks['arm']['jerk'].share > 0.97


# Of the arms with trajectories one alone and one with a base beside it: every one is in
# test/control/setpoints/test_every_limit.py.
@pytest.mark.parametrize('name', ['ur5e', 'hsr'])
def test_ways_that_replace_one_another_keep_every_limit(rig, name) -> None:
    driven = rig(name)
    names = tuple(joint.name for joint in driven.arm.joints)
    for sign in (1.0, -1.0, 1.0):
        driven.send(sign * reverse(driven.arm), names, ActionSpace.JOINT_DELTA)
        driven.run(0.3)
    for _ in range(20):
        if driven.speed > 0.05:
            break
        driven.run(driven.arm.period_ns / NANOSECONDS)
    assert driven.speed > 0.05
    # A reset comes to rest on the way, and what it starts from is where that is.
    driven.reset()
    driven.run_to_rest()
    driven.check()
    assert driven.sent['arm'] >= 5
    assert driven.fake.peaks['arm']['acceleration'].share > 0.9
