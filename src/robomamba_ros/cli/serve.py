"""`robomamba serve`: a policy for robots whose computers cannot run it, by openpi's protocol."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from robomamba_ros.cli.load_options import add_load_options, load_options
from robomamba_ros.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'serve',
        help='answer observations over the network, by the protocol of openpi',
        description='Runs a policy for one robot at a time, until Ctrl-C. A robot asks it through '
        'the policy that --client writes, or any client of openpi.',
    )
    parser.add_argument('policy', help='a checkpoint directory or a name in models/')
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; 0.0.0.0: every one, for everybody who reaches this machine '
        '(%(default)s)',
    )
    parser.add_argument('--port', type=int, default=8000, help='0 takes a free one (%(default)s)')
    parser.add_argument(
        '--api-key-variable',
        metavar='NAME',
        help='an environment variable that holds the key which clients must send',
    )
    parser.add_argument(
        '--client',
        type=Path,
        metavar='DIR',
        help="write the robot's side there: a policy that asks this server",
    )
    parser.add_argument(
        '--client-server',
        metavar='URL',
        help='its address as the robot sees it (ws:// and the host and port given here)',
    )
    add_load_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from robomamba_ros.policies.registry import load_chunk_policy
    from robomamba_ros.policies.remote.config import write_client_config
    from robomamba_ros.policies.remote.connection import read_api_key
    from robomamba_ros.policies.remote.server import PolicyServer
    from robomamba_ros.policies.timed import timed

    if not 0 <= args.port < 1 << 16:
        raise ConfigError(f'--port is {args.port}; give 0 to 65535')
    if args.client is not None and (args.client / 'config.yaml').exists():
        raise ConfigError(f'{args.client} holds a policy already; give another --client')
    variable = args.api_key_variable or ''
    key = read_api_key(variable)
    policy = load_chunk_policy(args.policy, load_options(args))
    timed(policy).warm_up()
    server = PolicyServer(policy, host=args.host, port=args.port, api_key=key)
    url = f'ws://{args.host}:{server.port}'
    if args.client is not None:
        write_client_config(policy.spec, args.client_server or url, variable, args.client)
        print(f'{args.client}: the policy for the robot')
    print(f"serves '{policy.spec.name}' at {url}; Ctrl-C ends it", flush=True)
    server.serve_forever()
    return 0
