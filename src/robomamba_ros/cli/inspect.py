"""`robomamba inspect`: what a policy is, needs, gives and costs."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'inspect',
        help='say what a policy is, needs, gives and costs',
        description='Prints cameras, state, actions, parameters, multiply-accumulates and memory '
        'of a policy, without reading its weights.',
    )
    parser.add_argument(
        'policy',
        help='a checkpoint directory, a name in models/, or a file of config/policies by name',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the description."""
    from robomamba_ros.policies.registry import describe_policy

    print(describe_policy(args.policy).text())
    return 0
