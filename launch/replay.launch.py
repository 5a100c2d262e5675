"""Plays a bag to a policy: `ros2 launch robomamba_ros replay.launch.py --show-args`."""

from launch import LaunchDescription

from robomamba_ros.bringup.launch import describe
from robomamba_ros.bringup.options import REPLAY_ARGUMENTS


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return describe('replay.launch.py', REPLAY_ARGUMENTS)
