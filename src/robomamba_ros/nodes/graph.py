"""Makes the nodes of a graph in this process, each from its NodeSpec."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.parameter import Parameter

from robomamba_ros.bringup.graph import NodeSpec
from robomamba_ros.nodes.common.hosted_node import NodeFactory
from robomamba_ros.nodes.controller.controller_node import ControllerNode
from robomamba_ros.nodes.fake_arm.fake_arm_node import FakeArmNode
from robomamba_ros.nodes.policy.policy_node import PolicyNode
from robomamba_ros.nodes.sim.sim_node import SimNode


def _bag_player(**options: Any) -> Any:
    # Imported here: it needs the package rosbags, which a robot does without.
    from robomamba_ros.nodes.bag_player.bag_player_node import BagPlayerNode

    return BagPlayerNode(**options)


NODES: dict[str, Any] = {
    'policy_node': PolicyNode,
    'controller_node': ControllerNode,
    'sim_node': SimNode,
    'fake_arm_node': FakeArmNode,
    'bag_player_node': _bag_player,
}


def node_factories(
    specs: Sequence[NodeSpec], ros_arguments: Sequence[str] = ()
) -> list[NodeFactory]:
    """Return what a Host needs to make the nodes of `specs`."""
    return [partial(make_node, spec, ros_arguments) for spec in specs]


def make_node(spec: NodeSpec, ros_arguments: Sequence[str] = (), /, **arguments: Any) -> Any:
    """Return the node of a spec; `arguments` go to its class.

    ros_arguments: what the user says to every node, which goes before what the spec says.
    """
    remappings = [f'{name}:={topic}' for name, topic in spec.remappings.items()]
    remappings.append(f'__node:={spec.name}')
    rules = [part for rule in remappings for part in ('-r', rule)]
    return NODES[spec.executable](
        namespace=spec.namespace,
        parameter_overrides=[Parameter(n, value=v) for n, v in spec.parameters.items()],
        cli_args=['--ros-args', *ros_arguments, *rules],
        # What was given to the process is meant for another node, or was read already.
        use_global_arguments=False,
        **arguments,
    )
