"""Joint positions from JointState messages, joined by the names of the joints.

Only fields are looked at, so that live and recorded messages come the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from robomamba_ros.errors import ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS


def nanoseconds(time: Any) -> int:
    """Return a builtin_interfaces Time or Duration in nanoseconds."""
    return int(time.sec) * NANOSECONDS + int(time.nanosec)


def joint_positions(message: Any, names: Sequence[str], arm: ArmContract) -> dict[str, float]:
    """Return the positions of the joints `names` in a sensor_msgs/JointState.

    Their order plays no part, and other joints (another arm, a mobile base) are ignored. Raises
    ObservationError naming what is missing, given twice or not finite.
    """
    positions = _known_positions(message, names)
    missing = [name for name in names if name not in positions]
    if missing:
        raise ObservationError(_missing_text(missing, message.name, arm))
    return positions


class JointTable:
    """The newest position of each joint that an arm measures, and when it was measured.

    positions, joint_stamps: by joint [rad or m, ns]. leading: the joints by which the stamp of a
    state goes, those of the arm.
    """

    def __init__(self, arm: ArmContract) -> None:
        self._arm = arm
        self.leading = arm.names_of('arm') or arm.measured_joints
        self.positions: dict[str, float] = {}
        self.joint_stamps: dict[str, int] = {}
        self._streams: dict[str, str] = {}
        # The sets of joints that messages had so far, while joints are missing.
        self._seen: set[frozenset[str]] = set()

    @property
    def complete(self) -> bool:
        """Whether every joint has come."""
        return len(self.positions) == len(self._arm.measured_joints)

    @property
    def stamps(self) -> dict[str, int]:
        """The stamp of the oldest joint of each stream [ns]."""
        oldest: dict[str, int] = {}
        for name, stream in self._streams.items():
            oldest[stream] = min(self.joint_stamps[name], oldest.get(stream, 1 << 63))
        return oldest

    @property
    def lead_ns(self) -> int:
        """The stamp of the oldest of the leading joints [ns]."""
        return min(self.joint_stamps[name] for name in self.leading)

    def take(self, stream: str, message: Any, stamp_ns: int) -> frozenset[str]:
        """Take the joints of a message; return their names, none where it has none of the arm's.

        Raises ObservationError, and changes nothing, where the message cannot be used or a joint
        comes by two streams; also once joints are missing or late without whom there is no state.
        """
        arm = self._arm
        given = _known_positions(message, arm.measured_joints)
        for name in given:
            owner = self._streams.get(name, stream)
            if owner != stream:
                raise ObservationError(
                    f'{name} comes on {arm.inputs[owner]} and on {arm.inputs[stream]}: name in the '
                    'arm contract only one topic that has it'
                )
        self.positions |= given
        self.joint_stamps |= dict.fromkeys(given, stamp_ns)
        self._streams |= dict.fromkeys(given, stream)
        taken = frozenset(given)
        if not self.complete:
            # Whoever gives the others has had a turn when the same joints come again.
            if taken in self._seen:
                missing = [name for name in arm.measured_joints if name not in self.positions]
                raise ObservationError(_missing_text(missing, message.name, arm))
            self._seen.add(taken)
        self._check_age(stream, stamp_ns)
        return taken

    def _check_age(self, stream: str, stamp_ns: int) -> None:
        budget_s = self._arm.budgets_s[stream]
        late = {
            name: (stamp_ns - self.joint_stamps[name]) / NANOSECONDS
            for name, owner in self._streams.items()
            if owner == stream and stamp_ns - self.joint_stamps[name] > budget_s * NANOSECONDS
        }
        if late:
            raise ObservationError(
                f'{self._arm.inputs[stream]}: no newer position of {", ".join(late)} for '
                f'{max(late.values()):.3f} s, budget {budget_s:.3f} s'
            )


def _known_positions(message: Any, names: Sequence[str]) -> dict[str, float]:
    """Return the positions of those of the joints `names` that a JointState has."""
    if len(message.name) != len(message.position):
        raise ObservationError(
            f'a JointState has {len(message.name)} names and {len(message.position)} positions; '
            'a driver that gives no positions cannot be used'
        )
    present = dict(zip(message.name, message.position, strict=True))
    if len(present) < len(message.name):
        counts = Counter(message.name)
        twice = [name for name in names if counts[name] > 1]
        if twice:
            raise ObservationError(f'a JointState gives {", ".join(twice)} more than once')
    positions = {name: float(present[name]) for name in names if name in present}
    bad = [name for name, position in positions.items() if not math.isfinite(position)]
    if bad:
        raise ObservationError(f'a JointState gives {", ".join(bad)} a position that is not finite')
    return positions


def _missing_text(missing: Sequence[str], present: Sequence[str], arm: ArmContract) -> str:
    return (
        f"a JointState lacks {', '.join(missing)} of arm '{arm.name}'; it has "
        f'{", ".join(present) or "no joints"}'
    )
