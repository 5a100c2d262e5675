"""Storms of chunks against an FR3 that has limits of its own: franka-sim, in lockstep.

    python test/hardware/franka_reflexes.py PYTHON [FOLDER]

PYTHON is that of an environment of franka-sim (franka_robot.py says which). The setpoint loop
commands the shipped FR3 through the model of joint_trajectory_controller, which updates at 1 kHz;
each update is commanded to franka-sim's arm as joint positions, and what that arm measures is what
the loop is told. A reflex ends a storm. FOLDER keeps the commands, for `franka_robot.py play`.

    --limits 20     the loop and its senders believe in limits that are so many times as high: to
                    see that franka-sim says no
    --version NAME  of joint_trajectory_controller: its rules of taking over a trajectory
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

TEST = Path(__file__).parents[1]
ROBOT = Path(__file__).with_name('franka_robot.py')
STORMS, EVENTS = 10, 30
# How far the fastest joint has to have come for a storm to be one [rad].
FAR = 0.2


class ReflexError(Exception):
    """The robot refuses a command."""


class FrankaJoints:
    """The joints of an FR3 in another process, in place of the fake arm's; its fingers obey."""

    def __init__(self, robot: subprocess.Popen[str], start: np.ndarray) -> None:
        self._robot = robot
        self.positions, self.velocities = start.copy(), np.zeros(len(start))
        self.commands = [start[:7]]
        self._ask('begin', start[:7])

    def step(self, wanted, speeds, seconds, blocked) -> None:
        """Be commanded for a millisecond."""
        answer = self._ask('command', wanted[:7])
        self.commands.append(wanted[:7].copy())
        self.positions = np.array([*answer['q'], *wanted[7:]])
        self.velocities = np.array([*answer['dq'], *np.zeros(len(wanted) - 7)])
        if answer['reflex']:
            raise ReflexError(answer['reflex'])

    def put(self, positions, seconds) -> None:
        raise NotImplementedError('nobody moves this arm by hand')

    def shares(self) -> dict[str, float]:
        """Return the largest share of each of libfranka's limits that was commanded."""
        return self._ask('shares', None)

    def _ask(self, what: str, q: np.ndarray | None) -> dict:
        self._robot.stdin.write(json.dumps([what, None if q is None else q.tolist()]) + '\n')
        self._robot.stdin.flush()
        return json.loads(self._robot.stdout.readline())


def blow(robot: subprocess.Popen[str], seed: int, version: str, limits: float):
    """Let a storm happen; return the reason of a reflex, the joints and the bench."""
    from support.bench import Bench, with_limits
    from support.storms import storm

    from robomamba_ros.robots.arm import load_arm
    from robomamba_ros.simulation.disagreement import Disagreement

    arm = load_arm('franka_fr3')
    options = Disagreement(controller_rate_hz=1000.0, controller_version=version)
    believed = with_limits(arm, limits)
    bench = Bench(arm, options, seed=seed, believed=believed, blended=believed, enabled=False)
    joints = FrankaJoints(robot, np.array(list(bench.fake.positions.values())))
    bench.fake._joints = joints
    try:
        storm(bench, EVENTS)
        bench.loop.enable(False)
        bench.run(2.0)
    except ReflexError as error:
        return str(error), joints, bench
    return '', joints, bench


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('python')
    parser.add_argument('folder', type=Path, nargs='?')
    parser.add_argument('--version', default='ideal')
    parser.add_argument('--limits', type=float, default=1.0)
    arguments = parser.parse_args()
    sys.path.insert(0, str(TEST))
    command = [arguments.python, str(ROBOT), 'serve']
    robot = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    reflexes, worst, still = 0, dict[str, float](), 0
    for seed in range(STORMS):
        reflex, joints, bench = blow(robot, seed, arguments.version, arguments.limits)
        rows, shares = np.array(joints.commands), joints.shares()
        way = float(np.ptp(rows, axis=0).max())
        reflexes, still = reflexes + bool(reflex), still + (way < FAR and not reflex)
        worst = {name: max(share, worst.get(name, 0.0)) for name, share in shares.items()}
        print(
            f'storm {seed}: {len(rows) / 1000:.1f} s, {way:.2f} rad, '
            f'{bench.sent["arm"]} trajectories, {reflex or "no reflex"}',
            flush=True,
        )
        if arguments.folder is not None:
            arguments.folder.mkdir(parents=True, exist_ok=True)
            np.save(arguments.folder / f'storm_{seed}.npy', rows)
    robot.stdin.close()
    robot.wait()
    of_limits = ', '.join(f'{name} {share:.4f}' for name, share in worst.items())
    print(
        f"{STORMS} storms, {reflexes} reflexes, {still} at rest; of libfranka's limits: {of_limits}"
    )
    return 1 if reflexes or still else 0


if __name__ == '__main__':
    sys.exit(main())
