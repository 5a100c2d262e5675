"""The instruction that a policy follows, and why there is none."""

from __future__ import annotations

from robomamba_ros.errors import ObservationError
from robomamba_ros.language.instructions import Instructions


class Task:
    """A task in words, as far as the policy takes it.

    text: in the policy's own spelling where it knows the text; '' for none. missing: why it is ''.
    """

    def __init__(self, instructions: Instructions) -> None:
        self._instructions = instructions
        self.text = ''
        self.missing = 'instruction: nothing received yet'

    def set(self, text: str) -> bool:
        """Take a text, and return whether it means another task.

        Raises ObservationError for one that the policy does not take. There is no task then:
        whoever gave it wanted something else than what the arm was doing.
        """
        try:
            self._instructions.check(text)
        except ObservationError as error:
            self.text, self.missing = '', str(error)
            raise
        followed = self._instructions.known(text) or text.strip()
        changed, self.text = followed != self.text, followed
        return changed
