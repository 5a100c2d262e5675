"""What every output gets in each control period, and what an output is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from robomamba_ros.control.foresight import Trajectory
from robomamba_ros.types import RobotState, Setpoint


@dataclass(frozen=True)
class Command:
    """The command of one control period.

    measured: the newest state of the arm. tracking: whether a chunk is followed, by inputs that
    are fresh. trajectory: what controllers of trajectories are to do from now on, None where that
    is as before.
    """

    setpoint: Setpoint
    measured: RobotState | None
    tracking: bool
    trajectory: Trajectory | None


class CommandOutput(Protocol):
    """Publishes the commands of one part; count: how many messages or goals."""

    count: int

    @property
    def at_rest(self) -> bool:
        """Whether its part stays at rest if nothing more is published."""

    def send(self, command: Command) -> None:
        """Publish what a control period asks for; once per period."""

    def stop(self) -> None:
        """Nothing is commanded any more: come to rest; once per period."""

    def destroy(self) -> None:
        """Stop publishing."""
