"""`robomamba collect`: record demonstrations of Meta-World's scripted experts."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from robomamba_ros.cli.tasks import add_task_option, choose_tasks


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'collect',
        help='record demonstrations of scripted experts in simulation',
        description='Records demonstrations of Meta-World experts, disturbed in execution. An '
        'interrupted collection is continued by the same command.',
    )
    parser.add_argument('folder', type=Path, help='where the data set is written')
    add_task_option(parser)
    parser.add_argument('--episodes', type=int, default=600, help='per task (default: 600)')
    parser.add_argument('--shard', type=int, default=25, help='episodes per file (default: 25)')
    parser.add_argument('--clean', action='store_true', help='disturb no episode')
    parser.add_argument(
        '--image-share',
        type=float,
        default=0.2,
        metavar='SHARE',
        help='of the frames that are kept, drawn at random (default: 0.2)',
    )
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Collect, with a progress bar and a summary."""
    from tqdm import tqdm

    from robomamba_ros.data.collect import CollectConfig, collect
    from robomamba_ros.simulation.metaworld import load_tasks

    known = load_tasks()
    tasks = choose_tasks(args.tasks)
    config = CollectConfig(tasks, args.episodes, args.shard, image_share=args.image_share)
    if args.clean:
        config = replace(config, clean_share=1.0)
    instructions = {task: known[task].instruction for task in config.tasks}
    total = len(config.tasks) * config.episodes_per_task // config.episodes_per_shard
    samples = failed = finished = 0
    with tqdm(total=total, unit='shard') as bar:
        for _, count, failures in collect(args.folder, config, instructions, args.workers):
            samples, failed, finished = samples + count, failed + failures, finished + 1
            bar.update()
            bar.set_postfix(samples=samples)
    print(
        f'{finished} shards, {samples} samples written to {args.folder}; '
        f'{failed} episodes in which the expert failed were left out'
    )
    return 0
