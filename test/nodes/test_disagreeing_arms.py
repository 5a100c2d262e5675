"""Arms that are not where they were told to be, over DDS: each kind of output once.

Simulated time waits for every command, so nothing depends on how fast this machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.dds_bench import FOLDER, DdsBench, variant
from support.ending import end_at_once

from robomamba_ros.nodes.fake_arm.events import SECONDS
from robomamba_ros.types import EE_DELTA_NAMES, ActionSpace

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

LAG = 'lag_s=0.03,lag_order=2,friction_rad=0.001,backlash_rad=0.001,split_states=true'
# The arm, and the kind of its output; the last output is sent to all the time.
KINDS = {
    'joint_trajectory': ('ur5e', None),
    'forward_position': ('so101', [('gripper', 'joint_state'), ('arm', 'forward_position')]),
    'target_pose': ('franka_fr3', [('gripper', 'joint_state'), ('arm', 'target_pose')]),
    'twist': ('franka_panda', [('gripper', 'joint_state'), ('arm', 'twist')]),
}


@pytest.fixture
def bench(peer, tmp_path) -> Iterator[Callable[..., DdsBench]]:
    benches: list[DdsBench] = []

    def start(kind: str, disagree: str = '', *, hears: bool = False) -> DdsBench:
        name, outputs = KINDS[kind]
        path = variant(tmp_path, name, outputs) if outputs else name
        if hears:
            path = heard(tmp_path, name)
        benches.append(DdsBench(peer, path, disagree, hears=hears))
        benches[-1].start()
        return benches[-1]

    yield start
    for each in benches:
        end_at_once(each.host)


def heard(folder: Path, name: str) -> str:
    """Write a shipped contract that waits for the speed scaling alone, for a slow machine."""
    document = yaml.safe_load((FOLDER / f'{name}.yaml').read_text())
    document.pop('interlocks')
    document['speed_scaling']['budget_s'] = 5.0
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump(document))
    return str(path)


def move(driven: DdsBench) -> None:
    """Send a chunk of a second that moves the arm at a fifth of its speed."""
    arm = driven.arm
    if arm.takes_poses:
        way = np.zeros((50, 6))
        way[:, 2] = 0.2 * arm.cartesian.velocity * 0.02
        driven.send(way, EE_DELTA_NAMES, ActionSpace.EE_DELTA)
        return
    speeds = np.array([0.2 * joint.velocity * 0.02 for joint in arm.joints])
    inward = np.array(
        [-1.0 if sum(j.position) < 2.0 * (j.rest or 0.0) else 1.0 for j in arm.joints]
    )
    driven.send(np.tile(inward * speeds, (50, 1)), arm.names_of('arm'), ActionSpace.JOINT_DELTA)


@pytest.mark.parametrize('kind', KINDS)
def test_an_arm_that_lags_is_moved_within_its_limits_and_comes_to_rest(bench, kind) -> None:
    driven = bench(kind, LAG)
    move(driven)
    reach = driven.run(1.0)
    assert max(reach.values()) > 0.01
    driven.run_to_rest()
    driven.check()


def turn(driven: DdsBench, share: float = 0.2) -> None:
    """Send a chunk of a second that turns the first joint, or lifts, at a share of the speed."""
    if driven.arm.takes_poses:
        way = np.full((50, 1), share * driven.arm.cartesian.velocity * 0.02)
        driven.send(way, ('ee_dz',), ActionSpace.EE_DELTA)
        return
    joint = driven.arm.joints_of('arm')[0]
    way = np.full((50, 1), share * joint.velocity * 0.02)
    driven.send(way, (joint.name,), ActionSpace.JOINT_DELTA)


# What lasts, by the fake arm's services: which one, and what begins it.
FAULTS = {
    'emergency stop': ('emergency_stop', True),
    'blocked': ('blocked', True),
    'controllers restarted': ('controllers', False),
    # The arm re-stamps what it measured last.
    'states repeated with new stamps': ('measuring', False),
}


# One after the other; test/control/setpoints/test_faults_of_arms.py has each with every kind.
MOVING = {
    'joint_trajectory': ('emergency stop', 'blocked'),
    'forward_position': ('emergency stop', 'states repeated with new stamps'),
    'target_pose': ('controllers restarted', 'emergency stop'),
    'twist': ('blocked', 'emergency stop'),
}


@pytest.mark.parametrize('kind', KINDS)
def test_faults_of_a_moving_arm_stop_it_until_it_is_enabled(bench, kind) -> None:
    driven = bench(kind, 'restamps=true')
    for index, fault in enumerate(MOVING[kind]):
        service, begun = FAULTS[fault]
        turn(driven, 0.2 if index % 2 == 0 else -0.2)
        driven.run(0.3)
        assert driven.speed > 0.01, fault
        driven.tell(service, begun)
        driven.run_until('stopping')
        assert 'the arm does not follow' in driven.status, fault
        driven.run_until('holding')
        driven.tell(service, not begun)
        # Where states were stale, the arm was not where it was said to be, and is taken there.
        driven.run(0.1, held=True)
        assert max(driven.run(0.2, held=True).values()) < 1e-3, fault
        assert 'enable to move again' in driven.status, fault
        driven.enable()
    turn(driven)
    assert max(driven.run(0.3).values()) > 0.005
    driven.check(stopped=True)


@pytest.mark.parametrize('kind', ['forward_position', 'target_pose'])
def test_an_arm_that_was_moved_by_hand_while_it_held_is_not_pulled_back(bench, kind) -> None:
    driven = bench(kind)
    driven.happen('hand')
    driven.run_until('holding')
    assert 'something else moved it; enable to move again' in driven.status
    driven.run(2.0 * SECONDS, held=True)
    driven.tell('controllers', True)
    assert max(driven.run(0.3, held=True).values()) < 1e-6
    driven.enable()
    turn(driven)
    assert max(driven.run(0.3).values()) > 0.005
    driven.check(stopped=True)


def test_an_arm_that_others_command_while_it_holds_is_left_to_them(bench) -> None:
    driven = bench('joint_trajectory')
    driven.happen('other_commander')
    driven.run_until('holding')
    assert 'something else moved it; enable to move again' in driven.status
    assert max(driven.run(1.0, held=True).values()) > 0.1
    driven.enable()
    driven.check()


def test_a_speed_slider_slows_the_arm_and_stops_it_where_it_is_moved(bench) -> None:
    driven = bench('joint_trajectory', hears=True)
    joint = driven.arm.names_of('arm')[0]
    ways = {}
    for share in (1.0, 0.5):
        driven.slide(share)
        turn(driven, 0.08 if share == 1.0 else -0.08)
        driven.run(0.5 / share)
        ways[share] = driven.run(0.1)[joint]
        driven.run_to_rest()
        driven.check()
    assert ways[0.5] == pytest.approx(0.5 * ways[1.0], rel=0.05)
    turn(driven, 0.08)
    driven.run(0.5)
    driven.slide(0.0)
    paused = 'the speed scaling went from 50 % to 0 % while the arm moved; enable to move again'
    assert driven.status == f'stopping: {paused}'
    driven.run(0.05, held=True)
    assert driven.run(0.3, held=True)[joint] < 1e-9
    assert 'the speed scaling is 0 %, so the robot is paused' in driven.refusal()
    # As it slides back nobody is hurried: it goes to the end of what it was sent.
    driven.slide(1.0)
    driven.run(0.05, held=True)
    driven.fake.forget_peaks()
    driven.run_until(f'holding: {paused}')
    driven.check()
    driven.run(0.3, held=True)
    driven.enable()
