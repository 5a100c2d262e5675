"""What each controller of an arm is sent in a control period, as numbers.

The nodes put it into messages; tests give it to controllers of their own. So what is tested is what
is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from robomamba_ros.control.motion.handover import Handover
from robomamba_ros.control.motion.joint_limits import JointLimiter
from robomamba_ros.control.motion.trajectory import Trajectory
from robomamba_ros.control.motion.twist_servo import BaseServo, PoseServo
from robomamba_ros.control.setpoints.arm_time import ArmTime
from robomamba_ros.control.setpoints.references import Reference
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output
from robomamba_ros.types import NANOSECONDS, Float64Array, RobotState, Setpoint

# How old what a controller says of itself may be when it comes, at most [ns].
_SAID_NS = NANOSECONDS // 20


@dataclass(frozen=True)
class Command:
    """The command of one control period.

    measured: the newest state of the arm. tracking: whether a chunk is followed, by inputs that
    are fresh. trajectory: what controllers of trajectories are to do from now on, None where that
    is as before. anew: the trajectory is the first one since the arm was at rest. returning: the
    command goes back to an arm that did not follow it. time: the arm's own. references: what
    controllers of trajectories want, by part, where they say it.
    """

    setpoint: Setpoint
    measured: RobotState | None
    tracking: bool
    trajectory: Trajectory | None
    anew: bool = False
    returning: bool = False
    time: ArmTime = field(default_factory=ArmTime)
    references: Mapping[str, Reference] = field(default_factory=dict)


def sends_trajectories(arm: ArmContract) -> bool:
    """Return whether controllers of the arm get trajectories, and go on by themselves."""
    return any(o.kind == 'joint_trajectory' and o.part != 'gripper' for o in arm.outputs)


def lead_ns(arm: ArmContract, output: Output) -> int:
    """Return how far ahead the first point of a trajectory lies [ns]; one period by default."""
    return arm.period_ns if output.lead_s is None else round(output.lead_s * NANOSECONDS)


class PositionSender:
    """Positions (n,) of a part's joints in every period, in the contract's order [rad or m].

    Where other parts have controllers of trajectories, the loop catches up with late ticks. These
    joints have not moved meanwhile; a limiter of their own keeps them from jumping, and delays
    them by its average.
    """

    def __init__(self, arm: ArmContract, output: Output) -> None:
        self.joints = arm.joints_of(output.part)
        self._period_s = arm.period_ns / NANOSECONDS
        self._limits = sends_trajectories(arm)
        self._limiter: JointLimiter | None = None

    @property
    def at_rest(self) -> bool:
        """Whether the limiter has come to rest, too."""
        return self._limiter is None or self._limiter.at_rest

    def send(self, command: Command) -> Float64Array:
        """Return the positions of a period."""
        positions = np.array([command.setpoint.joints[joint.name] for joint in self.joints])
        if not self._limits:
            return positions
        if self._limiter is None:
            self._limiter = JointLimiter(self.joints, self._period_s, positions)
        return self._limiter.follow(positions)

    def stand_still(self) -> None:
        """Go on from rest, where these joints were told to be last."""
        if self._limiter is not None:
            self._limiter = JointLimiter(self.joints, self._period_s, self._limiter.joints)

    def stop(self) -> Float64Array | None:
        """Return what is left to come to rest; None to leave the controller where it is."""
        if self._limiter is None:
            return None
        if self._limiter.at_rest:
            self._limiter = None
            return None
        return self._limiter.brake()


class TrajectorySender:
    """The trajectory of a part's joints, from a point about the lead ahead on (see Handover)."""

    def __init__(self, arm: ArmContract, output: Output) -> None:
        self._part = output.part
        self.joints = arm.joints_of(output.part)
        columns = [arm.joints.index(joint) for joint in self.joints]
        self._handover = Handover(self.joints, columns, arm.period_ns, lead_ns(arm, output))
        self.at_rest = True

    def send(self, command: Command, now_ns: int) -> tuple[list[int], Float64Array] | None:
        """Return times since now (k,) [ns], and positions, velocities, accelerations (k, 3, n).

        The times are the arm's own, in which its controller goes through them. None where the
        controller has what it needs. now_ns: when it is sent, by the clock; computing it took
        time, in which the controller went on, so what has passed by then is left out.
        """
        if command.trajectory is None:
            return None
        now_ns = command.time.at(now_ns)
        desired = self._desired(command) if command.anew else None
        resting = self._measured(command) if command.anew and desired is None else None
        times_ns, points = self._handover.begin(command.trajectory, now_ns, resting, desired)
        return [time_ns - now_ns for time_ns in times_ns], points

    def stand_still(self) -> None:
        """Leave the controller, which went to the end of its way."""

    def _desired(self, command: Command) -> Float64Array | None:
        """Return the state (3, n) from which the controller begins; None where it is not known.

        What it said before the end of the last trajectory says nothing of where it is now.
        """
        said = command.references.get(self._part)
        if said is None:
            return None
        rested_ns = self._handover.end_ns + _SAID_NS
        return said.state if command.time.at(said.received_ns) >= rested_ns else None

    def _measured(self, command: Command) -> Float64Array | None:
        joints = {} if command.measured is None else command.measured.joints
        names = [joint.name for joint in self.joints]
        if any(name not in joints for name in names):
            return None
        return np.array([joints[name] for name in names])


class TwistSender:
    """A twist in every period: (6,) of the end effector, or (3,) of a base (see twist_servo)."""

    def __init__(self, arm: ArmContract, output: Output) -> None:
        self._servo = BaseServo(arm) if output.part == 'base' else PoseServo(arm)
        self._stopped = self.at_rest = True

    def send(self, command: Command) -> Float64Array:
        """Return the velocity of a period, corrected while a chunk is followed.

        An arm that did not follow is not sent back the way that it never went: it brakes.
        """
        if command.returning:
            twist = self._servo.brake()
            self._stopped = self.at_rest = not twist.any()
            if self._stopped:
                self._servo.reset()
            return twist
        twist = self._servo.twist(command.setpoint, command.measured, correct=command.tracking)
        self._stopped, self.at_rest = False, not twist.any()
        return twist

    def stand_still(self) -> None:
        """Go on from rest: the controller has stopped the arm by itself."""
        self._servo.reset()
        self._stopped = self.at_rest = True

    def stop(self) -> Float64Array | None:
        """Return what is left to come to rest, and zero once; then None."""
        if self._stopped:
            return None
        twist = self._servo.brake()
        self._stopped = self.at_rest = not twist.any()
        if self._stopped:
            self._servo.reset()
        return twist
