"""How long an arm takes to follow a command: to reverse, and to stop.

Prints a row of a table for each arm. What is measured are commands, in virtual time, with the
contract's limits and lead; the lag of the arm itself comes on top.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.control.motion.trajectory import Trajectory
from robomamba_ros.control.setpoints.senders import sends_trajectories
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.control.setpoints.status import LoopStatus
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import (
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
    RobotState,
)

ARMS = ('franka_fr3', 'franka_panda', 'ur5e', 'hsr', 'so101')
SHARES = (0.1, 0.5, 0.9)
# The speed that is turned round [m/s], less where the contract allows less; and the actions.
SPEED = 0.06
STEP_NS = NANOSECONDS // 20
# Enabling needs to have seen the arm stand still.
SETTLING = 20
# From being enabled until a chunk is followed [s], for the longest lead of an arm.
START_S = 0.3
AXIS = 2
STILL_M = 1e-4


@dataclass(frozen=True)
class Delays:
    """reversal_s: when 10, 50, 90 % of a reversal of `speed` [m/s] are done, after the chunk.

    stop_s, stop_m: time and way from `enable false` to standstill, from full Cartesian speed.
    """

    speed: float
    reversal_s: tuple[float, float, float]
    stop_s: float
    stop_m: float


class Commanded:
    """An arm that is where it was commanded to be, one control period later.

    urdf: its description; empty: one made up from its contract. watch: whether it is kept out of
    itself, which takes time.

    tips: where the end effector was after each period (3,) [m]. sent: the newest trajectory.
    joints: where they are [rad or m].
    """

    def __init__(self, arm: ArmContract, urdf: str = '', *, watch: bool = False) -> None:
        self.arm = arm
        self.sent: Trajectory | None = None
        self._kinematics = Kinematics(arm, urdf or made_up_urdf(arm), watch=watch)
        self._loop = SetpointLoop(
            arm, kinematics=self._kinematics, foresight=sends_trajectories(arm)
        )
        self.joints: dict[str, float] = {
            joint.name: joint.rest
            if joint.rest is not None
            else float(np.clip(0.0, *joint.position))
            for joint in arm.joints
        }
        self.now_ns = 1000 * NANOSECONDS
        self.tips: list[Float64Array] = []
        for _ in range(SETTLING):
            self.go_on(measured_only=True)
        self._loop.enable(True)
        self.go_on(START_S)

    @property
    def heights(self) -> Float64Array:
        """How high the end effector was after each period (k,) [m]."""
        return np.array(self.tips)[:, AXIS]

    @property
    def status(self) -> LoopStatus:
        """What the loop does, and why."""
        return self._loop.status

    def go_on(
        self, seconds: float = 0.0, *, measured_only: bool = False, fresh: bool = True
    ) -> None:
        """Run for some time, at least one period; fresh: whether states reach the loop."""
        for _ in range(max(1, round(seconds * self.arm.control_rate_hz))):
            self.now_ns += self.arm.period_ns
            pose = self.tip(self.joints)
            stamps = dict.fromkeys(self.arm.inputs, self.now_ns)
            if fresh:
                self._loop.update_state(
                    RobotState(self.now_ns, pose, 1.0, self.joints, stamps), self.now_ns
                )
            self.tips.append(pose.position)
            if measured_only:
                continue
            self.command()

    def command(self) -> None:
        """Command the period that begins now."""
        setpoint = self._loop.tick(self.now_ns)
        self.sent = self._loop.trajectory() or self.sent
        if setpoint is not None:
            self.joints = dict(setpoint.joints)

    def tip(self, joints: Mapping[str, float]) -> Pose:
        """Return base_T_ee of joints [rad or m]."""
        return self._kinematics.forward(np.array([joints[n] for n in self._kinematics.names]))

    def move(self, speed: float, seconds: float) -> None:
        """Follow from now on a chunk that goes up at `speed` [m/s]."""
        velocity = np.zeros(3)
        velocity[AXIS] = speed
        self.follow(velocity, ('ee_dx', 'ee_dy', 'ee_dz'), ActionSpace.EE_DELTA, seconds)

    def follow(
        self, velocity: Float64Array, names: tuple[str, ...], space: ActionSpace, seconds: float
    ) -> None:
        """Follow from now on a chunk of one velocity (n,) of the channels `names` [per s]."""
        count = round(seconds * NANOSECONDS / STEP_NS)
        actions = np.tile(velocity * (STEP_NS / NANOSECONDS), (count, 1)).astype(np.float32)
        chunk = ActionChunk(self.now_ns, STEP_NS, actions, space, names)
        self._loop.add_chunk(chunk, self.now_ns)

    def disable(self) -> None:
        """Brake."""
        self._loop.enable(False)


def delays(arm: ArmContract) -> Delays:
    """Measure an arm moved by its joints; raises ActionError where it cannot go straight."""
    limits = arm.cartesian
    speed = min(SPEED, limits.velocity / 2.0)
    reversal_s = 2.0 * speed / limits.acceleration + 1.0
    turned = Commanded(arm)
    turned.move(speed, 2.0 * reversal_s)
    turned.go_on(reversal_s)
    first = len(turned.tips) - 1
    turned.move(-speed, 2.0 * reversal_s)
    turned.go_on(reversal_s)
    return Delays(speed, _reversal(arm, turned.heights[first:], speed), *_stop(arm))


def _reversal(arm: ArmContract, heights: Float64Array, speed: float) -> tuple[float, float, float]:
    period_s = arm.period_ns / NANOSECONDS
    done = (speed - np.diff(heights) / period_s) / (2.0 * speed)
    times_s = (np.arange(len(done)) + 0.5) * period_s
    first, half, most = (float(np.interp(share, _rising(done), times_s)) for share in SHARES)
    return first, half, most


def _rising(values: Float64Array) -> Float64Array:
    """Return values that never fall, and rise by a little where they stand."""
    rising = np.maximum.accumulate(values) + 1e-12 * np.arange(len(values))
    return np.asarray(rising, dtype=np.float64)


def at_full_speed(arm: ArmContract) -> tuple[Commanded, float]:
    """Return an arm that goes down as fast as it may, and how fast that is [m/s].

    As fast as half of a way of 0.3 m allows: an arm that is short comes to no higher speed.
    """
    limits = arm.cartesian
    speed = min(limits.velocity, float(np.sqrt(0.15 * limits.acceleration)))
    running_s = speed / limits.acceleration + 0.3
    moved = Commanded(arm)
    moved.move(-0.98 * speed, running_s + 1.0)
    moved.go_on(running_s)
    return moved, speed


def _stop(arm: ArmContract) -> tuple[float, float]:
    limits, period_s = arm.cartesian, arm.period_ns / NANOSECONDS
    stopped, speed = at_full_speed(arm)
    first = len(stopped.tips) - 1
    stopped.disable()
    stopped.go_on(speed / limits.stop_deceleration + 1.0)
    ways = np.abs(stopped.heights[first:] - stopped.heights[-1])
    return float(np.argmax(ways < STILL_M) * period_s), float(ways[0])


def row(name: str, found: Delays) -> str:
    """Return a line of the table."""
    reversal = ' / '.join(f'{1e3 * time_s:.0f}' for time_s in found.reversal_s)
    stop = f'{found.stop_s:.2f} s, {1e2 * found.stop_m:.1f} cm'
    return f'| `{name}` | {found.speed:.2f} | {reversal} | {stop} |'


def arms_parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark of some arms, or of those that are shipped."""
    parser = argparse.ArgumentParser(prog=f'robomamba bench {name}', description=doc)
    parser.add_argument('arms', nargs='*', default=ARMS, help='names or paths of contracts')
    return parser


def print_arms(names: Sequence[str], head: str, lines: Callable[[str], str]) -> int:
    """Print a table of arms; return the exit code.

    head: the first row. lines: makes those of an arm, by its name or path.
    """
    print(head, '|---' * head.count(' | ') + '|---|', sep='\n')
    for arm in names:
        try:
            print(lines(arm), flush=True)
        except RoboMambaError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of some arms, or of those that are shipped."""
    head = '| arm | reversal of [m/s] | 10 / 50 / 90 % after [ms] | stop from full speed |'
    names = arms_parser('delays', __doc__).parse_args(arguments).arms
    return print_arms(names, head, lambda name: row(name, delays(load_arm(name))))


if __name__ == '__main__':
    sys.exit(main())
