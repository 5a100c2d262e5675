"""`robomamba evaluate`: success of a policy in simulation, with intervals."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from robomamba_ros.cli.collect import MT10_TASKS
from robomamba_ros.errors import SimulationError, unknown_name


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'evaluate',
        help='measure the success of a policy in simulation',
        description='Runs a policy on Meta-World tasks, on seeds that no training data has, '
        'through the same control loops as on a robot.',
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
        policy=args.policy,
        tasks=tuple(args.tasks),
        episodes=args.episodes,
        execute_steps=args.execute_steps,
        latency_steps=args.latency_steps,
    )
    with tqdm(total=len(config.tasks), unit='task') as bar:
        finished = {}
        for result in evaluate(config, args.workers):
            finished[result.task] = result
            bar.update()
    results = [finished[task] for task in config.tasks]
    print(table(results))
    print(f'\n{config.episodes} episodes a task, seeds from {config.first_seed}, ', end='')
    print(f'{config.execute_steps} actions executed per inference')
    if args.output:
        write_results(args.output, config, results)
    return 0
