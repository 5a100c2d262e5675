"""An FR3 that was not made here: the arm, the limits and the protocol of the package franka-sim.

    python franka_robot.py serve
        is the robot of franka_reflexes.py: a millisecond for each line that it reads
    python franka_robot.py play FOLDER
        sends the commands that franka_reflexes.py kept in FOLDER to a server of franka-sim by
        libfranka's protocol, in real time, and says which a reflex aborted

Needs an environment of franka-sim, pylibfranka, "numpy<2" and "mujoco<3.3", and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HOST = '127.0.0.1'
STILL = [0.0] * 7
# How long a robot may take to come to where a storm begins, and to be ready [s].
APPROACH_S, READY_S = 4.0, 60.0
# A command of a millisecond that came late is one that the robot made up. How often a storm in
# which that happened is played again.
TRIES = 5


class LockstepRobot:
    """franka-sim's arm in MuJoCo, its limits and its safety controller, without its threads."""

    def __init__(self) -> None:
        from franka_sim.mujoco_franka_sim import MujocoFrankaSim

        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / 'fr3.xml'
            model.write_text(mjcf())
            self._sim = MujocoFrankaSim(model_path=str(model))
            self._sim.initialize_simulation()
        self._rows: list[list[float]] = []

    def begin(self, q: list[float]) -> dict[str, object]:
        """Stand at q (7,) [rad], and begin a motion of joint positions there."""
        import mujoco
        from franka_sim.control_modes import ControlMode
        from franka_sim.motion_limits import MotionLimitChecker

        sim = self._sim
        sim.data.qpos[sim.arm_qpos_adr] = q
        sim.data.qvel[:] = 0.0
        mujoco.mj_forward(sim.model, sim.data)
        sim.update_joint_positions(q)
        sim.set_control_mode(ControlMode.POSITION)
        self._checker = MotionLimitChecker(enforce=True)
        state = {'q': q, 'q_d': q, 'dq_d': STILL, 'ddq_d': STILL, 'tau_J_d': STILL}
        self._checker.start_motion(ControlMode.POSITION, state, 1)
        self._rows = [q]
        return self._answer('')

    def command(self, q: list[float]) -> dict[str, object]:
        """Be commanded to q (7,) [rad] for a millisecond; judge it as the server does."""
        checker, sim, number = self._checker, self._sim, len(self._rows)
        self._rows.append(q)
        checker.note_published(number)
        command = {
            **{'message_id': number, 'q_c': q, 'dq_c': STILL, 'tau_J_d': STILL},
            **{'O_T_EE_c': np.eye(4).ravel().tolist(), 'O_dP_EE_c': [0.0] * 6},
            **{'elbow_c': [0.0] * 2, 'valid_elbow': False},
        }
        measured = sim.get_robot_state()['q']
        violation = checker.absorb_command(command, measured, fresh=True, enforce=True).violation
        if violation is None:
            sim.update_joint_positions(q)
            sim.step()
            state = sim.get_robot_state()
            of_hand = checker.check_measured_cartesian_velocity(state['O_dP_EE'])
            violation = of_hand or checker.check_measured_velocity(state['q'], state['dq'])
        return self._answer('' if violation is None else violation.describe())

    def shares(self) -> dict[str, float]:
        """Return the largest share of each of libfranka's limits that was commanded."""
        from franka_sim.limits import tables

        rows = np.array(self._rows)
        if len(rows) < 4:
            return {}
        ways = [np.diff(rows, n, axis=0) * 1e3**n for n in (1, 2, 3)]
        upper = np.array([tables.upper_joint_velocity_limits(row) for row in rows[1:]])
        lower = np.array([tables.lower_joint_velocity_limits(row) for row in rows[1:]])
        middle, half = _ranges(tables.JOINT_POSITION_LIMITS)
        return {
            'position': float((np.abs(rows - middle) / half).max()),
            'velocity': float(np.maximum(ways[0] / upper, ways[0] / lower).max()),
            'acceleration': float(np.abs(ways[1] / tables.MAX_JOINT_ACCELERATION).max()),
            'jerk': float(np.abs(ways[2] / tables.MAX_JOINT_JERK).max()),
        }

    def _answer(self, reflex: str) -> dict[str, object]:
        state = self._sim.get_robot_state() if len(self._rows) > 1 else {}
        q, dq = state.get('q', np.array(self._rows[0])), state.get('dq', np.zeros(7))
        return {'q': q.tolist(), 'dq': dq.tolist(), 'reflex': reflex}


def _ranges(limits: tuple[tuple[float, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.array(limits).T
    return (lower + upper) / 2.0, (upper - lower) / 2.0


def serve() -> None:
    """Answer each line of stdin: [what, joint positions or null]."""
    answers, sys.stdout = sys.stdout, sys.stderr
    robot = LockstepRobot()
    for line in sys.stdin:
        what, q = json.loads(line)
        found = robot.shares() if what == 'shares' else getattr(robot, what)(q)
        print(json.dumps(found), file=answers, flush=True)


def play(folder: Path) -> int:
    """Send each kept storm to a server of franka-sim; return how many a reflex aborted."""
    import pylibfranka

    model = folder / 'fr3.xml'
    model.write_text(mjcf())
    environment = {**os.environ, 'FR3_MJCF': str(model)}
    command = [sys.executable, '-m', 'franka_sim.run_server', '--no-gripper']
    # Else packets that are late abort a motion by themselves, which is not what is tried here.
    command += ['--enforce-motion-limits', '--no-enforce-comm-constraints']
    log = (folder / 'server.log').open('w')
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        robot = connected(pylibfranka, server)
        found = [judged(pylibfranka, robot, path) for path in sorted(folder.glob('storm_*.npy'))]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
    played, reflexes = found.count(''), sum(map(bool, found))
    late = found.count(None)
    print(f'{len(found)} storms: {played} without a reflex, {reflexes} with one', end='')
    print(f', {late} not judged, as packets were late each time' if late else '')
    return reflexes + late


def connected(pylibfranka, server):
    """Return the robot once the server is there."""
    until_s = time.monotonic() + READY_S
    while True:
        try:
            return pylibfranka.Robot(HOST, pylibfranka.RealtimeConfig.kIgnore)
        except (pylibfranka.FrankaException, pylibfranka.NetworkException):
            if server.poll() is not None or time.monotonic() > until_s:
                raise
            time.sleep(0.2)


def judged(pylibfranka, robot, path: Path) -> str | None:
    """Return the reason of a reflex in a storm, '' for none; None where packets are always late."""
    rows = np.load(path)
    for attempt in range(1, TRIES + 1):
        begin = np.array(robot.read_once().q)
        shares = np.arange(1, round(1000 * APPROACH_S) + 1) / (1000 * APPROACH_S)
        smooth = 10 * shares**3 - 15 * shares**4 + 6 * shares**5
        approach = begin + smooth[:, None] * (rows[0] - begin)
        reason, late = moved(pylibfranka, robot, approach)
        if not reason:
            reason, late = moved(pylibfranka, robot, rows)
            if not late:
                print(f'{path.name}: {len(rows)} commands, {reason or "no reflex"}', flush=True)
                return reason
        print(
            f'{path.name}, try {attempt}: {late} packets late, {reason or "no reflex"}', flush=True
        )
    return None


def moved(pylibfranka, robot, way: np.ndarray) -> tuple[str, int]:
    """Command a way, row by row; return the reason of a reflex, and how many packets were late."""
    control = robot.start_joint_position_control(pylibfranka.ControllerMode.JointImpedance)
    late, reason, before_s = 0, '', None
    try:
        for index, row in enumerate(way):
            state, _ = control.readOnce()
            now_s = state.time.to_sec()
            if before_s is not None:
                # The rate is of the robot's last 100 packets: it says that some were late.
                skipped = round((now_s - before_s) * 1e3) - 1
                late += max(skipped, 0) + (index > 100 and state.control_command_success_rate < 1.0)
            before_s = now_s
            command = pylibfranka.JointPositions(row.tolist())
            command.motion_finished = index == len(way) - 1
            control.writeOnce(command)
    except pylibfranka.ControlException as error:
        reason = f'after {index / 1000:.3f} s: {error}'
        del control
        robot.automatic_error_recovery()
    return reason, late


def mjcf() -> str:
    """Return MJCF of the URDF that franka-sim comes with, without meshes, by its own MuJoCo.

    Without meshes there is no reflex of self-collision: what the arm touches is not judged.
    """
    import franka_sim
    import mujoco

    text = (Path(franka_sim.__file__).parent / 'models' / 'fr3.urdf').read_text()
    text = re.sub(r'<(visual|collision)[ >].*?</\1>', '', text, flags=re.S)
    text = re.sub(r'(<robot [^>]*>)', r'\1<mujoco><compiler fusestatic="false"/></mujoco>', text)
    model = mujoco.MjModel.from_xml_string(text)
    with tempfile.NamedTemporaryFile(suffix='.xml') as file:
        mujoco.mj_saveLastXML(file.name, model)
        text = Path(file.name).read_text()
    # Rotors as in MuJoCo Menagerie, or light links swing.
    text = re.sub(r'(<joint )', r'\1armature="0.1" ', text)
    return re.sub(r'"(joint|link)(\d)', r'"fr3_\1\2', text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=('serve', 'play'))
    parser.add_argument('folder', type=Path, nargs='?')
    arguments = parser.parse_args()
    if arguments.what == 'serve':
        serve()
        return 0
    return 1 if play(arguments.folder) else 0


if __name__ == '__main__':
    sys.exit(main())
