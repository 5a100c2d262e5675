"""How fast an arm comes to rest, and how far it goes meanwhile, after each kind of stop.

Prints a row of a table for each arm. What is measured are commands, in virtual time, with the
contract's limits, budgets and lead; the lag of the arm itself comes on top.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from robomamba_ros.benchmarks.delays import Commanded, arms_parser, at_full_speed, print_arms
from robomamba_ros.robots.arm import ArmContract, Workspace, load_arm
from robomamba_ros.robots.parts import Joint
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import NANOSECONDS, ActionSpace

HEADS = ('a stop', 'an input is late', '`controller_node` dies', 'a stop, joints at their limits')
# How long a stop may take before this gives up on it [s], and what counts as standing still [m].
LONGEST_S, STILL_M = 5.0, 1e-5
# By how much the workspace is wider where joints are at full speed [m]: the arm would stop there.
ROOM_M = 10.0
# For how long an arm is watched for the worst moment at which nobody commands it any more [s].
WATCHED_S = 0.5


@dataclass(frozen=True)
class Stop:
    """speed: of the end effector when it begins [m/s]; time_s [s] and way_m [m] to standstill."""

    speed: float
    time_s: float
    way_m: float


@dataclass(frozen=True)
class Stops:
    """commanded: `enable false`, or whatever else is noticed at once, from full Cartesian speed.

    late: from the last message of the stream with the shortest budget. alone: from the last
    command, where nothing commands the controllers of trajectories any more. joints: commanded,
    with every joint of the arm at its limit of velocity.
    """

    commanded: Stop
    late: Stop
    alone: Stop
    joints_s: float
    joint: tuple[str, float]


def stops(arm: ArmContract) -> Stops:
    """Measure an arm moved by trajectories; raises ActionError where it cannot go straight."""
    moved, _ = at_full_speed(arm)
    commanded = _come_to_rest(moved, moved.disable)
    moved, _ = at_full_speed(arm)
    late = _come_to_rest(moved, lambda: None, fresh=False)
    moved, _ = at_full_speed(arm)
    alone = _stop_without_chunks(moved)
    return Stops(commanded, late, alone, *_joints_stop(arm))


def _come_to_rest(moved: Commanded, begin: Callable[[], None], *, fresh: bool = True) -> Stop:
    """Measure a stop from its cause on; fresh: whether states still reach the loop."""
    arm = moved.arm
    first = len(moved.tips) - 1
    begin()
    moved.go_on(LONGEST_S, fresh=fresh)
    steps = np.linalg.norm(np.diff(np.array(moved.tips[first - 1 :]), axis=0), axis=1)
    last = int(np.flatnonzero(steps > STILL_M)[-1])
    return Stop(
        float(steps[0]) * arm.control_rate_hz,
        last / arm.control_rate_hz,
        float(steps[1 : last + 1].sum()),
    )


def _stop_without_chunks(moved: Commanded) -> Stop:
    """Measure what controllers do by themselves from the worst moment on."""
    worst = Stop(0.0, 0.0, 0.0)
    for _ in range(round(WATCHED_S * moved.arm.control_rate_hz)):
        moved.go_on()
        if moved.sent is None:
            continue
        names = [joint.name for joint in moved.arm.joints]
        ahead = np.array(moved.sent.times_ns) >= moved.now_ns
        tips = [
            moved.tip(dict(zip(names, row, strict=True))).position
            for row in moved.sent.positions[ahead]
        ]
        way = np.array([moved.tips[-1], *tips])
        found = Stop(
            float(np.linalg.norm(moved.tips[-1] - moved.tips[-2])) * moved.arm.control_rate_hz,
            (moved.sent.times_ns[-1] - moved.now_ns) / NANOSECONDS,
            float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum()),
        )
        worst = max(worst, found, key=lambda stop: stop.way_m)
    return worst


def _joints_stop(arm: ArmContract) -> tuple[float, tuple[str, float]]:
    """Measure a stop of all joints, which go to the middles of their ranges as fast as they may."""
    room = Workspace(arm.workspace.lower - ROOM_M, arm.workspace.upper + ROOM_M)
    moved = Commanded(replace(arm, workspace=room), made_up_urdf(arm))
    joints = arm.joints_of('arm')
    names = tuple(joint.name for joint in joints)
    velocity = np.array([_inward(joint) * joint.velocity for joint in joints])
    running_s = max(
        j.velocity / j.acceleration + 2.0 * j.acceleration / (j.jerk or np.inf) for j in joints
    )
    moved.follow(velocity, names, ActionSpace.JOINT_DELTA, running_s + 0.5)
    moved.go_on(running_s + 0.1)
    begin = moved.joints
    moved.disable()
    time_s = 0.0
    before = begin
    for _ in range(round(LONGEST_S * arm.control_rate_hz)):
        moved.go_on()
        if all(abs(moved.joints[name] - before[name]) < STILL_M for name in names):
            break
        time_s += 1.0 / arm.control_rate_hz
        before = moved.joints
    return time_s, max(
        ((name, abs(before[name] - begin[name])) for name in names), key=lambda each: each[1]
    )


def _inward(joint: Joint) -> float:
    """Return the direction from where a joint rests to the middle of its range, 1 or -1."""
    middle = float(np.nan_to_num(sum(joint.position))) / 2.0
    return 1.0 if middle >= (joint.rest or 0.0) else -1.0


def row(name: str, found: Stops) -> str:
    """Return a line of the table."""
    cartesian = (found.commanded, found.late, found.alone)
    cells = [f'{stop.time_s:.2f} s, {1e2 * stop.way_m:.1f} cm' for stop in cartesian]
    cells.append(f'{found.joints_s:.2f} s, `{found.joint[0]}` {found.joint[1]:.2f}')
    return f'| `{name}` | {found.commanded.speed:.2f} m/s | {" | ".join(cells)} |'


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of some arms, or of those that are shipped."""
    head = f'| arm | from | {" | ".join(HEADS)} |'
    names = arms_parser('standstill', __doc__).parse_args(arguments).arms
    return print_arms(names, head, lambda name: row(name, stops(load_arm(name))))


if __name__ == '__main__':
    sys.exit(main())
