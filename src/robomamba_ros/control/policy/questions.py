"""Questions to a policy that can reason: the newest one waits for its turn.

Any thread may ask; one answers.
"""

from __future__ import annotations

import re

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.errors import ObservationError
from robomamba_ros.policies.base import AnsweringPolicy
from robomamba_ros.types import NANOSECONDS, UInt8Array

# How long questions are about the image of the first of them [s]: longer than a person takes to
# read an answer and to type the next question, shorter than a scene is remembered.
FOLLOW_UP_S = 30.0
# Begins a question about a new image; alone, it asks the last question again.
LOOK_AGAIN = re.compile(r'\s*look again\b[\s,.:;!]*', re.IGNORECASE)


class Questions:
    """Answers about an image of the policy's first camera, or about none without one.

    A question that follows another is about the same image, so that a policy which keeps the state
    after an image reads the question alone. A new image is taken after `look`, where a question
    begins with 'look again', and once the image is older than FOLLOW_UP_S. A question that comes
    while another waits takes its place: whoever asks again has thought better of it. The one that
    is being answered is finished.
    """

    def __init__(self, policy: AnsweringPolicy, buffer: ObservationBuffer) -> None:
        self._policy = policy
        self._buffer = buffer
        self._waiting: list[str] = []
        self._last = ''
        self._image: UInt8Array | None = None
        self._taken_ns = 0
        self._look = True

    def ask(self, question: str) -> None:
        """Let a question wait, in place of the one that does."""
        self._waiting = [question]

    def look(self) -> None:
        """Take a new image for the next question: the scene is another, or about to be."""
        self._look = True

    def withdraw(self) -> None:
        """Forget the question that waits, and what was asked before."""
        self._waiting = []
        self._last = ''
        self.look()

    def due(self, now_ns: int) -> bool:
        """Return whether a question waits."""
        return bool(self._waiting)

    def answer(self, now_ns: int) -> str | None:
        """Return the answer to the question that waits, None where it was withdrawn meanwhile.

        Raises ObservationError where there is no image, or the newest is too old, also for a
        question about an earlier one, and for 'look again' without a question before it; the
        question is dropped then.
        """
        # One reference, read once: a question asked from now on lies in a list of its own.
        waiting = self._waiting
        if not waiting:
            return None
        asked = waiting.pop()
        question = LOOK_AGAIN.sub('', asked, count=1) if LOOK_AGAIN.match(asked) else asked
        if question != asked:
            self.look()
            question = question or self._last
        if not question:
            raise ObservationError("'look again' repeats a question; none was asked before")
        self._last = question
        return self._policy.answer(self._seen(now_ns), question)

    def _seen(self, now_ns: int) -> UInt8Array | None:
        cameras = self._policy.spec.cameras
        if not cameras:
            return None
        newest = self._buffer.image(cameras[0].name, now_ns)
        aged = not 0 <= now_ns - self._taken_ns <= FOLLOW_UP_S * NANOSECONDS
        if self._look or aged or self._image is None:
            self._look, self._image, self._taken_ns = False, newest, now_ns
        return self._image
