"""A node without a lifecycle: it connects when it is first spun, and says why where it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from robomamba_ros.bringup.option import Option
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.nodes.common.parameters import Parameters
from robomamba_ros.nodes.common.warning_counts import WarningCounts


class SelfStartingNode(Node):
    """Calls `connect` with the values of its parameters when it is first spun.

    table: its parameters. fatal: why it cannot go on; its host then ends it. steady: the clock of
    what must not wait for simulated time. warnings: what goes wrong and is not fatal.
    """

    def __init__(self, name: str, table: Sequence[Option], **node_options: Any) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **node_options)
        self.fatal = ''
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.warnings = WarningCounts(self.get_logger().warning)
        self._declared = Parameters(self, table)
        self._start_timer = self.create_timer(0.0, self._start, clock=self.steady)

    def connect(self, parameters: Mapping[str, Any]) -> None:
        """Make publishers, subscriptions and timers; a RoboMambaError ends the node."""
        raise NotImplementedError

    def _start(self) -> None:
        self.destroy_timer(self._start_timer)
        try:
            self.connect(self._declared.values())
        except RoboMambaError as error:
            self.fatal = str(error)
            self.get_logger().error(self.fatal)
