"""A setpoint loop that drives a fake arm on a virtual clock, without ROS.

The arm may disagree with what it is told (simulation/disagreement) and be stopped, moved and
switched while it moves. What it says goes through the code that reads a robot's messages.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from support.real_robots import real_urdf

from robomamba_ros.control.setpoints.senders import (
    Command,
    PositionSender,
    TrajectorySender,
    TwistSender,
)
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.control.setpoints.status import ChunkReceipt
from robomamba_ros.errors import ActionError, NotReadyError, ObservationError
from robomamba_ros.messages.state import StateJoiner
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.simulation.disagreement.reports import Sample, joint_messages
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.limit_record import Peak
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.simulation.trajectory_controller import JointTrajectory, TrajectoryPoint
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, RobotState

START_NS = 7 * NANOSECONDS
STEP_NS = 20_000_000
# Updates of controllers of trajectories per second: their ways are looked at every millisecond.
FINE_HZ = 1000.0
# Control periods before an arm is enabled.
SETTLING = 10
# Differences of a millisecond, of positions that are known to some 1e-15.
ROUNDING = 1e-4
SENDERS = {
    'joint_trajectory': TrajectorySender,
    'forward_position': PositionSender,
    'twist': TwistSender,
}
# The URDFs that makers publish, where example-robot-data has them.
PUBLISHED = {'ur5e': 'ur5_robot.urdf'}


class Bench:
    """A loop and the fake arm that it drives.

    believed: the contract that the loop has, and blended: the one by which trajectories take over
    from one another, where they are not the one that motion is held against. late: sending a
    trajectory takes a random part of a period, in which the controllers go on. tells: whether a
    robot that says its speed scaling and its stops is heard. published: whether the arm has its
    maker's URDF. states: whether controllers of trajectories say where they want the joints.
    """

    def __init__(
        self,
        arm: ArmContract,
        disagreement: Disagreement | None = None,
        *,
        seed: int = 0,
        believed: ArmContract | None = None,
        blended: ArmContract | None = None,
        late: bool = False,
        enabled: bool = True,
        tells: bool = True,
        published: bool = False,
        states: bool = False,
    ) -> None:
        self.arm, self.random = arm, np.random.default_rng(seed)
        self.kinematics = kinematics_of(arm, published)
        self.now_ns = self.tick_ns = START_NS
        self.measured: RobotState | None = None
        self.refused = ''
        self._late, self._tells, self._states = late, tells, states
        self.kinds = {o.part: o.kind for o in arm.outputs if o.part != 'gripper'}
        options = disagreement or Disagreement()
        if not options.controller_rate_hz and 'joint_trajectory' in self.kinds.values():
            options = replace(options, controller_rate_hz=FINE_HZ)
        self.fake = FakeArm(arm, self.kinematics, self.now_ns, disagreement=options)
        self._joiner = StateJoiner(arm, self.kinematics, same_stamp=False)
        self.loop = SetpointLoop(
            believed or arm,
            kinematics=self.kinematics,
            foresight='joint_trajectory' in self.kinds.values(),
        )
        self.senders: dict[str, Any] = {
            o.part: SENDERS[o.kind](blended or arm, o)
            for o in arm.outputs
            if o.part in self.kinds and o.kind in SENDERS
        }
        self.sent: dict[str, int] = dict.fromkeys(self.kinds, 0)
        if enabled:
            # Enabling needs to have seen the arm stand still.
            for _ in range(SETTLING):
                self.pass_time()
                self.measure()
            self.enable()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.arm.joints)

    @property
    def worst(self) -> dict[str, float]:
        """The largest share of any limit that was commanded, by quantity."""
        return _worst(self.fake.peaks)

    @property
    def moved(self) -> dict[str, float]:
        """The largest share of any joint's limit at the arm itself, by quantity."""
        return _worst({part: record.peaks for part, record in self.fake.moved.items()})

    @property
    def exceeded(self) -> dict[tuple[str, str], tuple[float, str]]:
        """What was commanded beyond its limit: the share and the joint, by part and quantity."""
        return {
            (part, quantity): (peak.share, peak.name)
            for part, peaks in self.fake.peaks.items()
            for quantity, peak in peaks.items()
            if peak.share > 1.0 + ROUNDING
        }

    @property
    def joints(self) -> np.ndarray:
        """Where the joints are, in the contract's order (n,)."""
        positions = self.fake.positions
        return np.array([positions[name] for name in self.names])

    @property
    def speed(self) -> float:
        """Of the joint that is fastest for its limit, as a share of that."""
        speeds = self.fake.velocities
        return max(abs(speeds[joint.name]) / joint.velocity for joint in self.arm.joints)

    @property
    def state(self) -> LoopState:
        return self.loop.status.state

    def enable(self) -> bool:
        """Enable the loop; False and `refused`, the reason, where it refuses."""
        self.refused = ''
        try:
            self.loop.enable(True)
        except NotReadyError as error:
            self.refused = str(error)
        return not self.refused

    def tick(self, count: int = 1, *, fresh: bool = True) -> None:
        """Go on by control periods. fresh: whether states reach the loop."""
        for _ in range(count):
            self.pass_time()
            self.measure(fresh=fresh)
            self.command()

    def run(self, seconds: float, **options: bool) -> None:
        """Go on for some seconds."""
        self.tick(round(seconds * self.arm.control_rate_hz), **options)

    def pass_time(self) -> None:
        """Let the arm go on to the end of the control period by itself."""
        self.tick_ns += self.arm.period_ns
        self.now_ns = self.tick_ns
        self.fake.advance(self.now_ns)

    def measure(self, *, fresh: bool = True) -> None:
        """Take in what the arm has said by now."""
        for sample in self.fake.reports.due(self.now_ns):
            for stream, message in messages(self.arm, self.fake, sample) if fresh else ():
                with suppress(ObservationError):
                    state = self._joiner.add(stream, message)
                    if state is not None:
                        self.measured = state
                        self.loop.update_state(state)
        for part, controller in self.fake.trajectories.items() if self._states else ():
            with suppress(ActionError):
                # One that is not active says nothing.
                self.fake.check_active(part)
                if part in self.kinds:
                    self.loop.references.take(part, controller.desired, self.now_ns)

    def command(self) -> None:
        """Command the period that begins now."""
        if self.arm.speed_scaling is not None and self._tells:
            # A robot that says so says its stops, too. It has been so since the last period.
            stopped = self.fake.stopped
            self.loop.set_interlock('safety', f'the robot says {stopped}' if stopped else '')
            self.loop.set_speed_scale(self.fake.scaling, self.tick_ns - self.arm.period_ns)
        self.loop.tick(self.now_ns)
        for sender in self.senders.values() if self.loop.clock.stood_still else ():
            sender.stand_still()
        command = self.loop.command()
        trajectories = [part for part, kind in self.kinds.items() if kind == 'joint_trajectory']
        for part in self.kinds:
            if part not in trajectories:
                self._send(part, command)
        if command is not None and command.trajectory is not None and self._late:
            self.now_ns += int(self.random.integers(self.arm.period_ns // 2))
            self.fake.advance(self.now_ns)
        for part in trajectories:
            self._send(part, command)

    def _send(self, part: str, command: Command | None) -> None:
        """Hand a part's controller what it is sent; what it refuses, nobody tells the loop."""
        kind, fake, sent = self.kinds[part], self.fake, None
        if kind == 'target_pose':
            sent = None if command is None else command.setpoint.pose
        elif kind == 'joint_trajectory':
            sent = None if command is None else self.senders[part].send(command, self.now_ns)
        else:
            sender = self.senders[part]
            sent = sender.stop() if command is None else sender.send(command)
        if sent is None:
            return
        self.sent[part] += 1
        with suppress(ActionError):
            fake.check_active(part)
            if kind == 'target_pose':
                fake.poses[part].command(sent)
            elif kind == 'joint_trajectory':
                rows = zip(*sent, strict=True)
                way = tuple(TrajectoryPoint(since_ns, *row) for since_ns, row in rows)
                trajectory = JointTrajectory(0, self.arm.names_of(part), way)
                fake.accept(part, trajectory, self.now_ns)
            elif kind == 'forward_position':
                fake.streams[part].command(sent)
            else:
                twist = [*sent[:2], 0.0, 0.0, 0.0, sent[2]] if part == 'base' else sent
                fake.twists[part].drive(np.array(twist[:3]), np.array(twist[3:]), self.now_ns)

    def add(
        self,
        actions: Any,
        names: tuple[str, ...] | None = None,
        space: ActionSpace = ActionSpace.JOINT_DELTA,
        *,
        ahead_ns: int = 0,
        dt_ns: int = STEP_NS,
        execute_steps: int | None = None,
    ) -> ChunkReceipt | None:
        """Send a chunk of now; None and `refused`, the reason, where the loop refuses it."""
        self.refused = ''
        try:
            chunk = ActionChunk(
                self.now_ns + ahead_ns,
                dt_ns,
                np.asarray(actions),
                space,
                names or self.names,
                execute_steps=execute_steps,
            )
            return self.loop.add_chunk(chunk, self.now_ns)
        except ActionError as error:
            self.refused = str(error)
            return None


def messages(arm: ArmContract, fake: FakeArm, sample: Sample) -> list[tuple[str, Any]]:
    """Return what an arm says as messages, by stream: fields like those of ROS."""
    seconds, rest_ns = divmod(sample.stamp_ns, NANOSECONDS)
    stamp = SimpleNamespace(sec=seconds, nanosec=rest_ns)
    found: list[tuple[str, Any]] = []
    base = [joint.name for joint in arm.joints_of('base')]
    if 'odometry' in arm.inputs:
        x, y, yaw = (sample.positions[name] for name in base)
        turn = SimpleNamespace(x=0.0, y=0.0, z=math.sin(yaw / 2.0), w=math.cos(yaw / 2.0))
        pose = SimpleNamespace(position=SimpleNamespace(x=x, y=y, z=0.0), orientation=turn)
        header = SimpleNamespace(stamp=stamp, frame_id=arm.base_frame)
        odometry = SimpleNamespace(header=header, pose=SimpleNamespace(pose=pose))
        found.append(('odometry', odometry))
    header = SimpleNamespace(stamp=stamp, frame_id='')
    for stream, names in joint_messages(arm, fake.disagreement):
        message = SimpleNamespace(
            header=header,
            name=names,
            position=[sample.positions[name] for name in names],
            velocity=[sample.velocities[name] for name in names],
        )
        found.append((stream, message))
    if 'ee_pose' in arm.inputs:
        here = fake.pose_at(sample.positions)
        p, q = here.position, here.quaternion
        pose = SimpleNamespace(
            position=SimpleNamespace(x=p[0], y=p[1], z=p[2]),
            orientation=SimpleNamespace(x=q[0], y=q[1], z=q[2], w=q[3]),
        )
        frame = SimpleNamespace(stamp=stamp, frame_id=arm.base_frame)
        found.append(('ee_pose', SimpleNamespace(header=frame, pose=pose)))
    return found


def kinematics_of(arm: ArmContract, published: bool = False) -> Kinematics | None:
    """Return the kinematics of an arm, by its maker's URDF or a made-up one."""
    if not arm.has_kinematics:
        return None
    return Kinematics(arm, _published(arm.name) if published else made_up_urdf(arm))


@cache
def _published(name: str) -> str:
    return real_urdf(PUBLISHED[name]).read_text()


def commanded_by(name: str, kinds: dict[str, str]) -> ArmContract:
    """Return a shipped arm whose parts have controllers of other kinds."""
    arm = load_arm(name)
    outputs = [
        replace(o, kind=kinds[o.part], lead_s=None) if o.part in kinds else o for o in arm.outputs
    ]
    return replace(arm, outputs=tuple(outputs))


def without_limits(arm: ArmContract) -> ArmContract:
    """Return the arm with a thousand times its velocities, accelerations and jerks."""
    return with_limits(arm, 1e3)


def with_limits(arm: ArmContract, times: float) -> ArmContract:
    """Return the arm with so many times its velocities, accelerations and jerks."""
    joints = tuple(
        replace(
            joint,
            velocity=times * joint.velocity,
            acceleration=times * joint.acceleration,
            jerk=joint.jerk and times * joint.jerk,
        )
        for joint in arm.joints
    )
    limits = arm.cartesian
    higher = {
        field.name: None if 'jerk' in field.name else times * getattr(limits, field.name)
        for field in fields(limits)
    }
    return replace(arm, joints=joints, cartesian=replace(limits, **higher))


def _worst(peaks: dict[str, dict[str, Peak]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in peaks.values():
        for quantity, peak in each.items():
            found[quantity] = max(found.get(quantity, 0.0), peak.share)
    return found
