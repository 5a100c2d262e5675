"""Starts a policy on the simulated arm: `ros2 launch robomamba_ros sim.launch.py --show-args`."""

from launch import LaunchDescription

from robomamba_ros.arguments import SIM_ARGUMENTS
from robomamba_ros.launching import describe


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return describe('sim.launch.py', SIM_ARGUMENTS)
