"""Reads a rosbag2 recording without ROS, whatever distribution wrote it.

`python read_a_bag.py my_bag` reads yours, a folder or one file of it; without an argument one is
written first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import robomamba_ros as rm
from robomamba_ros.bags.writer import message


def record(path: Path) -> None:
    """Write a second of instructions."""
    with rm.BagWriter(path) as writer:
        writer.add_topic('/instruction', 'std_msgs/msg/String')
        for index, text in enumerate(('open the drawer', 'close the drawer')):
            stamp_ns = index * 500_000_000
            writer.write('/instruction', stamp_ns, message('std_msgs/msg/String', data=text))


def show(path: Path) -> None:
    """Print the topics, the first messages of each, and what is wrong with the recording."""
    with rm.Bag(path) as bag:
        print(f'{bag.count} messages in {bag.duration_s:.1f} s')
        for topic in bag.topics.values():
            print(f'{topic.name}  {topic.type}  {topic.count}')
        readable = [topic.name for topic in bag.topics.values() if not topic.problem]
        for number, each in enumerate(bag.messages(readable)):
            if number == 5:
                break
            print(f'{each.log_ns / 1e9:.2f} s  {each.topic}  {each.content}'[:120])
        for warning in bag.warnings:
            print('warning:', warning)


def main() -> None:
    """Read the recording that is named, or one that is written here."""
    if len(sys.argv) > 1:
        show(Path(sys.argv[1]))
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'instructions.mcap'
        record(path)
        show(path)


if __name__ == '__main__':
    main()
