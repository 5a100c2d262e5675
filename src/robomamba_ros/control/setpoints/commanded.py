"""What an arm was told, and until when it was to have done it."""

from __future__ import annotations

from robomamba_ros.control.history import History, StateHistory
from robomamba_ros.control.motion.joint_motion import measured_anchor
from robomamba_ros.control.motion.pose_motion import Anchor, Motion, mixed_anchor
from robomamba_ros.control.setpoints.following import Following
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import ArmContract


class Commanded:
    """The recent commands of an arm, each stamped with the end of its control period.

    following: the same, to hold what is done against. history: for whoever draws them.
    """

    def __init__(self, arm: ArmContract) -> None:
        self._arm = arm
        self.history = History(mixed_anchor)
        self.following = Following(arm)

    def note(self, tick_ns: int, motion: Motion) -> None:
        """Take the command of the period that begins at tick_ns."""
        reached_ns = tick_ns + self._arm.period_ns
        self.history.put(reached_ns, motion.anchor)
        self.following.tell(reached_ns, motion.commanded)

    def clear(self) -> None:
        """Forget what was commanded."""
        self.history.clear()
        self.following.clear()

    def anchor(self, stamp_ns: int, seen_ns: int, lag_ns: int, measured: StateHistory) -> Anchor:
        """Return what was commanded at the stamp, or measured where nothing was by then.

        seen_ns: the stamp by the clock. lag_ns: how much later than its point a command comes.
        Raises ActionError where neither is known.
        """
        first_ns, measured_ns = self.history.oldest_ns, measured.oldest_ns
        commanded = self.history.at(stamp_ns - lag_ns)
        if commanded and first_ns is not None and first_ns - self._arm.period_ns < stamp_ns:
            return commanded
        if measured_ns is not None and measured_ns <= seen_ns:
            return measured_anchor(self._arm, measured.at(seen_ns))
        raise ActionError('the chunk is too old: no pose is known at its stamp')
