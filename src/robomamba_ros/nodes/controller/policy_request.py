"""Asks policy_node to follow an instruction, by the topics and services that a user has."""

from __future__ import annotations

import time
from typing import Any

from std_msgs.msg import String
from std_srvs.srv import Trigger

from robomamba_ros.language.instructions import Instructions
from robomamba_ros.nodes.common import qos

# A service can be announced before it takes requests, and the middleware drops what comes then.
RESEND_S = 3.0
# How long another text on `active_instruction` may be one that was kept from before [s].
KEPT_S = 2.0


class PolicyRequest:
    """What policy_node is asked for by its own topics and services: to follow, and to restart."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._text, self._sent = '', False
        self._follows: bool | None = None
        self._other, self._other_s = '', 0.0
        self._restart: Any = None
        self._restarts, self._restart_s = False, 0.0
        self._reset = node.create_client(Trigger, 'policy_node/reset')
        # Not kept for a policy that starts later: it would go on with what nobody asks any more.
        self._publisher = node.create_publisher(String, 'instruction', qos.TEXT)
        self._subscription = node.create_subscription(
            String, 'active_instruction', self._on_active, qos.LATCHED
        )

    def ask(self, text: str) -> None:
        """Ask the policy to follow a text."""
        self._text, self._sent = text, False
        self._follows, self._restarts = None, False

    def look(self) -> str | None:
        """Do what is due; return None until the policy has answered, '' where it follows."""
        if not self._sent and self._publisher.get_subscription_count():
            self._sent = True
            self._publisher.publish(String(data=self._text))
        if self._follows:
            return ''
        if self._follows is None or time.monotonic() < self._other_s + KEPT_S:
            return None
        if self._other:
            return f"policy_node follows '{self._other}', of somebody else"
        return f"policy_node refuses the instruction '{self._text}'; its log says why"

    def restart(self) -> None:
        """Have an episode begin, as soon as the service is there."""
        self._restarts, self._restart, self._restart_s = True, None, -RESEND_S
        self.keep_asking()

    def keep_asking(self) -> None:
        """Ask for the restart again where no answer came."""
        if not self._restarts:
            return
        if self._restart is not None and self._restart.done():
            self._restarts = False
        elif time.monotonic() > self._restart_s + RESEND_S and self._reset.service_is_ready():
            self._restart_s = time.monotonic()
            self._restart = self._reset.call_async(Trigger.Request())

    def _on_active(self, message: String) -> None:
        if not self._sent or self._follows:
            return
        self._follows = Instructions((self._text,)).known(message.data) is not None
        self._other, self._other_s = message.data, time.monotonic()

    def destroy(self) -> None:
        """Disconnect."""
        self._node.destroy_client(self._reset)
        self._node.destroy_publisher(self._publisher)
        self._node.destroy_subscription(self._subscription)
