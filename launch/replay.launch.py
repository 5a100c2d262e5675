"""Plays a bag to a policy: `ros2 launch robomamba_ros replay.launch.py --show-args`."""

from launch import LaunchDescription

from robomamba_ros.arguments import REPLAY_ARGUMENTS
from robomamba_ros.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return describe('replay.launch.py', REPLAY_ARGUMENTS)
