"""States of the arm by time, measured or commanded, looked up between their stamps."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from robomamba_ros.errors import ObservationError
from robomamba_ros.spatial.transforms import interpolate
from robomamba_ros.types import NANOSECONDS, RobotState


class StateHistory:
    """The states of the last `span_s` seconds; their stamps only ever increase."""

    def __init__(self, span_s: float = 10.0) -> None:
        self._span_ns = round(span_s * NANOSECONDS)
        self._states: deque[RobotState] = deque()

    @property
    def newest(self) -> RobotState | None:
        """The last state added."""
        return self._states[-1] if self._states else None

    @property
    def oldest(self) -> RobotState | None:
        """The first state that is still remembered."""
        return self._states[0] if self._states else None

    def add(self, state: RobotState) -> None:
        """Remember a state; the same stamp again changes nothing, an older one is refused."""
        if self._states and state.stamp_ns <= self._states[-1].stamp_ns:
            back_s = (self._states[-1].stamp_ns - state.stamp_ns) / NANOSECONDS
            if back_s == 0.0:
                return
            raise ObservationError(
                f'a state is stamped {back_s:.3f} s before the one received last; it is ignored. '
                'After a jump of the clock (a bag that starts over) reset the node.'
            )
        self._states.append(state)
        while state.stamp_ns - self._states[0].stamp_ns > self._span_ns:
            self._states.popleft()

    def at(self, time_ns: int) -> RobotState | None:
        """Return the state at `time_ns`, interpolated; the first or last one outside the history.

        A state stamped exactly so is returned as it is. None while the history is empty.
        """
        if not self._states:
            return None
        index = bisect_right(self._states, time_ns, key=lambda state: state.stamp_ns)
        if index == 0:
            return self._states[0]
        before = self._states[index - 1]
        if index == len(self._states) or before.stamp_ns == time_ns:
            return before
        after = self._states[index]
        fraction = (time_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
        return _between(before, after, fraction, time_ns)

    def clear(self) -> None:
        """Forget every state."""
        self._states.clear()


def _between(before: RobotState, after: RobotState, fraction: float, time_ns: int) -> RobotState:
    def mix(start: float, end: float) -> float:
        return start + fraction * (end - start)

    return RobotState(
        stamp_ns=time_ns,
        pose=interpolate(before.pose, after.pose, fraction),
        gripper=mix(before.gripper, after.gripper),
        joints={
            name: mix(position, after.joints[name])
            for name, position in before.joints.items()
            if name in after.joints
        },
    )
