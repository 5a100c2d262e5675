"""When a gripper that goes to an opening by itself is told one: when the opening changes."""

from __future__ import annotations

from robomamba_ros.control.setpoints.senders import Command

# Policies give a new opening in every step, with noise. A change is worth a command where it goes
# on in the direction of the last one by so much ..
STEP = 0.02
# .. or turns back by so much, which noise does all the time ..
BACK = 0.1
# .. or is there, by a STEP at least, for so long [s].
SETTLED_S = 1.0


class OnChange:
    """Sends an opening that is another one than the last, or than the one measured at first.

    So a gripper that holds something when the arm is enabled is told nothing, and holds it still.
    opening: that one. rate_hz: of the calls of `send`.
    """

    def __init__(self, rate_hz: float) -> None:
        self.opening: float | None = None
        self._forward = 0.0
        self._away = 0
        self._settled = round(SETTLED_S * rate_hz)
        self.count = 0
        self.at_rest = True

    def go_to(self, opening: float) -> bool:
        """Send an opening; tell whether it could be."""
        raise NotImplementedError

    def send(self, command: Command) -> None:
        """Send the opening where it has changed."""
        asked = command.setpoint.gripper
        if self.opening is None:
            # A chunk that came before the first command has moved that one already.
            self.opening = asked if command.measured is None else command.measured.gripper
            self._forward, self._away = 0.0, 0
        change = asked - self.opening
        if change and self._is_change(asked, change) and self.go_to(asked):
            self.opening, self._forward, self._away = asked, change, 0
            self.count += 1

    def _is_change(self, asked: float, change: float) -> bool:
        """Return whether an opening is to be sent; called once per period."""
        # Periods, below 0 for those on the side of closing.
        side = 1 if change > 0.0 else -1
        there = abs(change) >= STEP
        self._away = (self._away + side if self._away * side >= 0 else side) if there else 0
        enough = STEP if change * self._forward > 0.0 else BACK
        # The ends are exact, however small the last step.
        return abs(change) >= enough or asked in (0.0, 1.0) or abs(self._away) >= self._settled

    def stand_still(self) -> None:
        """Leave the gripper as it is."""

    def stop(self) -> None:
        """Leave the gripper as it is."""
        self.opening = None

    def forget(self) -> None:
        """Begin anew at the opening that is measured next."""
        self.opening = None
