"""`robomamba bench`: what this package costs on this machine, and how arms stop."""

from __future__ import annotations

import argparse
from importlib import import_module

from robomamba_ros.errors import ConfigError

# Each is a module of robomamba_ros.benchmarks with arguments of its own.
BENCHMARKS = {
    'scan': 'the Mamba scan, convolution and networks beside other implementations',
    'policies': 'a chunk of actions of AnoleVLA, large and small',
    'robomamba': 'questions, answers and poses of RoboMamba',
    'gpu': 'a GPU in its first minutes: parity, tests, and times beside their targets',
    'launches': 'how many kernels a chunk, a pose and a token launch on a GPU, without one',
    'replay': 'replays of recordings',
    'nodes': 'from an observation to a command through the nodes, and how even commands come',
    'questions': 'the first question about a scene and those that follow, through the nodes',
    'periods': 'how long a control period takes to compute for an arm, with a chunk or a stop',
    'delays': 'how long an arm takes to turn round and to stop, in virtual time',
    'standstill': 'time and way to standstill after each kind of stop, in virtual time',
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'bench',
        help='time this package on this machine',
        description='Time this package on this machine.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='\n'.join(
            ['benchmarks:', *(f'  {name:12}{text}' for name, text in BENCHMARKS.items())]
        ),
    )
    parser.add_argument('benchmark', choices=BENCHMARKS, metavar='BENCHMARK', nargs='?')
    parser.add_argument('--device', help='of `gpu`, which is what runs where none is named')
    parser.add_argument('--json', help='likewise: the file that the results go to')
    parser.add_argument(
        'arguments',
        nargs=argparse.REMAINDER,
        help='its own: `robomamba bench BENCHMARK --help` lists them',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run one benchmark with the rest of the command line; `gpu` where only a device is named."""
    chosen = {'--device': args.device, '--json': args.json}
    own = [word for name, value in chosen.items() if value for word in (name, value)]
    if args.benchmark is None and not own:
        raise ConfigError(f'name a benchmark: {", ".join(BENCHMARKS)}')
    if args.benchmark not in (None, 'gpu') and own:
        raise ConfigError(f"'{args.benchmark}' has options of its own: give them behind its name")
    module = import_module(f'robomamba_ros.benchmarks.{args.benchmark or "gpu"}')
    return int(module.main([*own, *args.arguments]))
