"""`robomamba poses`: contact poses and questions about images: data, training, evaluation."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robomamba_ros.cli.load_options import add_load_options, load_options
from robomamba_ros.common.resources import find_file
from robomamba_ros.errors import ConfigError, SimulationError, unknown_name

PATHS = {
    'start': 'checkpoint to start from',
    'poses': 'pose data set',
    'conversations': 'JSON file, or folder of them',
    'images': "folder of the conversations' images",
    'output': 'run directory',
}


def add_parser(subparsers: Any) -> None:
    """Add the verb and its own verbs to the command line."""
    parser = subparsers.add_parser(
        'poses',
        help='contact poses and questions about images: data, training, evaluation',
        description="RoboMamba's side: where to act in an image, how to turn, and what to say.",
    )
    verbs = parser.add_subparsers(title='verbs', metavar='VERB', required=True)
    _add_collect(verbs)
    _add_train(verbs)
    _add_evaluate(verbs)


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


def _add_train(verbs: Any) -> None:
    parser = verbs.add_parser(
        'train',
        help='train RoboMamba in its stages',
        description="Trains RoboMamba in the paper's stages, from conversations and poses. The "
        'same command continues an interrupted run.',
    )
    parser.add_argument(
        'config', help='a run of config/training by name, or a YAML file (see robomamba_small)'
    )
    for name, what in PATHS.items():
        parser.add_argument(f'--{name}', help=f'{what}, instead of the one in the file')
    parser.set_defaults(run=_train)


def _add_evaluate(verbs: Any) -> None:
    parser = verbs.add_parser(
        'evaluate',
        help='measure the contacts a policy finds, and its answers',
        description='Compares contacts with the labels of simulated scenes, moves the simulated '
        'fingers to them, and asks the questions of the data set.',
    )
    parser.add_argument('policy', help='a RoboMamba checkpoint, for example robomamba-small')
    parser.add_argument('data', type=Path, help='a pose data set on seeds never trained on')
    parser.add_argument('--baseline', type=Path, help='the pose data set it was trained on')
    parser.add_argument('--tasks', action='store_true', help='a row for every task as well')
    add_load_options(parser)
    parser.set_defaults(run=_evaluate)


def _collect(args: argparse.Namespace) -> int:
    """Collect, with a progress bar and a summary."""
    from tqdm import tqdm

    from robomamba_ros.simulation.collect.poses import PoseCollection, collect_poses
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


def _train(args: argparse.Namespace) -> int:
    """Train, with a progress bar for each stage."""
    from robomamba_ros.cli.train import train_robomamba

    given = {name: getattr(args, name) for name in PATHS if getattr(args, name)}
    return train_robomamba(find_file('training', args.config), given)


def _evaluate(args: argparse.Namespace) -> int:
    """Evaluate with progress bars, and print the tables."""
    from tqdm import tqdm

    from robomamba_ros.datasets.conversations import read_conversations
    from robomamba_ros.datasets.poses import CONVERSATIONS, read_poses
    from robomamba_ros.evaluation.poses import (
        PoseError,
        answer_rates,
        answer_table,
        found_contacts,
        mean_contacts,
        pose_errors,
        pose_table,
        true_contacts,
    )
    from robomamba_ros.policies.registry import load_policy
    from robomamba_ros.policies.robomamba.policy import RoboMambaPolicy

    samples = read_poses(args.data)
    # Before the simulator: transformers brings triton, which must not come after Mesa's LLVM.
    policy = load_policy(args.policy, **asdict(load_options(args)))
    if not isinstance(policy, RoboMambaPolicy):
        raise ConfigError(f"'{args.policy}' finds no contacts; give a RoboMamba")
    contacts = {policy.spec.name: found_contacts(policy, samples)}
    if args.baseline:
        contacts['mean of the task'] = mean_contacts(samples, read_poses(args.baseline))
    contacts['the labels themselves'] = true_contacts(samples)
    results: dict[str, list[PoseError]] = {}
    for name, those in contacts.items():
        found = list(those)
        bar = tqdm(samples, desc=name, unit='scene')
        results[name] = list(pose_errors(bar, found))
    if args.tasks:
        errors = results[policy.spec.name]
        for task in dict.fromkeys(error.task for error in errors):
            results[task] = [error for error in errors if error.task == task]
    print(pose_table(results))
    talks = read_conversations(args.data / CONVERSATIONS, args.data)
    rates = answer_rates(policy, tqdm(talks, desc='questions', unit='image'))
    print(f'\n{answer_table(rates)}')
    return 0
