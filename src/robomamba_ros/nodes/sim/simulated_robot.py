"""The simulated robot between commands and publications: simulated time, episodes, two modes.

realtime: `tick` lets time pass; the arm stands still until somebody moves it, then every tick is a
step with the newest command. lockstep: a step waits for the commands of all parts, stamped with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from robomamba_ros.simulation.simulation import Simulation
from robomamba_ros.types import NANOSECONDS, Float64Array, Pose, RobotState, Setpoint

# Simulated time goes on over a reset, by more than any buffer reaches back.
EPISODE_GAP_NS = NANOSECONDS
# An arm that was not told anything for so long is not commanded.
COMMANDED_NS = NANOSECONDS
# A hand that is pulled does not turn.
_UNTURNED = np.array([0.0, 0.0, 0.0, 1.0])


class Outputs(Protocol):
    """Where the robot's sensors go."""

    def clock(self, stamp_ns: int) -> None:
        """Take the simulated time."""

    def state(self, state: RobotState) -> None:
        """Take the proprioception."""

    def look(self, stamp_ns: int) -> Callable[[], None]:
        """Take the images of a time; what is returned sends them."""

    def instruction(self, text: str) -> None:
        """Take the instruction of a new episode."""

    def status(self, message: str, values: dict[str, object]) -> None:
        """Take the state of the episode."""


class SimulatedRobot:
    """Steps one simulation; an image is taken every `camera_steps` steps from the reset.

    endless: whether somebody begins another episode when one is over; only said here.
    first_image: steps from the reset to the first image. parts: those that a step of lockstep waits
    for.
    """

    def __init__(
        self,
        sim: Simulation,
        outputs: Outputs,
        *,
        lockstep: bool,
        camera_steps: int,
        endless: bool,
        first_image: int = 0,
        parts: tuple[str, ...] = ('arm', 'gripper'),
    ) -> None:
        self._sim = sim
        self._outputs = outputs
        self._lockstep = lockstep
        self._endless = endless
        self._camera_steps, self._first_image = camera_steps, first_image
        self._parts = parts
        self._now_ns = 0
        self._episode = 0
        self.real_time_factor = 0.0
        self.ticks = 0
        self._begin()

    def reset(self, task: str, seed: int) -> str:
        """Begin an episode; return what was begun. Raises SimulationError on an unknown task."""
        self._sim.reset(task, seed)
        self._begin()
        return f'episode {self._episode}: {task}, seed {seed}'

    def _begin(self) -> None:
        self._episode += 1
        self._now_ns += EPISODE_GAP_NS
        self._reset_ns = self._begin_ns = self._now_ns
        self._begun = self._lockstep
        self._target: Float64Array | None = None
        self._opening = 1.0
        self._stamps = dict.fromkeys(self._parts, -1)
        self._repeated_ns = -1
        self._sim.begin_at(self._now_ns)
        self._outputs.instruction(self._sim.instruction)
        self._publish()

    def command_position(self, position: Float64Array, stamp_ns: int) -> None:
        """Take the position (3,) to reach, base axes [m]."""
        if stamp_ns >= self._reset_ns:  # else it was meant for the episode before
            self._target = position
            self.take('arm', stamp_ns)

    def command_gripper(self, opening: float, stamp_ns: int) -> None:
        """Take the gripper's opening, 0 closed .. 1 open."""
        if stamp_ns >= self._reset_ns:
            self._opening = opening
            self.take('gripper', stamp_ns)

    def waits_for(self, part: str, stamp_ns: int) -> bool:
        """Tell whether a command of a part is one to follow; stamp 0: of now.

        Not so of an episode before, and in lockstep of another period or one that came already.
        """
        if self._lockstep:
            return stamp_ns == self._now_ns != self._stamps[part]
        return stamp_ns == 0 or stamp_ns >= self._reset_ns

    def take(self, part: str, stamp_ns: int) -> None:
        """Take note of a command of a part, which may be that there is nothing new."""
        self._stamps[part] = stamp_ns or self._now_ns
        self._step_if_commanded()

    @property
    def now_ns(self) -> int:
        """The simulated time."""
        return self._now_ns

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self._sim.done

    @property
    def commanded(self) -> bool:
        """Whether the arm has been commanded within the last second of simulated time."""
        return self._stamps['arm'] > self._now_ns - COMMANDED_NS

    def _step_if_commanded(self) -> None:
        commanded = all(stamp_ns == self._now_ns for stamp_ns in self._stamps.values())
        if self._lockstep and commanded and not self._sim.done:
            self.tick()

    def tick(self) -> None:
        """Advance time by one step; before and after an episode the robot stands still."""
        setpoint = self._setpoint()
        if not self._begun and self._sim.told_to_move(setpoint):
            self._begun, self._begin_ns = True, self._now_ns
        if self._begun and not self._sim.done:
            self._sim.follow(setpoint, {})
        else:
            self._sim.rest()
        self._now_ns += self._sim.dt_ns
        self.ticks += 1
        self._publish()

    def _setpoint(self) -> Setpoint | None:
        """Return what an arm that takes poses was told last; others have it already."""
        if self._target is None:
            return None
        return Setpoint(self._now_ns, Pose(self._target, _UNTURNED), self._opening)

    def repeat(self) -> None:
        """Send the observation again where none was sent since the last call."""
        if self._repeated_ns == self._now_ns:
            self._publish()
        self._repeated_ns = self._now_ns

    def _publish(self) -> None:
        steps = (self._now_ns - self._reset_ns) // self._sim.dt_ns
        since = steps - self._first_image
        seen = since >= 0 and since % self._camera_steps == 0
        # Rendered first, so that everything of one instant is sent at one instant.
        show = self._outputs.look(self._now_ns) if seen else None
        self._outputs.clock(self._now_ns)
        self._outputs.state(self._sim.state(self._now_ns))
        if show is not None:
            show()
        if steps == 0 or seen or self._sim.done:
            self._outputs.status(
                self._message(),
                {
                    'task': self._sim.task,
                    'seed': self._sim.seed,
                    'instruction': self._sim.instruction,
                    'episode': self._episode,
                    'step': self._sim.steps,
                    'begin_ns': self._begin_ns,
                    'stamp_ns': self._begin_ns + self._sim.steps * self._sim.dt_ns,
                    'success': self._sim.success,
                    'done': self._sim.done,
                    'real_time_factor': self.real_time_factor,
                },
            )

    def _message(self) -> str:
        sim, episode = self._sim, f'episode {self._episode}, {self._sim.instruction}'
        if not self._begun:
            return f'{episode}, seed {sim.seed}: begins when the arm is told to move'
        if not sim.done:
            return episode
        then = 'the next one follows' if self._endless else '~/reset begins another'
        how = 'success' if sim.success else 'no success'
        return f'{episode}: {how} after {sim.steps} steps; {then}'

    def close(self) -> None:
        """Free the simulation."""
        self._sim.close()
