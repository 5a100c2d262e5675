"""The action `run_policy` over DDS, in the robot's time, where robomamba_interfaces is built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from support.motion import STREAM, Commands, arrive

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import duration_message
from robomamba_ros.types import NANOSECONDS, ActionSpace

kinds = pytest.importorskip(
    'robomamba_interfaces.action',
    reason='robomamba_interfaces is not built: docs/running.md has the command',
)
ENDS = {
    GoalStatus.STATUS_SUCCEEDED: 'succeeded',
    GoalStatus.STATUS_ABORTED: 'aborted',
    GoalStatus.STATUS_CANCELED: 'canceled',
}


class Planner:
    """Sends goals, and plays the policy that they ask: it follows what it knows."""

    def __init__(self, start: Any, peer: Any) -> None:
        self.peer = peer
        self.robot = start(STREAM)
        self.commands = Commands(self.robot)
        self.asked: list[str] = []
        self.restarts = 0
        self.feedback: list[Any] = []
        self._active = peer.node.create_publisher(String, 'active_instruction', qos.LATCHED)
        # Kept from a run before: it must not be taken for the answer.
        self._active.publish(String(data='wipe the table'))
        peer.node.create_subscription(String, 'instruction', self._on_instruction, qos.TEXT)
        peer.node.create_service(Trigger, 'policy_node/reset', self._on_reset)
        self._client = ActionClient(peer.node, kinds.RunPolicy, 'controller_node/run_policy')
        peer.wait_for(lambda: float(self.robot.values().get('state_rate_hz', 0)) > 0, 'states')
        peer.wait_for(self._client.server_is_ready, 'the action server')

    def _on_instruction(self, message: String) -> None:
        self.asked.append(message.data)
        known = 'lift' in message.data.lower()
        self._active.publish(String(data='lift the cube' if known else ''))

    def _on_reset(self, _: Any, response: Any) -> Any:
        self.restarts += 1
        response.success = True
        return response

    def send(self, instruction: str = 'Lift the cube!', limit_s: float = 3.0) -> Any:
        """Send a goal; return its handle."""
        goal = kinds.RunPolicy.Goal(
            instruction=instruction, time_limit=duration_message(round(limit_s * NANOSECONDS))
        )
        sent = self._client.send_goal_async(goal, lambda m: self.feedback.append(m.feedback))
        self.peer.wait_for(sent.done, 'the answer to the goal')
        return sent.result()

    def move(self) -> None:
        """Send chunks until the arm moves."""
        refused = -1.0

        def moves() -> bool:
            nonlocal refused
            values = self.robot.values()
            waits = values.get('state') in ('waiting', 'holding', 'tracking')
            now_refused = float(values.get('refused_chunks', 0.0))
            if waits and not self.commands.moving and now_refused > refused:
                refused = now_refused
                self.robot.send(np.full((80, 1), 0.03), ('joint1',), ActionSpace.JOINT_DELTA)
            return self.commands.moving

        self.peer.wait_for(moves, f'the arm to move; {self.robot.values()}')

    def result(self, handle: Any) -> tuple[str, str, int]:
        """Return how the goal ended, why, and after how many chunks."""
        future = handle.get_result_async()
        self.peer.wait_for(future.done, f'the result; {self.robot.values()}')
        result = future.result()
        return ENDS[result.status], result.result.reason, result.result.chunks


@pytest.fixture
def planner(start: Any, peer: Any) -> Planner:
    return Planner(start, peer)


def test_a_goal_runs_for_its_time_and_a_canceled_one_brakes(planner: Planner) -> None:
    goal = planner.send()
    planner.move()
    # While it runs no other is taken.
    assert planner.result(planner.send())[:2] == (
        'aborted',
        'another goal runs: cancel it first',
    )
    ending, reason, chunks = planner.result(goal)
    assert (ending, reason) == ('succeeded', 'ran for 3 s')
    assert (planner.asked, planner.restarts, chunks >= 1) == (['Lift the cube!'], 1, True)
    assert planner.commands.resting
    assert {each.state for each in planner.feedback} >= {'disabled', 'tracking'}
    arrive(planner.robot, planner.commands)
    goal = planner.send(limit_s=600.0)
    planner.move()
    canceled = goal.cancel_goal_async()
    planner.peer.wait_for(canceled.done, 'the answer to the cancel')
    assert planner.result(goal)[:2] == ('canceled', 'canceled')
    assert planner.commands.resting
    planner.commands.check()


def test_a_stopped_arm_is_enabled_by_a_person_alone(planner: Planner) -> None:
    goal = planner.send(limit_s=600.0)
    planner.move()
    planner.peer.call(Trigger, 'controller_node/stop', Trigger.Request())
    ending, reason, _ = planner.result(goal)
    assert (ending, reason.split(';')[0]) == ('aborted', 'stopped by ~/stop')
    ending, reason, _ = planner.result(planner.send())
    assert ending == 'aborted'
    assert 'somebody has to look' in reason
    planner.peer.call(SetBool, 'controller_node/enable', SetBool.Request(data=False))
    planner.robot.wait_for('state', 'disabled')
    arrive(planner.robot, planner.commands)
    goal = planner.send(limit_s=600.0)
    planner.move()
    goal.cancel_goal_async()
    assert planner.result(goal)[0] == 'canceled'


@pytest.mark.parametrize(
    ('instruction', 'limit_s', 'reason'),
    [
        ('fold the shirt', 600.0, "policy_node refuses the instruction 'fold the shirt'"),
        ('  ', 600.0, 'the instruction is blank; say it in words'),
        ('lift', 0.0, 'time_limit must be positive'),
    ],
)
def test_a_goal_that_cannot_be_run_says_why_and_moves_nothing(
    planner: Planner, instruction: str, limit_s: float, reason: str
) -> None:
    ending, said, chunks = planner.result(planner.send(instruction, limit_s))
    assert (ending, chunks) == ('aborted', 0)
    assert reason in said
    assert planner.robot.values()['state'] == 'disabled'
    assert planner.commands.path == []
