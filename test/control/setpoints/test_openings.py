"""What a gripper is told of the openings that a policy gives; counted in control periods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.control.setpoints.openings import OnChange
from robomamba_ros.control.setpoints.senders import Command
from robomamba_ros.types import Pose, RobotState, Setpoint

RATE_HZ = 100.0
HERE = Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))


class Gripper(OnChange):
    """Notes what it is told, and takes it or not. opening_now: what is measured."""

    def __init__(self, opening_now: float = 0.5, *, takes: bool = True) -> None:
        super().__init__(RATE_HZ)
        self.told: list[float] = []
        self.takes = takes
        self._measured = RobotState(0, HERE, opening_now, {})

    def go_to(self, opening: float) -> bool:
        self.told.append(opening)
        return self.takes

    def ask(self, *openings: float) -> list[float]:
        """Return what a control period each of these openings has made it be told."""
        self.told = []
        for opening in openings:
            setpoint = Setpoint(0, HERE, opening)
            self.send(Command(setpoint, self._measured, True, None))
        return self.told

    def now(self, opening: float) -> None:
        self._measured = replace(self._measured, gripper=opening)


@pytest.mark.parametrize('hold_s', [0.01, 0.0125, 0.05, 0.1])
@pytest.mark.parametrize('mean', [0.0, 0.02, 0.5, 0.98, 1.0])
def test_noise_of_a_policy_is_no_command(mean: float, hold_s: float) -> None:
    """Ten seconds of a constant opening with noise of 0.02, a new one every hold_s."""
    draws = np.random.default_rng(4).normal(mean, 0.02, round(10.0 / hold_s)).clip(0.0, 1.0)
    openings = np.repeat(draws, max(1, round(hold_s * RATE_HZ)))[:1000]
    assert len(Gripper(mean).ask(*openings.tolist())) <= 4


def test_what_a_policy_means_is_told_at_once_and_exactly_at_the_ends() -> None:
    gripper = Gripper(1.0)
    assert gripper.ask(1.0, 0.5) == [0.5]
    assert gripper.ask(0.49, 0.475, 0.47, 0.45) == [0.475, 0.45]  # it goes on closing
    assert gripper.ask(0.01, 0.0) == [0.01, 0.0]
    assert gripper.ask(0.05, 0.12) == [0.12]
    assert gripper.ask(0.99, 1.0) == [0.99, 1.0]


def test_a_small_change_that_stays_is_told_after_a_second() -> None:
    gripper = Gripper(0.5)
    assert gripper.ask(*99 * [0.55]) == []
    assert gripper.ask(0.55) == [0.55]
    assert gripper.ask(*99 * [0.51], 0.54, *99 * [0.51]) == []
    assert gripper.ask(0.51) == [0.51]


def test_what_was_asked_before_the_first_command_is_not_lost() -> None:
    # A chunk came between enable and the first control period.
    assert Gripper(1.0).ask(0.0) == [0.0]


def test_a_gripper_that_holds_something_is_told_nothing_at_first() -> None:
    gripper = Gripper(0.4)
    assert gripper.ask(*200 * [0.4]) == []
    assert gripper.ask(0.0) == [0.0]
    gripper.stop()
    assert gripper.ask(*200 * [0.4]) == []
    gripper.stop()
    gripper.now(0.7)
    assert gripper.ask(0.7, 0.0) == [0.0]


def test_what_could_not_be_told_is_told_as_soon_as_it_can() -> None:
    gripper = Gripper(0.5, takes=False)
    assert gripper.ask(0.0, 0.0) == [0.0, 0.0]
    gripper.takes = True
    assert gripper.ask(0.0, 0.0) == [0.0]
    assert gripper.count == 1
