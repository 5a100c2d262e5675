"""Everything a policy reads from ROS, gathered in an ObservationBuffer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from std_msgs.msg import String

from robomamba_ros.control.policy.observation_buffer import observation_buffer
from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.robot_description import RobotDescription
from robomamba_ros.nodes.common.state_input import StateInput
from robomamba_ros.nodes.common.text_input import TextInput
from robomamba_ros.nodes.policy.camera_input import CameraInput
from robomamba_ros.nodes.policy.depth_input import DepthInput
from robomamba_ros.policies.base import OutputKind, PolicySpec
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import RobotState, UInt8Array


class PolicyInputs:
    """Cameras, proprioception, instruction and question.

    buffer: the observation; state: the newest one, for anchoring what follows from it; topics:
    those that only one node may publish. on_data: called with the stamp of what came in.
    on_instruction, on_question: to be set; called when there is a new one, on_instruction with
    whether it is another than the last.
    """

    on_instruction: Callable[[bool], None]
    on_question: Callable[[str], None]

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        spec: PolicySpec,
        mode: str,
        on_data: Callable[[int], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._node = node
        self._on_data, self._on_error = on_data, on_error
        self._instructions = spec.instructions
        self.state: RobotState | None = None
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=256)
        self.buffer = observation_buffer(spec, arm)
        wanted = {camera.name: camera for camera in spec.cameras}
        self._cameras: dict[str, CameraInput | DepthInput] = {}
        for camera in arm.cameras:
            name = camera.name
            if name in wanted:
                size = (wanted[name].height, wanted[name].width)
                self._cameras[name] = CameraInput(node, camera, size, mode, self._on_image)
            if name in wanted and wanted[name].depth:
                self._cameras[f'{name}/depth'] = DepthInput(
                    node, camera, mode, self.buffer, on_data, on_error
                )
        # How many nodes may publish on each.
        self.topics = {stream: arm.publishers.get(stream, 1) for stream in arm.inputs}
        self.topics |= {camera.topic: 1 for camera in self._cameras.values()}
        targets = spec.output_kind is OutputKind.TARGETS
        on_links = {c.name for c in arm.cameras if c.link and targets}
        self._description: RobotDescription | None = None
        if 'ee_pose' not in arm.inputs or on_links & set(wanted):
            self._description = RobotDescription(node, arm)
        self._states = StateInput(node, arm, mode, self._on_state, on_error, self._description)
        self._active = node.create_publisher(String, 'active_instruction', qos.LATCHED)
        self._texts = [
            TextInput(node, 'instruction', self._on_instruction),
            TextInput(node, 'question', lambda text: self.on_question(text)),
        ]

    @property
    def kinematics(self) -> Kinematics | None:
        """Those of the arm, where they are needed; there before the first state."""
        return None if self._description is None else self._description.kinematics

    @property
    def problem(self) -> str:
        """Why there is no state although its messages come; '' where nothing keeps it."""
        return '' if self._description is None else self._description.problem

    @property
    def counts(self) -> dict[str, int]:
        """How many messages each stream has had."""
        cameras = {name: camera.count for name, camera in self._cameras.items()}
        return {**cameras, 'state': self._states.count}

    def set_instruction(self, text: str) -> None:
        """Use an instruction from the next inference on, and say so on `active_instruction`.

        Raises ObservationError for one that the policy does not take: it then has none.
        """
        before = self.buffer.instruction
        try:
            self.buffer.set_instruction(text)
            if remark := self._instructions.remark(text):
                self._on_error(ObservationError(remark))
        finally:
            now = self.buffer.instruction
            self._active.publish(String(data=now))
            self.on_instruction(now != before)

    def _on_instruction(self, text: str) -> None:
        try:
            self.set_instruction(text)
        except ObservationError as error:
            self._on_error(error)

    def arrived_s(self, stamp_ns: int) -> float | None:
        """Return the wall time at which the image stamped so arrived, if it is remembered."""
        return next((at for stamp, at in tuple(self._arrivals) if stamp == stamp_ns), None)

    def _on_image(self, camera: str, stamp_ns: int, decode: Callable[[], UInt8Array]) -> None:
        self._arrivals.append((stamp_ns, time.monotonic()))
        self.buffer.add_image(camera, stamp_ns, decode)
        self._on_data(stamp_ns)

    def _on_state(self, state: RobotState) -> None:
        self.buffer.add_state(state)
        self.state = state
        self._on_data(state.stamp_ns)

    def destroy(self) -> None:
        """Disconnect."""
        for camera in self._cameras.values():
            camera.destroy()
        self._states.destroy()
        if self._description is not None:
            self._description.destroy()
        for text in self._texts:
            text.destroy()
        self._node.destroy_publisher(self._active)
