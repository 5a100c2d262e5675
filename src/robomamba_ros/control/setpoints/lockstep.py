"""Orders the messages of a simulation that waits for each command.

A middleware may deliver the state and the chunk of one instant in either order. The gate makes the
controller do what one loop in one process would do.
"""

from __future__ import annotations

from dataclasses import dataclass

from robomamba_ros.types import ActionChunk


@dataclass(frozen=True)
class LockstepStep:
    """A step that may run: add `chunk`, where there is one, at `stamp_ns`; then tick there."""

    stamp_ns: int
    chunk: ActionChunk | None


class LockstepGate:
    """Lets the controller tick for a state only when every chunk it depends on is there.

    execute_steps: for so many of its steps a chunk is followed; the state at the end of them, and
    every later one, needs a newer chunk, stamped like it. seen_ns: states of an arm that is to be
    seen at rest before it moves need none for so long.
    """

    def __init__(self, execute_steps: int, seen_ns: int = 0) -> None:
        self._execute_steps, self._seen_ns = execute_steps, seen_ns
        self._chunks: dict[int, ActionChunk] = {}
        # The first state, and until when the chunk that is followed lasts.
        self._first_ns: int | None = None
        self._following_ns: int | None = None
        self._end_ns = 0
        self._state_ns: int | None = None
        self._stepped_ns: int | None = None

    def reset(self) -> None:
        """Forget everything: the next state needs a chunk of its own."""
        self._chunks.clear()
        self._first_ns = self._following_ns = self._state_ns = self._stepped_ns = None

    def add_state(self, stamp_ns: int) -> None:
        """Take in that the state stamped so has arrived; one that was stepped past is ignored."""
        if self._stepped_ns is None or stamp_ns >= self._stepped_ns:
            self._state_ns = stamp_ns
        if self._first_ns is None:
            self._first_ns = stamp_ns

    def add_chunk(self, chunk: ActionChunk) -> None:
        """Take in a chunk, kept until the state of its stamp has arrived; a repeat is ignored."""
        if self._following_ns is None or chunk.stamp_ns > self._following_ns:
            self._chunks[chunk.stamp_ns] = chunk

    def release(self) -> LockstepStep | None:
        """Return the step that may run now, None where it must wait for a state or a chunk.

        A state that comes again is released again, so that a lost command can be repeated.
        """
        state_ns = self._state_ns
        if state_ns is None:
            return None
        chunk = self._chunks.get(state_ns)
        if chunk is None and self._needs_chunk(state_ns):
            return None
        if chunk is not None:
            self._following_ns = state_ns
            self._end_ns = state_ns + self._execute_steps * chunk.dt_ns
            self._chunks = {stamp: c for stamp, c in self._chunks.items() if stamp > state_ns}
        self._state_ns = None
        self._stepped_ns = state_ns
        return LockstepStep(state_ns, chunk)

    def _needs_chunk(self, state_ns: int) -> bool:
        if self._following_ns is None:
            assert self._first_ns is not None
            return state_ns >= self._first_ns + self._seen_ns
        return state_ns >= self._end_ns
