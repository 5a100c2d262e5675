"""The option that says for which distribution of ROS 2 a bag is written."""

from __future__ import annotations

import argparse


def add_ros_distro(parser: argparse.ArgumentParser) -> None:
    """Add `--ros-distro NAME`: args.ros_distro is '' where it is not given."""
    parser.add_argument(
        '--ros-distro',
        default='',
        metavar='NAME',
        help='whose rosbag2 is to read what is written: humble, iron, jazzy, kilted, .. (that of '
        'the environment, else jazzy)',
    )
