"""A robot that a test plays, and its controller, in a time of their own on /clock."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from support.made_arms import MADE, MadeArm, write_arm
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.chunk_messages import chunk_to_messages
from robomamba_ros.nodes.common.conversions import pose_to_stamped, time_message
from robomamba_ros.nodes.controller.controller_node import ControllerNode
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, Pose

JOINTS = np.array([0.2, -1.2, 1.4, -0.5, -1.3, 0.3])
LEAD_S = 0.05
STEP_NS = 50_000_000
PERIOD_NS = 10_000_000
BEGIN_NS = 1_000 * NANOSECONDS
# Wall time between two looks whether time may go on; not faster, or a service call takes seconds.
LOOK_S = 0.004
HEAD = {'name': 'pan', 'part': 'head', 'position': [-1.0, 1.0], 'velocity': 1.0}
TRAJECTORY = {'part': 'arm', 'kind': 'joint_trajectory', 'topic': 'arm', 'lead_s': LEAD_S}
GRIPPER = {'part': 'gripper', 'kind': 'joint_state', 'topic': 'gripper'}


def contract(
    folder: Path, outputs: list[dict[str, Any]], made: MadeArm = MADE['six'], **changes: Any
) -> ArmContract:
    """Write the contract of a made arm with these outputs, on a machine that may be slow."""
    # The controllers that tests play have no parameters to be asked for.
    outputs = [
        {'controller_settings': 'assume', **output}
        if output['kind'] == 'joint_trajectory' and output['part'] != 'gripper'
        else output
        for output in outputs
    ]
    document = {**made.document(), **changes, 'outputs': outputs}
    inputs = {name: {**stream, 'budget_s': 1.0} for name, stream in document['inputs'].items()}
    document['inputs'] = inputs
    for joint in document['joints']:
        joint.setdefault('jerk', 50.0)
        # This robot stays where the test puts it, whatever it is told.
        joint.setdefault('following', 100.0)
    document.setdefault('following', {'position': 100.0, 'rotation': 10.0})
    head = (
        '<joint name="pan" type="revolute"><parent link="root"/><child link="pan_link"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" velocity="1" effort="1"/></joint>'
        '<link name="pan_link"/></robot>'
    )
    return write_arm(folder, document, made.urdf().replace('</robot>', head))


class Pace:
    """Lets time go on once the controller has done all that was due: no busy machine is late."""

    def __init__(self) -> None:
        self.now_ns = BEGIN_NS
        self.ticks_ns: int | None = None
        # How far /clock is ahead, and whether time goes on without a tick until one has seen that:
        # timers begin anew where a clock goes back, a period after they have heard of it.
        self.ahead_ns, self.free = 0, False

    def next_ns(self) -> int | None:
        """Return the next time, None while the controller owes a tick for this one."""
        if self.ticks_ns is not None and self.ticks_ns < self.now_ns and not self.free:
            return None
        self.now_ns += PERIOD_NS
        return self.now_ns


class PacedController(ControllerNode):
    """A controller whose ticks are waited for, and that says more often how it is."""

    def __init__(self, pace: Pace, **options: Any) -> None:
        self._pace, self._untold = pace, 0
        super().__init__(**options)

    def configure(self, parameters: Any) -> None:
        super().configure(parameters)
        self._pace.ticks_ns = self._pace.now_ns

    def teardown(self) -> None:
        self._pace.ticks_ns = None
        super().teardown()

    def _tick(self) -> None:
        now_ns = self._pace.now_ns
        super()._tick()
        self._pace.ticks_ns = now_ns
        if abs(self._now_ns() - now_ns - self._pace.ahead_ns) < NANOSECONDS:
            self._pace.free = False
        self._untold += 1
        if self._untold == 10:
            self._untold = 0
            self._diagnostics.publish()


class Robot:
    """What an arm tells, a hundred times a second of its time; and what it is told."""

    def __init__(
        self, peer: Any, arm: ArmContract, joints: dict[str, float], *, sends_chunks: bool = True
    ) -> None:
        self.peer, self.arm = peer, arm
        self.pace, self._paused = Pace(), False
        self.joints = dict(joints)
        self.again: list[str] = []
        # Says nothing but the time on /clock, which is this far ahead of its stamps.
        self.silent = False
        self.yaw: float | None = 0.0
        self.place = (0.0, 0.0)
        self.pose: Pose | None = None
        node = peer.node
        self._publishers = {
            'joint_states': node.create_publisher(JointState, 'joint_states', qos.STATE_LOCKSTEP),
            'odometry': node.create_publisher(Odometry, 'odometry', qos.STATE_LOCKSTEP),
            'ee_pose': node.create_publisher(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP),
        }
        chunks = ((MultiDOFJointTrajectory, 'action_chunk'), (JointTrajectory, 'joint_chunk'))
        self._chunks = [
            node.create_publisher(kind, topic, qos.COMMAND)
            for kind, topic in chunks
            if sends_chunks
        ]
        self._clock = node.create_publisher(Clock, '/clock', qos.CLOCK)
        self.diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        node.create_timer(LOOK_S, self._look)

    def _look(self) -> None:
        if not self._paused and self.pace.next_ns() is not None:
            self._tell()
        # Best effort, as /clock is: it is said again while it is waited for.
        self._clock.publish(Clock(clock=time_message(self.now_ns() + self.pace.ahead_ns)))

    def _tell(self) -> None:
        now = time_message(self.now_ns())
        if self.silent:
            return
        names = [*self.joints, *self.again]
        message = JointState(name=names, position=[self.joints[name] for name in names])
        message.header.stamp = now
        self._publishers['joint_states'].publish(message)
        if self.yaw is not None:
            turn = np.array([0.0, 0.0, math.sin(self.yaw / 2), math.cos(self.yaw / 2)])
            stamped = pose_to_stamped(Pose(np.array([*self.place, 0.0]), turn), 0, 'odom')
            odometry = Odometry(header=stamped.header)
            odometry.header.stamp, odometry.pose.pose = now, stamped.pose
            self._publishers['odometry'].publish(odometry)
        if self.pose is not None:
            stamped = pose_to_stamped(self.pose, 0, self.arm.base_frame)
            stamped.header.stamp = now
            self._publishers['ee_pose'].publish(stamped)

    def now_ns(self) -> int:
        return self.pace.now_ns

    def set_clock_ahead(self, seconds: float) -> None:
        """Let /clock jump, so that it is this far ahead of the robot's stamps."""
        self.pace.ahead_ns = round(seconds * NANOSECONDS)
        self.pace.free = True

    def send(self, actions: Any, names: tuple[str, ...], space: ActionSpace) -> ActionChunk:
        chunk = ActionChunk(self.now_ns(), STEP_NS, np.asarray(actions), space, names)
        for publisher, message in zip(
            self._chunks, chunk_to_messages(chunk, self.arm.base_frame), strict=True
        ):
            publisher.publish(message)
        return chunk

    def enable(self, enabled: bool = True) -> None:
        request = SetBool.Request(data=enabled)

        def done() -> bool:
            # Between two tries time goes on: without states there is nothing to start from.
            self._paused = True
            response = self.peer.call(SetBool, 'controller_node/enable', request)
            self._paused = False
            tried_ns = self.now_ns()
            if not response.success:
                self.peer.wait_for(lambda: self.now_ns() > tried_ns, 'time to go on')
            return bool(response.success)

        self.peer.wait_for(done, 'the controller to be active')

    def values(self) -> dict[str, str]:
        """Return the controller's newest diagnostics."""
        found = [s for m in self.diagnostics for s in m.status if s.name == 'controller_node']
        return {value.key: value.value for value in found[-1].values} if found else {}

    def wait_for(self, key: str, value: str) -> dict[str, str]:
        try:
            self.peer.wait_for(lambda: value in self.values().get(key, ''), f'{key} {value}')
        except AssertionError as error:
            raise AssertionError(f'{error}; it is {self.values()}') from None
        return self.values()

    def is_refused(self, reason: str) -> None:
        """Configure a controller that was not started by itself: it must say `reason`."""
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
        assert not self.peer.call(ChangeState, 'controller_node/change_state', request).success
        self.peer.wait_for(
            lambda: any(reason in s.message for m in self.diagnostics for s in m.status), reason
        )

    def ready(self) -> None:
        """Enable, and wait until the arm holds; whoever sends chunks is connected by then."""
        self.enable()
        self.peer.wait_for(
            lambda: float(self.values().get('setpoint_rate_hz', 0.0)) > 0.0, 'the hold'
        )
        for publisher in self._chunks:
            self.peer.wait_for(lambda p=publisher: p.get_subscription_count(), 'the chunk input')
