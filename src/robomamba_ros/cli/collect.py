"""`robomamba collect`: record demonstrations of scripted experts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robomamba_ros.cli.tasks import add_task_options, check_instructions, choose_tasks
from robomamba_ros.errors import ConfigError

if TYPE_CHECKING:
    from robomamba_ros.simulation.collect.collection import Collected, Collection
    from robomamba_ros.simulation.collect.demonstrations import CollectConfig

IMAGE_SHARE = 0.2


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'collect',
        help='record demonstrations of scripted experts in simulation',
        description='Records demonstrations of Meta-World experts, disturbed in execution, or of '
        'experts of FR3 and HSR, always as a LeRobot data set and undisturbed. With --correct a '
        'policy does the tasks, and what an expert does where it strays is added to a store. An '
        'interrupted collection is continued by the same command.',
    )
    parser.add_argument('folder', type=Path, help='where the data set is written')
    add_task_options(parser)
    parser.add_argument(
        '--episodes',
        type=int,
        help='per task (default: 600; of FR3 and HSR 50; with --correct 10)',
        metavar='N',
    )
    parser.add_argument(
        '--shard',
        type=int,
        default=25,
        help='episodes of a task before those of the next, which a file holds (default: 25)',
    )
    parser.add_argument('--clean', action='store_true', help='disturb no episode')
    parser.add_argument(
        '--image-share',
        type=float,
        metavar='SHARE',
        help=f'of the frames that are kept, drawn at random (default: {IMAGE_SHARE}; with '
        '--correct 1)',
    )
    parser.add_argument(
        '--image-every',
        type=int,
        metavar='N',
        help='keep every n-th frame instead: for a policy that carries its state, of as many '
        'execute_steps',
    )
    parser.add_argument(
        '--correct',
        metavar='CHECKPOINT',
        help='let this policy do the tasks, and an expert the rest where it strays; only that is '
        'added to the store that it was trained on',
    )
    parser.add_argument(
        '--lerobot',
        action='store_true',
        help='write a LeRobot data set (v3.0) of every frame, instead of a store for training',
    )
    parser.add_argument(
        '--video', action='store_true', help='its images as H.264: smaller, with loss'
    )
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Collect, with a progress bar and a summary."""
    from robomamba_ros.simulation.collect.demonstrations import CollectConfig

    if args.image_share is not None and args.image_every is not None:
        raise ConfigError('give --image-share or --image-every, not both')
    if (args.lerobot or args.robot != 'sawyer') and (args.image_share, args.image_every) != (
        None,
        None,
    ):
        raise ConfigError(
            '--image-share and --image-every are for stores; a LeRobot data set has every frame'
        )
    if args.correct is not None:
        _correct(args)
        return 0
    if args.robot != 'sawyer':
        _collect_physical(args)
        return 0
    if args.video and not args.lerobot:
        raise ConfigError('--video is for LeRobot data sets; give --lerobot too')
    config = CollectConfig(
        choose_tasks(args.tasks),
        600 if args.episodes is None else args.episodes,
        args.shard,
        clean_share=1.0 if args.clean else CollectConfig.clean_share,
        image_share=IMAGE_SHARE if args.image_share is None else args.image_share,
        image_every=args.image_every or 0,
    )
    if args.lerobot:
        _collect_lerobot(args.folder, config, args.video, args.workers)
    else:
        _collect_store(args.folder, config, args.workers)
    return 0


def _correct(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from robomamba_ros.evaluation.corrections import CorrectionConfig, correct, missing_tasks
    from robomamba_ros.policies.location import checkpoint_directory

    if args.robot != 'sawyer' or args.lerobot or args.clean:
        raise ConfigError(
            "--correct adds to a store of Meta-World's tasks: without --robot, "
            '--lerobot and --clean'
        )
    config = CorrectionConfig(
        str(checkpoint_directory(args.correct)),
        choose_tasks(args.tasks),
        CorrectionConfig.episodes if args.episodes is None else args.episodes,
        CorrectionConfig.image_share if args.image_share is None else args.image_share,
        args.image_every or 0,
    )
    check_instructions(config.checkpoint, config.tasks, 'auto')
    missing = missing_tasks(args.folder, config)
    if known := len(config.tasks) - len(missing):
        print(f'corrected with this checkpoint before: {known} of {len(config.tasks)} tasks')
    parts = list(tqdm(correct(args.folder, config, args.workers), total=len(missing), unit='task'))
    print(f'{"task":28}{"corrected":>10}{"samples":>10}{"expert failed":>15}')
    for part in parts:
        print(f'{part.task:28}{part.episodes:10}{part.samples:10}{part.failed:15}')
    print(
        f'{sum(part.episodes for part in parts)} of {config.episodes * len(missing)} episodes '
        f'corrected, {sum(part.samples for part in parts)} samples added to {args.folder}'
    )


def _collect_physical(args: argparse.Namespace) -> None:
    from robomamba_ros.evaluation.expert_episodes import FPS, ExpertConfig, expert_collection

    if args.image_share is not None:
        raise ConfigError('--image-share is for stores; a LeRobot data set has every frame')
    tasks = choose_tasks(args.tasks, args.robot)
    episodes = ExpertConfig.episodes if args.episodes is None else args.episodes
    config = ExpertConfig(tasks, episodes, args.shard)
    with expert_collection(args.folder, config, video=args.video) as collection:
        _run(collection, args.folder, args.workers, FPS)


def _collect_store(folder: Path, config: CollectConfig, workers: int) -> None:
    from tqdm import tqdm

    from robomamba_ros.simulation.collect.demonstrations import collect, missing_shards, summarize
    from robomamba_ros.simulation.tasks import known_tasks

    known = known_tasks()
    instructions = {task: known[task].instruction for task in config.tasks}
    total = len(config.tasks) * config.episodes_per_task // config.episodes_per_shard
    samples = 0
    present = total - len(missing_shards(folder, config))
    with tqdm(total=total, initial=present, unit='shard') as bar:
        for _, count, _ in collect(folder, config, instructions, workers):
            samples += count
            bar.set_postfix(samples=samples)
            bar.update()
    _print_summary(folder, summarize(folder, config), 'samples')


def _collect_lerobot(folder: Path, config: CollectConfig, video: bool, workers: int) -> None:
    from robomamba_ros.simulation.collect.lerobot import FPS, LeRobotCollection

    with LeRobotCollection(folder, config, video=video) as collection:
        _run(collection, folder, workers, FPS)


def _run(collection: Collection, folder: Path, workers: int, fps: int) -> None:
    """Collect what is missing of a LeRobot data set, with a progress bar, and sum up."""
    from tqdm import tqdm

    frames, present = 0, collection.present
    with tqdm(total=present + len(collection.missing), initial=present, unit='episode') as bar:
        for count in collection.run(workers):
            frames += count
            bar.set_postfix(frames=frames)
            bar.update()
    parts = collection.summarize()
    _print_summary(folder, parts, 'frames')
    print(f'{sum(part.frames for part in parts) / fps / 60:.1f} minutes at {fps} frames a second')


def _print_summary(folder: Path, parts: Sequence[Collected], unit: str) -> None:
    print(f'{"task":28}{"episodes":>10}{unit:>10}{"expert failed":>15}')
    episodes = frames = failed = 0
    for part in parts:
        print(f'{part.task:28}{part.episodes:10}{part.frames:10}{part.failed:15}')
        episodes, frames = episodes + part.episodes, frames + part.frames
        failed += part.failed
    print(
        f'{episodes} episodes, {frames} {unit} in {folder}; {failed} episodes in which the expert '
        'failed are left out'
    )
