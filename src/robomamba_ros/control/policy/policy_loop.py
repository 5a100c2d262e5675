"""Decides when a policy infers its next chunk, and infers it.

The time comes from outside.
"""

from __future__ import annotations

from dataclasses import replace

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.base import ChunkPolicy
from robomamba_ros.types import ActionChunk


class PolicyLoop:
    """Infers a chunk whenever the last one has been executed for `execute_steps` steps.

    A new instruction is followed at once: `renew` begins an episode, and the next complete
    observation gives its first chunk. Any thread may call it; the rest is for one.
    """

    def __init__(
        self, policy: ChunkPolicy, buffer: ObservationBuffer, *, execute_steps: int
    ) -> None:
        horizon = policy.spec.horizon
        if not 1 <= execute_steps <= horizon:
            raise ConfigError(
                f"execute_steps is {execute_steps}, policy '{policy.spec.name}' allows 1..{horizon}"
            )
        self._policy = policy
        self._buffer = buffer
        self._execute_steps = execute_steps
        self._interval_ns = execute_steps * policy.spec.dt_ns
        self._last_ns: int | None = None
        # Counted, so that an inference knows whether it was overtaken by a new instruction.
        self._renewed = self._begun = 0

    def renew(self) -> None:
        """Infer from the next observation on; what the policy remembers is forgotten."""
        self._renewed += 1

    @property
    def overtaken(self) -> bool:
        """Whether the newest chunk, or the one being inferred, is from before `renew`."""
        return self._renewed != self._begun

    def due(self, now_ns: int) -> bool:
        """Return whether `infer` has a complete observation, new enough for another chunk."""
        stamp_ns = self._buffer.stamp_ns()
        if stamp_ns is None:
            return False
        last_ns = None if self.overtaken else self._last_ns
        if last_ns is not None and stamp_ns < last_ns + self._interval_ns:
            return False
        return not self._buffer.problems(now_ns)

    def infer(self, now_ns: int) -> ActionChunk:
        """Return the chunk for the observation of now; raises ObservationError without one."""
        renewed = self._renewed
        observation = self._buffer.observation(now_ns)
        if renewed != self._begun:
            self._policy.reset()
            self._begun = renewed
        chunk = self._policy.infer(observation)
        self._last_ns = observation.stamp_ns
        return replace(chunk, execute_steps=self._execute_steps)

    def reset(self) -> None:
        """Forget the episode: the policy's state and the last chunk."""
        self._policy.reset()
        self._begun = self._renewed
        self._last_ns = None
