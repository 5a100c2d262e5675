"""Starts a policy on an arm: `ros2 launch robomamba_ros policy.launch.py --show-args`."""

from launch import LaunchDescription

from robomamba_ros.bringup.launch import describe
from robomamba_ros.bringup.options import POLICY_ARGUMENTS


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return describe('policy.launch.py', POLICY_ARGUMENTS)
