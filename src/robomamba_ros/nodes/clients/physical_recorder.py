"""Watches a run of a simulated arm in physics: joints in, trajectories out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.messages.state import gripper_opening, nanoseconds
from robomamba_ros.nodes.clients.run_recorder import RunRecorder
from robomamba_ros.nodes.common.robot_description import RobotDescription
from robomamba_ros.nodes.common.state_input import StateInput
from robomamba_ros.nodes.fake_arm.inputs import trajectory
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.trajectory_controller import TrajectoryController, TrajectoryPoint
from robomamba_ros.types import RobotState


class PhysicalRunRecorder(RunRecorder):
    """A recorder of an arm whose controller takes trajectories, in the topics of its contract.

    What it was told in a period is where its controller wants it then, by the trajectories it got;
    a base is where it was measured.
    remappings: topics of the contract by the names of the nodes.
    """

    def __init__(self, arm: ArmContract, remappings: Mapping[str, str]) -> None:
        self._arm, self.period_ns = arm, arm.period_ns
        self._sent: list[tuple[int, JointTrajectory]] = []
        self._joints: dict[int, Mapping[str, float]] = {}
        self._newest_ns = 0
        rules = [part for rule in remappings.items() for part in ('-r', ':='.join(rule))]
        super().__init__(arm.cameras[0].name, cli_args=['--ros-args', *rules])
        self._description = RobotDescription(self, arm)
        self._input = StateInput(
            self, arm, 'lockstep', self._on_measured, self._refuse, self._description
        )

    def _of_the_gripper(self) -> tuple[Any, str, Callable[[Any], None]]:
        hand = self._arm.output('gripper')
        if hand is not None and hand.kind == 'joint_trajectory':
            return (JointTrajectory, 'gripper', self._on_gripper_way)
        return super()._of_the_gripper()

    def _of_the_arm(self) -> tuple[tuple[Any, str, Callable[[Any], None]], ...]:
        return ((JointTrajectory, 'joint_trajectory', self._on_trajectory),)

    def _refuse(self, error: Exception) -> None:
        self.get_logger().debug(str(error))

    def _on_measured(self, state: RobotState) -> None:
        self._take_in(self._keep, state)

    def _keep(self, state: RobotState) -> None:
        x, y, z = state.pose.position.tolist()
        self._newest_ns = state.stamp_ns
        self._samples.measured[state.stamp_ns] = x, y, z
        self._joints[state.stamp_ns] = state.joints

    def _on_trajectory(self, message: JointTrajectory) -> None:
        stamp_ns = nanoseconds(message.header.stamp) or self._newest_ns
        # In lockstep one comes in every period, and again where it may be lost.
        if not message.points or self._sent[-1:] == [(stamp_ns, message)]:
            return
        self._sent.append((stamp_ns, message))
        if 'chunk' in self.first_s:
            self._first('motion')
        samples = self._samples
        if samples.pending_chunk is not None:
            samples.chunks.append((samples.pending_chunk, stamp_ns))
            samples.pending_chunk = None

    def _on_gripper(self, message: Any) -> None:
        if message.name:
            stamp_ns = nanoseconds(message.header.stamp)
            self._samples.gripper.append((stamp_ns, gripper_opening(message, self._arm)))

    def _on_gripper_way(self, message: JointTrajectory) -> None:
        gripper = self._arm.gripper
        if message.points and gripper is not None:
            stamp_ns = nanoseconds(message.header.stamp)
            opening = gripper.opening(message.points[-1].positions[0])
            self._samples.gripper.append((stamp_ns, opening))

    def _complete(self, begin_ns: int) -> None:
        """Follow the trajectories as their controller does."""
        joints, self._joints = self._joints, {}
        sent, self._sent = self._sent, []
        stamps = sorted(stamp_ns for stamp_ns in joints if stamp_ns >= begin_ns)
        sent = [each for each in sent if each[0] >= begin_ns]
        if not stamps or not sent:
            return
        names, kinematics = self._arm.names_of('arm'), self._description.kinematics
        start = np.array([joints[stamps[0]][name] for name in names])
        controller = TrajectoryController(names, start, stamps[0])
        for stamp_ns in stamps:
            here = controller.step(stamp_ns, start)
            while sent and sent[0][0] <= stamp_ns:
                _, message = sent.pop(0)
                measured = TrajectoryPoint(stamp_ns, here)
                controller.accept(trajectory(message), stamp_ns, measured)
            wanted = {**joints[stamp_ns], **dict(zip(names, here.tolist(), strict=True))}
            chain = np.array([wanted[name] for name in kinematics.names])
            x, y, z = kinematics.forward(chain).position.tolist()
            self._samples.commanded[stamp_ns] = x, y, z


def recorder_of(arm: ArmContract, remappings: Mapping[str, str]) -> RunRecorder:
    """Return what records the runs of a simulated arm, by its first camera."""
    if 'ee_pose' in arm.inputs:
        return RunRecorder(arm.cameras[0].name)
    return PhysicalRunRecorder(arm, remappings)
