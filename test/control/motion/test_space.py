"""An arm stops before it touches itself or a box, whatever it is commanded by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.real_robots import real_urdf, shapes_of

from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.collisions import Collisions
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import KeepOut, SpaceRules
from robomamba_ros.types import EE_DELTA_NAMES, NANOSECONDS, ActionChunk, ActionSpace, Pose
from robomamba_ros.types import RobotState as State

ARM = load_arm('ur5e')
NAMES = tuple(joint.name for joint in ARM.joints)
REST = np.array([joint.rest for joint in ARM.joints])
STEP_NS = 5 * ARM.period_ns


@pytest.fixture(scope='module')
def urdf() -> tuple[str, Path]:
    """The URDF of a UR5, which has the joints and frames of a UR5e, and where its shapes are."""
    path = real_urdf('ur5_robot.urdf')
    return path.read_text(), shapes_of(path)


class Driven:
    """A loop and an arm that is where it was told to be, on a virtual clock."""

    def __init__(self, arm, urdf, monkeypatch, *, watch=True):
        text, share = urdf
        monkeypatch.setenv('AMENT_PREFIX_PATH', str(share.parent))
        self.kinematics = Kinematics(arm, text, watch=watch)
        self.collisions = Collisions(arm, text)
        self.loop = SetpointLoop(arm, kinematics=self.kinematics, supervised=False)
        self.now_ns, self.joints = 7 * NANOSECONDS, REST
        self.clearances: list[float] = []
        self.loop.enable(True)

    def drive(self, step, names, space, seconds=4.0):
        """Send the same action again and again until the arm stops or the time is over.

        Returns where the joints (n,) were.
        """
        path = [self.joints]
        for tick in range(round(seconds * NANOSECONDS / ARM.period_ns)):
            joints = dict(zip(NAMES, self.joints, strict=True))
            pose = self.kinematics.forward(self.joints)
            self.loop.update_state(State(self.now_ns, pose, 1.0, joints))
            if tick % 50 == 0 and self.loop.status.state is not LoopState.STOPPING:
                actions = np.tile(step, (50, 1))
                chunk = ActionChunk(self.now_ns, STEP_NS, actions, space, names)
                try:
                    self.loop.add_chunk(chunk, self.now_ns)
                except ActionError:
                    break
            setpoint = self.loop.tick(self.now_ns)
            self.joints = np.array([setpoint.joints[name] for name in NAMES])
            self.now_ns += ARM.period_ns
            path.append(self.joints)
            if tick % 5 == 0:
                self.clearances.append(self.collisions.clearance(self.joints))
            if self.loop.status.state is LoopState.HOLDING:
                break
        return path


# Each would fold the arm onto itself: by its end effector towards the base, and joint by joint.
FOLDS = {
    'poses': ([0.003, 0.0, -0.006, 0.0, 0.0, 0.0], EE_DELTA_NAMES, ActionSpace.EE_DELTA),
    'joints': ([0.0, 0.0, 0.03, 0.02, 0.0, 0.0], NAMES, ActionSpace.JOINT_DELTA),
    'fast joints': ([0.0, 0.0, 0.14, 0.1, 0.0, 0.0], NAMES, ActionSpace.JOINT_DELTA),
}


# Joint by joint out of the workspace: through the table, and beyond its upper end.
LEAVES = {
    'down': [0.0, 0.05, 0.0, 0.0, 0.0, 0.0],
    'up': [0.0, 0.0, -0.05, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize('how', LEAVES)
def test_joint_actions_do_not_lead_the_end_effector_out_of_the_workspace(urdf, monkeypatch, how):
    arm = replace(ARM, space=SpaceRules(self_collision=False))
    driven = Driven(arm, urdf, monkeypatch, watch=False)
    path = driven.drive(LEAVES[how], NAMES, ActionSpace.JOINT_DELTA, seconds=3.0)
    assert driven.loop.status.state is LoopState.HOLDING
    assert 'the end effector would leave the workspace by' in driven.loop.status.reason
    positions = np.array([driven.kinematics.forward(joints).position for joints in path])
    assert np.abs(positions - np.clip(positions, *workspace_of(arm))).max() <= 1e-6
    # It comes back by itself once somebody enables it: the way inwards is free.
    driven.loop.enable(True)
    path = driven.drive(-np.array(LEAVES[how]), NAMES, ActionSpace.JOINT_DELTA, seconds=0.5)
    assert driven.loop.status.state is LoopState.TRACKING
    assert np.abs(path[-1] - path[0]).max() > 0.05


def workspace_of(arm):
    return arm.workspace.lower, arm.workspace.upper


@pytest.mark.parametrize('how', FOLDS)
def test_an_arm_stops_before_it_touches_itself(urdf, monkeypatch, how):
    driven = Driven(ARM, urdf, monkeypatch)
    driven.drive(*FOLDS[how], seconds=8.0)
    assert driven.loop.status.state is LoopState.HOLDING
    assert 'is nearer than 0.02 m to' in driven.loop.status.reason
    assert min(driven.clearances) > 0.0


def test_without_the_watch_it_touches_itself(urdf, monkeypatch):
    driven = Driven(ARM, urdf, monkeypatch, watch=False)
    driven.drive(*FOLDS['fast joints'])
    assert min(driven.clearances) < 0.0


def test_an_arm_that_was_stopped_can_be_moved_away_again(urdf, monkeypatch):
    driven = Driven(ARM, urdf, monkeypatch)
    step, names, space = FOLDS['joints']
    driven.drive(step, names, space)
    near = driven.clearances[-1]
    driven.loop.enable(False)
    driven.loop.enable(True)
    driven.drive(-np.array(step), names, space, seconds=1.0)
    assert driven.loop.status.state is LoopState.TRACKING
    assert driven.clearances[-1] > near + 0.01


def test_an_arm_is_kept_out_of_a_box(urdf, monkeypatch):
    tool = Kinematics(ARM, urdf[0]).forward(REST).position
    shelf = KeepOut('shelf', tool - np.array([0.2, 0.2, 0.4]), tool + np.array([0.2, 0.2, -0.15]))
    arm = replace(ARM, space=SpaceRules(keep_out=(shelf,)))
    driven = Driven(arm, urdf, monkeypatch)
    down = np.array([0.0, 0.0, -0.01, 0.0, 0.0, 0.0])
    driven.drive(down, EE_DELTA_NAMES, ActionSpace.EE_DELTA)
    assert 'keep-out box shelf' in driven.loop.status.reason
    assert min(driven.clearances) > 0.0


def test_an_end_effector_that_is_commanded_by_poses_is_kept_out_of_a_box():
    arm = load_arm('sawyer_sim')
    shelf = KeepOut('shelf', np.array([-1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.1]))
    arm = replace(arm, space=SpaceRules(keep_out=(shelf,)))
    loop, pose = SetpointLoop(arm, supervised=False), Pose(np.array([0.0, 0.6, 0.2]), _UP)
    loop.enable(True)
    lowest, now_ns = 1.0, 7 * NANOSECONDS
    for tick in range(200):
        loop.update_state(State(now_ns, pose, 1.0))
        if tick == 0:
            down = np.tile([0.0, 0.0, -0.004], (50, 1))
            chunk = ActionChunk(
                now_ns, arm.period_ns, down, ActionSpace.EE_DELTA, EE_DELTA_NAMES[:3]
            )
            loop.add_chunk(chunk, now_ns)
        pose = loop.tick(now_ns).pose
        lowest = min(lowest, float(pose.position[2]))
        now_ns += arm.period_ns
    assert lowest > 0.1
    assert 'nearer than 0.02 m to a keep-out box' in loop.status.reason


_UP = np.array([0.0, 0.0, 0.0, 1.0])
