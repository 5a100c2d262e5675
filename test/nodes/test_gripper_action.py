"""A gripper's action server of many tempers, over DDS. Runs where control_msgs is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future
from support.made_robot import TRAJECTORY

from robomamba_ros.nodes.controller.outputs import gripper_action
from robomamba_ros.types import ActionSpace

actions = pytest.importorskip('control_msgs.action', reason='control_msgs is not installed')

KINDS = {'gripper_command': 'GripperCommand', 'parallel_gripper_command': 'ParallelGripperCommand'}


class Driver:
    """An action server whose goals end when the test says so. asked: their positions, efforts."""

    def __init__(self, peer, kind: str) -> None:
        self._peer = peer
        self._action = getattr(actions, KINDS[kind])
        self.accepts = True
        self.asked: list[tuple[float, float]] = []
        self.running: list[tuple[Any, Future]] = []
        self._server = ActionServer(
            peer.node,
            self._action,
            'hand/grip',
            self._execute,
            goal_callback=self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def _on_goal(self, request: Any) -> GoalResponse:
        command = request.command
        if self._action is actions.GripperCommand:
            self.asked.append((command.position, command.max_effort))
        else:
            # As parallel_gripper_action_controller: another number of positions is refused.
            assert list(command.name) == ['finger']
            [position], [effort], [] = command.position, command.effort, command.velocity
            self.asked.append((position, effort))
        return GoalResponse.ACCEPT if self.accepts else GoalResponse.REJECT

    async def _execute(self, handle: Any) -> Any:
        end: Future = Future()
        self.running.append((handle, end))
        getattr(handle, await end)()
        return self._action.Result()

    @property
    def positions(self) -> list[float]:
        return [position for position, _ in self.asked]

    def wait_for(self, count: int) -> None:
        self._peer.wait_for(lambda: len(self.running) == count, f'goal {count} to run')

    def end(self, how: str) -> None:
        """End the newest goal: succeed, abort or canceled."""
        self.running[-1][1].set_result(how)

    def destroy(self) -> None:
        for _, end in self.running:
            end.cancel()
        self._server.destroy()


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def driver(peer, kind, monkeypatch):
    # However slow the machine.
    monkeypatch.setattr(gripper_action, 'PATIENCE_S', 1000.0)
    driver = Driver(peer, kind)
    yield driver
    driver.destroy()


@pytest.fixture
def robot(start, kind):
    action = {'part': 'gripper', 'kind': kind, 'topic': 'grip', 'max_effort': 5.0}
    robot = start([TRAJECTORY, action], remap=['gripper:=hand/grip'])
    robot.ready()
    return robot


def go(robot, *openings: float) -> None:
    """Send a chunk and wait until it has run out; the gripper is open at first."""
    count = 'observation_to_command_count'
    chunks = int(robot.values()[count]) + 1
    robot.send(np.array(openings)[:, None], ('gripper',), ActionSpace.JOINT_POSITION)
    robot.wait_for(count, str(chunks))
    robot.wait_for('reason', 'action_chunk ran out')


def logged(robot, capfd, text: str) -> None:
    lines: list[str] = []

    def found() -> bool:
        lines.append(capfd.readouterr().err)
        return text in ''.join(lines)

    robot.peer.wait_for(found, f'the log to say: {text}')


def test_a_driver_that_comes_late_gets_what_it_missed(robot, peer, kind) -> None:
    go(robot, *10 * [0.5])
    driver = Driver(peer, kind)
    driver.wait_for(1)
    driver.end('succeed')
    go(robot, *10 * [0.0])
    driver.wait_for(2)
    assert driver.asked == [(0.02, 5.0), (0.0, 5.0)]
    driver.destroy()


def test_an_opening_further_on_waits_for_the_goal_before(robot, driver) -> None:
    go(robot, *5 * [0.5])
    driver.wait_for(1)
    go(robot, 0.4, 0.3, 0.2, 0.1, 0.0)
    assert driver.positions == [0.02]
    driver.end('succeed')
    driver.wait_for(2)
    assert driver.positions == [0.02, 0.0]


def test_an_opening_that_turns_back_cancels_the_goal_before(robot, driver, peer) -> None:
    go(robot, *5 * [0.5])
    driver.wait_for(1)
    go(robot, *5 * [1.0])
    (handle, _), *_ = driver.running
    peer.wait_for(lambda: handle.is_cancel_requested, 'the goal to be cancelled')
    assert driver.positions == [0.02]
    driver.end('canceled')
    driver.wait_for(2)
    assert driver.positions == [0.02, 0.04]


def test_a_goal_that_never_ends_is_given_up(robot, driver, monkeypatch, capfd) -> None:
    monkeypatch.setattr(gripper_action, 'PATIENCE_S', 0.2)
    go(robot, *5 * [0.5])
    driver.wait_for(1)
    go(robot, *20 * [0.0])
    driver.wait_for(2)
    assert driver.positions == [0.02, 0.0]
    logged(robot, capfd, "hand/grip' has not ended a goal 0.2 s after a newer one was asked for")


def test_a_refused_goal_is_sent_again_while_it_is_wanted(robot, driver, peer, capfd) -> None:
    driver.accepts = False
    go(robot, *5 * [0.5])
    peer.wait_for(lambda: len(driver.asked) > 1, 'the goal to be sent again')
    logged(robot, capfd, "hand/grip' refused a goal; is the gripper's controller active?")
    driver.accepts = True
    driver.wait_for(1)
    assert set(driver.positions) == {0.02}


def test_a_goal_that_is_aborted_is_reported_and_left_alone(robot, driver, capfd) -> None:
    go(robot, *5 * [0.5])
    driver.wait_for(1)
    driver.end('abort')
    logged(robot, capfd, "hand/grip' aborted a goal: the gripper holds something")
    go(robot, *5 * [0.5])
    assert driver.positions == [0.02]
