"""The simulated robot between commands and publications: simulated time, episodes, two modes.

realtime: `tick` lets time pass; the arm stands still until somebody moves it, then every tick is a
step with the newest command. lockstep: a step waits for the two commands stamped with it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from robomamba_ros.simulation.metaworld import MetaWorldSim
from robomamba_ros.types import NANOSECONDS, Float64Array, RobotState, UInt8Array

# Simulated time goes on over a reset, by more than any buffer reaches back.
EPISODE_GAP_NS = NANOSECONDS
# An arm that was not told anything for so long is not commanded.
COMMANDED_NS = NANOSECONDS
# Commands nearer to where the arm is [m] hold it; a controller without a policy gives them.
HELD_M = 1e-3


class Outputs(Protocol):
    """Where the robot's sensors go."""

    def clock(self, stamp_ns: int) -> None:
        """Take the simulated time."""

    def state(self, state: RobotState) -> None:
        """Take the proprioception."""

    def image(self, image: UInt8Array, stamp_ns: int) -> None:
        """Take a camera image."""

    def instruction(self, text: str) -> None:
        """Take the instruction of a new episode."""

    def status(self, message: str, values: dict[str, object]) -> None:
        """Take the state of the episode."""


class SimulatedRobot:
    """Steps one simulation; an image is taken every `camera_steps` steps from the reset.

    endless: whether somebody begins another episode when one is over; only said here.
    """

    def __init__(
        self,
        sim: MetaWorldSim,
        outputs: Outputs,
        *,
        lockstep: bool,
        camera_steps: int,
        endless: bool,
    ) -> None:
        self._sim = sim
        self._outputs = outputs
        self._lockstep = lockstep
        self._endless = endless
        self._camera_steps = camera_steps
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
        self._begun, self._moved = self._lockstep, False
        self._target, self._target_ns = self._sim.target_position, -1
        self._opening, self._opening_ns = 1.0, -1
        self._repeated_ns = -1
        self._outputs.instruction(self._sim.instruction)
        self._publish()

    def command_position(self, position: Float64Array, stamp_ns: int) -> None:
        """Take the position (3,) to reach, base axes [m]."""
        if stamp_ns >= self._reset_ns:  # else it was meant for the episode before
            self._target, self._target_ns = position, stamp_ns
            here = self._sim.state(self._now_ns).pose.position
            self._moved = self._moved or bool(np.linalg.norm(position - here) > HELD_M)
            self._step_if_commanded()

    def command_gripper(self, opening: float, stamp_ns: int) -> None:
        """Take the gripper's opening, 0 closed .. 1 open."""
        if stamp_ns >= self._reset_ns:
            self._opening, self._opening_ns = opening, stamp_ns
            self._step_if_commanded()

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self._sim.done

    @property
    def commanded(self) -> bool:
        """Whether the arm has been commanded within the last second of simulated time."""
        return self._target_ns > self._now_ns - COMMANDED_NS

    def _step_if_commanded(self) -> None:
        commanded = self._target_ns == self._opening_ns == self._now_ns
        if self._lockstep and commanded and not self._sim.done:
            self.tick()

    def tick(self) -> None:
        """Advance time by one step; before and after an episode the robot stands still."""
        if not self._begun and self._moved:
            self._begun, self._begin_ns = True, self._now_ns
        if self._begun and not self._sim.done:
            self._sim.step(self._target, self._opening)
        self._now_ns += self._sim.dt_ns
        self.ticks += 1
        self._publish()

    def repeat(self) -> None:
        """Send the observation again where none was sent since the last call."""
        if self._repeated_ns == self._now_ns:
            self._publish()
        self._repeated_ns = self._now_ns

    def _publish(self) -> None:
        steps = (self._now_ns - self._reset_ns) // self._sim.dt_ns
        # Rendered first, so that everything of one instant is sent at one instant.
        image = self._sim.render() if steps % self._camera_steps == 0 else None
        self._outputs.clock(self._now_ns)
        self._outputs.state(self._sim.state(self._now_ns))
        if image is not None:
            self._outputs.image(image, self._now_ns)
        if image is not None or self._sim.done:
            self._outputs.status(
                self._message(),
                {
                    'task': self._sim.task,
                    'seed': self._sim.seed,
                    'episode': self._episode,
                    'step': self._sim.steps,
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
