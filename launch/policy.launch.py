"""Starts a policy on an arm: `ros2 launch robomamba_ros policy.launch.py --show-args`."""

from launch import LaunchDescription

from robomamba_ros.arguments import POLICY_ARGUMENTS
from robomamba_ros.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return describe('policy.launch.py', POLICY_ARGUMENTS)
