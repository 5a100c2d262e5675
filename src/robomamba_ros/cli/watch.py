"""`robomamba watch`: shows an arm and its policy in Rerun or Foxglove, live or from bags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robomamba_ros.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from robomamba_ros.robots.arm import ArmContract
    from robomamba_ros.watching.shown import Shown

VIEWER = Path()


def add_parser(subparsers: Any) -> None:
    """Add the verb and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        'watch',
        help='show an arm and its policy in Rerun or Foxglove, live or from bags',
        description='Shows cameras with the predicted path, joints commanded and measured, '
        'chunks, limits, latencies and states: what nodes publish now, or what bags hold. It '
        'publishes nothing; nothing of it runs in the nodes.',
    )
    parser.add_argument('bags', nargs='*', type=Path, help='bags instead of what is live')
    parser.add_argument('--arm', required=True, help='name in config/arms, or a path')
    for name, kind in (('rerun', '.rrd'), ('foxglove', '.mcap')):
        parser.add_argument(
            f'--{name}',
            nargs='?',
            type=Path,
            const=VIEWER,
            metavar='FILE',
            help=f'show in {name.title()}, or write a new {kind} file for it',
        )
    parser.add_argument('--namespace', default='', help='of the arm')
    parser.add_argument(
        '--use-sim-time', action='store_true', help='take the time from the topic /clock'
    )
    parser.add_argument(
        '--ros-args', nargs=argparse.REMAINDER, default=[], help='last: remappings, as of the nodes'
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show what bags hold, or what is live until Ctrl-C."""
    from robomamba_ros.robots.arm import load_arm

    if args.rerun is None and args.foxglove is None:
        raise ConfigError('give --rerun, --foxglove or both: where to show it')
    for file in (args.rerun, args.foxglove):
        # It may be a recording: a bag that was meant as what to show stands behind the option.
        if file not in (None, VIEWER) and os.path.lexists(file):
            raise ConfigError(f'{file} exists already, and is not written over: give a new file')
    arm = load_arm(args.arm)
    with ExitStack() as stack:
        views = [stack.enter_context(view) for view in _views(args, arm)]

        def show(shown: Shown) -> None:
            for view in views:
                view.show(shown)

        if args.bags:
            count = _play(args.bags, arm, show)
        else:
            from robomamba_ros.nodes.clients.watcher import listen

            count = listen(
                arm,
                show,
                namespace=args.namespace,
                use_sim_time=args.use_sim_time,
                ros_arguments=args.ros_args,
            )
    print(f'{count} messages shown')
    return 0


def _views(args: argparse.Namespace, arm: ArmContract) -> list[Any]:
    views: list[Any] = []
    try:
        if args.rerun is not None:
            from robomamba_ros.watching.rerun_view import RerunView

            views.append(RerunView(None if args.rerun == VIEWER else args.rerun))
        if args.foxglove is not None:
            from robomamba_ros.watching.foxglove_view import FoxgloveView

            file = None if args.foxglove == VIEWER else args.foxglove
            views.append(FoxgloveView(file, arm.base_frame))
    except ModuleNotFoundError as error:
        raise BackendError(
            f"the package '{error.name}' is not installed: pip install -e '.[watch]' in the "
            'checkout'
        ) from error
    return views


def _play(bags: Sequence[Path], arm: ArmContract, show: Callable[[Shown], None]) -> int:
    """Show what bags of one clock hold, as of the stamps in it; return how many messages."""
    from robomamba_ros.bags.reader import Bag
    from robomamba_ros.watching.shown import Watched

    watched, count = Watched(arm), 0
    for path in bags:
        with Bag(path) as bag:
            found = {name: bag.find(name) for name in watched.types}
            names = {
                topic.name: name
                for name, topic in found.items()
                if topic is not None and topic.type == watched.types[name]
            }
            for message in bag.messages(list(names)):
                count += 1
                for shown in watched.read(names[message.topic], message.content, message.log_ns):
                    show(shown)
            for warning in bag.warnings:
                print(f'warning: {warning}')
    if not count:
        raise ConfigError(f'no topic of arm {arm.name} is in {", ".join(map(str, bags))}')
    return count
