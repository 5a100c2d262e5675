"""A planner's goal against the setpoint loop and a stand-in, in virtual time."""

from __future__ import annotations

import numpy as np
import pytest
from support.bench import Bench, commanded_by

from robomamba_ros.control.setpoints.policy_goal import Ending, Outcome, PolicyGoal
from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.errors import ActionError
from robomamba_ros.types import NANOSECONDS

ARM = commanded_by('ur5e', {'arm': 'forward_position'})
# The wrist alone turns: the hand stays where it is.
ACTIONS = np.outer(np.ones(60), np.eye(6)[5]) * 0.01


class Planner:
    """Sends a goal to a bench that is not enabled, with a policy that answers as told."""

    def __init__(self, limit_s: float = 2.0) -> None:
        self.bench = Bench(ARM, enabled=False)
        for _ in range(20):
            self.bench.pass_time()
            self.bench.measure()
        self.limit_s = limit_s
        self.answer: str | None = ''
        self.goal = self.send()

    def send(self) -> PolicyGoal:
        bench = self.bench
        limit_ns = round(self.limit_s * NANOSECONDS)
        return PolicyGoal(
            bench.loop, limit_ns, bench.now_ns, lambda: self.answer, bench.loop.enable
        )

    def run(self, seconds: float, *, chunks: bool = True, canceled: bool = False) -> Outcome | None:
        """Go on until the goal has ended; None where it has not within some seconds."""
        for tick in range(round(seconds * ARM.control_rate_hz)):
            if (outcome := self.goal.look(self.bench.now_ns, canceled=canceled)) is not None:
                return outcome
            if chunks and tick % 20 == 0:
                self.bench.add(ACTIONS)
            self.bench.tick()
        return None

    def rests(self) -> bool:
        """Whether the arm is disabled and, once it has done what it was told last, at rest."""
        self.bench.tick(20)
        return self.bench.state is LoopState.DISABLED and self.bench.speed < 1e-9


def test_a_goal_runs_the_policy_for_its_time_and_ends_with_the_arm_at_rest() -> None:
    planner = Planner(limit_s=1.5)
    before = planner.bench.joints
    assert planner.run(1.4) is None
    assert planner.bench.state is LoopState.TRACKING
    assert planner.run(3.0) == Outcome(Ending.SUCCEEDED, 'ran for 1.5 s')
    assert planner.rests()
    assert np.abs(planner.bench.joints - before).max() > 0.05
    assert not planner.bench.exceeded


def test_a_canceled_goal_brakes_within_the_limits() -> None:
    planner = Planner()
    assert planner.run(1.0) is None
    assert planner.bench.speed > 0.01
    assert planner.run(2.0, canceled=True) == Outcome(Ending.CANCELED, 'canceled')
    assert planner.rests()
    assert not planner.bench.exceeded


def test_no_goal_lets_an_arm_go_on_that_has_stopped() -> None:
    planner = Planner()
    assert planner.run(1.0) is None
    planner.bench.loop.fault('stopped by ~/stop')
    outcome = planner.run(3.0)
    assert outcome is not None
    assert outcome.ending is Ending.ABORTED
    assert outcome.reason.startswith('stopped by ~/stop')
    assert planner.bench.state is LoopState.HOLDING
    # A planner that tries again has not looked.
    with pytest.raises(ActionError, match=r'somebody has to look: stopped by ~/stop.*~/enable'):
        planner.send()
    planner.bench.loop.enable(False)
    assert planner.rests()
    planner.goal = planner.send()
    assert planner.run(1.0) is None
    assert planner.bench.state is LoopState.TRACKING


def test_a_goal_ends_where_no_chunk_came_in_time_to_go_on() -> None:
    planner = Planner(limit_s=20.0)
    assert planner.run(0.5) is None
    while planner.bench.state is LoopState.TRACKING:
        assert planner.run(0.1, chunks=False) is None
    # A gap is braked for, and a chunk within a second continues: so does the goal.
    assert planner.run(0.5, chunks=False) is None
    assert planner.run(0.5) is None
    assert planner.bench.state is LoopState.TRACKING
    outcome = planner.run(10.0, chunks=False)
    assert outcome is not None
    assert (outcome.ending, planner.bench.state) == (Ending.ABORTED, LoopState.HOLDING)
    assert 'action_chunk' in outcome.reason


def test_a_policy_that_sends_nothing_does_not_succeed() -> None:
    planner = Planner()
    outcome = planner.run(5.0, chunks=False)
    assert outcome is not None
    assert outcome.ending is Ending.ABORTED
    assert outcome.reason.startswith('waiting when its 2 s were over: ')
    assert planner.bench.state is LoopState.DISABLED


@pytest.mark.parametrize(
    ('answer', 'reason'),
    [
        ('policy_node refuses it', 'policy_node refuses it'),
        (None, 'policy_node did not take the instruction within 2 s'),
    ],
)
def test_the_arm_is_not_enabled_for_an_instruction_that_nobody_follows(
    answer: str | None, reason: str
) -> None:
    planner = Planner()
    planner.answer = answer
    assert planner.run(5.0) == Outcome(Ending.ABORTED, reason)
    assert planner.bench.state is LoopState.DISABLED
    assert planner.bench.speed == 0.0


def test_what_forbids_to_enable_ends_a_goal() -> None:
    planner = Planner()
    planner.bench.loop.set_interlock('door', 'the door is open')
    outcome = planner.run(1.0)
    assert outcome is not None
    assert 'the door is open' in outcome.reason
    assert planner.bench.state is LoopState.DISABLED


def test_a_goal_is_refused_while_the_arm_moves_and_without_a_time() -> None:
    planner = Planner()
    assert planner.run(1.0) is None
    with pytest.raises(ActionError, match='the arm moves already, it is tracking'):
        planner.send()
    planner.limit_s = 0.0
    with pytest.raises(ActionError, match='time_limit must be positive'):
        planner.send()
