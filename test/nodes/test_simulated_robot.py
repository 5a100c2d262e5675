"""When the simulated arm's episode begins and ends; time is counted in ticks, nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from robomamba_ros.nodes.sim.simulated_robot import SimulatedRobot
from robomamba_ros.simulation.metaworld import DT_NS, MAX_STEPS, STEP_M, MetaWorldSim
from robomamba_ros.types import NANOSECONDS


class Outputs:
    """Keeps the newest of what the robot publishes."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.said: list[str] = []
        self.values: dict[str, Any] = {}

    def clock(self, stamp_ns: int) -> None:
        self.now_ns = stamp_ns

    def status(self, message: str, values: dict[str, Any]) -> None:
        self.values = values
        if self.said[-1:] != [message]:
            self.said.append(message)

    def state(self, _: Any) -> None: ...

    def look(self, _: int) -> Callable[[], None]:
        return lambda: None

    def instruction(self, _: str) -> None: ...


@pytest.fixture(scope='module')
def sim():
    made = MetaWorldSim('drawer-open', 0, camera_size=16)
    yield made
    made.close()


@pytest.fixture
def outputs() -> Outputs:
    return Outputs()


@pytest.fixture
def robot(sim, outputs) -> SimulatedRobot:
    sim.reset('drawer-open', 0)
    return SimulatedRobot(sim, outputs, lockstep=False, camera_steps=10**6, endless=True)


def open_the_drawer(robot: SimulatedRobot, sim: MetaWorldSim, outputs: Outputs) -> None:
    """Do as the scripted expert does, until the episode is over."""
    while not robot.done:
        action = sim.expert_action()
        robot.command_position(sim.target_position + STEP_M * action[:3], outputs.now_ns)
        robot.command_gripper(0.5 - 0.5 * action[3], outputs.now_ns)
        robot.tick()


def test_a_policy_that_comes_thirty_seconds_late_still_has_the_whole_episode(
    robot, sim, outputs
) -> None:
    begin_ns, hand = outputs.now_ns, sim.target_position
    late = 30 * NANOSECONDS // DT_NS
    assert late > MAX_STEPS
    for _ in range(late):
        # What a controller says that waits for its policy.
        robot.command_position(sim.state(outputs.now_ns).pose.position, outputs.now_ns)
        robot.command_gripper(1.0, outputs.now_ns)
        robot.tick()
    # Time has passed, for streams that are to stay fresh; the arm stood still.
    assert outputs.now_ns == begin_ns + late * DT_NS
    assert (sim.steps, robot.done) == (0, False)
    np.testing.assert_array_equal(sim.target_position, hand)
    assert outputs.said == ['episode 1, Open a drawer, seed 0: begins when the arm is told to move']

    open_the_drawer(robot, sim, outputs)
    assert sim.success
    assert robot.commanded
    assert outputs.values['success'] is True
    assert outputs.values['stamp_ns'] == outputs.now_ns
    assert outputs.said[-1] == (
        f'episode 1, Open a drawer: success after {sim.steps} steps; the next one follows'
    )


def test_a_command_for_the_episode_before_does_not_begin_the_next(robot, sim, outputs) -> None:
    old_ns, there = outputs.now_ns, sim.target_position + np.array([0.0, 0.05, 0.0])
    robot.command_position(there, old_ns)
    robot.tick()
    assert sim.steps == 1
    robot.reset('drawer-open', 1)
    robot.command_position(there, old_ns)
    robot.tick()
    assert (sim.steps, robot.commanded) == (0, False)
    robot.command_position(there, outputs.now_ns)
    robot.tick()
    assert (sim.steps, sim.seed, robot.commanded) == (1, 1, True)
