"""Publishes what a policy gives: chunks, pose targets and the approach to them, answers."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.control.motion.approach import approach_chunk
from robomamba_ros.errors import ActionError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.chunk_messages import chunk_to_messages, predicted_path, withdrawal
from robomamba_ros.nodes.common.conversions import pose_to_stamped
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics, base_T_optical
from robomamba_ros.spatial.camera import express_in
from robomamba_ros.types import ActionChunk, PolicyOutput, Pose, PoseTarget, RobotState


class PolicyOutputs:
    """`action_chunk`, `joint_chunk`, `predicted_path`, `pose_target`, `answer`.

    follow_targets: whether a pose target also becomes the chunk that goes there. chunks: how many
    chunks have been sent; targets: how many pose targets.
    """

    def __init__(self, node: Any, arm: ArmContract, *, follow_targets: bool) -> None:
        self._node = node
        self._arm = arm
        self._follow_targets = follow_targets
        self._cameras = {camera.name: camera for camera in arm.cameras}
        self._last: tuple[int, Any, Any] | None = None
        self.chunks = self.targets = 0
        topics = {
            'action_chunk': MultiDOFJointTrajectory,
            'joint_chunk': JointTrajectory,
            'predicted_path': Path,
            'pose_target': PoseStamped,
            'answer': String,
        }
        self._publishers = {
            topic: node.create_publisher(kind, topic, qos.COMMAND) for topic, kind in topics.items()
        }

    def reset(self) -> None:
        """Forget the episode."""
        self._last = None
        self.chunks = self.targets = 0

    def publish(
        self,
        output: PolicyOutput,
        then: RobotState,
        now: Pose,
        now_ns: int,
        kinematics: Kinematics | None = None,
    ) -> None:
        """Publish what a policy has given at `now_ns`.

        then: the state at its stamp; now: the newest base_T_ee; kinematics: those of the arm,
        for cameras on a link. Raises ActionError where a pose target cannot be followed;
        `pose_target` has it then.
        """
        if isinstance(output, ActionChunk):
            self._publish_chunk(output, then.pose)
            return
        target = self._in_base(output, then, kinematics)
        stamped = pose_to_stamped(target.pose, target.stamp_ns, target.frame)
        self._publishers['pose_target'].publish(stamped)
        self.targets += 1
        if self._follow_targets:
            self._publish_chunk(approach_chunk(target, now, self._arm, now_ns), then.pose)

    def repeat(self, stamp_ns: int) -> bool:
        """Send the chunk of `stamp_ns` once more; return whether it is the last one sent."""
        if self._last is None or self._last[0] != stamp_ns:
            return False
        self._send(*self._last[1:])
        return True

    def withdraw(self) -> None:
        """Say that the last chunk is not to be followed any further."""
        stamp_ns = int(self._node.get_clock().now().nanoseconds)
        message = withdrawal(stamp_ns, self._arm.base_frame)
        self._publishers['action_chunk'].publish(message)

    def answer(self, text: str) -> None:
        """Publish an answer."""
        self._publishers['answer'].publish(String(data=text))

    def destroy(self) -> None:
        """Disconnect."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def _publish_chunk(self, chunk: ActionChunk, anchor: Pose) -> None:
        targets, joints = chunk_to_messages(chunk, self._arm.base_frame)
        self._send(targets, joints)
        self._last = (chunk.stamp_ns, targets, joints)
        self.chunks += 1
        path = self._publishers['predicted_path']
        if path.get_subscription_count():
            path.publish(predicted_path(chunk, anchor, self._arm.base_frame))

    def _send(self, targets: Any, joints: Any) -> None:
        self._publishers['action_chunk'].publish(targets)
        self._publishers['joint_chunk'].publish(joints)

    def _in_base(
        self, target: PoseTarget, then: RobotState, kinematics: Kinematics | None
    ) -> PoseTarget:
        if target.frame == self._arm.base_frame:
            return target
        base_T_camera, camera = None, self._cameras.get(target.frame)
        if camera is not None:
            base_T_camera = base_T_optical(camera, then.pose, then.joints, kinematics)
        if base_T_camera is None:
            raise ActionError(
                f"the pose target is in the frame '{target.frame}': neither the base frame "
                f"'{self._arm.base_frame}' nor a camera with a base_T_camera, ee_T_camera or link "
                'in the arm contract'
            )
        return express_in(target, self._arm.base_frame, base_T_camera)
