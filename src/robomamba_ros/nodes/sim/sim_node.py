"""The Meta-World Sawyer as a ROS 2 robot: cameras and joint states out, pose commands in.

Parameters, topics and timers around SimulatedRobot.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from robomamba_ros.errors import ObservationError, RoboMambaError
from robomamba_ros.messages.state import gripper_opening, nanoseconds, pose_from_stamped
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.diagnostics import Rate
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.common.parameter_tables import SIM
from robomamba_ros.nodes.common.self_starting import SelfStartingNode
from robomamba_ros.nodes.sim.next_episode import LOOK_S, NextEpisode
from robomamba_ros.nodes.sim.publishers import SimPublishers
from robomamba_ros.nodes.sim.simulated_robot import SimulatedRobot
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.simulation.metaworld import DT_NS, MetaWorldSim
from robomamba_ros.types import NANOSECONDS

STEP_S = DT_NS / NANOSECONDS
# In lockstep an observation is sent again to readers that missed it or came late.
REPEAT_S = 0.25


class SimNode(SelfStartingNode):
    """A simulated arm. The thread that spins the node makes every call of the simulation."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__('sim_node', SIM, **node_options)
        self._robot: SimulatedRobot | None = None

    def connect(self, parameters: Mapping[str, Any]) -> None:
        """Make the simulation, and every topic, timer and service of it."""
        arm = load_arm(parameters['arm'])
        size, lockstep = parameters['camera_size'], parameters['mode'] == 'lockstep'
        camera_steps = max(1, round(1.0 / (STEP_S * parameters['camera_rate'])))
        self._robot = robot = SimulatedRobot(
            MetaWorldSim(parameters['task'], parameters['seed'], camera_size=size),
            SimPublishers(self, arm, size, parameters['announce_instruction']),
            lockstep=lockstep,
            camera_steps=parameters['camera_steps'] if lockstep else camera_steps,
            endless=parameters['endless'],
        )
        if parameters['endless']:
            self._follow_with_episodes(robot)
        self._subscribe(arm, robot)
        if lockstep:
            self.create_timer(REPEAT_S, robot.repeat, clock=self.steady)
        else:
            self.create_timer(STEP_S, robot.tick, clock=self.steady)
        rate = Rate()

        def measure() -> None:
            robot.real_time_factor = rate.read(robot.ticks) * STEP_S

        self.create_timer(1.0, measure, clock=self.steady)

    def _follow_with_episodes(self, robot: SimulatedRobot) -> None:
        """Let the next episode, with the next seed, follow when one is over."""

        def begin() -> None:
            seed = (self.get_parameter('seed').value + 1) % 2**31
            self.set_parameters([Parameter('seed', value=seed)])
            robot.reset(self.get_parameter('task').value, seed)

        following = NextEpisode(self, begin, self.get_logger().warning)

        def look() -> None:
            if robot.done and not following.under_way:
                following.start(enable=robot.commanded)

        self.create_timer(LOOK_S, look, clock=self.steady)

    def _subscribe(self, arm: ArmContract, robot: SimulatedRobot) -> None:
        def on_target(message: PoseStamped) -> None:
            try:
                pose = pose_from_stamped(message, arm.base_frame)
            except ObservationError as error:
                self._refuse('target_pose', error)
            else:
                robot.command_position(pose.position, nanoseconds(message.header.stamp))

        def on_gripper(message: JointState) -> None:
            try:
                opening = gripper_opening(message, arm)
            except ObservationError as error:
                self._refuse('gripper', error)
            else:
                robot.command_gripper(opening, nanoseconds(message.header.stamp))

        def on_reset(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            task, seed = (self.get_parameter(name).value for name in ('task', 'seed'))
            try:
                response.message = robot.reset(task, seed)
                response.success = True
            except RoboMambaError as error:
                response.message = str(error)
            return response

        self.create_subscription(PoseStamped, 'target_pose', on_target, qos.COMMAND)
        self.create_subscription(JointState, 'gripper', on_gripper, qos.COMMAND)
        self.create_service(Trigger, '~/reset', on_reset)

    def _refuse(self, topic: str, error: ObservationError) -> None:
        self.warnings.note(f'{topic} refused: {error}')

    def destroy_node(self) -> None:
        """Free the simulation and destroy the node."""
        if self._robot is not None:
            self._robot.close()
        super().destroy_node()


def main() -> None:
    """Run the node (console script `sim_node`)."""
    end_process(run([SimNode], sys.argv))
