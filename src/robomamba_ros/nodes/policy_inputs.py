"""Everything a policy reads from ROS, gathered in an ObservationBuffer.

Knows nothing about when to infer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from std_msgs.msg import String

from robomamba_ros.control.policy_loop import ObservationBuffer
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.camera_input import CameraInput
from robomamba_ros.nodes.state_input import StateInput
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import RobotState, UInt8Array


class PolicyInputs:
    """Cameras, proprioception and instruction; calls `on_data` with the stamp of what came in.

    buffer: the observation; state: the newest one, for anchoring what is drawn.
    """

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
        self._on_data = on_data
        self.instruction = ''
        self.state: RobotState | None = None
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=256)
        self.buffer = ObservationBuffer(
            spec,
            {camera.name: camera.budget_s for camera in arm.cameras},
            min(arm.ee_pose_budget_s, arm.joint_states_budget_s),
        )
        needed = {camera.name for camera in spec.cameras}
        self.cameras = {
            camera.name: CameraInput(node, camera, mode, self._on_image)
            for camera in arm.cameras
            if camera.name in needed
        }
        self._states = StateInput(node, arm, mode, self._on_state, on_error)
        self._active = node.create_publisher(String, 'active_instruction', qos.LATCHED)
        self._subscription = node.create_subscription(
            String, 'instruction', lambda message: self.set_instruction(message.data), qos.LATCHED
        )

    def set_instruction(self, text: str) -> None:
        """Use an instruction from the next inference on, and say so on `active_instruction`."""
        self.instruction = text
        self.buffer.set_instruction(text)
        self._active.publish(String(data=text))

    def arrived_s(self, stamp_ns: int) -> float | None:
        """Return the wall time at which the image stamped so arrived, if it is remembered."""
        return next((at for stamp, at in tuple(self._arrivals) if stamp == stamp_ns), None)

    def _on_image(self, camera: str, stamp_ns: int, decode: Callable[[], UInt8Array]) -> None:
        self._arrivals.append((stamp_ns, time.monotonic()))
        self.buffer.add_image(camera, stamp_ns, decode)
        self._on_data(stamp_ns)

    def _on_state(self, state: RobotState, joints_stamp_ns: int) -> None:
        self.buffer.add_state(state, joints_stamp_ns=joints_stamp_ns)
        self.state = state
        self._on_data(state.stamp_ns)

    def destroy(self) -> None:
        """Disconnect."""
        for camera in self.cameras.values():
            camera.destroy()
        self._states.destroy()
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._active)
