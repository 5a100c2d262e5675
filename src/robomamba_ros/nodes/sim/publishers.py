"""What the simulated robot publishes: clock, proprioception, cameras, status of the episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import (
    gripper_position,
    pose_to_stamped,
    time_message,
)
from robomamba_ros.nodes.common.diagnostics import OK, Report, status_message
from robomamba_ros.nodes.fake_arm.camera_topics import CameraTopics, send
from robomamba_ros.nodes.fake_arm.controller_states import ControllerStatePublishers
from robomamba_ros.nodes.fake_arm.publishers import StatePublishers
from robomamba_ros.nodes.fake_arm.safety import SafetyPublishers
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.disagreement.reports import Sample
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.simulation import Simulation
from robomamba_ros.types import RobotState


class SimPublishers:
    """The simulated robot's topics; every message of one instant carries its stamp.

    size: height and width of the images [px].
    """

    def __init__(
        self, node: Any, arm: ArmContract, sim: Simulation, size: tuple[int, int], announce: bool
    ) -> None:
        self._node, self._arm, self._sim = node, arm, sim
        self._said = ''
        self._clock = node.create_publisher(ClockMessage, '/clock', qos.CLOCK)
        height, width = size
        self._cameras = {
            camera.name: CameraTopics(node, camera, width, height, sim.view_angles[camera.name])
            for camera in arm.cameras
            if camera.name in sim.cameras
        }
        self._status = node.create_publisher(DiagnosticStatus, '~/status', qos.LATCHED)
        self._instruction: Any = None
        if announce:
            self._instruction = node.create_publisher(String, 'instruction', qos.LATCHED)
        self._publish_states()

    def _publish_states(self) -> None:
        # Reliable in both modes: readers that ask for less get less.
        state = qos.STATE_LOCKSTEP
        self._joint_states = self._node.create_publisher(JointState, 'joint_states', state)
        self._ee_pose = self._node.create_publisher(PoseStamped, 'ee_pose', state)

    def clock(self, stamp_ns: int) -> None:
        """Publish the simulated time."""
        self._clock.publish(ClockMessage(clock=time_message(stamp_ns)))

    def state(self, state: RobotState) -> None:
        """Publish `joint_states` and `ee_pose`."""
        names, positions = list(state.joints), list(state.joints.values())
        if self._arm.gripper is not None:
            names += self._arm.names_of('gripper')
            positions.append(gripper_position(state.gripper, self._arm))
        joints = JointState(name=names, position=positions)
        joints.header.stamp = time_message(state.stamp_ns)
        self._joint_states.publish(joints)
        self._ee_pose.publish(pose_to_stamped(state.pose, state.stamp_ns, self._arm.base_frame))

    def look(self, stamp_ns: int) -> Callable[[], None]:
        """Render what somebody looks at; what is returned publishes it."""
        return partial(
            send,
            [
                each
                for name, topics in self._cameras.items()
                for each in topics.messages(
                    stamp_ns, partial(self._sim.render, name), partial(self._depth_mm, name)
                )
            ],
        )

    def _depth_mm(self, camera: str) -> NDArray[np.uint16]:
        assert isinstance(self._sim, TableSim)
        # Nothing is further away than a number can say.
        furthest_m = np.iinfo(np.uint16).max / 1e3
        depth_m = np.minimum(self._sim.render_depth(camera), furthest_m)
        return np.asarray(np.round(1e3 * depth_m), dtype=np.uint16)

    def instruction(self, text: str) -> None:
        """Publish `instruction`, where the node is to announce it."""
        if self._instruction is not None:
            self._instruction.publish(String(data=text))

    def status(self, message: str, values: Mapping[str, object]) -> None:
        """Publish `~/status`; log a new message."""
        if message != self._said:
            self._said = message
            self._node.get_logger().info(message)
        self._status.publish(status_message('episode', Report(OK, message, values)))


class PhysicalPublishers(SimPublishers):
    """Those of a robot in physics: its states, controllers and safety as a fake arm says them.

    In lockstep it says its joints as they are. Otherwise it says them as its Disagreement has it,
    and what its controllers want.
    """

    def __init__(
        self,
        node: Any,
        sim: TableSim,
        size: tuple[int, int],
        announce: bool,
        *,
        lockstep: bool,
    ) -> None:
        self.robot, self._lockstep = sim, lockstep
        # Latched; kept by the node.
        description = node.create_publisher(String, 'robot_description', qos.LATCHED)
        description.publish(String(data=sim.urdf))
        super().__init__(node, sim.arm, sim, size, announce)

    def _publish_states(self) -> None:
        self._states = StatePublishers(self._node, self._arm)
        self._wanted = ControllerStatePublishers(self._node, self._arm)
        self._safety = SafetyPublishers(self._node, self._arm)

    def state(self, state: RobotState) -> None:
        """Publish the joints, and outside of lockstep what the controllers want of them."""
        fake = self.robot.fake
        if self._lockstep:
            self._states.say(fake, Sample(state.stamp_ns, fake.positions, fake.velocities))
            return
        self._states.publish(fake, state.stamp_ns)
        self._wanted.publish(fake)
        self._safety.publish_scaling(fake)

    def safety(self) -> None:
        """Publish whether it may be moved."""
        self._safety.publish(self.robot.fake)
