"""In lockstep simulated time waits for a message of every part in every period."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robomamba_ros.nodes.common.conversions import time_message


class PerPeriod:
    """Publishes messages as they come; in lockstep one for each period, stamped with it.

    publish: takes a message. nothing: makes the one of a period in which there is nothing new.
    lockstep_ns: in lockstep the time of the period, else None.
    """

    def __init__(
        self,
        publish: Callable[[Any], None],
        nothing: Callable[[], Any],
        lockstep_ns: Callable[[], int] | None,
    ) -> None:
        self._publish, self._nothing, self._lockstep_ns = publish, nothing, lockstep_ns
        self._said_ns: int | None = None
        self._said: Any = None

    @property
    def _was_said(self) -> bool:
        return self._lockstep_ns is not None and self._said_ns == self._lockstep_ns()

    def repeat(self) -> bool:
        """Say again what was said of this period, which may be lost; tell whether there was any."""
        if self._was_said:
            self._publish(self._said)
            return True
        return False

    def say(self, message: Any) -> None:
        """Publish a message."""
        if self._lockstep_ns is not None:
            self._said_ns, self._said = self._lockstep_ns(), message
            message.header.stamp = time_message(self._said_ns)
        self._publish(message)

    def go_on(self) -> None:
        """Say in lockstep that there is nothing new, where nothing was said of this period."""
        if self._lockstep_ns is not None and not self._was_said:
            self.say(self._nothing())
