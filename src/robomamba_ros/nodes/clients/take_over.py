"""Marks, in a recording, when a person takes over from a policy and when it is handed back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from robomamba_ros.bags.definitions import find_definition
from robomamba_ros.bags.episode_marks import FLAG, TAKE_OVER
from robomamba_ros.bags.episodes import EpisodeRecording
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.nodes.clients.episode_control import BELL
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.diagnostics import SOMEBODY_ELSE

CONTROLLER = 'controller_node'


class TakeOver:
    """Who moves the arm, the policy or a person, as messages of the topic take_over.

    A person has taken over while a button of a joystick is held, from the service `~/take_over` or
    the key to `~/hand_back` or the key again, and from another program's trajectory until the
    controller is enabled again. The first two disable the controller, which brakes and holds; it
    stays so until somebody enables it.

    button: topic of a sensor_msgs/Joy and index of the button, None for none.
    """

    def __init__(
        self,
        node: Any,
        episodes: EpisodeRecording,
        say: Callable[[str], None],
        button: tuple[str, int] | None = None,
    ) -> None:
        self._episodes, self._say = episodes, say
        self._topic = node.resolve_topic_name(TAKE_OVER)
        # Kept for late readers: every episode begins with how it is.
        offer = Offer('reliable', 'transient_local', 'keep_last', 1)
        episodes.add_topic(self._topic, FLAG, find_definition(FLAG), [offer])
        self._causes: set[str] = set()
        self._mark()
        self._service = node.resolve_service_name(f'{CONTROLLER}/enable')
        self._enable = node.create_client(SetBool, self._service)
        node.create_service(Trigger, '~/take_over', self._answering(self.take))
        node.create_service(Trigger, '~/hand_back', self._answering(self.hand_back))
        node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS
        )
        if button is not None:
            topic, self._button = button
            node.create_subscription(Joy, topic, self._on_joy, qos.STATE)

    @property
    def taken(self) -> bool:
        """Whether a person has taken over."""
        return bool(self._causes)

    def take(self) -> str:
        """Mark that a person takes over, and disable the controller; return what to say."""
        return self._set('person', True)

    def hand_back(self) -> str:
        """Mark that nobody has taken over, whatever the cause; return what to say."""
        self._causes = {'person'}
        return self._set('person', False)

    def toggle(self) -> None:
        """Take over, or hand back."""
        if self.taken:
            self.hand_back()
        else:
            self.take()

    def _set(self, cause: str, taken: bool) -> str:
        before = self.taken
        if taken and cause not in self._causes and cause != SOMEBODY_ELSE:
            self._disable()
        self._causes = self._causes | {cause} if taken else self._causes - {cause}
        text = 'TAKEN OVER: what follows is a correction' if self.taken else 'handed back'
        if self.taken != before:
            self._mark()
            self._say(f'{BELL}{text}')
        return text

    def _mark(self) -> None:
        data = bytes(serialize_message(Bool(data=self.taken)))
        self._episodes.put(Record(self._topic, FLAG, time.time_ns(), data))

    def _disable(self) -> None:
        if self._enable.service_is_ready():
            self._enable.call_async(SetBool.Request(data=False))
        else:
            self._say(f'{BELL}there is no {self._service}: nothing was disabled')

    def _on_joy(self, message: Joy) -> None:
        if self._button < len(message.buttons):
            self._set('button', bool(message.buttons[self._button]))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.rpartition('/')[2] == CONTROLLER:
                values = {each.key: each.value for each in status.values}
                holds = values.get('state') == 'holding'
                other = holds and values.get('reason', '').startswith(SOMEBODY_ELSE)
                self._set(SOMEBODY_ELSE, other)

    def _answering(self, act: Callable[[], str]) -> Callable[[Any, Any], Any]:
        def answer(_: Any, response: Any) -> Any:
            response.success, response.message = True, act()
            return response

        return answer
