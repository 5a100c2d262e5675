"""What every simulated robot offers to those who run episodes with it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from robomamba_ros.robots.parts import Workspace
from robomamba_ros.simulation.joint_trajectory import JointTrajectory
from robomamba_ros.types import Float64Array, RobotState, Setpoint, UInt8Array

NO_TWISTS: Mapping[str, Float64Array] = MappingProxyType({})


class Simulation(Protocol):
    """A robot in a task, episode by episode: the same seed gives the same one.

    task, seed: of the episode. steps: control periods since its begin. success: whether the task
    has been done. All calls come from one thread.
    """

    task: str
    seed: int
    steps: int
    success: bool

    @property
    def dt_ns(self) -> int:
        """How long a control period is [ns]."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Its cameras, by name."""

    @property
    def view_angles(self) -> Mapping[str, float]:
        """How much each camera sees from top to bottom of its images, by name [degrees]."""

    @property
    def urdf(self) -> str | None:
        """The URDF of a robot that is commanded by its joints; None for one that takes poses."""

    @property
    def instruction(self) -> str:
        """What is to be done, in words."""

    @property
    def done(self) -> bool:
        """Whether the episode is over."""

    @property
    def workspace(self) -> Workspace:
        """The box that commanded positions stay in."""

    @property
    def target_position(self) -> Float64Array:
        """Where the end effector goes without a command, base axes (3,) [m]."""

    def reset(self, task: str | None, seed: int) -> None:
        """Start a new episode of a task (None: the same)."""

    def follow(
        self,
        setpoint: Setpoint | None,
        ways: Mapping[str, JointTrajectory],
        twists: Mapping[str, Float64Array] = NO_TWISTS,
    ) -> None:
        """Advance by a control period, with what its controllers are sent at the begin of it.

        setpoint: of the period, None for no command. ways: new trajectories by part. twists:
        velocities of a part, of a base (3,): ahead, to the left [m/s], turn [rad/s].
        """

    def rest(self) -> None:
        """Let a control period pass before or after an episode; no step of it is counted."""

    def told_to_move(self, setpoint: Setpoint | None) -> bool:
        """Tell whether its controllers, or a setpoint, want it elsewhere than where it began."""

    def begin_at(self, now_ns: int) -> None:
        """Count time from now_ns on; right after a reset."""

    def state(self, stamp_ns: int) -> RobotState:
        """Return the robot's state as its sensors give it, stamped `stamp_ns`."""

    def render(self, camera: str) -> UInt8Array:
        """Return the image of a camera: RGB (h, w, 3) uint8."""

    def close(self) -> None:
        """Free what it holds."""
