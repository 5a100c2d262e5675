"""Runs a policy that gives pose targets: once for each request."""

from __future__ import annotations

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.policies.base import TargetPolicy
from robomamba_ros.types import PoseTarget


class TargetLoop:
    """Infers one pose target whenever it is asked: a target is an act, not a stream.

    Any thread may ask; the rest is for one. An inference that fails is not tried again by itself:
    an arm that begins to act minutes later surprises whoever stands beside it.
    """

    def __init__(self, policy: TargetPolicy, buffer: ObservationBuffer) -> None:
        self._policy = policy
        self._buffer = buffer
        self._asked = 1
        self._begun = 0

    @property
    def asked(self) -> bool:
        """Whether a target was asked for and its inference has not begun."""
        return self._asked != self._begun

    def ask(self) -> None:
        """Ask for a target; one that is being inferred is dropped."""
        self._asked += 1

    def due(self, now_ns: int) -> bool:
        """Return whether a target was asked for and `infer` has a complete observation."""
        complete = self._buffer.stamp_ns() is not None and not self._buffer.problems(now_ns)
        return self.asked and complete

    def infer(self, now_ns: int) -> PoseTarget | None:
        """Return the target for the observation of now, None where another was asked for meanwhile.

        Raises ObservationError without an observation, and what the policy raises.
        """
        self._begun = asked = self._asked
        target = self._policy.infer(self._buffer.observation(now_ns))
        return target if asked == self._asked else None

    def reset(self) -> None:
        """Forget the episode, and ask for a target of the next."""
        self._policy.reset()
        self.ask()
