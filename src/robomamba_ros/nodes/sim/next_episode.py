"""Begins the next episode of a simulation: the calls to policy and controller."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from std_srvs.srv import SetBool, Trigger

CONTROLLER, POLICY = 'controller_node', 'policy_node'
LOOK_S = 0.05
# A service can be announced before it takes requests, and the middleware drops what comes then.
RESEND_S = 3.0


@dataclass
class _Call:
    """One request; an answer that says no is asked for again where it is `needed`."""

    name: str
    request: Any
    needed: bool = False


class NextEpisode:
    """Brings both nodes to rest, has the next episode begun, and lets them go on.

    begin: begins it; called once they are at rest, and before they may see it. say: is told, once,
    why a node does not go on.
    """

    def __init__(self, node: Any, begin: Callable[[], None], say: Callable[[str], None]) -> None:
        self._node = node
        self._begin = begin
        self._say = say
        self._said = ''
        self._steps: deque[_Call | Callable[[], None]] = deque()
        self._clients: dict[str, Any] = {}
        self._asked: Any = None
        self._asked_s = 0.0
        # Not the node's clock: in lockstep simulated time stands still meanwhile.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer: Any = None

    @property
    def under_way(self) -> bool:
        """Whether the next episode has been asked for and both nodes do not go on yet."""
        return bool(self._steps)

    def start(self, *, enable: bool) -> None:
        """Go to the next episode. enable: False leaves a controller that is disabled as it is."""
        if self.under_way:
            return
        off, on = SetBool.Request(data=False), SetBool.Request(data=True)
        self._steps.extend(
            [
                *(_Call(f'{name}/enable', off) for name in (CONTROLLER, POLICY)),
                # Before the simulation is reset too: an arm still braking would move the new one.
                _Call(f'{CONTROLLER}/reset', Trigger.Request(), needed=True),
                self._begin,
                *(_Call(f'{name}/reset', Trigger.Request()) for name in (CONTROLLER, POLICY)),
                _Call(f'{POLICY}/enable', on, needed=True),
            ]
        )
        if enable:
            self._steps.append(_Call(f'{CONTROLLER}/enable', on, needed=True))
        self._timer = self._node.create_timer(LOOK_S, self._look, clock=self._steady)

    def _look(self) -> None:
        step = self._steps[0]
        if not isinstance(step, _Call):
            step()
        elif not self._answered(step):
            return
        self._steps.popleft()
        if not self._steps:
            self._node.destroy_timer(self._timer)

    def _answered(self, call: _Call) -> bool:
        """Ask where nothing was asked yet; return whether the answer is there and lets us go on."""
        if self._asked is not None and self._asked.done():
            response, self._asked = self._asked.result(), None
            if response.success or not call.needed:
                return True
            if response.message != self._said:
                self._said = response.message
                self._say(f'{call.name}: {response.message}')
        now_s = time.monotonic()
        if self._asked is None or now_s > self._asked_s + RESEND_S:
            client = self._client(call)
            if client.service_is_ready():
                self._asked, self._asked_s = client.call_async(call.request), now_s
        return False

    def _client(self, call: _Call) -> Any:
        if call.name not in self._clients:
            kind = SetBool if isinstance(call.request, SetBool.Request) else Trigger
            self._clients[call.name] = self._node.create_client(kind, call.name)
        return self._clients[call.name]
