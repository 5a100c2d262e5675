"""`robomamba evaluate`: success of a policy in simulation, with intervals."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robomamba_ros.cli.collect import MT10_TASKS
from robomamba_ros.cli.load_options import add_load_options, load_options
from robomamba_ros.errors import ConfigError, SimulationError, unknown_name
from robomamba_ros.resources import checkpoint_directory

if TYPE_CHECKING:
    from robomamba_ros.evaluation.metaworld import EvaluationConfig, TaskResult


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'evaluate',
        help='measure the success of a policy in simulation',
        description='Runs a policy on Meta-World tasks, on seeds that no training data has, '
        'through the same control loops as on a robot.',
    )
    parser.add_argument(
        '--graph',
        action='store_true',
        help='through the ROS 2 nodes in lockstep, one episode after the other, instead of in '
        'process on several cores',
    )
    parser.add_argument('policy', help='a checkpoint directory, for example models/anolevla-mt10')
    parser.add_argument('--tasks', nargs='+', default=list(MT10_TASKS), metavar='TASK')
    parser.add_argument('--episodes', type=int, default=20, help='per task (default: 20)')
    parser.add_argument(
        '--execute-steps', type=int, default=10, help='actions run per inference (default: 10)'
    )
    parser.add_argument(
        '--latency-steps', type=int, default=0, help='control periods an inference takes'
    )
    add_load_options(parser)
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--output', type=Path, help='write the results there as JSON')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate with a progress bar, and print the table."""
    from tqdm import tqdm

    from robomamba_ros.evaluation.metaworld import (
        EvaluationConfig,
        evaluate,
        table,
        write_results,
    )
    from robomamba_ros.simulation.metaworld import load_tasks

    known = load_tasks()
    for task in args.tasks:
        if task not in known:
            raise SimulationError(unknown_name('Meta-World task', task, known))
    config = EvaluationConfig(
        policy=str(checkpoint_directory(args.policy)),
        tasks=tuple(args.tasks),
        episodes=args.episodes,
        execute_steps=args.execute_steps,
        latency_steps=args.latency_steps,
        load=load_options(args),
    )
    results = {}
    with tqdm(total=len(config.tasks), unit='task') as bar:
        for result in _through_graph(config) if args.graph else evaluate(config, args.workers):
            results[result.task] = result
            bar.update()
    ordered = [results[task] for task in config.tasks]
    print(table(ordered))
    print(f'\n{config.episodes} episodes a task, seeds from {config.first_seed}, ', end='')
    print(f'{config.execute_steps} actions executed per inference')
    if args.output:
        write_results(args.output, config, ordered)
    return 0


def _through_graph(config: EvaluationConfig) -> Iterator[TaskResult]:
    """Yield the result of each task, its episodes run by the live nodes."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    from robomamba_ros.bringup import PolicyOptions, SimOptions, sim_graph
    from robomamba_ros.evaluation.metaworld import task_result
    from robomamba_ros.evaluation.rollout import Episode
    from robomamba_ros.nodes.run_recorder import RunRecorder
    from robomamba_ros.nodes.simulated_graph import simulated_graph
    from robomamba_ros.simulation.metaworld import CAMERA

    if config.latency_steps:
        raise ConfigError('--latency-steps is for evaluation in process, without --graph')
    options = PolicyOptions(
        config.policy,
        arm=config.arm,
        load=config.load,
        mode='lockstep',
        execute_steps=config.execute_steps,
        enabled=True,
    )
    specs = sim_graph(options, SimOptions(config.tasks[0], config.first_seed))
    recorders: list[RunRecorder] = []

    def recorder() -> RunRecorder:
        recorders.append(RunRecorder(CAMERA))
        return recorders[0]

    with simulated_graph(specs, extra=[recorder]) as runner:
        for task in config.tasks:
            episodes = []
            for seed in range(config.first_seed, config.first_seed + config.episodes):
                result = runner.run(task, seed)
                seen = recorders[0].take()
                episodes.append(
                    Episode(task, seed, result.success, result.steps, seen.commanded, seen.measured)
                )
            yield task_result(task, episodes)
