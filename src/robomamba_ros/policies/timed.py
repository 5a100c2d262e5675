"""A policy whose inferences are timed, with a warm-up before the first real one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from robomamba_ros.common.metrics import LatencyWindow
from robomamba_ros.errors import ActionError, ObservationError
from robomamba_ros.policies.base import (
    ANSWER_TOKENS,
    AnsweringPolicy,
    OutputKind,
    Policy,
    PolicySpec,
    fake_observation,
)
from robomamba_ros.types import Observation, UInt8Array


class TimedPolicy:
    """Measures what every inference of a policy takes in wall time.

    latencies: by what it is that takes them, `inference` and, of a policy that answers, `answer`.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.latencies = {'inference': LatencyWindow()}

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs and gives."""
        return self._policy.spec

    def reset(self) -> None:
        """Forget the episode and its measurements."""
        self._policy.reset()
        self.latencies = {name: LatencyWindow() for name in self.latencies}

    def infer(self, observation: Observation) -> Any:
        """Return what the policy gives: an ActionChunk or a PoseTarget."""
        start = time.perf_counter()
        given = self._policy.infer(observation)
        self.latencies['inference'].add(time.perf_counter() - start)
        return given

    def warm_up(self) -> None:
        """Infer once on made-up inputs: the first inference compiles and allocates."""
        if self.spec.output_kind is OutputKind.ANSWERS:
            return
        try:
            self.infer(fake_observation(self.spec))
        except (ObservationError, ActionError):
            # In an image that is noise there may be nothing to act on; everything ran to see that.
            if self.spec.output_kind is not OutputKind.TARGETS:
                raise
        self.reset()


class TimedAnsweringPolicy(TimedPolicy):
    """The same for a policy that answers questions."""

    def __init__(self, policy: AnsweringPolicy) -> None:
        super().__init__(policy)
        self._reasoner = policy
        self.latencies['answer'] = LatencyWindow()

    def warm_up(self) -> None:
        """Infer, and answer a question, by a token of each kind: one read, one generated."""
        super().warm_up()
        camera = next(iter(self.spec.cameras), None)
        image = None
        if camera is not None:
            image = np.zeros((camera.height, camera.width, 3), np.uint8)
        self.answer(image, 'ready?', max_tokens=2)
        self.reset()

    def answer(
        self, image: UInt8Array | None, question: str, *, max_tokens: int = ANSWER_TOKENS
    ) -> str:
        """Return the policy's answer."""
        start = time.perf_counter()
        answer = self._reasoner.answer(image, question, max_tokens=max_tokens)
        self.latencies['answer'].add(time.perf_counter() - start)
        return answer


def timed(policy: Policy) -> TimedPolicy:
    """Return a policy with a stopwatch that can do what the policy can."""
    return (
        TimedAnsweringPolicy(policy) if isinstance(policy, AnsweringPolicy) else TimedPolicy(policy)
    )
