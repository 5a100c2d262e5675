"""Chunks that ask for what no arm can do, and an arm that measures what becomes of them.

A setpoint loop drives a fake arm with the controllers of its contract, without ROS; trajectory
controllers are also looked at every millisecond, between their points.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from robomamba_ros.control.senders import PositionSender, TrajectorySender, TwistSender
from robomamba_ros.control.setpoint_loop import SetpointLoop
from robomamba_ros.errors import ActionError, ObservationError
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.limit_record import JointRecord, Peak
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.simulation.trajectory_controller import (
    JointTrajectory,
    TrajectoryController,
    TrajectoryPoint,
)
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Pose,
    RobotState,
)

START_NS = 7 * NANOSECONDS
FINE_NS = 1_000_000
STEP_NS = 20_000_000
EVENTS = (
    *('steps', 'flips', 'spikes', 'huge', 'nan', 'empty', 'late', 'early', 'overlap', 'short'),
    *('poses', 'wild poses', 'disable', 'reset', 'blackout', 'stall', 'nothing'),
)


SENDERS = {
    'joint_trajectory': TrajectorySender,
    'forward_position': PositionSender,
    'twist': TwistSender,
}


class Rig:
    """A loop and the fake arm that it drives, on a virtual clock.

    believed: the contract that the loop has, and blended: the one by which trajectories take over
    from one another, where they are not the one that motion is held against.
    """

    def __init__(
        self,
        arm: ArmContract,
        seed: int = 0,
        *,
        believed: ArmContract | None = None,
        blended: ArmContract | None = None,
    ) -> None:
        self.arm, self.random = arm, np.random.default_rng(seed)
        self.kinematics = Kinematics(arm, made_up_urdf(arm)) if arm.has_kinematics else None
        self.now_ns = self.tick_ns = START_NS
        self.measured = None
        self.fake = FakeArm(arm, self.kinematics, self.now_ns)
        kinds = {o.part: o.kind for o in arm.outputs if o.part != 'gripper'}
        self.kinds = kinds
        self.loop = SetpointLoop(
            believed or arm,
            kinematics=self.kinematics,
            foresight='joint_trajectory' in kinds.values(),
        )
        self.senders = {}
        self.fine: dict[str, TrajectoryController] = {}
        self.sent: dict[str, int] = dict.fromkeys(kinds, 0)
        for output in arm.outputs:
            joints = arm.joints_of(output.part)
            names = [joint.name for joint in joints]
            if output.part != 'gripper' and output.kind in SENDERS:
                self.senders[output.part] = SENDERS[output.kind](blended or arm, output)
            if output.kind == 'joint_trajectory' and joints:
                start = np.array([self.fake.positions[name] for name in names])
                record = JointRecord(joints, FINE_NS / NANOSECONDS, start)
                self.fine[output.part] = TrajectoryController(
                    names, start, self.now_ns, record=record
                )
        self.loop.enable(True)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.arm.joints)

    @property
    def peaks(self) -> dict[str, dict[str, Peak]]:
        """What was commanded, by part; of trajectories what is there at any millisecond."""
        fine = {f'{part} fine': dict(c.record.peaks) for part, c in self.fine.items()}
        return {**self.fake.peaks, **fine}

    @property
    def worst(self) -> dict[str, float]:
        """The largest share of any limit, by quantity."""
        found: dict[str, float] = {}
        for peaks in self.peaks.values():
            for quantity, peak in peaks.items():
                found[quantity] = max(found.get(quantity, 0.0), peak.share)
        return found

    def tick(self, count: int = 1, *, fresh: bool = True) -> None:
        """Go on by control periods."""
        for _ in range(count):
            self.pass_time()
            if fresh:
                self.measure()
            self.command()

    def pass_time(self) -> None:
        """Let the arm go on to the end of the control period by itself."""
        self.tick_ns += self.arm.period_ns
        self._go_on(self.tick_ns)
        self.fake.advance(self.now_ns)

    def _go_on(self, until_ns: int) -> None:
        for now_ns in range(self.now_ns + FINE_NS, until_ns + 1, FINE_NS):
            for controller in self.fine.values():
                controller.step(now_ns, np.zeros(0))
        self.now_ns = until_ns

    def measure(self) -> None:
        joints = {name: self.fake.positions[name] for name in self.names}
        pose = self.fake.pose or Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
        self.measured = RobotState(self.now_ns, pose, 1.0, joints)
        with suppress(ObservationError):
            self.loop.update_state(self.measured)

    def command(self) -> None:
        self.loop.tick(self.now_ns)
        command = self.loop.command()
        if command is not None and command.trajectory is not None:
            # Computing it takes time, in which the controllers go on.
            most = self.arm.period_ns // (2 * FINE_NS)
            self._go_on(self.tick_ns + FINE_NS * int(self.random.integers(most + 1)))
        for part, kind in self.kinds.items():
            if kind == 'target_pose' and command is not None:
                self.fake.poses[part].command(command.setpoint.pose)
            elif kind == 'joint_trajectory' and command is not None:
                sent = self.senders[part].send(command, self.now_ns)
                if sent is not None:
                    self._send(part, *sent)
            elif kind in ('forward_position', 'twist'):
                sender = self.senders[part]
                sent = sender.stop() if command is None else sender.send(command)
                if sent is not None and kind == 'twist':
                    self._drive(part, sent)
                elif sent is not None:
                    self.fake.streams[part].command(sent)

    def _drive(self, part: str, twist: np.ndarray) -> None:
        if part == 'base':
            twist = np.array([*twist[:2], 0.0, 0.0, 0.0, twist[2]])
        self.fake.twists[part].drive(twist[:3], twist[3:], self.now_ns)

    def _send(self, part: str, since_ns: list[int], points: np.ndarray) -> None:
        names = tuple(joint.name for joint in self.arm.joints_of(part))
        rows = zip(since_ns, points, strict=True)
        message = JointTrajectory(0, names, tuple(TrajectoryPoint(t, *row) for t, row in rows))
        self.sent[part] += 1
        self.fake.accept(part, message, self.now_ns)
        controller = self.fine[part]
        still = TrajectoryPoint(self.now_ns, np.zeros(len(names)), np.zeros(len(names)))
        controller.accept(message, self.now_ns, still)

    def add(self, actions, names=None, space=ActionSpace.JOINT_DELTA, ahead_ns=0) -> None:
        """Send a chunk, which may be refused."""
        names = self.names if names is None else names
        with suppress(ActionError):
            chunk = ActionChunk(self.now_ns + ahead_ns, STEP_NS, np.asarray(actions), space, names)
            self.loop.add_chunk(chunk, self.now_ns)

    def happen(self, event: str, ticks: int) -> None:
        """Let something happen and go on for `ticks` periods."""
        random, takes_poses = self.random, self.arm.takes_poses
        if event in ('disable', 'reset', 'blackout', 'stall'):
            self._interrupt(event, ticks)
        elif event.endswith('poses') or takes_poses:
            step = self.arm.cartesian.velocity * STEP_NS / NANOSECONDS
            turn = self.arm.cartesian.rotation_velocity * STEP_NS / NANOSECONDS
            scale = 10.0 ** random.uniform(0, 4) if event == 'wild poses' else 0.7
            way = self._shaped(event, np.array([step] * 3 + [turn] * 3))
            self.add(scale * way, EE_DELTA_NAMES, ActionSpace.EE_DELTA, self._ahead_ns(event))
        elif event != 'nothing':
            speeds = np.array([joint.velocity for joint in self.arm.joints])
            way = self._shaped(event, speeds * STEP_NS / NANOSECONDS)
            self.add(way, ahead_ns=self._ahead_ns(event))
        if event == 'overlap':
            for _ in range(3):
                self.tick(int(random.integers(1, 4)))
                self.happen('flips', 0)
        self.tick(ticks)

    def _interrupt(self, event: str, ticks: int) -> None:
        if event == 'disable':
            self.loop.enable(False)
            self.tick(int(self.random.integers(0, 30)))
            self.loop.enable(True)
        elif event == 'reset':
            self.loop.reset()
        elif event == 'blackout':
            self.tick(ticks + 20, fresh=False)
            self.loop.enable(True)
        else:
            for _ in range(int(self.random.integers(1, 12))):
                self.pass_time()

    def _ahead_ns(self, event: str) -> int:
        return {'late': -8 * STEP_NS, 'early': STEP_NS}.get(event, 0)

    def _shaped(self, event: str, full: np.ndarray) -> np.ndarray:
        """Return deltas (k, n) where `full` is what full speed makes in a step."""
        random, n = self.random, len(full)
        signs = random.choice([-1.0, 1.0], (20, n))
        if event == 'flips':
            return full * np.repeat(signs[:5], random.integers(1, 6), axis=0)
        if event == 'spikes':
            return full * signs * 10.0 * (random.random((20, n)) < 0.15)
        if event == 'huge':
            return full * signs * 10.0 ** random.uniform(1, 30)
        if event == 'nan':
            return np.where(random.random((20, n)) < 0.1, np.nan, full * signs)
        if event == 'empty':
            return np.zeros((0, n))
        if event == 'short':
            return full * signs[:1]
        # Steps: fast for a while, at rest for a while.
        return np.repeat(full * random.uniform(-1, 1, (5, n)) * (random.random((5, 1)) < 0.7), 4, 0)


def commanded_by(name: str, kinds: dict[str, str]) -> ArmContract:
    """Return a shipped arm whose parts have controllers of other kinds."""
    arm = load_arm(name)
    outputs = [replace(o, kind=kinds.get(o.part, o.kind), lead_s=None) for o in arm.outputs]
    return replace(arm, outputs=tuple(outputs))


def without_limits(arm: ArmContract) -> ArmContract:
    """Return the arm with a thousand times its velocities, accelerations and jerks."""
    joints = tuple(
        replace(
            joint,
            velocity=1e3 * joint.velocity,
            acceleration=1e3 * joint.acceleration,
            jerk=joint.jerk and 1e3 * joint.jerk,
        )
        for joint in arm.joints
    )
    limits = replace(arm.cartesian, velocity=1e3, acceleration=1e6, jerk=None)
    turning = {'rotation_velocity': 1e3, 'rotation_acceleration': 1e6, 'rotation_jerk': None}
    return replace(arm, joints=joints, cartesian=replace(limits, **turning))


def storm(rig: Rig, events: int = 12) -> Rig:
    """Let events happen that are drawn at random."""
    rig.tick(3)
    for _ in range(events):
        rig.happen(str(rig.random.choice(EVENTS)), int(rig.random.integers(1, 25)))
    return rig
