"""Publishes the interlocks and the speed scaling of a fake arm's contract.

Message types are found by their names; topics of packages that are not installed are left out.
"""

from __future__ import annotations

import re
from typing import Any

from std_msgs.msg import Float64

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller.interlocks import message_type
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Interlock
from robomamba_ros.simulation.fake_arm import FakeArm

RATE_HZ = 10.0
# Of which the first that is not allowed says that the arm must not be moved.
_OTHERS = (False, True, 0, 1, 2, 3, 0.0, 1.0, 'stopped')


class SafetyPublishers:
    """Each interlock has an allowed value while the arm runs, and another while it is stopped."""

    def __init__(self, node: Any, arm: ArmContract) -> None:
        self._interlocks = [
            _InterlockPublisher(node, interlock, kind)
            for interlock in arm.interlocks
            if (kind := message_type(interlock.type)) is not None
        ]
        self._scaling = None
        if arm.speed_scaling is not None:
            self._scaling = node.create_publisher(Float64, 'speed_scaling', qos.STATE_LOCKSTEP)

    def publish(self, fake: FakeArm) -> None:
        """Say whether it may be moved."""
        for interlock in self._interlocks:
            interlock.publish(allowed=not fake.stopped)

    def publish_scaling(self, fake: FakeArm) -> None:
        """Say how fast it goes, as Universal Robots' broadcaster does, in every control period."""
        if self._scaling is not None:
            self._scaling.publish(Float64(data=100.0 * fake.scaling))


class _InterlockPublisher:
    def __init__(self, node: Any, interlock: Interlock, kind: Any) -> None:
        self._interlock, self._kind = interlock, kind
        profile = qos.LATCHED if interlock.latched else qos.STATE_LOCKSTEP
        topic = f'interlock/{interlock.name}'
        self._publisher = node.create_publisher(kind, topic, profile)
        self._last: bool | None = None
        good = interlock.allowed[0]
        bad = (x for x in _OTHERS if type(x) is type(good) and x not in interlock.allowed)
        self._values = {True: good, False: next(bad, good)}

    def publish(self, *, allowed: bool) -> None:
        """Say whether the arm may be moved; where it is latched, once for each change."""
        if self._interlock.latched and allowed == self._last:
            return
        self._last = allowed
        message = self._kind()
        _set(message, self._interlock.field, self._values[allowed])
        self._publisher.publish(message)


def _set(message: Any, path: str, value: Any) -> None:
    """Put a value into a field, with dots and indices, as status.mode or buttons[4]."""
    *parents, (name, index) = re.findall(r'(\w+)(?:\[(\d+)\])?(?:\.|$)', path)
    for parent, place in parents:
        message = getattr(message, parent)
        message = message[int(place)] if place else message
    if index:
        items = list(getattr(message, name))
        items += [type(value)()] * (int(index) + 1 - len(items))
        items[int(index)] = value
        value = items
    setattr(message, name, value)
