"""The interface of an output: it publishes the commands of one part."""

from __future__ import annotations

from typing import Protocol

from robomamba_ros.control.setpoints.senders import Command


class CommandOutput(Protocol):
    """Publishes the commands of one part; count: how many messages or goals."""

    count: int

    @property
    def at_rest(self) -> bool:
        """Whether its part stays at rest if nothing more is published."""

    def send(self, command: Command) -> None:
        """Publish what a control period asks for; once per period."""

    def stand_still(self) -> None:
        """Go on from rest: nothing was sent for so long that what is streamed has ended."""

    def stop(self) -> None:
        """Nothing is commanded any more: come to rest; once per period."""

    def forget(self) -> None:
        """Forget what was sent: a simulation has put the arm elsewhere."""

    def destroy(self) -> None:
        """Stop publishing."""
