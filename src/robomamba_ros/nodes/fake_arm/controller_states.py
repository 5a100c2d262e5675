"""Publishes where the trajectory controllers of a fake arm want its joints, as real ones do.

Where control_msgs is not installed nobody says so, as nobody could hear it.
"""

from __future__ import annotations

from array import array
from typing import Any

from robomamba_ros.errors import ActionError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import time_message
from robomamba_ros.nodes.controller.controller_states import TYPE, state_topic
from robomamba_ros.nodes.controller.interlocks import message_type
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.controller_settings import depends_on_settings
from robomamba_ros.simulation.fake_arm import FakeArm


class ControllerStatePublishers:
    """`controller_state` beside the commands of each controller of trajectories."""

    def __init__(self, node: Any, arm: ArmContract) -> None:
        self._kind = message_type(TYPE)
        outputs = () if self._kind is None else arm.outputs
        self._publishers = {
            output.part: node.create_publisher(
                self._kind,
                state_topic(node.resolve_topic_name(output.name)),
                qos.STATE_LOCKSTEP,
            )
            for output in outputs
            if depends_on_settings(output)
        }

    def publish(self, fake: FakeArm) -> None:
        """Say it of controllers that are active; others are silent."""
        for part, publisher in self._publishers.items():
            try:
                fake.check_active(part)
            except ActionError:
                continue
            controller = fake.trajectories[part]
            message = self._kind(joint_names=list(controller.names))
            message.header.stamp = time_message(fake.now_ns)
            point = message.reference
            point.positions, point.velocities, point.accelerations = (
                array('d', row.tobytes()) for row in controller.desired
            )
            publisher.publish(message)
