"""The part of `robomamba record` that records demonstrations one by one."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robomamba_ros.errors import DataError
from robomamba_ros.language.instructions import check_text

if TYPE_CHECKING:
    from robomamba_ros.bags.episodes import EpisodeRecording, Topic

# What says the task in a graph. An episode that is given one leaves the graph's out.
TASK_TOPIC = 'instruction'
TASK_TOPICS = (TASK_TOPIC, 'active_instruction')


def record_episodes(args: argparse.Namespace, topics: Collection[str] | None, stop: Any) -> int:
    """Record episodes until q, Ctrl-C or SIGTERM; return the exit code."""
    from robomamba_ros.bags.episodes import EpisodeRecording
    from robomamba_ros.nodes.clients.episode_control import HELP, EpisodeControl, pressed_keys
    from robomamba_ros.nodes.clients.recorder_spin import recorder_spin
    from robomamba_ros.nodes.clients.take_over import TakeOver

    fixed: list[tuple[Topic, bytes]] = []
    left_out: set[str] = set()
    if args.task is not None:
        check_text('task', args.task)
        fixed.append(_task(args.task, args.namespace))
        left_out = {_resolved(name, args.namespace) for name in TASK_TOPICS}
    episodes = EpisodeRecording(
        args.output or Path('episodes'), args.storage, args.buffer << 20, args.ros_distro, fixed
    )
    with recorder_spin(episodes, topics, args.namespace, left_out) as spin, pressed_keys() as keys:
        further = {}
        if args.take_over is not None:
            taking = TakeOver(spin.node, episodes, spin.say, args.take_over or None)
            further = {'t': taking.toggle}
        control = EpisodeControl(spin.node, episodes, spin.say, further)
        spin.say(f'{HELP}; t: take over from the policy, or hand back' if further else HELP)
        while not stop.is_set() and not control.finished and not episodes.failure:
            spin.turn(lambda: _progress(episodes, spin.node.missing))
            control.press(keys())
            if args.duration is not None and episodes.duration_s >= args.duration:
                control.keep()
        spin.drain()
        if episodes.recording:
            control.keep()
            spin.say('the last episode was being recorded when this ended: look at it')
    if episodes.failure:
        raise DataError(episodes.failure)
    print(f'{episodes.folder}: {episodes.kept} episodes')
    return 0


def _task(text: str, namespace: str) -> tuple[Topic, bytes]:
    """Return the topic of the instruction, and a message of it with a text."""
    from rclpy.serialization import serialize_message
    from std_msgs.msg import String

    from robomamba_ros.bags.definitions import find_definition
    from robomamba_ros.bags.episodes import Topic
    from robomamba_ros.bags.records import Offer

    kind = 'std_msgs/msg/String'
    offer = Offer('reliable', 'transient_local', 'keep_last', 1)
    topic = Topic(_resolved(TASK_TOPIC, namespace), kind, find_definition(kind), (offer,))
    return topic, bytes(serialize_message(String(data=text)))


def _resolved(name: str, namespace: str) -> str:
    return '/'.join(('', *filter(None, namespace.split('/')), name))


def _progress(episodes: EpisodeRecording, missing: list[str]) -> str:
    waiting = f', waiting for {" ".join(missing)}' if missing else ''
    now = f'RECORDING {episodes.duration_s:.0f} s' if episodes.recording else 'between episodes'
    return f'{now}, {episodes.kept} kept{waiting}'
