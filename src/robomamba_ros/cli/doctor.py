"""`robomamba doctor`: checks an arm before anything moves, and says what to do."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from robomamba_ros.cli.load_options import add_load_options, load_options


def add_parser(subparsers: Any) -> None:
    """Add the verb and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        'doctor',
        help='check a robot, its topics and a policy before anything moves',
        description='Look at the live topics of an arm, and at a policy if one is given, and say '
        'what is wrong and what to do. It publishes nothing and moves nothing. The exit status is '
        '1 where there is a fault.',
    )
    parser.add_argument('--arm', required=True, help='name in config/arms, or a path')
    parser.add_argument(
        '--policy', metavar='DIR', help='checkpoint directory, or name in models/: run it too'
    )
    add_load_options(parser)
    parser.add_argument(
        '--execute-steps',
        type=int,
        default=0,
        metavar='N',
        help='actions to run before the next inference; 0: as it was evaluated (%(default)s)',
    )
    parser.add_argument('--namespace', default='', help='of the arm')
    parser.add_argument(
        '--seconds', type=float, default=5.0, help='how long to listen [s] (%(default)s)'
    )
    parser.add_argument(
        '--use-sim-time', action='store_true', help='take the time from the topic /clock'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the findings there too')
    parser.add_argument(
        '--ros-args', nargs=argparse.REMAINDER, default=[], help='last: remappings, as of the nodes'
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 1 where there is a fault."""
    from robomamba_ros.doctor.examine import examine
    from robomamba_ros.doctor.finding import as_json, as_table, has_fault
    from robomamba_ros.errors import ConfigError
    from robomamba_ros.nodes.clients.examination import gather, try_policy
    from robomamba_ros.nodes.common.context import ros_joined
    from robomamba_ros.robots.arm import load_arm

    arm = load_arm(args.arm)
    if not 0.0 < args.seconds < math.inf:
        raise ConfigError(f'--seconds is {args.seconds}; give a number above 0')
    policy = None
    if args.policy is not None:
        policy = try_policy(args.policy, load_options(args), args.execute_steps)
    with ros_joined(handle_signals=True):
        facts = gather(
            arm,
            policy,
            namespace=args.namespace,
            seconds=args.seconds,
            use_sim_time=args.use_sim_time,
            ros_arguments=args.ros_args,
        )
    findings = examine(facts)
    print(as_table(findings))
    if args.json is not None:
        args.json.write_text(as_json(findings) + '\n', encoding='utf-8')
    return 1 if has_fault(findings) else 0
