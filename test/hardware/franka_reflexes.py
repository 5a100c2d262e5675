"""Our FR3 commands against an FR3 that has limits of its own: franka-sim, by libfranka's protocol.

In steps, as franka-sim needs an environment of its own:

    python test/hardware/franka_reflexes.py record FOLDER
        lets ten storms of chunks move an FR3 through the model of joint_trajectory_controller at
        1 kHz, and writes what it is commanded; with this repository's environment
    python franka_reflexes.py check FOLDER
        judges each command by franka-sim's limits, without time that passes
    python franka_reflexes.py play FOLDER
        sends them to franka-sim with pylibfranka, and says which are aborted by a reflex; on a
        machine that is busy, packets that come late abort motions too

The last two need an environment of franka-sim, pylibfranka, "numpy<2" and "mujoco<3.3".
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

STORMS = 10
HOST = '127.0.0.1'
# How long a robot may take to come to where a storm begins, and to be ready [s].
APPROACH_S, READY_S = 4.0, 60.0


def record(folder: Path, version: str) -> None:
    """Write the commands of every millisecond of each storm as storm_<n>.npy (k, 7) [rad]."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.bench import Bench
    from support.storms import storm

    from robomamba_ros.robots.arm import load_arm
    from robomamba_ros.simulation.disagreement import Disagreement

    folder.mkdir(parents=True, exist_ok=True)
    options = Disagreement(controller_rate_hz=1000.0, controller_version=version)
    for seed in range(STORMS):
        bench = Bench(load_arm('franka_fr3'), options, seed=seed)
        controller, rows = bench.fake.trajectories['arm'], []
        step = controller.step

        def kept(now_ns, here, step=step, rows=rows):
            rows.append(step(now_ns, here))
            return rows[-1]

        controller.step = kept  # type: ignore[method-assign]
        storm(bench)
        bench.loop.enable(False)
        bench.run(2.0)
        path = np.array(rows)
        np.save(folder / f'storm_{seed}.npy', path)
        speeds = np.abs(np.diff(path, axis=0)).max(axis=0) * 1000.0
        print(f'storm {seed}: {len(path) / 1000:.1f} s, peak speeds {speeds.round(2)} rad/s')


def check(folder: Path) -> int:
    """Judge each recorded command by the limits of franka-sim; return how many storms break one."""
    from franka_sim.control_modes import ControlMode
    from franka_sim.motion_limits import MotionLimitChecker

    broken = 0
    for path in sorted(folder.glob('storm_*.npy')):
        rows = np.load(path).tolist()
        checker = MotionLimitChecker(enforce=True)
        still = [0.0] * 7
        begin = {'q': rows[0], 'q_d': rows[0], 'dq_d': still, 'ddq_d': still, 'tau_J_d': still}
        checker.start_motion(ControlMode.POSITION, begin, 1)
        others = {'dq_c': still, 'tau_J_d': still, 'valid_elbow': False}
        pose = {
            'O_T_EE_c': np.eye(4).ravel().tolist(),
            'O_dP_EE_c': [0.0] * 6,
            'elbow_c': [0.0] * 2,
        }
        reason = ''
        for index, row in enumerate(rows, 1):
            checker.note_published(index)
            command = {**others, **pose, 'q_c': row, 'message_id': index}
            violation = checker.check(command, row)
            if violation is not None:
                reason = f'at {index / 1000:.3f} s: {violation.describe()}'
                break
            checker.record(command)
        broken += bool(reason)
        print(f'{path.name}: {len(rows)} commands, {reason or "no reflex"}')
    return broken


def play(folder: Path) -> int:
    """Send each recorded storm to a server of franka-sim; return how many a reflex aborted."""
    import franka_sim
    import pylibfranka

    urdf = Path(franka_sim.__file__).parent / 'models' / 'fr3.urdf'
    model = folder / 'fr3.xml'
    model.write_text(mjcf_of(urdf))
    environment = {**os.environ, 'FR3_MJCF': str(model)}
    # Packets are late on a machine that is busy, which is not what is tried here.
    command = [sys.executable, '-m', 'franka_sim.run_server', '--no-gripper']
    command += ['--enforce-motion-limits', '--no-enforce-comm-constraints']
    log = (folder / 'server.log').open('w')
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        robot = connected(pylibfranka, server)
        found = [played(pylibfranka, robot, path) for path in sorted(folder.glob('storm_*.npy'))]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
    print(json.dumps({'storms': len(found), 'reflexes': sum(map(bool, found)), 'reasons': found}))
    return sum(map(bool, found))


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


def played(pylibfranka, robot, path: Path) -> str:
    """Move the robot to where a storm begins and through it; return the reason of a reflex."""
    rows = np.load(path)
    begin = np.array(robot.read_once().q)
    shares = np.arange(1, round(1000 * APPROACH_S) + 1) / (1000 * APPROACH_S)
    smooth = 10 * shares**3 - 15 * shares**4 + 6 * shares**5
    approach = begin + smooth[:, None] * (rows[0] - begin)
    reason = ''
    for part, way in (('approach', approach), ('storm', rows)):
        control = robot.start_joint_position_control(pylibfranka.ControllerMode.JointImpedance)
        try:
            for index, row in enumerate(way):
                control.readOnce()
                command = pylibfranka.JointPositions(row.tolist())
                command.motion_finished = index == len(way) - 1
                control.writeOnce(command)
        except pylibfranka.ControlException as error:
            reason = f'{part} at {index / 1000:.3f} s: {error}'
            del control
            robot.automatic_error_recovery()
            break
        del control
    print(f'{path.name}: {reason or "no reflex"}', flush=True)
    return reason


def mjcf_of(urdf: Path) -> str:
    """Return MJCF of the URDF that franka-sim comes with, without meshes, by its own MuJoCo."""
    import re
    import tempfile

    import mujoco

    text = urdf.read_text()
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
    parser.add_argument('what', choices=('record', 'check', 'play'))
    parser.add_argument('folder', type=Path)
    parser.add_argument('--version', default='ideal', help='of joint_trajectory_controller')
    arguments = parser.parse_args()
    if arguments.what == 'record':
        record(arguments.folder, arguments.version)
        return 0
    tried = check if arguments.what == 'check' else play
    return 1 if tried(arguments.folder) else 0


if __name__ == '__main__':
    sys.exit(main())
