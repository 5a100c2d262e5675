"""Where controllers of trajectories want their joints to be, as they say it themselves.

A controller that holds its joints does not want them where they are measured: servos sag and stick,
and another commander may have left it elsewhere. A trajectory begins where the controller wants
them, so a start from the measured state would be a step for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.robots.parts import Joint, nearest_turn, wraps
from robomamba_ros.types import Float64Array

# At rest is what moves less than this share of its limit of velocity.
_STILL = 1e-3
# What a controller wants and what it was told differ by less than this share of the following error
# that is allowed. From 0.06 of it on, making up for it has exceeded limits (HSR).
_FORGOTTEN = 0.01


@dataclass(frozen=True)
class Reference:
    """What the controller of a part wants of its joints, in the contract's order.

    received_ns: when it was said, by the clock. state: positions, velocities and accelerations
    (3, n) [rad or m, per s, per s^2].
    """

    received_ns: int
    state: Float64Array


class References:
    """The newest reference of each part whose controller takes trajectories.

    known: by part. awaited: by part, why an arm waits where it is not known; a part without does
    not wait.
    """

    def __init__(self, arm: ArmContract) -> None:
        self._arm = arm
        self.known: dict[str, Reference] = {}
        self.awaited: dict[str, str] = {}

    def take(self, part: str, state: Float64Array, now_ns: int) -> None:
        """Take what a controller wants of the joints of a part, (3, n) as in Reference."""
        self.known[part] = Reference(now_ns, state)

    def forget(self, part: str) -> None:
        """Take note that it is not known any more what a controller wants."""
        self.known.pop(part, None)

    @property
    def missing(self) -> str:
        """Why the arm has to wait for a reference, '' where it has not."""
        parts = self.awaited.keys() - self.known.keys()
        return '; '.join(self.awaited[part] for part in sorted(parts))

    @property
    def joints(self) -> dict[str, float]:
        """The joints of known parts with the positions that are wanted of them [rad or m]."""
        return {
            joint.name: position
            for part, reference in self.known.items()
            for joint, position in zip(
                self._arm.joints_of(part), reference.state[0].tolist(), strict=True
            )
        }

    def forgot(self, told: Mapping[str, float], since_ns: int) -> str:
        """Return which controller at rest does not want what it was told, '' where all do.

        told: the command by joint; since_ns: when controllers had come to it. One that was
        switched off and on wants its joints where they are. What moves was said on the way.
        """
        for part, reference in self.known.items():
            joints = self._arm.joints_of(part)
            positions, velocities, _ = reference.state
            moves = np.abs(velocities) > _STILL * np.array([joint.velocity for joint in joints])
            known = all(joint.name in told for joint in joints)
            if not known or reference.received_ns < since_ns or moves.any():
                continue
            commanded = np.array([told[joint.name] for joint in joints])
            away = np.abs(nearest_turn(positions, commanded, wraps(joints)) - commanded)
            shares = away / joint_tolerance(joints)
            worst = int(np.argmax(shares))
            if shares[worst] > _FORGOTTEN:
                return (
                    f'the controller of {joints[worst].name} wants it at {positions[worst]:.4f}, '
                    f'and was told {commanded[worst]:.4f}: it was switched off and on, or somebody '
                    'else commands it'
                )
        return ''

    def problem(self, measured: Mapping[str, float]) -> str:
        """Return why a controller is no place to start from, '' where all are.

        measured: positions by joint. Further off than the following error that is allowed, the
        arm is held back or somebody else has sent its controller away.
        """
        for part, reference in self.known.items():
            found = _problem(self._arm.joints_of(part), reference.state, measured)
            if found:
                return found
        return ''


def _problem(joints: tuple[Joint, ...], state: Float64Array, measured: Mapping[str, float]) -> str:
    positions, velocities, _ = state
    speeds = np.abs(velocities) / [joint.velocity for joint in joints]
    fastest = int(np.argmax(speeds))
    if speeds[fastest] > _STILL:
        return (
            f'the controller of {joints[fastest].name} moves it, by {velocities[fastest]:.3f} per '
            's: somebody else commands the arm'
        )
    here = np.array([measured[joint.name] for joint in joints])
    away = np.abs(nearest_turn(here, positions, wraps(joints)) - positions)
    tolerance = joint_tolerance(joints)
    furthest = int(np.argmax(away / tolerance))
    if away[furthest] <= tolerance[furthest]:
        return ''
    return (
        f'the controller of {joints[furthest].name} wants it at {positions[furthest]:.3f}, '
        f'{away[furthest]:.3f} from where it is measured, {tolerance[furthest]:.3f} is allowed: '
        'free the arm, or deactivate the controller and activate it, so that it holds where it is'
    )
