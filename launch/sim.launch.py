"""Starts a policy on the simulated arm: `ros2 launch robomamba_ros sim.launch.py --show-args`."""

from launch import LaunchDescription

from robomamba_ros.bringup.launch import describe
from robomamba_ros.bringup.options import SIM_ARGUMENTS


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return describe('sim.launch.py', SIM_ARGUMENTS)
