"""`robomamba security`: an SROS2 policy: which node may publish, subscribe and call what."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'security',
        help='write the SROS2 policy of the nodes of an arm',
        description='Write what policy_node, controller_node, a recorder, the doctor and the '
        'person who may command need on the topics of an arm, each in an enclave of its own, and '
        'what `robomamba up` needs in /up. `ros2 security create_permission` signs it.',
    )
    parser.add_argument('--arm', required=True, help='name in config/arms, or a path')
    parser.add_argument('--namespace', default='', help='of the nodes')
    parser.add_argument(
        '--output', '-o', type=Path, metavar='FILE', help='write it there (standard output)'
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write or print the policy."""
    from robomamba_ros.bringup.sros2 import arm_policy
    from robomamba_ros.common.files import written_whole
    from robomamba_ros.robots.arm import load_arm

    text = arm_policy(load_arm(args.arm), args.namespace)
    if args.output is None:
        print(text, end='')
        return 0
    with written_whole(args.output) as path:
        path.write_text(text, encoding='utf-8')
    return 0
