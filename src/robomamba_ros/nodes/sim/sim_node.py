"""A simulated robot as a ROS 2 robot: cameras and joint states out, commands in.

Parameters, topics and timers around SimulatedRobot.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from robomamba_ros.control.setpoints.start import SEEN_NS
from robomamba_ros.errors import ConfigError, RoboMambaError
from robomamba_ros.nodes.common.diagnostics import Rate
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.common.parameter_tables import SIM
from robomamba_ros.nodes.common.self_starting import SelfStartingNode
from robomamba_ros.nodes.fake_arm.events import FakeArmEvents
from robomamba_ros.nodes.fake_arm.fake_arm_node import disagreement_of
from robomamba_ros.nodes.fake_arm.safety import RATE_HZ
from robomamba_ros.nodes.sim.inputs import PhysicalInputs, PulledInputs
from robomamba_ros.nodes.sim.next_episode import LOOK_S, NextEpisode
from robomamba_ros.nodes.sim.publishers import PhysicalPublishers, SimPublishers
from robomamba_ros.nodes.sim.simulated_robot import SimulatedRobot
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.catalog import SAWYER, robot_of
from robomamba_ros.simulation.metaworld import MetaWorldSim
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.simulation import Simulation
from robomamba_ros.types import NANOSECONDS

# In lockstep an observation is sent again to readers that missed it or came late.
REPEAT_S = 0.25


class SimNode(SelfStartingNode):
    """A simulated arm. The thread that spins the node makes every call of the simulation."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__('sim_node', SIM, **node_options)
        self._robot: SimulatedRobot | None = None

    def connect(self, parameters: Mapping[str, Any]) -> None:
        """Make the simulation, and every topic, timer and service of it."""
        lockstep = parameters['mode'] == 'lockstep'
        sim = _simulation(parameters)
        step_s = sim.dt_ns / NANOSECONDS
        camera_steps = max(1, round(1.0 / (step_s * parameters['camera_rate'])))
        arm, announce = load_arm(parameters['arm']), parameters['announce_instruction']
        physical = sim if isinstance(sim, TableSim) else None
        if physical is None:
            outputs = SimPublishers(self, arm, sim, _size(parameters), announce)
        else:
            outputs = PhysicalPublishers(
                self, physical, _size(parameters), announce, lockstep=lockstep
            )
        self._robot = robot = SimulatedRobot(
            sim,
            outputs,
            lockstep=lockstep,
            camera_steps=parameters['camera_steps'] if lockstep else camera_steps,
            endless=parameters['endless'],
            # No policy is asked before the arm was seen at rest.
            first_image=-(-SEEN_NS // sim.dt_ns) if lockstep and physical else 0,
            parts=tuple(output.part for output in arm.outputs),
        )
        if isinstance(outputs, PhysicalPublishers):
            self._connect_controllers(robot, outputs, lockstep=lockstep)
        else:
            PulledInputs(self, arm, robot, self.warnings.note)
        if parameters['endless']:
            self._follow_with_episodes(robot)
        self._offer_reset(robot)
        if lockstep:
            self.create_timer(REPEAT_S, robot.repeat, clock=self.steady)
        else:
            self.create_timer(step_s, robot.tick, clock=self.steady)
        rate = Rate()

        def measure() -> None:
            robot.real_time_factor = rate.read(robot.ticks) * step_s

        self.create_timer(1.0, measure, clock=self.steady)

    def _connect_controllers(
        self, robot: SimulatedRobot, outputs: PhysicalPublishers, *, lockstep: bool
    ) -> None:
        """Let the robot's controllers take commands, and faults act on it."""
        sim = outputs.robot
        PhysicalInputs(self, sim.arm, robot, sim.fake, self.warnings.note, lockstep=lockstep)
        FakeArmEvents(self, sim.arm, sim.fake, lambda: sim.fake.now_ns)
        self.create_timer(1.0 / RATE_HZ, outputs.safety, clock=self.steady)

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

    def _offer_reset(self, robot: SimulatedRobot) -> None:
        def on_reset(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            task, seed = (self.get_parameter(name).value for name in ('task', 'seed'))
            try:
                response.message = robot.reset(task, seed)
                response.success = True
            except RoboMambaError as error:
                response.message = str(error)
            return response

        self.create_service(Trigger, '~/reset', on_reset)

    def destroy_node(self) -> None:
        """Free the simulation and destroy the node."""
        if self._robot is not None:
            self._robot.close()
        super().destroy_node()


def _size(parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Return height and width of the images [px]."""
    return parameters['camera_size'], parameters['camera_width'] or parameters['camera_size']


def _simulation(parameters: Mapping[str, Any]) -> Simulation:
    """Return the simulation that parameters ask for; raises ConfigError, SimulationError."""
    task, disagree = parameters['task'], parameters['disagree']
    height, width = _size(parameters)
    if robot_of(task) != SAWYER:
        return TableSim(
            task,
            parameters['seed'],
            camera_size=(height, width),
            disagreement=disagreement_of(parameters),
        )
    if disagree or height != width:
        raise ConfigError(
            f"'{task}' is a task of Meta-World, whose arm has no controllers that could disagree "
            'and whose images are square: leave out disagree and camera_width'
        )
    return MetaWorldSim(task, parameters['seed'], camera_size=height)


def main() -> None:
    """Run the node (console script `sim_node`)."""
    end_process(run([SimNode], sys.argv))
