"""A node that reads what is watched of an arm, and hands it to viewers; it publishes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

from robomamba_ros.nodes.bag_player.topics import message_class
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.context import ros_joined
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.watching.shown import Shown, Watched

# Best effort takes what both kinds of publishers send; the controller never waits for a viewer.
_PROFILE = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
_KEPT = ('active_instruction',)


class Watcher(Node):
    """Reads the topics of `watched` and calls `show` with each value. count: of its messages."""

    def __init__(
        self, watched: Watched, show: Callable[[Shown], None], **node_options: Any
    ) -> None:
        super().__init__('robomamba_watch', **node_options)
        self._watched, self._show = watched, show
        self.count = 0
        for topic, type_ in watched.types.items():
            profile = qos.LATCHED if topic in _KEPT else _PROFILE
            self.create_subscription(
                message_class(type_), topic, partial(self._take, topic), profile
            )

    def _take(self, topic: str, message: Any) -> None:
        self.count += 1
        for shown in self._watched.read(topic, message, self.get_clock().now().nanoseconds):
            self._show(shown)


def listen(
    arm: ArmContract,
    show: Callable[[Shown], None],
    *,
    namespace: str,
    use_sim_time: bool,
    ros_arguments: Sequence[str],
) -> int:
    """Show what is live until Ctrl-C; return how many messages that were."""
    with ros_joined(handle_signals=True):
        node = Watcher(
            Watched(arm),
            show,
            namespace=namespace,
            cli_args=['--ros-args', *ros_arguments],
            parameter_overrides=[Parameter('use_sim_time', value=use_sim_time)],
        )
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            executor.spin()
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        finally:
            executor.shutdown()
        return node.count
