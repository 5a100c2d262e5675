"""Turns tables of arguments and the node graph into what `ros2 launch` runs.

The one place that knows `launch` and `launch_ros`, which come with ROS 2 alone; only the launch
files import it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from robomamba_ros.bringup.graph import NodeSpec, rviz_spec
from robomamba_ros.bringup.option import Option
from robomamba_ros.bringup.options import command_line, graph
from robomamba_ros.errors import ConfigError, unknown_name

_HERE = (
    Option('composed', False, 'run the nodes in one process'),
    Option('rviz', False, 'start RViz with the arm, its camera, the plan and what became of it'),
)


def describe(file: str, arguments: Sequence[Option]) -> LaunchDescription:
    """Return what the launch file `file` describes; a mistake raises ConfigError when it runs."""
    table = (*arguments, *_HERE)

    def make(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        _refuse_unknown(file, [argument.name for argument in table])
        values = {
            argument.name: argument.parse(LaunchConfiguration(argument.name).perform(context))
            for argument in table
        }
        return _actions(arguments, values)

    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=None if argument.required else argument.default_text,
            description=argument.description,
            choices=argument.choices or None,
        )
        for argument in table
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make)])


def _actions(arguments: Sequence[Option], values: Mapping[str, Any]) -> list[Node]:
    specs = graph(values)
    view = [_node(rviz_spec(_controller(specs)))] if values['rviz'] else []
    if values['composed']:
        words = ('up', *command_line(arguments, values))
        specs = (NodeSpec('robomamba', '', arguments=words),)
    # RViz first: where it is not installed, launch gives up and forgets what it has started.
    return [*view, *(_node(spec, on_exit=_end) for spec in specs)]


def _end(exited: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """Let every node bring the arm to rest and end when one has ended, as in one process."""
    reason = f'{exited.process_name} ended with exit code {exited.returncode}'
    if context.is_shutdown:
        return None
    if exited.returncode:
        # An error is what makes `ros2 launch` itself end with an exit code other than 0.
        raise RuntimeError(reason)
    return Shutdown(reason=reason)


def _controller(specs: Sequence[NodeSpec]) -> NodeSpec:
    return next(spec for spec in specs if spec.executable == 'controller_node')


def _node(spec: NodeSpec, **options: Any) -> Node:
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name or None,
        namespace=spec.namespace or None,
        parameters=[dict(spec.parameters)] if spec.parameters else None,
        remappings=list(spec.remappings.items()),
        arguments=list(spec.arguments),
        output='screen',
        **options,
    )


def _refuse_unknown(file: str, names: Sequence[str]) -> None:
    """Raise ConfigError on an argument that the launch file does not have.

    `ros2 launch` drops it in silence, and a misspelt dry_run must not move an arm.
    """
    words = [Path(word).name for word in sys.argv]
    if file not in words:
        return  # another launch file includes this one, and the arguments are its own
    given = [word.partition(':=')[0] for word in sys.argv if ':=' in word]
    for name in given:
        if name not in names:
            raise ConfigError(unknown_name(f'argument of {file}', name, names))
