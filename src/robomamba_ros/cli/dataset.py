"""`robomamba dataset`: bags into LeRobot data sets, and what a data set holds."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robomamba_ros.cli.bag_options import add_offset, add_unpacking, unpacked_bytes

if TYPE_CHECKING:
    from robomamba_ros.datasets.from_bags.conversion import BagResult
    from robomamba_ros.datasets.lerobot.reader import LeRobotDataset

SPACES = ('ee_delta', 'ee_pose', 'joint_position', 'joint_delta')
ACTION_SOURCES = ('auto', 'command', 'state')
TAKE_OVERS = ('ignore', 'mark', 'only')
DAY_S = 86_400.0
BAR = '{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}'


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'dataset', help='make LeRobot data sets from rosbags, and look at them'
    )
    verbs = parser.add_subparsers(title='what to do', metavar='WHAT', required=True)
    _add_from_bag(verbs)
    info = verbs.add_parser('info', help='print what a data set holds')
    info.add_argument('folder', type=Path, help='of a LeRobot data set, v2.0, v2.1 or v3.0')
    info.set_defaults(run=print_info)


def _add_from_bag(verbs: Any) -> None:
    parser = verbs.add_parser(
        'from-bag',
        help='make a LeRobot data set from rosbags',
        description='Brings the streams of rosbags to one clock, cuts them into episodes, and '
        'writes a LeRobot data set (v3.0). Needs no ROS.',
    )
    parser.add_argument('bag', type=Path, nargs='+', help='folders of rosbag2, .mcap or .db3 files')
    parser.add_argument('--arm', required=True, help='the arm contract, by name or path')
    parser.add_argument('--output', type=Path, required=True, metavar='DIR')
    parser.add_argument('--append', action='store_true', help='add to a data set that is there')
    parser.add_argument('--fps', type=int, required=True, metavar='N', help='frames per second')
    parser.add_argument('--cameras', nargs='+', metavar='NAME', help='(all that the bags have)')
    parser.add_argument('--video', action='store_true', help='images as H.264: smaller, with loss')
    task = parser.add_mutually_exclusive_group()
    task.add_argument('--task', metavar='TEXT', help='what is done, in words')
    task.add_argument(
        '--task-topic', metavar='TOPIC', help='a std_msgs/String that says it (the instruction)'
    )
    parser.add_argument(
        '--episodes-by',
        default='gap',
        metavar='gap|NAME',
        help='where nothing is missing (gap), or by a topic (Bool: start and stop; String: every '
        'other text) or service (SetBool: start and stop; Trigger, Empty: each call)',
    )
    parser.add_argument(
        '--take-overs',
        choices=TAKE_OVERS,
        default='ignore',
        help='where a person took over from the policy (the topic take_over, of `record '
        '--take-over`): mark those frames by the feature is_intervention, or take only them',
    )
    parser.add_argument(
        '--min-frames', type=int, default=10, metavar='N', help='of an episode (%(default)s)'
    )
    parser.add_argument('--action-space', choices=SPACES, default='ee_delta', help='(%(default)s)')
    parser.add_argument(
        '--actions',
        choices=ACTION_SOURCES,
        default='auto',
        help='from recorded commands or measured states; auto: commands where there are some',
    )
    add_offset(parser)
    add_unpacking(parser)
    channels = parser.add_argument_group('channels, instead of all that go with the action space')
    channels.add_argument('--state-channels', nargs='+', metavar='NAME')
    channels.add_argument('--action-channels', nargs='+', metavar='NAME')
    parser.set_defaults(run=convert)


def convert(args: argparse.Namespace) -> int:
    """Convert with a progress bar and a summary; 1 where no episode came of it."""
    from tqdm import tqdm

    from robomamba_ros.bags.reader import Bag
    from robomamba_ros.datasets.from_bags.conversion import BagDataset, DatasetOptions
    from robomamba_ros.datasets.from_bags.samples import SampleOptions
    from robomamba_ros.robots.arm import load_arm
    from robomamba_ros.types import ActionSpace

    def names(given: list[str] | None) -> tuple[str, ...] | None:
        return None if given is None else tuple(given)

    sampling = SampleOptions(
        fps=args.fps,
        cameras=names(args.cameras),
        task=args.task,
        task_topic=args.task_topic,
        episodes_by=args.episodes_by,
        actions=args.actions,
        take_overs=args.take_overs,
        offsets_s=dict(args.offset),
    )
    options = DatasetOptions(
        space=ActionSpace(args.action_space),
        state=names(args.state_channels),
        actions=names(args.action_channels),
        video=args.video,
        min_frames=args.min_frames,
        add=args.append,
    )
    episodes, frames, most = 0, 0, unpacked_bytes(args)
    with BagDataset(args.output, load_arm(args.arm), sampling, options) as dataset:
        for path in args.bag:
            with (
                Bag(path, most_unpacked=most) as bag,
                tqdm(total=1.0, desc=path.name, bar_format=BAR) as bar,
            ):
                result = dataset.add(bag, partial(_show, bar))
            for warning in bag.warnings:
                print(f'warning: {warning}')
            _print_result(result, args.fps)
            episodes, frames = episodes + result.episodes, frames + result.frames
    print(f'{episodes} episodes, {frames} frames ({frames / args.fps:.1f} s) in {args.output}')
    return 0 if episodes else 1


def _show(bar: Any, share: float) -> None:
    bar.update(share - bar.n)


def _delay(delay_s: float) -> str:
    """Return a delay in words; a day is none, but another clock, such as a simulated one."""
    return f'{1e3 * delay_s:.1f} ms' if abs(delay_s) < DAY_S else 'by another clock'


def _print_result(result: BagResult, fps: int) -> None:
    samples, report = result.samples, result.samples.report
    source = ', '.join(f'{part} from {topic}' for part, topic in samples.commanded.items())
    print(f'  {result.episodes} episodes, {result.frames} frames')
    print(f'  actions: {f"commands ({source})" if source else "measured motion"}')
    for camera in samples.cameras:
        age_ms = report.ages_ns[camera] / max(report.samples, 1) / 1e6
        print(
            f'  camera {camera}: {report.repeats[camera]} of {report.samples} frames repeat the '
            f'image before, mean age {age_ms:.1f} ms'
        )
    delays = samples.clocks.delays.items()
    if delays:
        found = ', '.join(f'{name} {_delay(each.delay_s)}' for name, each in delays)
        print(f'  recorded after their stamps: {found}')
    if result.short:
        print(f'  {result.short} episodes left out as too short, {result.short_frames} frames')
    for line in report.describe_jumps():
        print(f'  {line}')
    for title, counts in (
        ('episodes ended', report.breaks),
        ('steps without a frame', report.missing),
        ('out of order, left out', report.late),
        ('messages that cannot be used', samples.problems),
    ):
        for reason, count in counts.most_common():
            print(f'  {title}: {count} x {reason}')
    if hint := samples.episode_hint(result.episodes):
        print(f'  hint: {hint}')


def print_info(args: argparse.Namespace) -> int:
    """Print what a data set holds."""
    from robomamba_ros.datasets.lerobot.checks import check_numbers
    from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
    from robomamba_ros.errors import DataError

    dataset = LeRobotDataset(args.folder)
    info = dataset.info
    lengths = sorted(episode.length for episode in dataset.episodes)
    print(f'{args.folder}: LeRobot {info.version}, robot {info.robot_type or "not named"}')
    print(
        f'{len(lengths)} episodes, {len(dataset)} frames at {info.fps:g} per second '
        f'({len(dataset) / info.fps / 60:.1f} min)'
    )
    if lengths:
        print(
            f'episode lengths: {lengths[0]} to {lengths[-1]} frames, median '
            f'{lengths[len(lengths) // 2]}'
        )
    for task in dataset.tasks:
        count = sum(task in episode.tasks for episode in dataset.episodes)
        print(f"task '{task}': {count} episodes")
    for key in info.cameras:
        height, width = info.features[key].image_size
        print(f'{key}: {width} x {height}, {info.features[key].dtype}')
    if lengths:
        _print_numbers(dataset)
    for note in dataset.notes:
        print(f'note: {note}')
    try:
        check_numbers(dataset)
    except DataError as error:
        print(f'warning: {error}')
    return 0


def _print_numbers(dataset: LeRobotDataset) -> None:
    import numpy as np

    from robomamba_ros.datasets.lerobot.layout import INDICES
    from robomamba_ros.datasets.lerobot.statistics import number_statistics

    shown = ('min', 'q01', 'mean', 'q99', 'max', 'std')
    for key, feature in dataset.info.features.items():
        if key in INDICES or not feature.is_numeric:
            continue
        statistics = number_statistics(dataset.values(key))
        print(f'{key}: {feature.dtype} {list(feature.shape)}')
        print(f'  {"":24}' + ''.join(f'{name:>11}' for name in shown))
        columns = [np.ravel(statistics[name]) for name in shown]
        for name, *values in zip(dataset.names(key), *columns, strict=True):
            print(f'  {name:24}' + ''.join(f'{value:11.4g}' for value in values))
