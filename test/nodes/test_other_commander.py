"""Somebody else who sends the arm's controller a trajectory, over real topics."""

from __future__ import annotations

import numpy as np
from support.made_arms import MADE
from support.made_robot import GRIPPER, JOINTS, TRAJECTORY, contract
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.motion.trajectory import Trajectory
from robomamba_ros.control.setpoints.senders import Command
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import joint_trajectory
from robomamba_ros.nodes.controller.outputs.trajectories import TrajectoryOutput
from robomamba_ros.types import NANOSECONDS, ActionSpace, Setpoint

NAMES = MADE['six'].names


def test_one_message_of_somebody_else_takes_the_arm(start, peer) -> None:
    # However many may publish: what comes counts, not who could.
    robot = start([{**TRAJECTORY, 'publishers': 2}, GRIPPER])
    other = peer.node.create_publisher(JointTrajectory, 'joint_trajectory', qos.COMMAND)
    peer.wait_for(lambda: other.get_subscription_count() == 1, 'the controller to read along')
    robot.ready()
    robot.send(0.02 * np.ones((400, 1)), ('joint1',), ActionSpace.JOINT_DELTA)
    robot.wait_for('state', 'tracking')
    # Its own messages are none of somebody else.
    sent = int(robot.values()['joint_trajectory_count'])
    peer.wait_for(lambda: int(robot.values()['joint_trajectory_count']) > sent + 3, 'some more')
    assert robot.values()['state'] == 'tracking'
    away = np.array([[JOINTS + 0.3, np.zeros(6), np.zeros(6)]])
    other.publish(joint_trajectory(NAMES, [NANOSECONDS], away))
    peer.wait_for(lambda: robot.values()['state'] == 'holding', 'the arm to be let go of')
    peer.node.destroy_publisher(other)
    values = robot.values()
    assert values['reason'] == (
        'somebody else sent a trajectory to /joint_trajectory: end that program; enable to move '
        'again'
    )
    # Nothing more is sent, not even a stop, until somebody enables the arm.
    said = len(robot.diagnostics)
    peer.wait_for(lambda: len(robot.diagnostics) > said + 2, 'two more diagnostics')
    assert robot.values()['joint_trajectory_count'] == values['joint_trajectory_count']
    robot.enable()
    robot.wait_for('state', 'waiting')


def test_a_message_in_other_bytes_is_still_ones_own(peer, tmp_path) -> None:
    arm = contract(tmp_path, [TRAJECTORY, GRIPPER])
    others: list[str] = []
    output = TrajectoryOutput(peer.node, arm, arm.outputs[0], lambda: 0, others.append)
    still = np.zeros((1, 6))
    way = Trajectory((NANOSECONDS,), JOINTS[None], still, still)
    joints = dict(zip(NAMES, JOINTS.tolist(), strict=True))
    output.send(Command(Setpoint(0, None, 1.0, joints, dict.fromkeys(NAMES, 0.0)), None, True, way))
    ((data, _),) = output._sent
    output._read_along(data)
    output._read_along(data + bytes(4))
    assert others == []
    changed = bytearray(data)
    changed[-5] ^= 1
    output._read_along(bytes(changed))
    assert len(others) == 1
    output.destroy()
