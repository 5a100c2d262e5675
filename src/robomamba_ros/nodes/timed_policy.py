"""A policy with a stopwatch, and its first inference ahead of the first real one."""

from __future__ import annotations

import time

from robomamba_ros.control.metrics import LatencyWindow
from robomamba_ros.policies.base import ChunkPolicy, PolicySpec, fake_observation
from robomamba_ros.types import ActionChunk, Observation


class TimedPolicy:
    """Measures what every inference of a policy takes in wall time."""

    def __init__(self, policy: ChunkPolicy) -> None:
        self._policy = policy
        self.latency = LatencyWindow()

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs and gives."""
        return self._policy.spec

    def reset(self) -> None:
        """Forget the episode and its measurements."""
        self._policy.reset()
        self.latency = LatencyWindow()

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the policy's chunk."""
        start = time.perf_counter()
        chunk = self._policy.infer(observation)
        self.latency.add(time.perf_counter() - start)
        return chunk

    def warm_up(self) -> None:
        """Infer once on made-up inputs: the first inference compiles and allocates."""
        self.infer(fake_observation(self.spec))
        self.reset()
