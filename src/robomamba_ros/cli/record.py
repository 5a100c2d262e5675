"""`robomamba record`: topics into a rosbag2 folder, where the command `ros2 bag` is not at hand."""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from robomamba_ros.cli.ros_distro import add_ros_distro
from robomamba_ros.errors import ConfigError, DataError


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'record',
        help='record topics into a rosbag2 folder',
        description='Records messages of any type whose package is installed, as rosbag2 would. '
        'Ctrl-C closes the bag.',
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('topics', nargs='*', default=[], metavar='TOPIC', help='topics by name')
    what.add_argument(
        '--all', action='store_true', help='every topic there is, and that comes to be'
    )
    what.add_argument(
        '--arm',
        metavar='NAME',
        help='what replay and training need of the arm contract NAME, nothing else',
    )
    parser.add_argument(
        '--output', '-o', type=Path, metavar='DIR', help='the folder (bag_ and the time)'
    )
    parser.add_argument(
        '--episodes',
        action='store_true',
        help='a bag for each demonstration, 000, 001, .. in --output (episodes): the space bar '
        'begins one and keeps it, d discards it, q ends; the services ~/begin, ~/keep and '
        '~/discard do the same',
    )
    parser.add_argument(
        '--task', metavar='TEXT', help='with --episodes: the instruction that each begins with'
    )
    parser.add_argument(
        '--take-over',
        nargs='?',
        const=(),
        type=_button,
        metavar='TOPIC:BUTTON',
        help='with --episodes: mark where a person takes over from a policy, by the key t, the '
        'services ~/take_over and ~/hand_back, another program that commands the arm, or the '
        'button of a Joy while it is held, as joy:5',
    )
    parser.add_argument('--namespace', default='', help='of topics whose name begins without /')
    parser.add_argument('--duration', type=float, metavar='S', help='end after S seconds')
    parser.add_argument(
        '--storage', choices=('mcap', 'sqlite3'), default='mcap', help='(%(default)s)'
    )
    add_ros_distro(parser)
    parser.add_argument(
        '--buffer',
        type=int,
        default=256,
        metavar='MIB',
        help='for what the disk has not taken yet; what comes while it is full is dropped and '
        'counted (%(default)s)',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Record until Ctrl-C, SIGTERM or the end of the duration; return the exit code."""
    import signal
    import threading
    import time

    from robomamba_ros.bags.recording import RecordingThread
    from robomamba_ros.cli.record_episodes import record_episodes
    from robomamba_ros.nodes.common.context import ros_joined
    from robomamba_ros.replay.inputs import recorded_topics
    from robomamba_ros.robots.arm import load_arm

    topics = None if args.all else args.topics
    if args.arm is not None:
        topics = recorded_topics(load_arm(args.arm))
    if args.duration is not None and not 0.0 < args.duration < math.inf:
        raise ConfigError(f'--duration is {args.duration}; give seconds above 0')
    if args.buffer < 1:
        raise ConfigError(f'--buffer is {args.buffer}; give at least 1 MiB')
    if args.task is not None and not args.episodes:
        raise ConfigError('--task is written into episodes; give --episodes too')
    if args.take_over is not None and not args.episodes:
        raise ConfigError('--take-over marks parts of episodes; give --episodes too')
    stop = threading.Event()
    # rclpy's own handlers would end the context before the bag is closed.
    with ros_joined():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        if args.episodes:
            return record_episodes(args, topics, stop)
        folder = args.output or Path(time.strftime('bag_%Y_%m_%d-%H_%M_%S'))
        recording = RecordingThread(folder, args.storage, args.buffer << 20, args.ros_distro)
        with closing(recording):
            missing = _record(recording, topics, args.namespace, args.duration, stop)
    return _conclude(recording, folder, missing)


def _button(text: str) -> tuple[str, int]:
    topic, _, index = text.rpartition(':')
    if not topic or not index.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not TOPIC:BUTTON, as in joy:5")
    return topic, int(index)


def _record(
    recording: Any,
    topics: Collection[str] | None,
    namespace: str,
    duration_s: float | None,
    stop: Any,
) -> list[str]:
    """Spin the recorder with a line of progress; return the topics that nobody published."""
    import time

    from robomamba_ros.nodes.clients.recorder_spin import recorder_spin

    begin = time.monotonic()
    with recorder_spin(recording, topics, namespace) as spin:
        while not stop.is_set() and not spin.node.fatal:
            seconds = time.monotonic() - begin
            if duration_s is not None and seconds >= duration_s:
                break
            spin.turn(lambda: _progress(recording, spin.node, time.monotonic() - begin))
        spin.drain()
        return list(spin.node.missing)


def _progress(recording: Any, node: Any, seconds: float) -> str:
    dropped = sum(recording.dropped.values())
    return (
        f'{seconds:.0f} s, {len(node.topics)} topics, {recording.written} messages, '
        f'{recording.bytes / 1e6:.1f} MB'
        + (f', {dropped} DROPPED' if dropped else '')
        + (f', waiting for {" ".join(node.missing)}' if node.missing else '')
    )


def _conclude(recording: Any, folder: Path, missing: list[str]) -> int:
    """Say what came of it; return the exit code."""
    for topic, count in recording.dropped.items():
        print(f'{count} messages of {topic} were dropped: the disk is too slow, or --buffer small')
    for topic in missing:
        print(f'{topic} was never published')
    if recording.failure:
        raise DataError(recording.failure)
    print(f'{folder}: {recording.written} messages, {recording.bytes / 1e6:.1f} MB')
    return 0
