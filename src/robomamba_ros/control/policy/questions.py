"""Questions to a policy that can reason: the newest one waits for its turn.

Any thread may ask; one answers.
"""

from __future__ import annotations

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.policies.base import AnsweringPolicy


class Questions:
    """Answers about the newest image of the policy's first camera, or about none without one.

    A question that comes while another waits takes its place: whoever asks again has thought
    better of it. The one that is being answered is finished.
    """

    def __init__(self, policy: AnsweringPolicy, buffer: ObservationBuffer) -> None:
        self._policy = policy
        self._buffer = buffer
        self._waiting: list[str] = []

    def ask(self, question: str) -> None:
        """Let a question wait, in place of the one that does."""
        self._waiting = [question]

    def withdraw(self) -> None:
        """Forget the question that waits."""
        self._waiting = []

    def due(self, now_ns: int) -> bool:
        """Return whether a question waits."""
        return bool(self._waiting)

    def answer(self, now_ns: int) -> str | None:
        """Return the answer to the question that waits, None where it was withdrawn meanwhile.

        Raises ObservationError where there is no image, or only one that is too old; the question
        is dropped then.
        """
        # One reference, read once: a question asked from now on lies in a list of its own.
        waiting = self._waiting
        if not waiting:
            return None
        question = waiting.pop()
        cameras = self._policy.spec.cameras
        image = self._buffer.image(cameras[0].name, now_ns) if cameras else None
        return self._policy.answer(image, question)
