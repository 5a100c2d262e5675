"""Subscribes to the interlocks: what the robot or a person must report for the arm to be moved.

Message types are found by their names when they are needed: packages of a robot are installed
where the robot is.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from std_msgs.msg import Float64

from robomamba_ros.errors import ConfigError, ObservationError, unknown_name
from robomamba_ros.nodes.common import qos
from robomamba_ros.robots.parts import Interlock, SpeedScaling
from robomamba_ros.types import NANOSECONDS


def message_type(name: str) -> Any:
    """Return the class of a message type such as std_msgs/msg/Bool; None where it is missing."""
    package, _, kind = name.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), kind, None)
    except ImportError:
        return None


def field_of(message: Any, path: str) -> Any:
    """Return the value of a field, with dots and indices, as status.mode or buttons[4].

    Raises ObservationError where the message has no such field.
    """
    value = message
    for name, index in re.findall(r'(\w+)(?:\[(\d+)\])?(?:\.|$)', path):
        try:
            value = getattr(value, name)
            value = value[int(index)] if index else value
        except (AttributeError, IndexError):
            raise ObservationError(f'has no {path}') from None
    # A field of the type `byte` comes as bytes of length 1.
    return value[0] if isinstance(value, bytes) and len(value) == 1 else value


class _LastMessage:
    """What is said on one topic: when the last message came, and what is wrong with it.

    name: of the topic among the node's own. budget_s: age at which a message is too old, None
    where it counts for as long as somebody publishes. now_ns: the time [ns].
    """

    def __init__(
        self, node: Any, name: str, budget_s: float | None, now_ns: Callable[[], int]
    ) -> None:
        self._node = node
        self._name = name
        self._shown = node.resolve_topic_name(name)
        self._budget_s = budget_s
        self._now_ns = now_ns
        self._received_ns: int | None = None
        self._published = True
        self._subscription: Any = None
        self.wrong = ''

    def listen(self, kind: Any, profile: Any) -> None:
        """Subscribe."""
        self._subscription = self._node.create_subscription(kind, self._name, self._take, profile)

    def read(self, message: Any) -> str:
        """Return what is wrong with what a message says, '' for nothing."""
        raise NotImplementedError

    def _take(self, message: Any) -> None:
        self._received_ns = self._now_ns()
        self.wrong = self.read(message)

    def look(self) -> None:
        """Look whether a publisher is there; a few times a second."""
        if self._budget_s is None:
            self._published = bool(self._node.count_publishers(self._name))
            if not self._published:
                self._received_ns = None

    def problem(self, now_ns: int) -> str:
        """Return why the arm may not move by what is said, '' where it may."""
        if self._received_ns is None:
            return f'nothing received yet on {self._shown}'
        age_s = (now_ns - self._received_ns) / NANOSECONDS
        # Ahead of the clock it is only after the clock was set.
        if self._budget_s is not None and abs(age_s) > self._budget_s:
            return f'{self._shown} is late: {age_s:.3f} s old, budget {self._budget_s:.3f} s'
        return f'{self.wrong} on {self._shown}' if self.wrong else ''

    def destroy(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)


class InterlockInput(_LastMessage):
    """One interlock of a contract.

    on_missing: told in one line where the package of an optional one is not installed. Raises
    ConfigError where the message type has no such field.
    """

    def __init__(
        self,
        node: Any,
        interlock: Interlock,
        now_ns: Callable[[], int],
        on_missing: Callable[[Exception], None],
    ) -> None:
        super().__init__(node, f'interlock/{interlock.name}', interlock.budget_s, now_ns)
        self._interlock = interlock
        self._kind = message_type(interlock.type)
        self._missing = ''
        if self._kind is None:
            package = interlock.type.partition('/')[0]
            self._missing = (
                f'{interlock.type} is not installed here: apt install '
                f'ros-$ROS_DISTRO-{package.replace("_", "-")}, or source the workspace that has it'
            )
            if interlock.optional:
                text = f'interlock {interlock.name} is not looked at: {self._missing}'
                on_missing(ConfigError(text))
            return
        first = re.split(r'[.\[]', interlock.field)[0]
        fields = self._kind.get_fields_and_field_types()
        if first not in fields:
            what = f"field of {interlock.type}, which the interlock '{interlock.name}' reads:"
            raise ConfigError(unknown_name(what, first, fields))
        self.listen(self._kind, qos.LATCHED if interlock.latched else qos.STATE)

    def read(self, message: Any) -> str:
        """Return what is wrong with the value of the field."""
        interlock = self._interlock
        try:
            value = field_of(message, interlock.field)
        except ObservationError as error:
            return str(error)
        if any(
            value == x and isinstance(value, bool) == isinstance(x, bool) for x in interlock.allowed
        ):
            return ''
        return f'{interlock.field} is {self._spelled(value)}, allowed: {self._allowed()}'

    def problem(self, now_ns: int) -> str:
        """Return why the arm may not move by this interlock, '' where it may."""
        if self._kind is None:
            problem = '' if self._interlock.optional else self._missing
        else:
            problem = super().problem(now_ns)
        return f'interlock {self._interlock.name}: {problem}' if problem else ''

    def _allowed(self) -> str:
        return ', '.join(self._spelled(value) for value in self._interlock.allowed)

    def _spelled(self, value: Any) -> str:
        """Return a value with the constant of the message type that it is, as 5 (USER_STOPPED)."""
        names = [name for name in dir(self._kind) if name.isupper() and name[0] != '_']
        same = [name for name in names if getattr(self._kind, name) == value]
        prefix = f'{self._interlock.field.rpartition(".")[2].upper()}_'
        named = [name for name in same if name.startswith(prefix)] or same
        number = isinstance(value, int) and not isinstance(value, bool)
        return f'{value} ({named[0].removeprefix(prefix)})' if number and named else f'{value}'


class SpeedScalingInput(_LastMessage):
    """The share of the commanded speed that the robot executes.

    on_scale: called with it, 0..1, and the time [ns]; raises ObservationError where it is none.
    """

    def __init__(
        self,
        node: Any,
        scaling: SpeedScaling,
        now_ns: Callable[[], int],
        on_scale: Callable[[float, int], None],
    ) -> None:
        super().__init__(node, 'speed_scaling', scaling.budget_s, now_ns)
        self._on_scale = on_scale
        self.listen(Float64, qos.STATE)

    def read(self, message: Any) -> str:
        """Hand on what is said in percent."""
        try:
            self._on_scale(message.data / 100.0, self._now_ns())
        except ObservationError as error:
            return str(error)
        return ''

    def problem(self, now_ns: int) -> str:
        """Return why the arm may not move by its speed scaling, '' where it may."""
        problem = super().problem(now_ns)
        return f'speed scaling: {problem}' if problem else ''
