"""`robomamba up`: starts a policy on an arm, real or simulated, in one process."""

from __future__ import annotations

import argparse
from typing import Any

from robomamba_ros.bringup import PolicyOptions, SimOptions, policy_graph, sim_graph
from robomamba_ros.cli.load_options import add_load_options, load_options
from robomamba_ros.types import MODES


def add_parser(subparsers: Any) -> None:
    """Add the verb and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        'up',
        help='start a policy on an arm, real or simulated',
        description='Start the policy and the controller node, and the simulated arm with --sim, '
        'in one process. Ctrl-C brings the arm to rest and ends it.',
    )
    parser.add_argument(
        '--policy', required=True, metavar='DIR', help='checkpoint directory, or name in models/'
    )
    parser.add_argument(
        '--arm', default='sawyer_sim', help='name in config/arms, or a path (%(default)s)'
    )
    parser.add_argument('--sim', metavar='TASK', help='simulate the arm in this Meta-World task')
    parser.add_argument('--seed', type=int, default=0, help='seed of the simulation (%(default)s)')
    parser.add_argument(
        '--instruction', default='', help='what to do; with --sim the default is its task'
    )
    parser.add_argument(
        '--mode', choices=MODES, default='realtime', help='lockstep needs --sim (%(default)s)'
    )
    add_load_options(parser)
    parser.add_argument(
        '--execute-steps',
        type=int,
        default=0,
        metavar='N',
        help='actions to run before the next inference (default: as the policy was evaluated)',
    )
    parser.add_argument('--namespace', default='', help='of all nodes')
    parser.add_argument(
        '--enable',
        action='store_true',
        help='move a real arm at once, without waiting for controller_node/enable; a simulated '
        'one always does',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until Ctrl-C; return the exit code."""
    # Imported here, so that `robomamba --help` needs neither rclpy nor the simulation.
    from robomamba_ros.nodes.graph import node_factories
    from robomamba_ros.nodes.host import run as run_nodes

    options = PolicyOptions(
        checkpoint=args.policy,
        arm=args.arm,
        instruction=args.instruction,
        load=load_options(args),
        mode=args.mode,
        execute_steps=args.execute_steps,
        enabled=args.enable or args.sim is not None,
        namespace=args.namespace,
    )
    if args.sim is None:
        specs = policy_graph(options)
    else:
        specs = sim_graph(options, SimOptions(args.sim, seed=args.seed))
    return run_nodes(node_factories(specs))
