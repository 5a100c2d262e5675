"""Gives a node the kinematics of its arm, from a file or from the topic `robot_description`.

Knows nothing about what they are used for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from std_msgs.msg import String

from robomamba_ros.data.state_messages import DESCRIPTION_MISSING
from robomamba_ros.errors import ObservationError, RoboMambaError
from robomamba_ros.nodes import qos
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics, import_pinocchio


class RobotDescription:
    """The kinematics of an arm, once its URDF is there.

    kinematics: None until then. problem: what is wrong, '' where nothing is. A file is read at
    once: raises ConfigError where it cannot be or does not fit the contract, and BackendError
    where Pinocchio is missing. A URDF from the topic that does not fit is reported, and the next
    one tried.
    """

    def __init__(
        self, node: Any, arm: ArmContract, on_error: Callable[[ObservationError], None]
    ) -> None:
        self._node = node
        self._arm = arm
        self._on_error = on_error
        self.kinematics: Kinematics | None = None
        self.problem = ''
        self._subscription = None
        if arm.urdf is not None and arm.urdf.topic is None:
            self.kinematics = Kinematics(arm)
            return
        # Said now, not when the first message comes.
        import_pinocchio()
        self.problem = DESCRIPTION_MISSING
        self._subscription = node.create_subscription(
            String, 'robot_description', self._read, qos.LATCHED
        )

    def _read(self, message: String) -> None:
        if self.kinematics is not None:
            return
        try:
            self.kinematics = Kinematics(self._arm, message.data)
            self.problem = ''
        except RoboMambaError as error:
            self.problem = f'robot_description: {error}'
            self._on_error(ObservationError(self.problem))

    def destroy(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
