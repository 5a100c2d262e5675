"""How long a control period takes to compute, for each arm, without ROS.

An arm on a virtual clock follows chunks of end-effector or joint actions, each the other way, and
is stopped. What counts is the time that the processor spends on taking a chunk, on the command and
on what controllers are sent. Every run is the same, so the shortest time of each period in several
is taken: in it, other work on the machine shows least.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence

import numpy as np

from robomamba_ros.benchmarks.delays import AXIS, SPEED, Commanded, arms_parser, print_arms
from robomamba_ros.benchmarks.measuring import machine
from robomamba_ros.control.setpoints.senders import PositionSender, TrajectorySender, TwistSender
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.types import ActionSpace, Float64Array

# How often a chunk comes, how many of them, and how long the stop after them is watched.
CHUNK_S, CHUNKS, STOP_S = 0.5, 5, 0.5
HEAD = '| arm | period | actions | p50 | p99 | longest with a chunk | with a stop | longest other |'


class Timed(Commanded):
    """An arm whose control periods are timed, what its controllers are sent included.

    took_s: of each period, and what came in it [s].
    """

    def __init__(self, arm: ArmContract) -> None:
        self.took_s: list[tuple[float, str]] = []
        self._event = ''
        self._spent_s = 0.0
        outputs = [output for output in arm.outputs if output.part != 'gripper']
        self._ways = [TrajectorySender(arm, o) for o in outputs if o.kind == 'joint_trajectory']
        self._others: list[PositionSender | TwistSender] = [
            TwistSender(arm, o) if o.kind == 'twist' else PositionSender(arm, o)
            for o in outputs
            if o.kind in ('twist', 'forward_position')
        ]
        super().__init__(arm, watch=True)

    def chunk(self, velocity: Float64Array, names: tuple[str, ...], space: ActionSpace) -> None:
        """Take a chunk of one velocity (n,) in the next period."""
        begun_s = time.thread_time()
        self.follow(velocity, names, space, 2.0 * CHUNK_S)
        self._event, self._spent_s = 'chunk', time.thread_time() - begun_s

    def stop(self) -> None:
        """Brake from the next period on."""
        self._event = 'stop'
        self.disable()

    def command(self) -> None:
        """Command the period that begins now, and hand it to controllers."""
        begun_s = time.thread_time()
        setpoint = self._loop.tick(self.now_ns)
        command = self._loop.command()
        if command is not None:
            for way in self._ways:
                way.send(command, self.now_ns)
            for other in self._others:
                other.send(command)
        took_s = time.thread_time() - begun_s + self._spent_s
        self.took_s.append((took_s, self._event))
        self._event, self._spent_s = '', 0.0
        if setpoint is not None:
            self.joints = dict(setpoint.joints)


def run(arm: ArmContract, space: ActionSpace) -> list[tuple[float, str]]:
    """Return the time of each period [s] of one run, and what came in it."""
    if space is ActionSpace.EE_DELTA:
        names: tuple[str, ...] = ('ee_dx', 'ee_dy', 'ee_dz', 'ee_drx')
        velocity = np.array([0.3, 0.0, 1.0, 1.0]) * min(SPEED, arm.cartesian.velocity / 2.0)
        assert names[AXIS] == 'ee_dz'
    else:
        joints = arm.joints_of('arm')
        names = tuple(joint.name for joint in joints)
        velocity = np.array([0.1 * joint.velocity for joint in joints])
    timed = Timed(arm)
    timed.took_s.clear()
    for number in range(CHUNKS):
        timed.chunk(velocity * (-1.0) ** number, names, space)
        timed.go_on(CHUNK_S)
    timed.stop()
    timed.go_on(STOP_S)
    return timed.took_s


def row(name: str, space: ActionSpace, repeats: int) -> str:
    """Return a line of the table."""
    arm = load_arm(name)
    runs = [run(arm, space) for _ in range(repeats)]
    events = np.array([event for _, event in runs[0]])
    took = 1e3 * np.min([[took_s for took_s, _ in each] for each in runs], axis=0)
    cells = [np.percentile(took, 50), np.percentile(took, 99)]
    cells += [took[events == event].max() for event in ('chunk', 'stop', '')]
    period = f'{1e3 / arm.control_rate_hz:.0f}'
    return ' | '.join([f'| `{name}`', period, space.value, *(f'{c:.1f}' for c in cells)]) + ' |'


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of some arms, or of those that are shipped, in milliseconds."""
    parser = arms_parser('periods', __doc__)
    parser.add_argument('--repeats', type=int, default=5, help='of how many runs')
    args = parser.parse_args(arguments)
    gc.collect()
    gc.freeze()
    print(machine(1))
    spaces = (ActionSpace.EE_DELTA, ActionSpace.JOINT_DELTA)
    return print_arms(
        args.arms, HEAD, lambda arm: '\n'.join(row(arm, space, args.repeats) for space in spaces)
    )


if __name__ == '__main__':
    sys.exit(main())
