"""Any arm of a contract as a ROS 2 robot, without hardware or simulator.

Parameters, topics and timers around FakeArm.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from std_msgs.msg import String
from std_srvs.srv import Trigger

from robomamba_ros.errors import BackendError, ConfigError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.diagnostics import OK, WARN, Diagnostics, Report
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.common.parameter_tables import FAKE_ARM
from robomamba_ros.nodes.common.self_starting import SelfStartingNode
from robomamba_ros.nodes.fake_arm.controller_states import ControllerStatePublishers
from robomamba_ros.nodes.fake_arm.events import FakeArmEvents
from robomamba_ros.nodes.fake_arm.inputs import FakeArmInputs
from robomamba_ros.nodes.fake_arm.publishers import CameraPublishers, StatePublishers
from robomamba_ros.nodes.fake_arm.safety import RATE_HZ, SafetyPublishers
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import POSE_KINDS
from robomamba_ros.robots.urdf import read_urdf
from robomamba_ros.robots.urdf_text import read_text
from robomamba_ros.simulation.disagreement import Disagreement, read_disagreement
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import NANOSECONDS

# A lateness that is worth a word [s]: what a late trajectory may be off is the controller's lead.
LATE_S = 0.01


class FakeArmNode(SelfStartingNode):
    """A robot that is where it was commanded to be, or not, and measures what it was commanded.

    `disagree` says how it is not where it was told to be, and services what happens to it (see
    FakeArmEvents). /diagnostics has, by part and quantity, the largest share of a limit that
    commands took since the start or ~/reset, and the joint whose it is; under `moved` what the
    joints took. fake, inputs: the robot and its commands, None until it is connected. late_s: by
    how much a period of its was late at most.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__('fake_arm_node', FAKE_ARM, **node_options)
        self.fake: FakeArm | None = None
        self.inputs: FakeArmInputs | None = None
        self._ticked_ns: int | None = None
        self.late_s = 0.0

    def connect(self, parameters: Mapping[str, Any]) -> None:
        """Make the robot of the arm contract, and every topic and service of it."""
        arm = load_arm(parameters['arm'])
        urdf = urdf_of(arm, parameters['urdf'])
        kinematics = self._kinematics(arm, urdf)
        disagreement = disagreement_of(parameters)
        fake = FakeArm(arm, kinematics, self._now_ns(), disagreement=disagreement, urdf=urdf)
        # Latched; kept by the node.
        self.create_publisher(String, 'robot_description', qos.LATCHED).publish(String(data=urdf))
        states, wanted = StatePublishers(self, arm), ControllerStatePublishers(self, arm)
        width, height = parameters['camera_width'], parameters['camera_height']
        cameras = [CameraPublishers(self, camera, width, height) for camera in arm.cameras]
        inputs = FakeArmInputs(self, arm, fake, self._now_ns, self._warn)

        def tick() -> None:
            # A command of this period may have moved the arm already.
            now_ns = self._now_ns()
            if self._ticked_ns is not None:
                behind_s = (now_ns - self._ticked_ns - arm.period_ns) / NANOSECONDS
                self.late_s = max(self.late_s, behind_s)
            self._ticked_ns = now_ns
            fake.advance(now_ns)
            fake.speed_scaling = self.get_parameter('speed_scaling').value
            states.publish(fake, now_ns)
            wanted.publish(fake)
            safety.publish_scaling(fake)

        def publish_images() -> None:
            now_ns = self._now_ns()
            for camera in cameras:
                camera.publish(now_ns)

        def on_reset(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            fake.reset(self._now_ns())
            inputs.reset()
            self._ticked_ns, self.late_s = None, 0.0
            response.success = True
            return response

        safety = SafetyPublishers(self, arm)
        self.create_timer(1.0 / arm.control_rate_hz, tick)
        self.create_timer(1.0 / parameters['camera_rate'], publish_images)
        self.create_service(Trigger, '~/reset', on_reset)
        FakeArmEvents(self, arm, fake, self._now_ns)
        self.create_timer(1.0 / RATE_HZ, lambda: safety.publish(fake))
        Diagnostics(self, lambda: report(fake, inputs, self.late_s))
        self.fake, self.inputs = fake, inputs

    def _kinematics(self, arm: ArmContract, urdf: str) -> Kinematics | None:
        """Return the kinematics where a pose is measured or commanded."""
        output = arm.output('arm')
        by_pose = output is not None and output.kind in POSE_KINDS
        if not by_pose and 'ee_pose' not in arm.inputs:
            return None
        try:
            return Kinematics(arm, urdf)
        except BackendError as error:
            if not by_pose:
                raise
            self._warn(f'the end effector moves and the joints stand still: {error}')
            return None

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _warn(self, reason: str) -> None:
        self.warnings.note(reason)


def disagreement_of(parameters: Mapping[str, Any]) -> Disagreement:
    """Return what the parameters of a node say; raises ConfigError."""
    own = {'interpolate_from_desired_state', 'speed_scaling'} & parameters.keys()
    found = read_disagreement(parameters['disagree'])
    for name in sorted(own):
        if getattr(found, name) != getattr(Disagreement(), name):
            raise ConfigError(
                f"the parameter 'disagree' sets {name}, which is a parameter of the node itself"
            )
    return replace(found, **{name: parameters[name] for name in own})


def urdf_of(arm: ArmContract, path: str) -> str:
    """Return the URDF at `path`, else that of the contract's file, else a made-up one.

    Raises ConfigError where a file cannot be read.
    """
    if path:
        try:
            return read_text(Path(path))
        except OSError as error:
            raise ConfigError(
                f"the parameter 'urdf' names a file that cannot be read: {error}"
            ) from error
    named = arm.urdf is not None and arm.urdf.file is not None
    return read_urdf(arm) if named else made_up_urdf(arm)


def report(fake: FakeArm, inputs: FakeArmInputs, late_s: float = 0.0) -> Report:
    """Return what each part was commanded, in shares of its limits, and what it refused.

    late_s: by how much this node was late at most. A trajectory that is read late begins from
    elsewhere than it was sent for, and what comes of it says nothing of an arm on a robot's PC.
    """
    values: dict[str, object] = {'late_s': late_s}
    exceeded = []
    for part, peaks in fake.peaks.items():
        for quantity, peak in peaks.items():
            values[f'{part}_{quantity}_share'] = peak.share
            values[f'{part}_{quantity}_of'] = peak.name
            if peak.exceeded:
                exceeded.append(f'{peak.name}: {quantity} {peak.share:.3f} times its limit')
    for part, count in inputs.taken.items():
        values[f'{part}_commands'] = count
    for part, count in inputs.refused.items():
        values[f'{part}_refused'] = count
        values[f'{part}_refusal'] = inputs.refusal[part]
    for part, controller in fake.trajectories.items():
        values[f'{part}_arrived'] = controller.arrived
    for part, record in fake.moved.items():
        for quantity, peak in record.peaks.items():
            values[f'{part}_moved_{quantity}_share'] = peak.share
    values['stopped'] = fake.stopped or 'no'
    if exceeded and late_s > LATE_S:
        exceeded.append(f'but this machine was busy: commands were read up to {late_s:.3f} s late')
    if exceeded:
        return Report(WARN, '; '.join(exceeded), values)
    return Report(OK, 'every command was within its limits', values)


def main() -> None:
    """Run the node (console script `fake_arm_node`)."""
    end_process(run([FakeArmNode], sys.argv))
