"""Gives a node the kinematics of its arm, from a file or from the topic `robot_description`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robomamba_ros.errors import ObservationError, RoboMambaError
from robomamba_ros.messages.state import DESCRIPTION_MISSING
from robomamba_ros.nodes.common.text_input import TextInput
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.backend import import_pinocchio
from robomamba_ros.robots.kinematics import Kinematics


class RobotDescription:
    """The kinematics of an arm, once its URDF is there.

    on_change: called with the kinematics and '', or with None and why there are none, at once and
    after every change. A file is read at once: raises ConfigError where it cannot be or does not
    fit the contract, and BackendError where Pinocchio is missing.

    On the topic the newest text that fits counts: one that does not is said in one line and changes
    nothing. may_change: whether other kinematics may be taken now; while they may not, as an arm
    moves by those that are there, a text waits. watch: whether they look out for collisions too.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        on_change: Callable[[Kinematics | None, str], None] = lambda *_: None,
        may_change: Callable[[], bool] = lambda: True,
        *,
        watch: bool = False,
    ) -> None:
        self._node = node
        self._arm = arm
        self._on_change = on_change
        self._may_change = may_change
        self._watch = watch
        self._kinematics: Kinematics | None = None
        self._taken = ''
        self._waiting: str | None = None
        self._problem = ''
        self._text: TextInput | None = None
        if arm.urdf is not None and arm.urdf.topic is None:
            self._set(Kinematics(arm, watch=watch), '')
            return
        # Said now, not when the first message comes.
        import_pinocchio()
        self._set(None, DESCRIPTION_MISSING)
        self._text = TextInput(node, 'robot_description', self._read)

    @property
    def kinematics(self) -> Kinematics:
        """The kinematics; raises ObservationError saying why there are none."""
        if self._waiting is not None and self._may_change():
            self._take(self._waiting)
        if self._kinematics is None:
            raise ObservationError(self._problem)
        return self._kinematics

    @property
    def problem(self) -> str:
        """Why there are no kinematics; '' where there are."""
        return self._problem

    def _read(self, text: str) -> None:
        if text == self._taken:
            self._waiting = None
        elif self._kinematics is None or self._may_change():
            self._take(text)
        else:
            self._waiting = text
            self._log(f'another text came and is read once the arm of {self._arm.name} rests')

    def _take(self, text: str) -> None:
        self._waiting = None
        known = self._kinematics
        try:
            kinematics = Kinematics(self._arm, text, watch=self._watch)
        except RoboMambaError as error:
            problem = ' '.join(str(error).split())
            if known is None:
                self._set(None, f'robot_description: {problem}')
            else:
                self._log(f'{problem}; the description from before stays')
            return
        self._taken = text
        self._set(kinematics, '')
        if known is not None:
            self._log('another description was taken')

    def _log(self, text: str) -> None:
        self._node.get_logger().warning(f'robot_description: {text}')

    def _set(self, kinematics: Kinematics | None, problem: str) -> None:
        self._kinematics, self._problem = kinematics, problem
        self._on_change(kinematics, problem)

    def destroy(self) -> None:
        """Unsubscribe."""
        if self._text is not None:
            self._text.destroy()
