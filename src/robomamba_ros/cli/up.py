"""`robomamba up`: starts a policy on an arm, real or simulated, in one process."""

from __future__ import annotations

import argparse
from typing import Any

from robomamba_ros.bringup.option import Option
from robomamba_ros.bringup.options import UP_ARGUMENTS, graph


def add_parser(subparsers: Any) -> None:
    """Add the verb and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        'up',
        help='start a policy on an arm, real or simulated',
        description='Start the policy and the controller node in one process, with --sim the '
        'simulated arm and with --fake a stand-in for any arm. Ctrl-C brings the arm to rest and '
        'ends it.',
    )
    for argument in UP_ARGUMENTS:
        _add(parser, argument)
    parser.add_argument(
        '--ros-args',
        nargs=argparse.REMAINDER,
        default=[],
        help='last: remappings, parameters and log levels for every node, as ROS writes them',
    )
    parser.set_defaults(run=run)


def _add(parser: argparse.ArgumentParser, argument: Option) -> None:
    help_text = argument.description
    if isinstance(argument.default, bool):
        parser.add_argument(
            argument.flag,
            dest=argument.name,
            action=argparse.BooleanOptionalAction,
            default=argument.default,
            help=help_text,
        )
        return
    parser.add_argument(
        argument.flag,
        dest=argument.name,
        type=type(argument.default),
        default=argument.default,
        choices=argument.choices or None,
        required=argument.required,
        metavar=None if argument.choices else argument.name.upper(),
        help=help_text if argument.default == '' else f'{help_text} (%(default)s)',
    )


def run(args: argparse.Namespace) -> int:
    """Run until Ctrl-C; return the exit code."""
    # Imported here, so that `robomamba --help` needs neither rclpy nor the simulation.
    from robomamba_ros.nodes.common.host import end_process
    from robomamba_ros.nodes.common.host import run as run_nodes
    from robomamba_ros.nodes.graph import node_factories

    factories = node_factories(graph(vars(args)), args.ros_args)
    end_process(run_nodes(factories, ['--ros-args', *args.ros_args]))
