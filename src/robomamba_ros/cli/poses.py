"""`robomamba poses`: where to act in an image - data from simulation."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from robomamba_ros.errors import SimulationError, unknown_name


def add_parser(subparsers: Any) -> None:
    """Add the verb and its own verbs to the command line."""
    parser = subparsers.add_parser(
        'poses',
        help='contact poses and questions about images: data, training, evaluation',
        description="RoboMamba's side: where to act in an image, how to turn, and what to say.",
    )
    verbs = parser.add_subparsers(title='verbs', metavar='VERB', required=True)
    _add_collect(verbs)


def _add_collect(verbs: Any) -> None:
    parser = verbs.add_parser(
        'collect',
        help='make contact poses and questions from simulated scenes',
        description='Renders Meta-World scenes and writes where to take hold in them, in which '
        'direction, and questions with answers. The same command continues what was interrupted.',
    )
    parser.add_argument('folder', type=Path, help='where the data set is written')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='default: all with a handle')
    parser.add_argument('--scenes', type=int, default=300, help='per task (default: 300)')
    parser.add_argument(
        '--first-seed',
        type=int,
        default=1_000_000,
        help='of the scenes (default: 1000000; evaluation uses those below)',
    )
    parser.add_argument('--shard', type=int, default=50, help='scenes per file (default: 50)')
    parser.add_argument('--size', type=int, default=224, help='of the images [px] (default: 224)')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    parser.set_defaults(run=_collect)


def _collect(args: argparse.Namespace) -> int:
    """Collect, with a progress bar and a summary."""
    from tqdm import tqdm

    from robomamba_ros.data.collect_poses import PoseCollection, collect_poses
    from robomamba_ros.simulation.handles import HANDLES

    tasks = tuple(args.tasks or HANDLES)
    for task in tasks:
        if task not in HANDLES:
            raise SimulationError(unknown_name('task with a handle', task, HANDLES))
    config = PoseCollection(tasks, args.scenes, args.first_seed, args.shard, args.size)
    samples = hidden = shards = 0
    with tqdm(total=len(config.shards), unit='shard') as bar:
        for _, seen, unseen in collect_poses(args.folder, config, args.workers):
            samples, hidden, shards = samples + seen, hidden + unseen, shards + 1
            bar.update()
            bar.set_postfix(samples=samples)
    print(
        f'{shards} shards, {samples} samples written to {args.folder}; in {hidden} scenes the '
        'contact is out of sight'
    )
    return 0
