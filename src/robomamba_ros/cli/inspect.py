"""`robomamba inspect`: what a policy is, needs, gives and costs; the schema of a contract."""

from __future__ import annotations

import argparse
import json
from typing import Any

from robomamba_ros.errors import ConfigError


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
        nargs='?',
        help='a checkpoint directory, a name in models/, or a file of config/policies by name',
    )
    parser.add_argument(
        '--schema',
        action='store_true',
        help='print the JSON Schema of arm contracts instead, for editors',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the description."""
    if args.schema == (args.policy is not None):
        raise ConfigError('robomamba inspect: give either a policy or --schema')
    if args.schema:
        from robomamba_ros.robots.contract_schema import contract_schema

        print(json.dumps(contract_schema(), indent=2))
        return 0
    from robomamba_ros.policies.registry import describe_policy

    print(describe_policy(args.policy).text())
    return 0
