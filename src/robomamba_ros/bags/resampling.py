"""Streams of a robot on one clock: what was seen, where the arm was and where it was sent.

Every value counts as of its own stamp.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from robomamba_ros.bags.streams import Report, Stream
from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.commands import Command, Target
from robomamba_ros.spatial.transforms import interpolate_states
from robomamba_ros.types import NANOSECONDS, RobotState, UInt8Array

T = TypeVar('T')

# The number of an episode and its task in words.
Label = tuple[int, str]
# How far back the stamps of a stream may jump before its clock counts as started over.
RESTART_NS = NANOSECONDS
# How long all streams may be silent before that counts as a jump of their clocks, not as a gap.
JUMP_NS = 10 * NANOSECONDS
# A command holds this long after the end of where it leads; parts that hold the last one for ever.
COMMAND_BUDGET_S = 0.5
COMMAND_BUDGET_NS = round(COMMAND_BUDGET_S * NANOSECONDS)
HELD = ('gripper', 'head')


@dataclass(frozen=True)
class Sample:
    """What holds at one tick, and at the one after it for what is `next`.

    targets: by part of the robot, where the newest command sends it. label, taken: as of set_label.
    """

    stamp_ns: int
    images: Mapping[str, UInt8Array]
    state: RobotState
    next_state: RobotState
    targets: Mapping[str, Target]
    next_targets: Mapping[str, Target]
    label: Label
    taken: bool = False


@dataclass(frozen=True)
class Break:
    """Samples before and after it do not follow one another."""


class Resampler:
    """Gives a Sample every `dt_ns` where every stream has something to say, else a Break.

    Images: the newest one not after the tick, or at most a quarter of a step after it, so that a
    camera of the same rate does not miss ticks by its jitter; not older than its budget. States:
    interpolated between neighbours no further apart than their budget. Commands: the newest one
    not after the tick, while it holds. An episode begins at the stamp of an image of the first
    camera.

    budgets_ns: of each camera; state_budget_ns: of the states. parts: whose commands are needed.
    """

    def __init__(
        self,
        dt_ns: int,
        budgets_ns: Mapping[str, int],
        state_budget_ns: int,
        parts: tuple[str, ...] = (),
    ) -> None:
        self._dt_ns, self._slack_ns = dt_ns, dt_ns // 4
        self._budgets_ns, self._state_budget_ns = budgets_ns, state_budget_ns
        self._parts = parts
        self._patience_ns = max([*budgets_ns.values(), state_budget_ns])
        self.report = Report()
        self._out: deque[Sample | Break] = deque()
        self._clear()

    def _clear(self) -> None:
        self._images: dict[str, Stream[Callable[[], UInt8Array]]] = {
            name: Stream() for name in self._budgets_ns
        }
        self._states: Stream[RobotState] = Stream()
        self._commands: dict[str, Stream[Command]] = {part: Stream() for part in self._parts}
        self._labels: Stream[tuple[Label | None, bool]] = Stream()
        self._jumps: dict[int, str] = {}
        self._decoded: dict[str, tuple[int, UInt8Array]] = {}
        self._tick_ns: int | None = None
        # Whether the last tick gave a sample, and whether the next one is where it is to be.
        self._running = self._anchored = False
        self._label: Label | None = None
        self.now_ns: int | None = None

    def add_image(self, camera: str, stamp_ns: int, decode: Callable[[], UInt8Array]) -> None:
        """Take an image, which is decoded only where a tick needs it."""
        self._add(camera, lambda: self._images[camera], stamp_ns, decode)
        self._advance_to(stamp_ns)

    def add_state(self, state: RobotState, jumped: str = '') -> None:
        """Take a state of the arm; jumped: what came there without a way from the state before."""
        if jumped:
            self._jumps[state.stamp_ns] = jumped
        self._add('states', lambda: self._states, state.stamp_ns, state)
        self._advance_to(state.stamp_ns)

    def add_command(self, part: str, stamp_ns: int, command: Command) -> None:
        """Take a command to a part of the robot; a command may be for later, so no time passes."""
        self._add(f'commands to the {part}', lambda: self._commands[part], stamp_ns, command)

    def set_label(self, label: Label | None, *, taken: bool = False) -> None:
        """Say what is going on from the newest stamp on, None for nothing.

        taken: whether a person has taken over from the policy; it parts no samples.
        """
        last = self._labels.newest
        self._labels.add(max(self.now_ns or 0, last[0] + 1 if last else 0), (label, taken))

    def samples(self, *, final: bool = False) -> Iterator[Sample | Break]:
        """Yield what is settled by now; final: nothing more will come."""
        while self._out:
            yield self._out.popleft()
        while (tick_ns := self._next_tick()) is not None and self.now_ns is not None:
            whole = final and self._states.reaches(tick_ns + self._dt_ns)
            if not (whole or self._settled(tick_ns, self.now_ns)):
                return
            yield from self._evaluate(tick_ns)

    def _add(self, name: str, stream: Callable[[], Stream[T]], stamp_ns: int, value: T) -> None:
        newest = stream().newest
        if newest is not None and stamp_ns < newest[0] - RESTART_NS:
            self._restart(newest[0], stamp_ns)
        if not stream().add(stamp_ns, value):
            self.report.late[name] += 1

    def _advance_to(self, stamp_ns: int) -> None:
        """Let time go on to a stamp; before the first tick, drop what is too old for it."""
        self.now_ns = max(stamp_ns, self.now_ns or stamp_ns)
        if self._next_tick() is None:
            streams: list[Stream[Any]] = [*self._images.values(), self._states]
            for stream in streams:
                stream.forget_before(self.now_ns - self._patience_ns - RESTART_NS)

    def _restart(self, from_ns: int, to_ns: int) -> None:
        """Begin anew, as where a simulation or a bag starts over; the label stays."""
        self.report.add_jump(from_ns, to_ns)
        self._out.extend(self.samples(final=True))
        self._out.extend(self._break('the clock went back'))
        label = self._labels.newest
        self._clear()
        if label is not None:
            self.set_label(label[1][0], taken=label[1][1])

    def _next_tick(self) -> int | None:
        if self._tick_ns is None:
            streams: list[Stream[Any]] = [*self._images.values(), self._states]
            firsts = [stream.oldest_ns for stream in streams]
            if None not in firsts:
                self._tick_ns = max(first for first in firsts if first is not None)
        return self._tick_ns

    def _settled(self, tick_ns: int, now_ns: int) -> bool:
        """Return whether nothing that may still come can change what holds at a tick."""
        end_ns = tick_ns + self._dt_ns
        lasting: list[Stream[Any]] = [self._states, *self._commands.values()]
        return now_ns >= end_ns + self._patience_ns or (
            all(stream.reaches(tick_ns + self._slack_ns) for stream in self._images.values())
            and all(stream.reaches(end_ns) for stream in lasting)
        )

    def _evaluate(self, tick_ns: int) -> Iterator[Sample | Break]:
        found, _ = self._labels.around(tick_ns)
        label, taken = (None, False) if found is None else found[1]
        try:
            if label is None:
                raise ObservationError('nothing was to be recorded')
            if not (self._running or self._anchored) and self._images:
                self._anchor(tick_ns)
                return
            sample = self._sample(tick_ns, label, taken)
        except ObservationError as error:
            self._anchored = False
            self._tick_ns = tick_ns + self._dt_ns
            later_ns = self._next_stamp(self._tick_ns)
            if later_ns is not None and later_ns > self._tick_ns + JUMP_NS:
                self.report.add_jump(tick_ns, later_ns)
                self._tick_ns = later_ns
                yield from self._break('the clock jumped ahead')
            else:
                self.report.missing[str(error)] += 1
                yield from self._break(str(error))
        else:
            if sample.label != self._label:
                yield from self._break('the task or the recording changed')
            self._label, self._running = sample.label, True
            self.report.samples += 1
            yield sample
            self._anchored = False
            self._tick_ns = tick_ns + self._dt_ns
        assert self._tick_ns is not None
        streams: list[Stream[Any]] = [*self._images.values(), *self._commands.values()]
        for stream in (*streams, self._states, self._labels):
            stream.forget_before(self._tick_ns)
        for stamp_ns in [each for each in self._jumps if each <= tick_ns]:
            del self._jumps[stamp_ns]

    def _next_stamp(self, time_ns: int) -> int | None:
        """Return the first stamp after a time at which anything was seen, None for none."""
        streams: list[Stream[Any]] = [*self._images.values(), self._states]
        later = [after[0] for stream in streams if (after := stream.around(time_ns)[1])]
        return min(later, default=None)

    def _anchor(self, tick_ns: int) -> None:
        """Move the tick on to the stamp of the next image of the first camera."""
        name, stream = next(iter(self._images.items()))
        before, after = stream.around(tick_ns)
        if before is not None and before[0] == tick_ns:
            after = before
        if after is None:
            raise ObservationError(f"no image of camera '{name}'")
        self._tick_ns, self._anchored = after[0], True

    def _sample(self, tick_ns: int, label: Label, taken: bool) -> Sample:
        end_ns = tick_ns + self._dt_ns
        before, after = self._states.around(end_ns)
        exact = before is not None and before[0] == end_ns
        last_ns = end_ns if exact or after is None else after[0]
        for stamp_ns, what in self._jumps.items():
            if tick_ns < stamp_ns <= last_ns:
                raise ObservationError(f'{what} jumped, as where a scene is reset')
        chosen = {name: self._choose(name, tick_ns) for name in self._images}
        return Sample(
            stamp_ns=tick_ns,
            state=self._state(tick_ns),
            next_state=self._state(end_ns),
            targets={part: self._target(part, tick_ns) for part in self._commands},
            next_targets={part: self._target(part, end_ns) for part in self._commands},
            images={name: self._decode(name, tick_ns, *each) for name, each in chosen.items()},
            label=label,
            taken=taken,
        )

    def _choose(self, camera: str, tick_ns: int) -> tuple[int, Callable[[], UInt8Array]]:
        before, _ = self._images[camera].around(tick_ns + self._slack_ns)
        if before is None or tick_ns - before[0] > self._budgets_ns[camera]:
            budget_s = self._budgets_ns[camera] / NANOSECONDS
            raise ObservationError(f"no image of camera '{camera}' within {budget_s:g} s")
        return before

    def _state(self, time_ns: int) -> RobotState:
        before, after = self._states.around(time_ns)
        if before is not None and before[0] == time_ns:
            return before[1]
        if before is None or after is None or after[0] - before[0] > self._state_budget_ns:
            budget_s = self._state_budget_ns / NANOSECONDS
            raise ObservationError(f'no states of the arm within {budget_s:g} s of each other')
        share = (time_ns - before[0]) / (after[0] - before[0])
        return interpolate_states(before[1], after[1], share)

    def _target(self, part: str, time_ns: int) -> Target:
        before, _ = self._commands[part].around(time_ns)
        if before is None:
            raise ObservationError(f'no command to the {part} yet')
        command = before[1]
        if part not in HELD and time_ns - command.end_ns > COMMAND_BUDGET_NS:
            raise ObservationError(f'no command to the {part} within {COMMAND_BUDGET_S:g} s')
        return command.at(time_ns)

    def _decode(
        self, camera: str, tick_ns: int, stamp_ns: int, decode: Callable[[], UInt8Array]
    ) -> UInt8Array:
        known = self._decoded.get(camera)
        if known is None or known[0] != stamp_ns:
            known = self._decoded[camera] = (stamp_ns, decode())
        else:
            self.report.repeats[camera] += 1
        self.report.ages_ns[camera] += tick_ns - stamp_ns
        return known[1]

    def _break(self, reason: str) -> Iterator[Break]:
        if self._running:
            self._running = False
            self.report.breaks[reason] += 1
            yield Break()
